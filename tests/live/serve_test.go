package live

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// freeAddress returns an address of this machine with a port that is free.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// scrape requests metrics on a new connection. It returns "" if the connection is
// refused.
func scrape(addr string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", nil
	}
	defer conn.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	res, err := client.Get("http://" + addr + "/metrics")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// capabilities returns the different lines about capabilities that a process can use or get,
// of all its threads.
func capabilities(t *testing.T, pid int) map[string]bool {
	t.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	lines := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(text)) {
			for _, name := range []string{"CapInh:", "CapPrm:", "CapEff:", "NoNewPrivs:"} {
				if strings.HasPrefix(line, name) {
					lines[strings.Join(strings.Fields(line), " ")] = true
				}
			}
		}
	}
	return lines
}

// requestWait is how long the server waits at its end for the request of a new connection.
const requestWait = 100 * time.Millisecond

// TestServe serves a directory of scripts, one of which is wrong. It changes a script,
// restarts one that has ended, replaces the directory, and ends the server while others
// request metrics and a collector does not answer.
func TestServe(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no server")
	}
	collector, err := net.Listen("tcp", "127.0.0.1:0") // which never answers
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	place := t.TempDir()
	dir := filepath.Join(place, "scripts")
	os.Mkdir(dir, 0o755)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// rawtracepoint needs no CAP_SYS_ADMIN, whatever kernel.perf_event_paranoid is.
	good := func(n int) string {
		return fmt.Sprintf("begin { @a = %d; printf(\"version %[1]d\\n\"); } rawtracepoint:sys_enter { @n = count(); }", n)
	}
	write("good.bt", good(1))
	write("bad.bt", "begin { nonsense(); }")
	addr := freeAddress(t)
	s := start(t, "serve", dir, "--prometheus", addr, "--otlp", collector.Addr().String(), "--max-overhead", "90%")
	s.waitFor("good.bt: version 1\n")
	reported := func(text string, times int) {
		t.Helper()
		eventually(t, text, func() bool { return strings.Count(s.stderr.String(), text) >= times })
	}
	reported("bad.bt: it has errors: it does not run", 1)
	exported := func(want ...string) {
		t.Helper()
		eventually(t, strings.Join(want, ", "), func() bool {
			text, err := scrape(addr)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range want {
				if !strings.Contains(text, line+"\n") {
					return false
				}
			}
			return true
		})
	}
	exported(`gotrace_a{script="good.bt"} 1`, `gotrace_script_up{script="good.bt"} 1`, `gotrace_script_up{script="bad.bt"} 0`,
		`gotrace_script_last_load_successful{script="good.bt"} 1`, `gotrace_script_last_load_successful{script="bad.bt"} 0`)

	var keep, have uint64
	for _, c := range []int{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_SYSLOG, unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_RESOURCE} {
		keep |= 1 << c
	}
	for line := range capabilities(t, os.Getpid()) {
		fmt.Sscanf(line, "CapPrm: %x", &have)
	}
	keep &= have
	want := fmt.Sprint(map[string]bool{"CapInh: 0000000000000000": true, "NoNewPrivs: 1": true,
		fmt.Sprintf("CapPrm: %016x", keep): true, fmt.Sprintf("CapEff: %016x", keep): true})
	eventually(t, "the capabilities are "+want, func() bool { return fmt.Sprint(capabilities(t, s.cmd.Process.Pid)) == want })

	write("good.bt", good(2))
	s.waitFor("good.bt: version 2\n")
	exported(`gotrace_a{script="good.bt"} 2`)
	write("good.bt", "begin { wrong(); }")
	reported("good.bt: it has errors: the previous version keeps running", 1)
	exported(`gotrace_a{script="good.bt"} 2`, `gotrace_script_last_load_successful{script="good.bt"} 0`)
	const packets = " xdp:lo { @p = count(); }" // only one program can be attached there
	write("packets.bt", packets)
	exported(`gotrace_script_up{script="packets.bt"} 1`)
	write("good.bt", good(4)+packets)
	reported("good.bt: it cannot be attached: the previous version keeps running", 1)
	exported(`gotrace_a{script="good.bt"} 2`, `gotrace_script_last_load_successful{script="good.bt"} 0`, `gotrace_script_up{script="good.bt"} 1`)
	write("ends.bt", "begin { exit(); }")
	reported("ends.bt: ended with status 0", 1)
	s.signal(syscall.SIGHUP)
	reported("ends.bt: ended with status 0", 2)

	old := dir
	dir = filepath.Join(place, "next")
	os.Mkdir(dir, 0o755)
	write("good.bt", good(3))
	if err := os.Rename(old, filepath.Join(place, "old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, old); err != nil {
		t.Fatal(err)
	}
	s.waitFor("good.bt: version 3\n")
	exported(`gotrace_a{script="good.bt"} 3`)

	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				text, err := scrape(addr)
				if err != nil && time.Since(began) >= requestWait {
					continue // the machine is busy: the server no longer waited for the request
				}
				if err != nil || text != "" && !strings.Contains(text, `gotrace_a{script="good.bt"} 3`) {
					t.Errorf("while it ends: %v, %q", err, text)
				}
			}
		})
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	close(stop)
	wg.Wait()
	if r.status != 0 || !strings.Contains(r.stderr, "--otlp: ") {
		t.Errorf("status %d\n%s", r.status, r.stderr)
	}
}
