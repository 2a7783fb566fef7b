package live

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// flood is a script that sends records faster than they can be handled, and counts
// them. The workload causes the events.
const flood = `tracepoint:raw_syscalls:sys_enter { @ = count(); %s } end { printf("end\n"); }`

// pending returns the number of events that stderr reports as dropped at the end or
// lost before.
func pending(t *testing.T, stderr string) (n int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?:Dropped|Lost) (\d+) `).FindAllStringSubmatch(stderr, -1) {
		k, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	return n
}

// TestEndOfFlood ends scripts with actions that take longer than their events.
// Everything that was counted must be printed, or counted as dropped or lost.
func TestEndOfFlood(t *testing.T) {
	if *peer {
		t.Skip("it does not count them")
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for name, action := range map[string]string{
			"system": `system("echo foo");`,
			"cat":    `cat("/proc/sys/kernel/ostype");`,
			"printf": `printf("foo\n");`,
			"print":  `print("foo");`,
		} {
			t.Run(name+"/"+sig.String(), func(t *testing.T) {
				s := start(t, "--unsafe", "-e", fmt.Sprintf(flood, action))
				s.attached()
				s.waitFor("\n") // the first action
				s.signal(sig)
				r := s.wait()
				body, counted, ok := strings.Cut(r.stdout, "end\n")
				n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(counted), "@: "))
				if !ok || err != nil {
					t.Fatalf("after the end: %q (%v)\n%s", counted, err, r.stderr)
				}
				done := strings.Count(body, "foo\n") + strings.Count(body, "Linux\n")
				if got := done + pending(t, r.stderr); got != n || r.status != 0 {
					t.Errorf("%d printed, %d in all of %d; status %d\n%s", done, got, n, r.status, r.stderr)
				}
			})
		}
	}
}

// TestEndWhileBusy ends sessions during long operations.
func TestEndWhileBusy(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// This writer never writes.
	w, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, c := range []struct {
		name, action string
		wait         string // text on stdout to wait for
		want, stderr string
	}{
		{"command", `system("echo started >&2; sleep 1000000");`, "", "end\n", "system: 1"},
		{"deaf command", `system("trap '' TERM; echo started >&2; while :; do sleep 1; done");`, "", "end\n", "system: 1"},
		{"command's child", `system("sleep 1000000 & echo started >&2");`, "", "end\n", ""},
		{"pipe", `cat("` + fifo + `");`, "", "end\n", "cat: 1"},
		{"exit's command", `system("echo started >&2; sleep 1000000"); exit();`, "", "", "system: 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if *peer {
				t.Skip("it waits")
			}
			s := start(t, "--unsafe", "-e", `begin { printf("begin\n"); `+c.action+` } end { printf("end\n"); }`)
			if strings.Contains(c.action, "started") {
				eventually(t, "the command has started", func() bool { return strings.Contains(s.stderr.String(), "started") })
			} else {
				s.attached()
			}
			s.signal(syscall.SIGINT)
			r := s.wait()
			if !strings.Contains(r.stdout, c.want) || !strings.Contains(r.stderr, c.stderr) {
				t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
			}
		})
	}
}

// TestEndUnread checks that sessions whose output is not read end soon after the first
// signal, and at once after the second. This must also work if the signal was ignored
// at the start, as in shells' background jobs.
func TestEndUnread(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it hangs")
	}
	const script = `interval:us:100 { print(@); print(kstack); printf("%s\n", "a line that fills the pipe"); } begin { @ = 1; }`
	for _, c := range []struct {
		name    string
		signals []syscall.Signal
		ignored bool
	}{
		{"one", []syscall.Signal{syscall.SIGINT}, false},
		{"terminate", []syscall.Signal{syscall.SIGTERM}, false},
		{"hangup", []syscall.Signal{syscall.SIGHUP}, false},
		{"background", []syscall.Signal{syscall.SIGINT}, true},
		{"two", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, false},
		{"two in the background", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, true},
		{"two kinds", []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}, false},
	} {
		if testing.Short() && c.name != "background" && c.name != "two" { // in emulation each takes half a minute
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd := exec.Command(*gotrace, "-e", script)
			if c.ignored {
				cmd = exec.Command("sh", "-c", `trap "" INT; exec "$@"`, "sh", *gotrace, "-e", script)
			}
			var stderr syncBuffer
			cmd.Stdout, cmd.Stderr = w, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			waitBlocked(t, cmd)
			for i, sig := range c.signals {
				// Signals in quick succession count as one request. If these do on
				// a busy machine, the end takes a second longer.
				if i > 0 {
					time.Sleep(150 * time.Millisecond)
				}
				cmd.Process.Signal(sig)
			}
			waitEnd(t, cmd)
			if want := "not being read"; len(c.signals) == 1 && !strings.Contains(stderr.String(), want) {
				t.Errorf("stderr %q does not say %q", stderr.String(), want)
			}
			if cmd.ProcessState.ExitCode() == 0 {
				t.Error("status 0")
			}
		})
	}
}

// TestEndBeforeStart ends gotrace before a session starts: while it waits for its script.
func TestEndBeforeStart(t *testing.T) {
	for _, ignored := range []bool{false, true} {
		t.Run(fmt.Sprint("ignored=", ignored), func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(*gotrace, fifo)
			if ignored {
				cmd = exec.Command("sh", "-c", `trap "" INT; exec "$@"`, "sh", *gotrace, fifo)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w, err := os.OpenFile(fifo, os.O_WRONLY, 0) // returns when gotrace has opened it
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			cmd.Process.Signal(syscall.SIGINT)
			waitEnd(t, cmd)
			if cmd.ProcessState.Success() {
				t.Error("status 0")
			}
		})
	}
}

// waitBlocked waits until a command is blocked in writing, because its output is not
// read.
func waitBlocked(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	eventually(t, "a write that blocks", func() bool { return blockedIn(cmd.Process.Pid) == "write" })
}

// waitEnd waits for the end of a command.
func waitEnd(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	cmd.Wait()
	if !kill.Stop() {
		t.Fatalf("no end after %v", patience)
	}
}

// TestEndOnStoppedTerminal ends a session on a terminal that is stopped
// (Ctrl-S).
func TestEndOnStoppedTerminal(t *testing.T) {
	needRoot(t)
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer slave.Close()
	const tcOff = 0 // TCOOFF
	if err := unix.IoctlSetInt(int(slave.Fd()), unix.TCXONC, tcOff); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(*gotrace, "-e", `interval:us:100 { printf("%s\n", "a line"); } begin { system("touch `+t.TempDir()+`/x"); }`, "--unsafe")
	cmd.Stdout, cmd.Stderr = slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitBlocked(t, cmd)
	cmd.Process.Signal(syscall.SIGINT)
	waitEnd(t, cmd)
}

// blockedIn returns "write" if a thread of the process is blocked in write.
func blockedIn(pid int) string {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/syscall", pid, task.Name()))
		if bytes.HasPrefix(text, []byte(fmt.Sprintf("%d ", unix.SYS_WRITE))) {
			return "write"
		}
	}
	return ""
}

// TestEndOnFullDisk checks that a script ends by itself if its output cannot be
// written, and reports the reason once.
func TestEndOnFullDisk(t *testing.T) {
	needRoot(t)
	for _, script := range []string{
		`interval:ms:1 { printf("x\n"); }`, fmt.Sprintf(flood, `printf("foo\n");`), `begin { printf("x\n"); exit(); }`, `begin { @ = 1; exit(); }`,
	} {
		for _, args := range [][]string{{"-e", script}, {"-f", "json", "-e", script}, {"-o", "/dev/full", "-e", script}} {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(*gotrace, args...)
			var stderr syncBuffer
			cmd.Stdout, cmd.Stderr = full, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			full.Close()
			waitEnd(t, cmd)
			if n := strings.Count(stderr.String(), "no space left"); (n != 1 || cmd.ProcessState.ExitCode() == 0) && !*peer {
				t.Errorf("%q: status %d, stderr %q", args, cmd.ProcessState.ExitCode(), stderr.String())
			}
		}
	}
}

// TestEndOfSlowReader checks that a slow reader of the output does not keep the
// session from ending, and that a reader of everything gets every line of a
// huge map.
func TestEndOfSlowReader(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it goes on until all is read")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(*gotrace, "-e", `interval:us:100 { printf("%s\n", kstack); }`)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	waitBlocked(t, cmd)
	go func() {
		buf := make([]byte, 80)
		for {
			if _, err := r.Read(buf); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	cmd.Process.Signal(syscall.SIGINT)
	waitEnd(t, cmd)
}

// TestEndWithHugeMap checks that every element of a huge map is printed at the end.
func TestEndWithHugeMap(t *testing.T) {
	const n = 200000
	s := start(t, "-e", fmt.Sprintf(`config = { max_map_keys=%[1]d } tracepoint:syscalls:sys_enter_getpgid /comm == "%[2]s"/ { @[args.pid] = 1; }`, n, ownName))
	s.attached()
	ownWork(t, "count", strconv.Itoa(n))
	s.signal(syscall.SIGINT)
	r := s.wait()
	if got := strings.Count(r.stdout, "]: 1\n"); got != n || r.status != 0 {
		t.Errorf("%d lines, status %d\n%s", got, r.status, r.stderr)
	}
}

// TestEndOfCommand checks that actions for events of the traced command still run after
// it has ended.
func TestEndOfCommand(t *testing.T) {
	r := trace(t, "--unsafe", "-c", *work+" count 20", "-e", `tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { system("echo foo"); } end { printf("end\n"); }`)
	if want := strings.Repeat("foo\n", 20) + "end\n"; strings.TrimSpace(r.stdout) != strings.TrimSpace(want) {
		t.Errorf("stdout %q\n%s", r.stdout, r.stderr)
	}
}

// TestEndOfDeafCommand checks that a command that ignores the request to end is
// killed.
func TestEndOfDeafCommand(t *testing.T) {
	if why := missing("sh"); why != "" {
		t.Skip(why)
	}
	script := filepath.Join(t.TempDir(), "deaf")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ntrap '' TERM INT HUP\necho ready\nwhile :; do sleep 1; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, "-c", script, "-e", `begin { @ = 7; } interval:s:1000 { }`)
	s.waitFor("ready\n")
	s.signal(syscall.SIGINT)
	if r := s.wait(); !strings.Contains(r.stdout, "@: 7") {
		t.Errorf("stdout %q\n%s", r.stdout, r.stderr)
	}
}
