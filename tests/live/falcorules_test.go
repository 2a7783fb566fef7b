package live

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// falcoRule is a rule with a workload, and the output of each alert that the workload
// raises.
type falcoRule struct {
	condition, output string // with DIR for a directory
	more              string // other keys
	work              func(t *testing.T, dir string)
	want              []string // with DIR, and PROGRAM for the file name of /bin/true
}

// runTrue runs a program with arguments.
func runTrue(args ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := exec.Command("/bin/true", args...).Run(); err != nil {
			t.Fatal(err)
		}
	}
}

// sendEach sends datagrams to a port of the loopback interface.
func sendEach(datagrams ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, d := range datagrams {
			if _, err := c.WriteTo([]byte(d), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// bindTo binds a socket to a port, which is 0 for any.
func bindTo(t *testing.T, kind, port int) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
}

// falcoRules has the operators and functions of conditions on the fields of several
// events.
var falcoRules = []falcoRule{
	{condition: "evt.type=sendto and evt.buffer bcontains 0badc0de", output: "%evt.buffer %evt.arg.data", work: sendEach("\x01\x0b\xad\xc0\xde!", "0badc0de"), want: []string{".....! .....!"}},
	{condition: "evt.type=sendto and evt.buffer bstartswith 00ff", output: "%evt.buffer", work: sendEach("\x00\xff", "\xff\x00\xff"), want: []string{".."}},
	{condition: "evt.type=sendto and evt.buffer contains .secret.", output: "%evt.buffer", work: sendEach("a\x00secret\n", "a.secret."), want: []string{"a.secret."}},
	{condition: "evt.type=sendto and evt.arg.data = .quiet.", output: "%evt.rawarg.data", work: sendEach("\x00quiet\n"), want: []string{".quiet."}},
	{condition: "evt.type=sendto and b64(evt.buffer) = needle", output: "%evt.buffer", work: sendEach("bmVlZGxl", "needle"), want: []string{"bmVlZGxl"}},
	{condition: "evt.type=bind and fd.sport in (4077, 4078)", output: "%fd.name %fd.type %fd.typechar %fd.lport %fd.is_server %fd.rport %evt.arg.addr",
		work: func(t *testing.T, _ string) { bindTo(t, unix.SOCK_DGRAM, 4077); bindTo(t, unix.SOCK_STREAM, 4078) },
		want: []string{"127.0.0.1:4077 ipv4 2 4077 true <NA> 127.0.0.1:4077", "127.0.0.1:4078 ipv4 2 4078 true <NA> 127.0.0.1:4078"}},
	{condition: "evt.type=bind and fd.l4proto=tcp and fd.typechar=4 and not fd.sport exists", output: "%fd.type %fd.is_server", work: func(t *testing.T, _ string) { bindTo(t, unix.SOCK_STREAM, 0) }, want: []string{"ipv4 false"}},
	{condition: "evt.type=execve and proc.args startswith oneof (one-, two-)", output: "%proc.args", work: func(t *testing.T, dir string) { runTrue("one-a")(t, dir); runTrue("none-a")(t, dir) }, want: []string{"one-a"}},
	{condition: "evt.type=execve and proc.args contains allof (aa1, bb2)", output: "%proc.args", work: func(t *testing.T, dir string) { runTrue("bb2aa1")(t, dir); runTrue("aa1")(t, dir) }, want: []string{"bb2aa1"}},
	{condition: `evt.type=execve and proc.args iglob "my-SECRET?"`, output: "%toupper(proc.args) %len(proc.args) %basename(proc.exepath)", work: runTrue("my-secret1"), want: []string{"MY-SECRET1 10 PROGRAM"}},
	{condition: `evt.type=execve and getopt(proc.args, "vp:")[p] = 8080`, output: "%proc.args %proc.cmdnargs", work: func(t *testing.T, dir string) { runTrue("-v", "-p", "8080")(t, dir); runTrue("-p", "80")(t, dir) }, want: []string{"-v -p 8080 3"}},
	{condition: "evt.type=execve and proc.exe = val(proc.args)", output: "%proc.exe", work: runTrue("/bin/true"), want: []string{"/bin/true"}},
	{condition: "evt.type in (mkdir, mkdirat) and fs.path.name pmatch (DIR/below, /other)", output: "%fs.path.name",
		work: func(t *testing.T, dir string) {
			for _, d := range []string{"/below", "/below/it", "/belowit"} {
				if err := unix.Mkdir(dir+d, 0o700); err != nil && err != unix.EEXIST {
					t.Fatal(err)
				}
			}
		}, want: []string{"DIR/below", "DIR/below/it"}},
	{condition: "evt.type=chdir and evt.arg.path startswith DIR", output: "%evt.arg.path",
		more: "  exceptions:\n  - {name: pairs, fields: [evt.arg.path, evt.res], comps: [=, startswith], values: [[DIR/gone, EN], [DIR/none, S]]}\n  - {name: paths, fields: evt.arg.path, comps: in, values: [DIR/left]}\n",
		work: func(t *testing.T, dir string) {
			for _, d := range []string{"/gone", "/none", "/left"} {
				unix.Chdir(dir + d)
			}
		}, want: []string{"DIR/none"}},
	{condition: "evt.type=setns and evt.rawres < 0", output: "%evt.res", more: "- rule: rule NUMBER\n  condition: and not evt.arg.fd exists or evt.type=setns and evt.res=EBADF\n  output: and more\n  override: {condition: append, output: append}\n",
		work: func(*testing.T, string) { unix.Setns(-1, 0) }, want: []string{"EBADF and more"}},
}

// TestFalcoRules checks the alerts of rules, each with its own workload.
func TestFalcoRules(t *testing.T) {
	native(t)
	needRoot(t)
	dir := t.TempDir()
	// In some systems /bin/true is a link to a program with many names.
	program, err := filepath.EvalSymlinks("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.NewReplacer("DIR", dir, "PROGRAM", filepath.Base(program))
	rules, me := "", os.Getpid()
	for i, r := range falcoRules {
		rules += strings.NewReplacer("DIR", dir, "NUMBER", fmt.Sprint(i)).Replace(fmt.Sprintf(
			"- rule: rule %d\n  desc: d\n  condition: (proc.pid=%d or proc.ppid=%[2]d) and (%s)\n  output: \"%s\"\n  priority: INFO\n%s", i, me, r.condition, r.output, r.more))
	}
	checkFalco(t, rules, func() (want []string) {
		for i, r := range falcoRules {
			r.work(t, dir)
			for _, text := range r.want {
				want = append(want, fmt.Sprintf("rule %d: %s", i, wanted.Replace(text)))
			}
		}
		return want
	})
}

// TestFalcoOwnCalls has a rule for the calls by which gotrace prints alerts.
func TestFalcoOwnCalls(t *testing.T) {
	native(t)
	needRoot(t)
	rules := fmt.Sprintf("- rule: own\n  desc: d\n  condition: evt.type=write and proc.ppid=%d\n  output: own\n  priority: INFO\n"+
		"- rule: ours\n  desc: d\n  condition: evt.type=setns and proc.pid=%[1]d\n  output: ours\n  priority: INFO\n", os.Getpid())
	checkFalco(t, rules, func() []string {
		unix.Setns(-1, 0)
		return []string{"ours: ours"}
	})
}
