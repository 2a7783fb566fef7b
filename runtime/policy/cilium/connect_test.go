package cilium_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	front "github.com/gotrace/gotrace/lang/policy/cilium"
)

// connectEnv is set for the process that makes the calls of TestConnect.
const connectEnv = "GOTRACE_TEST_CONNECT"

func TestMain(m *testing.M) {
	if list := os.Getenv(connectEnv); list != "" {
		for to := range strings.FieldsSeq(list) {
			fmt.Println(to, connectTo(to))
		}
		return
	}
	if os.Getenv(serveEnv) != "" {
		serve()
		return
	}
	os.Exit(m.Run())
}

// connectTo connects to an address without waiting, and returns the name of the error.
func connectTo(text string) string {
	mapped := strings.HasPrefix(text, "mapped:")
	to := netip.MustParseAddrPort(strings.TrimPrefix(text, "mapped:"))
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(to.Port()), Addr: [4]byte(to.Addr().AsSlice()[:4])}
	if to.Addr().Is6() || mapped {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sa); errors.Is(err, unix.EPERM) {
		return "EPERM"
	}
	return "passed"
}

// TestConnect makes connections of random addresses from the cgroup of an endpoint whose
// random policies are enforced. A denied one is an error of the call.
func TestConnect(t *testing.T) {
	dir := testCgroup(t)
	cases, denied := 0, 0
	for n := range 6 {
		r := rand.New(rand.NewPCG(7, uint64(n)))
		g := newGenerator(r, 2)
		text := g.b.String()
		p, machine, script, err := translated(dir, text, true)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if len(script.Decisions) == 0 {
			continue
		}
		flows := run(t, script, text, func() {
			m := &model{policies: p, machine: machine, endpoint: machine.Endpoints[0], enforce: true, began: map[exchange]front.Direction{}, names: map[netip.Addr][]string{}}
			var calls []string
			want := map[string]bool{}
			for _, addr := range addresses {
				for _, port := range []uint16{80, 443, 8050, 9} {
					to := netip.AddrPortFrom(netip.MustParseAddr(addr), port)
					call := to.String()
					if to.Addr().Is4() && r.IntN(2) == 0 {
						call = "mapped:" + call
					}
					o := m.decide(&packet{dir: front.Egress, peer: to.Addr(), pport: port, lport: 30000, proto: 6, flags: synFlag})
					want[call] = o.denied
					calls = append(calls, call)
				}
			}
			for call, got := range connected(t, dir, calls) {
				cases++
				if want[call] {
					denied++
				}
				// For a peer on this machine, the first packet decides.
				if refused := got == "EPERM"; refused != want[call] && (refused || !here(machine, call)) {
					t.Errorf("to %s: %s, the model denies it: %v\n%s", call, got, want[call], text)
				}
			}
		})
		for _, f := range flows {
			if !here(machine, f.Dst.String()) && f.Denied && !f.Src.Addr().IsUnspecified() && f.Protocol == 6 && f.Decision.Dir == front.Egress {
				t.Errorf("a packet from %s to %s was dropped: the call was not refused", f.Src, f.Dst)
			}
		}
		if t.Failed() {
			return
		}
	}
	if denied < 30 || denied > cases-30 {
		t.Errorf("%d of %d connections are denied", denied, cases)
	}
}

// here reports whether a call connects to an address of the machine.
func here(m *front.Machine, call string) bool {
	to := netip.MustParseAddrPort(strings.TrimPrefix(call, "mapped:"))
	return slices.ContainsFunc(m.Host, func(p netip.Prefix) bool { return p.Contains(to.Addr()) })
}

// synFlag is the flag of TCP in the first packet of a connection.
const synFlag = 2

// connected makes calls in a process of a cgroup, and returns their results.
func connected(t *testing.T, dir string, calls []string) map[string]string {
	t.Helper()
	fd, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), connectEnv+"="+strings.Join(calls, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd())}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if call, result, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			got[call] = result
		}
	}
	if len(got) != len(calls) {
		t.Fatalf("%d calls have %d results", len(calls), len(got))
	}
	return got
}
