package live

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cgroupMount is the mount point of the version 2 cgroups.
func cgroupMount() string {
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		return "/sys/fs/cgroup/unified"
	}
	return "/sys/fs/cgroup"
}

// TestDrop sends datagrams of two sizes to a script that drops one of the sizes. With
// --unsafe these do not arrive. Without it all arrive, and gotrace reports how many would
// have been dropped.
func TestDrop(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such probes")
	}
	needRoot(t)
	cg := cgroupMount()
	for i, c := range []struct{ point, drop, skip string }{
		{"xdp:lo", "drop()", ""},
		{"xdp:lo", "return 1", ""},
		{"tc:lo:ingress", "drop()", "needs Linux 6.6"},
		{"tc:lo:egress", "return 2", "needs Linux 6.6"},
		{"cgroup_skb:" + cg + ":ingress", "drop()", ""},
		{"cgroup_skb:" + cg + ":egress", "return 0", ""},
		{"netfilter:ip:input", "drop()", "needs Linux 6.4"},
		{"netfilter:ip:output:-5", "drop()", "needs Linux 6.4"},
	} {
		for _, allowed := range []bool{false, true} {
			if testing.Short() && !allowed && i > 0 {
				continue // counting does not depend on the kernel
			}
			t.Run(fmt.Sprintf("%s %s %v", c.point, c.drop, allowed), func(t *testing.T) {
				ownLoopback(t)
				in, err := net.ListenPacket("udp4", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				const each = 20
				script := fmt.Sprintf("%s /pkt.udp.dport == %d && pkt.udp.len == 9/ { @ = count(); %s; }", c.point, in.LocalAddr().(*net.UDPAddr).Port, c.drop)
				args := []string{"-e", script}
				if allowed {
					args = append(args, "--unsafe")
				}
				s := start(t, args...)
				s.attachedOr(c.skip)
				out, err := net.Dial("udp4", in.LocalAddr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer out.Close()
				for range each {
					// The sender of a packet that is dropped may get an error.
					if _, err := out.Write([]byte("a")); err != nil && !errors.Is(err, unix.EPERM) {
						t.Fatal(err)
					}
					if _, err := out.Write([]byte("abc")); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := out.Write([]byte("last")); err != nil {
					t.Fatal(err)
				}
				got := map[int]int{} // by size
				for buf := make([]byte, 10); got[4] == 0; {
					n, _, err := in.ReadFrom(buf)
					if err != nil {
						t.Fatal(err)
					}
					got[n]++
				}
				s.signal(unix.SIGINT)
				res := s.wait()
				small := each
				if allowed {
					small = 0
					res.quiet(t)
				}
				if got[1] != small || got[3] != each {
					t.Errorf("%d of %d small and %d of %d large datagrams arrived", got[1], small, got[3], each)
				}
				if !strings.Contains(res.stdout, fmt.Sprintf("@: %d\n", each)) {
					t.Errorf("it saw others: %s", res.stdout)
				}
				audit := fmt.Sprintf("AUDIT: %s would have decided %d times", strings.Fields(c.drop)[0], each)
				if strings.Contains(res.stderr, audit) == allowed {
					t.Errorf("stderr: %s", res.stderr)
				}
			})
		}
	}
}

// TestSocketLookup connects to two listening sockets. The kernel looks up each of them
// once per connection. With --unsafe, a script drops the packets for one of them.
func TestSocketLookup(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such probes")
	}
	needRoot(t)
	for _, allowed := range []bool{false, true} {
		for _, ns := range []string{"", fmt.Sprintf(":/proc/%d/task/TID/ns/net", os.Getpid())} {
			t.Run(fmt.Sprintf("%v %s", allowed, ns), func(t *testing.T) {
				ownLoopback(t)
				ns := strings.ReplaceAll(ns, "TID", fmt.Sprint(unix.Gettid()))
				var ports []int
				for range 2 {
					l, err := net.Listen("tcp4", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					ports = append(ports, l.Addr().(*net.TCPAddr).Port)
				}
				args := []string{"-e", fmt.Sprintf("sk_lookup%s { @[ctx.local_port, ntop(ctx.local_ip4), ctx.protocol] = count(); if (ctx.local_port == %d) { drop(); } }", ns, ports[0])}
				if allowed {
					args = append(args, "--unsafe")
				}
				s := start(t, args...)
				s.attached()
				for i, port := range ports {
					for range 3 {
						c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
						if refused := errors.Is(err, unix.ECONNREFUSED); err != nil && !refused || refused != (allowed && i == 0) {
							t.Errorf("connecting to socket %d: %v", i, err)
						}
						if err == nil {
							c.Close()
						}
					}
				}
				s.signal(unix.SIGINT)
				r := s.wait()
				for _, port := range ports {
					if want := fmt.Sprintf("@[%d, 127.0.0.1, 6]: 3\n", port); !strings.Contains(r.stdout, want) {
						t.Errorf("it does not print %q: %s", want, r.stdout)
					}
				}
				if strings.Contains(r.stderr, "AUDIT: drop() would have decided 3 times") == allowed {
					t.Errorf("stderr: %s", r.stderr)
				}
			})
		}
	}
}

// TestDeny refuses calls of a thread of this test.
func TestDeny(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no such probes")
	}
	needRoot(t)
	const calls = 10
	in, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	addr := in.Addr().(*net.TCPAddr)
	connect := func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}})
	}
	nice := func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, 0) }
	is := ` /comm == "denied"/ { @ = count(); deny(`
	for i, c := range []struct {
		script, need, skip string
		call               func() error
		errno              unix.Errno
	}{
		{fmt.Sprintf("cgroup_sock_addr:%s:connect4 /bswap((uint16)ctx.user_port) == %d/ { @ = count(); deny(); }", cgroupMount(), addr.Port), "", "", connect, unix.EPERM},
		{fmt.Sprintf("cgroup_sock_addr:%s:connect4 /bswap((uint16)ctx.user_port) == %d/ { @ = count(); deny(\"ENETUNREACH\"); }", cgroupMount(), addr.Port), "", "needs Linux 6.1 ", connect, unix.ENETUNREACH},
		{fmt.Sprintf("cgroup_sock_addr:%s:connect4 /comm == \"denied\" && ctx.user_ip4 == 0x0100007f/ { @ = count(); return 0; }", cgroupMount()), "", "", connect, unix.EPERM},
		{"fmod_ret:security_task_setnice" + is + `"EACCES"); }`, "fentry", "", nice, unix.EACCES},
		{"fmod_ret:security_task_setnice" + is + `args.nice + 5); }`, "fentry", "", nice, unix.EIO},
		{`fmod_ret:security_task_setnice /comm == "denied"/ { @ = count(); return -22; }`, "fentry", "", nice, unix.EINVAL},
		{"lsm:task_setnice" + is + `2); }`, "fentry", "BPF among its security modules", nice, unix.ENOENT},
	} {
		for _, allowed := range []bool{false, true} {
			if testing.Short() && !allowed && i > 0 {
				continue // counting does not depend on the kernel
			}
			t.Run(fmt.Sprintf("%s %v", c.script, allowed), func(t *testing.T) {
				if c.need != "" {
					if why := missing(c.need); why != "" {
						t.Skip(why)
					}
				}
				args := []string{"-e", c.script}
				if allowed {
					args = append(args, "--unsafe")
				}
				s := start(t, args...)
				s.attachedOr(c.skip)
				runtime.LockOSThread() // for good, with its name
				name := append([]byte("denied"), 0)
				if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
					t.Fatal(err)
				}
				for range calls {
					want := error(nil)
					if allowed {
						want = c.errno
					}
					if err := c.call(); err != want {
						t.Fatalf("the call returned %v, want %v", err, want)
					}
				}
				s.signal(unix.SIGINT)
				res := s.wait()
				if !strings.Contains(res.stdout, fmt.Sprintf("@: %d\n", calls)) {
					t.Errorf("it saw others: %s%s", res.stdout, res.stderr)
				}
				if strings.Contains(res.stderr, fmt.Sprintf("would have decided %d times", calls)) == allowed {
					t.Errorf("stderr: %s", res.stderr)
				}
			})
		}
	}
}
