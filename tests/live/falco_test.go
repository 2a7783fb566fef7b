package live

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
	"github.com/gotrace/gotrace/tests/schema"
)

// checkFalco runs rules of Falco while work runs, and compares the alerts with those that
// work returns: their rules and outputs, without time and priority. If the kernel missed
// events, everything is repeated.
func checkFalco(t *testing.T, rules string, work func() []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	var diff string
	for range 10 { // newer kernels skip events when a program is preempted, which is reported
		s := start(t, "policy", "-f", "json", file)
		s.attached()
		want := work()
		s.signal(unix.SIGINT)
		r := s.wait()
		diff = cmp.Diff(want, falcoAlerts(t, r.stdout))
		if diff == "" || !strings.Contains(r.stderr, "Missed ") {
			break
		}
		t.Logf("again: %s", r.stderr)
	}
	if diff != "" {
		t.Error(diff)
	}
}

// falcoAlerts returns the rules and outputs of alerts in JSON.
func falcoAlerts(t *testing.T, text string) (alerts []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if err := schema.Alerts([]byte(line)); err != nil {
			t.Error(err)
		}
		var a struct{ Rule, Output string }
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		_, text, _ := strings.Cut(a.Output, " ")
		_, text, _ = strings.Cut(text, " ")
		alerts = append(alerts, a.Rule+": "+text)
	}
	return alerts
}

// falcoNames are rules for paths of opened files, with the same in Go.
var falcoNames = []struct {
	condition string // with DIR for the test's directory
	holds     func(dir, abs, raw string) bool
}{
	{"fd.name in (DIR/secret/key, /other)", func(dir, abs, _ string) bool { return abs == dir+"/secret/key" }},
	{"fd.directory = DIR/secret.d", func(dir, abs, _ string) bool { return path.Dir(abs) == dir+"/secret.d" }},
	{"fd.name startswith DIR/pre/", func(dir, abs, _ string) bool { return strings.HasPrefix(abs, dir+"/pre/") }},
	{"fd.name endswith .suffix", func(_, abs, _ string) bool { return strings.HasSuffix(abs, ".suffix") }},
	{"fd.nameraw contains lone/../", func(_, _, raw string) bool { return strings.Contains(raw, "lone/../") }},
}

// TestFalcoPaths opens files by paths in many forms, from the current directory and from
// an open one. Programs filter events by the form of a path. The alerts must be exactly
// those that the rule demands.
func TestFalcoPaths(t *testing.T) {
	native(t)
	needRoot(t)
	dir := t.TempDir()
	for _, d := range []string{"secret", "secret.d", "pre", "x"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("./", 140)
	names := []string{
		"key", "./key", "../secret/key", "secret/key", "x/../secret/key", "../x/../secret/./key", long + "key", long + "secret/key",
		dir + "/secret/key", dir + "//secret/./key", dir + "/x/../secret/key", dir + "/secret/key/", dir + "/secret/key/.", dir + "/secret/key/x/..", dir + "/secret/keys",
		"one", "./one", "secret.d/one", "../secret.d/one", dir + "/secret.d/one", dir + "/secret.d/one/two", dir + "/secret.d", "secret.d//one", "secret.d/../one", "..",
		"pre/a", "a", "../pre/a", dir + "/pre/a", dir + "/./pre/a", dir + "/x/../pre/a", dir + "/pre", "pre/..", ".",
		"a.suffix", "a.suffix/", "a.suffix/.", "a.suffix/b/..", "a.suffix/b", dir + "/.suffix", long + "a.suffix", ".suffix",
		"lone/../a", "lone/..", "lone", dir + "/lone/../a",
	}
	var rules strings.Builder
	for i, r := range falcoNames {
		fmt.Fprintf(&rules, "- rule: rule %d\n  desc: d\n  condition: evt.type=openat and proc.pid=%d and %s\n  output: \"%%fd.nameraw as %%fd.name\"\n  priority: INFO\n",
			i, os.Getpid(), strings.ReplaceAll(r.condition, "DIR", dir))
	}
	checkFalco(t, rules.String(), func() (want []string) {
		for _, base := range []string{dir, dir + "/secret", dir + "/secret.d", dir + "/pre"} {
			t.Chdir(base)
			fd, err := unix.Open(base, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				abs := path.Clean(path.Join(base, name))
				if strings.HasPrefix(name, "/") {
					abs = path.Clean(name)
				}
				for i, r := range falcoNames {
					if r.holds(dir, abs, name) {
						alert := fmt.Sprintf("rule %d: %s as %s", i, name, abs)
						want = append(want, alert, alert)
						break
					}
				}
				for _, at := range []int{unix.AT_FDCWD, fd} {
					if n, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
						unix.Close(n)
					}
				}
			}
			unix.Close(fd)
			t.Chdir("/")
		}
		return want
	})
}

// TestFalcoEvents checks alerts of an exec that works and one that fails, and of
// connections with ports of clients at both ends.
func TestFalcoEvents(t *testing.T) {
	native(t)
	needRoot(t)
	rules := fmt.Sprintf(`
- list: tools
  items: ["true", "false"]
- macro: mine
  condition: (proc.ppid=%[1]d or proc.pid=%[1]d)
- rule: exec
  desc: d
  condition: evt.type in (execve, execveat) and mine and proc.name in (tools) and proc.args startswith "a b"
  output: "%%proc.exe %%proc.cmdline of %%proc.ppid %%proc.apid[1] %%evt.res %%container.id %%fd.name %%evt.arg.filename"
  priority: NOTICE
- rule: failed
  desc: d
  condition: evt.type=execve and mine and evt.res=ENOENT
  output: "%%evt.arg.res %%evt.arg.filename %%evt.rawres"
  priority: NOTICE
- rule: connect
  desc: d
  condition: evt.type=connect and proc.pid=%[1]d and fd.sport=9 and fd.l4proto=udp and fd.snet="127.0.0.0/8" and fd.sip != 127.0.0.2 and evt.arg.fd startswith "<4u>127.0.0.1:"
  output: "%%fd.sip %%fd.rport %%fd.type %%evt.res"
  priority: NOTICE
- rule: end
  desc: d
  condition: evt.type=sendto and proc.pid=%[1]d and fd.l4proto=tcp and evt.buffer in (question, answer) and fd.lport = val(fd.lport)
  output: "%%evt.buffer %%fd.is_server"
  priority: NOTICE
`, os.Getpid())
	checkFalco(t, rules, func() []string {
		for _, args := range [][]string{{"a b", "c"}, {"b"}} {
			if err := exec.Command("/bin/true", args...).Run(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.StartProcess("/nonexistent/program", []string{"x"}, &os.ProcAttr{}); err == nil {
			t.Fatal("the program exists")
		}
		for _, last := range []byte{1, 2} {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, last}}); err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
		}
		talk(t)
		return []string{
			fmt.Sprintf("exec: /bin/true true a b c of %[1]d %[1]d SUCCESS host <NA> /bin/true", os.Getpid()),
			"failed: ENOENT /nonexistent/program -2",
			"connect: 127.0.0.1 9 ipv4 SUCCESS",
			"end: question false",
			"end: answer true",
		}
	})
}

// talk makes a connection and sends a question and an answer over it.
func talk(t *testing.T) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	open := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		check(err)
		return fd
	}
	listens, client := open(), open()
	check(unix.Bind(listens, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(unix.Listen(listens, 5))
	at, err := unix.Getsockname(listens)
	check(err)
	check(unix.Connect(client, at))
	server, _, err := unix.Accept4(listens, unix.SOCK_CLOEXEC)
	check(err)
	check(unix.Send(client, []byte("question"), 0))
	check(unix.Send(server, []byte("answer"), 0))
	for _, fd := range []int{server, client, listens} {
		unix.Close(fd)
	}
}

// TestFalcoFlood makes many calls while gotrace is stopped, and ends it at once. Each
// call must raise an alert or be counted as lost, with the rule.
func TestFalcoFlood(t *testing.T) {
	native(t)
	needRoot(t)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	rules := fmt.Sprintf("- rule: flood\n  desc: d\n  condition: evt.type=setns and proc.pid=%d\n  output: \"%%evt.res\"\n  priority: INFO\n", os.Getpid())
	if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, "policy", "-f", "json", file)
	s.attached()
	s.signal(unix.SIGSTOP)
	const calls = 50_000
	for range calls {
		if err := unix.Setns(-1, 0); err != unix.EBADF {
			t.Fatal(err)
		}
	}
	s.signal(unix.SIGCONT)
	s.signal(unix.SIGINT)
	r := s.wait()
	alerts, lost, missed := strings.Count(r.stdout, `"rule":"flood"`), 0, 0
	for line := range strings.Lines(r.stderr) {
		var n int
		if _, err := fmt.Sscanf(line, "WARNING: %d events of setns were lost: alerts of these rules may be missing: \"flood\"", &n); err == nil {
			lost += n
		}
		if _, after, ok := strings.Cut(line, "Missed "); ok && strings.Contains(line, "setns") {
			fmt.Sscan(after, &n)
			missed += n
		}
	}
	if alerts+lost+missed != calls {
		t.Errorf("%d alerts, %d lost, %d missed of %d calls\n%s", alerts, lost, missed, calls, r.stderr)
	}
}
