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

// served is a directory of scripts that a server runs.
type served struct {
	*testing.T
	dir  string
	addr string // where it exports metrics
	s    *session
}

// write writes a script.
func (d *served) write(name, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		d.Fatal(err)
	}
}

// reported waits until the server has printed a text a number of times.
func (d *served) reported(text string, times int) {
	d.Helper()
	eventually(d.T, text, func() bool { return strings.Count(d.s.stderr.String(), text) >= times })
}

// exported waits until the server exports lines.
func (d *served) exported(want ...string) {
	d.Helper()
	eventually(d.T, strings.Join(want, ", "), func() bool {
		text, err := scrape(d.addr)
		if err != nil {
			d.Fatal(err)
		}
		for _, line := range want {
			if !strings.Contains(text, line+"\n") {
				return false
			}
		}
		return true
	})
}

// confined waits until the server has only the capabilities that scripts need.
func (d *served) confined() {
	var keep, have uint64
	for _, c := range []int{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_SYSLOG, unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_RESOURCE} {
		keep |= 1 << c
	}
	for line := range capabilities(d.T, os.Getpid()) {
		fmt.Sscanf(line, "CapPrm: %x", &have)
	}
	keep &= have
	want := fmt.Sprint(map[string]bool{"CapInh: 0000000000000000": true, "NoNewPrivs: 1": true,
		fmt.Sprintf("CapPrm: %016x", keep): true, fmt.Sprintf("CapEff: %016x", keep): true})
	eventually(d.T, "the capabilities are "+want, func() bool { return fmt.Sprint(capabilities(d.T, d.s.cmd.Process.Pid)) == want })
}

// replace replaces the directory by one with a single script.
func (d *served) replace(name, text string) {
	old := d.dir
	d.dir = filepath.Join(filepath.Dir(old), "next")
	os.Mkdir(d.dir, 0o755)
	d.write(name, text)
	if err := os.Rename(old, filepath.Join(filepath.Dir(old), "old")); err != nil {
		d.Fatal(err)
	}
	if err := os.Rename(d.dir, old); err != nil {
		d.Fatal(err)
	}
	d.dir = old
}

// end ends the server while others request metrics, which have a line.
func (d *served) end(line string) result {
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
				text, err := scrape(d.addr)
				if err != nil && time.Since(began) >= requestWait {
					continue // the machine is busy: the server no longer waited for the request
				}
				if err != nil || text != "" && !strings.Contains(text, line) {
					d.Errorf("while it ends: %v, %q", err, text)
				}
			}
		})
	}
	d.s.signal(syscall.SIGINT)
	r := d.s.wait()
	close(stop)
	wg.Wait()
	return r
}

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
	d := &served{T: t, dir: filepath.Join(t.TempDir(), "scripts"), addr: freeAddress(t)}
	os.Mkdir(d.dir, 0o755)
	// rawtracepoint needs no CAP_SYS_ADMIN, whatever kernel.perf_event_paranoid is.
	good := func(n int) string {
		return fmt.Sprintf("begin { @a = %d; printf(\"version %[1]d\\n\"); } rawtracepoint:sys_enter { @n = count(); }", n)
	}
	d.write("good.bt", good(1))
	d.write("bad.bt", "begin { nonsense(); }")
	d.s = start(t, "serve", d.dir, "--prometheus", d.addr, "--otlp", collector.Addr().String(), "--max-overhead", "90%")
	d.s.waitFor("good.bt: version 1\n")
	d.reported("bad.bt: it has errors: it does not run", 1)
	d.exported(`gotrace_a{script="good.bt"} 1`, `gotrace_script_up{script="good.bt"} 1`, `gotrace_script_up{script="bad.bt"} 0`,
		`gotrace_script_last_load_successful{script="good.bt"} 1`, `gotrace_script_last_load_successful{script="bad.bt"} 0`)
	d.confined()

	d.write("good.bt", good(2))
	d.s.waitFor("good.bt: version 2\n")
	d.exported(`gotrace_a{script="good.bt"} 2`)
	d.write("good.bt", "begin { wrong(); }")
	d.reported("good.bt: it has errors: the previous version keeps running", 1)
	d.exported(`gotrace_a{script="good.bt"} 2`, `gotrace_script_last_load_successful{script="good.bt"} 0`)
	const packets = " xdp:lo { @p = count(); }" // only one program can be attached there
	d.write("packets.bt", packets)
	d.exported(`gotrace_script_up{script="packets.bt"} 1`)
	d.write("good.bt", good(4)+packets)
	d.reported("good.bt: it cannot be attached: the previous version keeps running", 1)
	d.exported(`gotrace_a{script="good.bt"} 2`, `gotrace_script_last_load_successful{script="good.bt"} 0`, `gotrace_script_up{script="good.bt"} 1`)
	d.write("ends.bt", "begin { exit(); }")
	d.reported("ends.bt: ended with status 0", 1)
	d.s.signal(syscall.SIGHUP)
	d.reported("ends.bt: ended with status 0", 2)

	d.replace("good.bt", good(3))
	d.s.waitFor("good.bt: version 3\n")
	d.exported(`gotrace_a{script="good.bt"} 3`)
	if r := d.end(`gotrace_a{script="good.bt"} 3`); r.status != 0 || !strings.Contains(r.stderr, "--otlp: ") {
		t.Errorf("status %d\n%s", r.status, r.stderr)
	}
}
