package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/gotrace/gotrace/tests/schema"
)

// TestFalcoCalls checks the alerts of rules for system calls that succeed and fail. On other
// kernels it leaves out those with paths, whose programs take the kernel of an emulated
// machine long to check.
func TestFalcoCalls(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no rules")
	}
	dir, me := t.TempDir(), os.Getpid()
	rules := fmt.Sprintf(`
- list: signals
  items: [SIGWINCH, SIGUSR1]
- macro: mine
  condition: proc.pid=%d
- rule: signal
  desc: d
  condition: evt.type=kill and mine and evt.arg.sig in (signals)
  output: "%%evt.rawarg.pid %%evt.arg.sig %%evt.res %%evt.rawres %%proc.name"
  priority: NOTICE
`, me)
	if !testing.Short() {
		rules += strings.ReplaceAll(`
- rule: made
  desc: d
  condition: evt.type=mkdirat and mine and fs.path.name startswith HERE
  output: "%evt.arg.path %evt.res %proc.name"
  priority: NOTICE
- rule: linked
  desc: d
  condition: evt.type=symlinkat and mine and evt.arg.linkpath startswith HERE and not evt.arg.target contains nothing
  output: "%evt.arg.target %evt.arg.linkpath %evt.rawres"
  priority: NOTICE
  exceptions:
  - {name: known, fields: [evt.arg.target], comps: [=], values: [[known]]}
- rule: removed
  desc: d
  condition: evt.type=unlinkat and mine and evt.arg.flags=AT_REMOVEDIR
  output: "%evt.arg.name %evt.res"
  priority: NOTICE
`, "HERE", dir)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSpace(string(comm))
	checkFalco(t, rules, func() []string {
		for _, err := range []error{unix.Kill(me, unix.SIGWINCH), unix.Kill(me, unix.SIGURG), unix.Mkdirat(unix.AT_FDCWD, dir+"/a", 0o750)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Kill(1<<30, unix.SIGWINCH); err != unix.ESRCH {
			t.Fatal(err)
		}
		if err := unix.Mkdirat(unix.AT_FDCWD, dir+"/a", 0o750); err != unix.EEXIST {
			t.Fatal(err)
		}
		for _, target := range []string{"to", "nothing", "known"} {
			if err := unix.Symlinkat(target, unix.AT_FDCWD, dir+"/"+target); err != nil {
				t.Fatal(err)
			}
			os.Remove(dir + "/" + target)
		}
		if err := unix.Unlinkat(unix.AT_FDCWD, dir+"/a", unix.AT_REMOVEDIR); err != nil {
			t.Fatal(err)
		}
		want := []string{
			fmt.Sprintf("signal: %d SIGWINCH SUCCESS 0 %s", me, name),
			fmt.Sprintf("signal: %d SIGWINCH ESRCH -3 %s", 1<<30, name),
		}
		if !testing.Short() {
			want = []string{
				want[0], "made: " + dir + "/a SUCCESS " + name,
				want[1], "made: " + dir + "/a EEXIST " + name,
				"linked: to " + dir + "/to 0",
				"removed: " + dir + "/a SUCCESS",
			}
		}
		return want
	})
}

// policyCgroup creates a cgroup and returns its directory, and a function that moves this
// process to a cgroup.
func policyCgroup(t *testing.T) (dir string, move func(dir string)) {
	t.Helper()
	dir = filepath.Join(cgroupMount(), fmt.Sprintf("gotrace-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	home := ownCgroup(t)
	move = func(dir string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		move(home)
		os.Remove(dir)
	})
	return dir, move
}

// TestNetworkPolicyKilled kills gotrace while it enforces a policy. After that nothing is
// denied.
func TestNetworkPolicyKilled(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no policies")
	}
	cg, move := policyCgroup(t)
	home := ownCgroup(t)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	const policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web}\nspec: {endpointSelector: {matchLabels: {app: web}}, egress: [], ingress: []}\n"
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "policy", "--unsafe", "--endpoint", "app=web: "+cg, file)
	s.attached()
	for _, want := range []error{unix.EPERM, nil} {
		move(cg)
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
		if err == nil {
			_, err = unix.Write(fd, []byte("x"))
		}
		move(home)
		unix.Close(fd)
		if !errors.Is(err, want) {
			t.Errorf("sending a datagram: %v, want %v", err, want)
		}
		if want != nil {
			s.signal(unix.SIGKILL)
			s.wait()
		}
	}
}

// programsOf returns the IDs of the programs that a process has loaded.
func programsOf(t *testing.T, pid int) (ids []ebpf.ProgramID) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(f) // the descriptor may be closed
		if _, rest, ok := strings.Cut(string(text), "\nprog_id:"); ok {
			var id ebpf.ProgramID
			if _, err := fmt.Sscan(rest, &id); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
	}
	return ids
}

// TestPolicyKilled kills gotrace with SIGKILL while it runs policies of each kind, which act.
// None of its programs stays in the kernel.
func TestPolicyKilled(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no policies")
	}
	cg, _ := policyCgroup(t)
	kills := "  kprobes:\n  - call: sys_getpgid\n    args: [{index: 0, type: int}]\n    selectors:\n    - matchBinaries: [{operator: Postfix, values: [/victim]}]\n      matchActions: [{action: Sigkill}]\n"
	victim := filepath.Join(t.TempDir(), "victim")
	text, err := os.ReadFile(*work)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(victim, text, 0o755); err != nil {
		t.Fatal(err)
	}
	alive := func() bool { return exec.Command(victim, "count", "1").Run() == nil }
	for _, c := range []struct{ name, text string }{
		{"Tetragon", "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: kills}\nspec:\n" + kills},
		{"Falco", "- rule: r\n  desc: d\n  condition: evt.type=setns\n  output: x\n  priority: INFO\n"},
		{"Cilium", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web}\nspec: {endpointSelector: {matchLabels: {app: web}}, egress: [], ingress: []}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "policy.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"policy", "--unsafe", file}
			if c.name == "Cilium" {
				args = append(args, "--endpoint", "app=web: "+cg)
			}
			s := start(t, args...)
			s.attached()
			ids := programsOf(t, s.cmd.Process.Pid)
			if len(ids) == 0 {
				t.Error("it has no programs")
			}
			if c.name == "Tetragon" && alive() {
				t.Error("the policy does not act")
			}
			s.signal(unix.SIGKILL)
			s.wait()
			if !alive() {
				t.Error("the policy still acts")
			}
			eventually(t, "its programs are gone", func() bool {
				return !slices.ContainsFunc(ids, func(id ebpf.ProgramID) bool {
					p, err := ebpf.NewProgramFromID(id)
					if err == nil {
						p.Close()
					}
					return err == nil
				})
			})
		})
	}
}

// TestNetworkPolicy connects to two ports, of which a policy allows one. The flows have the
// verdicts, and with --unsafe the call fails for the other.
func TestNetworkPolicy(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no policies")
	}
	cg, move := policyCgroup(t)
	home := ownCgroup(t)
	var ports []int
	for range 2 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	slices.Sort(ports)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	policy := fmt.Sprintf("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web}\nspec:\n  endpointSelector: {matchLabels: {app: web}}\n"+
		"  egress: [{toPorts: [{ports: [{port: \"%d\", protocol: TCP}]}]}]\n", ports[0])
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []bool{false, true} {
		if testing.Short() && !allowed {
			continue // a guest only enforces
		}
		args := []string{"policy", "-f", "json", "--endpoint", "app=web: " + cg, file}
		denied, want := "AUDIT", error(nil)
		if allowed {
			args = append(args, "--unsafe")
			denied, want = "DROPPED", unix.EPERM
		}
		s := start(t, args...)
		s.attached()
		move(cg)
		for i, port := range ports {
			c, err := net.Dial("tcp4", fmt.Sprint("127.0.0.1:", port))
			if err == nil {
				c.Close()
			}
			if i == 0 && err != nil || i == 1 && !errors.Is(err, want) {
				t.Errorf("unsafe %v: connecting to port %d of %d: %v", allowed, port, ports, err)
			}
		}
		move(home)
		s.signal(unix.SIGINT)
		r := s.wait()
		var got []string
		for line := range strings.Lines(r.stdout) {
			var f struct {
				Flow struct {
					Verdict string
					L4      struct {
						TCP struct {
							Port int `json:"destination_port"`
						}
					}
				}
			}
			if err := json.Unmarshal([]byte(line), &f); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if f.Flow.Verdict == "" {
				continue // message about the session
			}
			if err := schema.Flows([]byte(line)); err != nil {
				t.Error(err)
			}
			got = append(got, fmt.Sprint(f.Flow.L4.TCP.Port, " ", f.Flow.Verdict))
		}
		if diff := cmp.Diff([]string{fmt.Sprint(ports[0], " FORWARDED"), fmt.Sprint(ports[1], " ", denied)}, got); diff != "" {
			t.Errorf("unsafe %v: %s\n%s%s", allowed, diff, r.stdout, r.stderr)
		}
	}
}

// ownCgroup returns the directory of this process's cgroup of version 2.
func ownCgroup(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return filepath.Join(cgroupMount(), strings.TrimSpace(path))
		}
	}
	t.Fatal("it has no cgroup of version 2")
	return ""
}
