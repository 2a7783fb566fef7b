package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with a gotrace on it.
type terminal struct {
	*session
	master *os.File
	before unix.Termios
}

// startOnTerminal runs gotrace on a terminal of the given size. Its output on the
// terminal is in stdout.
func startOnTerminal(t *testing.T, w, h int, env []string, args ...string) *terminal {
	t.Helper()
	needRoot(t)
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	defer slave.Close()
	size := unix.Winsize{Col: uint16(w), Row: uint16(h)}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		t.Fatal(err)
	}
	mode, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, cmd: exec.Command(*gotrace, args...), done: make(chan error, 1)}
	s.cmd.Env = append(append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8", "BPFTRACE_COLOR=auto"), env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan bool)
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := master.Read(b)
			s.stdout.Write(b[:n])
			if err != nil { // all processes have closed the terminal
				close(read)
				return
			}
		}
	}()
	go func() {
		err := s.cmd.Wait()
		<-read
		s.done <- err
	}()
	t.Cleanup(func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	return &terminal{s, master, *mode}
}

// keys sends the input of the user.
func (s *terminal) keys(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// restored reports whether the terminal has the mode that it had before.
func (s *terminal) restored() bool {
	mode, err := unix.IoctlGetTermios(int(s.master.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *mode == s.before
}

// The ends of the sequences by which --live takes and leaves a terminal.
const (
	taken = "\x1b[?1049h"
	left  = "\x1b[?1049l"
)

// TestLiveEnds checks that --live leaves the terminal as it was, whatever ends it, and
// then prints the results.
func TestLiveEnds(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such option")
	}
	const forever = `begin { @ = 42; printf("hello\n"); } interval:s:1000 { exit(); }`
	for _, c := range []struct {
		name, script string
		args         []string
		end          func(s *terminal)
		status       int
		results      bool
	}{
		{"q", forever, nil, func(s *terminal) { s.keys("q") }, 0, true},
		{"ctrl-c", forever, nil, func(s *terminal) { s.keys("\x03") }, 0, true},
		{"ctrl-\\", forever, nil, func(s *terminal) { s.keys("\x1c") }, 128 + int(unix.SIGQUIT), false},
		{"SIGTERM", forever, nil, func(s *terminal) { s.signal(syscall.SIGTERM) }, 0, true},
		{"SIGHUP", forever, nil, func(s *terminal) { s.signal(syscall.SIGHUP) }, 0, true},
		{"SIGKILL", forever, nil, func(s *terminal) { s.signal(syscall.SIGKILL) }, 128 + 9, false},
		{"a fault of the program", forever, nil, func(s *terminal) { s.signal(syscall.SIGABRT) }, 2, false},
		{"exit()", `begin { @ = 42; printf("hello\n"); } interval:ms:300 { exit(3); }`, nil, func(*terminal) {}, 3, true},
		{"--for", forever, []string{"--for", "200ms"}, func(*terminal) {}, 0, true},
		{"the end of the command", forever, []string{"-c", "sleep 0.2"}, func(*terminal) {}, 0, true},
		{"suspended", forever, nil, func(s *terminal) {
			s.keys("\x1a")
			eventually(s.t, "the terminal is left", func() bool { return strings.Contains(s.stdout.String(), left) && s.restored() })
			eventually(s.t, "it has stopped", func() bool {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
				return err == nil && strings.Contains(string(text), "State:\tT")
			})
			s.signal(syscall.SIGCONT)
			eventually(s.t, "it is taken again", func() bool { return strings.Count(s.stdout.String(), taken) == 2 && !s.restored() })
			s.keys("q")
		}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			native(t)
			s := startOnTerminal(t, 60, 12, nil, append(c.args, "--live", "-e", c.script)...)
			eventually(t, "the map is shown", func() bool { return strings.Contains(s.stdout.String(), "output \x1b") || len(c.args) > 0 })
			c.end(s)
			r := s.wait()
			if r.status != c.status {
				t.Errorf("status %d, want %d", r.status, c.status)
			}
			if !s.restored() {
				t.Error("the mode of the terminal is another one")
			}
			_, after, ok := strings.Cut(r.stdout, taken)
			i := strings.LastIndex(after, left)
			if !ok || i < 0 {
				t.Fatalf("the terminal was not taken and left: %q", r.stdout)
			}
			rest := after[i+len(left):]
			if strings.Contains(rest, "\x1b") {
				t.Errorf("sequences follow the end: %q", rest)
			}
			if want := "hello\r\n\r\n\r\n@: 42\r\n"; c.results && rest != want {
				t.Errorf("results %q, want %q", rest, want)
			}
			if c.status == 2 && !strings.Contains(rest, "SIGABRT") {
				t.Errorf("the fault is not shown: %q", rest)
			}
		})
	}
}

// TestLiveInTmux checks the screen of --live in a real terminal emulator: known counts,
// after keys and a change of the size.
func TestLiveInTmux(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such option")
	}
	needRoot(t)
	native(t)
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("tmux", append([]string{"-f", "/dev/null", "-S", socket}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	script := "uprobe:" + *work + `:gt_square { @[comm, arg0 % 2] = count(); @h = lhist(arg0, 0, 1000, 500); }
		begin { @z["\x1b[31mred"] = 7; printf("ready\n"); }`
	file := filepath.Join(t.TempDir(), "script.bt")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	// The second command keeps the screen that follows.
	tmux("new-session", "-d", "-x", "70", "-y", "14", fmt.Sprintf("'%s' --live --every 250ms '%s'; echo status $?; exec cat", *gotrace, file))
	defer tmux("kill-server")
	screen := ""
	shows := func(parts ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("the screen shows %q", parts), func() bool {
			screen = strings.Join(strings.Fields(tmux("capture-pane", "-p")), " ")
			for _, p := range parts {
				if !strings.Contains(screen, p) {
					return false
				}
			}
			return true
		})
	}
	shows("ready", "[@]")
	doWork(t, *work, "call", "square", "1000")
	shows("[@] @h @z output", "500 ", "gtwork 1")
	tmux("send-keys", "Tab")
	shows("[@h]", "1000", "[0, 500) 500 █", "[500, 1000) 500 █")
	tmux("send-keys", "3")
	shows("[@z]", `7 `, `\x1b[31mred`)
	tmux("resize-window", "-x", "20", "-y", "5")
	tmux("send-keys", "1")
	shows("[@]", "500 ", "q quit")
	tmux("resize-window", "-x", "120", "-y", "20")
	tmux("send-keys", "q")
	shows("status 0", "@[gtwork, 1]: 500")
	if strings.Contains(screen, "q quit") {
		t.Errorf("the view is still there: %s", screen)
	}
}

// TestProgressLine checks that a long compilation shows a line on a terminal, which
// disappears before the results, and shows nothing elsewhere.
func TestProgressLine(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such line")
	}
	needRoot(t)
	native(t)
	const line = "\x1b[K"
	for n := 200; ; n *= 2 {
		var script strings.Builder
		script.WriteString("begin { ")
		for i := range n {
			fmt.Fprintf(&script, `@a[%d, comm] = count(); if (@a[%d, comm] > 5) { printf("%%d %%s\n", %d, comm); } `, i, i, i)
		}
		script.WriteString("clear(@a); @ = 42; exit(); }")
		out := startOnTerminal(t, 80, 24, nil, "-e", script.String()).wait().stdout
		if !strings.Contains(out, line) && n < 5000 {
			continue // it did not take long on this machine
		}
		first, rest, ok := strings.Cut(out, "\r\x1b[K")
		if !ok || !strings.HasPrefix(first, "\r") || !strings.HasSuffix(first, line) || !strings.HasSuffix(rest, "@: 42\r\n") {
			t.Errorf("%d statements: the terminal got %q", n, out)
		}
		if r := trace(t, "-e", script.String()); strings.ContainsAny(r.stdout+r.stderr, "\r\x1b") {
			t.Errorf("not on a terminal: stdout %q, stderr %q", r.stdout, r.stderr)
		}
		return
	}
}
