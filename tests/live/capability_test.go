package live

import (
	"bytes"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
)

// capNumbers are the kernel's numbers of the capabilities that kinds of probes need.
var capNumbers = map[probes.Capability]uintptr{
	"CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN,
}

// withOnly runs gotrace as root with certain capabilities and no others.
func withOnly(t *testing.T, caps []probes.Capability, args ...string) (ok bool, stderr string) {
	t.Helper()
	var err error
	var out bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine, so the test keeps its own
		for n := uintptr(0); n <= unix.CAP_LAST_CAP; n++ {
			if slices.ContainsFunc(caps, func(c probes.Capability) bool { return capNumbers[c] == n }) {
				continue
			}
			// The kernel may not know the last ones.
			if err = unix.Prctl(unix.PR_CAPBSET_DROP, n, 0, 0, 0); err != nil && err != unix.EINVAL {
				return
			}
		}
		cmd := exec.Command(*gotrace, args...)
		cmd.Stderr = &out
		err = cmd.Run()
	}()
	<-done
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatal(err)
	}
	return err == nil, out.String()
}

// TestCapabilities attaches a probe of each kind with the documented capabilities, and
// without each of them.
func TestCapabilities(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace wants to be root")
	}
	table := confinements(t)
	for name, probe := range map[string]string{
		"cgroup_skb": "cgroup_skb:egress", "sock_ops": "sock_ops:" + cgroupMount(), "cgroup_sock_addr": "cgroup_sock_addr:connect4",
		"begin": "begin", "end": "end", "interval": "interval:s:1", "rawtracepoint": "rawtracepoint:sys_enter",
	} {
		c := table[name]
		c.probe = probe
		table[name] = c
	}
	always := probes.Lookup("begin").Capabilities()
	if !release().less(version{6, 6}) { // one link for many functions
		if ok, stderr := withOnly(t, always, "--dry-run", "-e", "uprobe:"+*work+":gt_* { @ = count(); }"); !ok {
			t.Errorf("a pattern of uprobe with %v: %s", always, stderr)
		}
	}
	for _, k := range probes.Kinds() {
		c := table[k.Name]
		if c.probe == "" || k.Since != "" && release().less(parseRelease(k.Since)) {
			continue
		}
		if testing.Short() && c.needs == "" {
			continue // tested on the host
		}
		t.Run(k.Name, func(t *testing.T) {
			if c.needs != "" {
				if why := missing(c.needs); why != "" {
					t.Skip(why)
				}
			}
			args := []string{"--dry-run", "-e", c.probe + " { @ = count(); }"}
			caps := k.Capabilities()
			if ok, stderr := withOnly(t, caps, args...); !ok {
				if strings.Contains(stderr, "perf_event_paranoid") {
					t.Skip(stderr) // the kernel of a distribution that wants CAP_SYS_ADMIN
				}
				if c.also != "" && strings.Contains(stderr, c.also) {
					t.Skip(stderr)
				}
				t.Fatalf("%v are not enough: %s", caps, stderr)
			}
			for _, without := range caps {
				if k.Name != "begin" && slices.Contains(always, without) {
					continue
				}
				others := slices.DeleteFunc(slices.Clone(caps), func(c probes.Capability) bool { return c == without })
				if ok, stderr := withOnly(t, others, args...); ok || !strings.Contains(stderr, string(without)) {
					t.Errorf("without %s: %v, %s", without, ok, stderr)
				}
			}
		})
	}
}
