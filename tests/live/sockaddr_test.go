package live

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// sockAddrCalls are the numbers of system calls that useAddresses makes, by the name of
// the hook without the IP version.
var sockAddrCalls = map[string]int{"bind": 1, "connect": 2, "sendmsg": 3, "recvmsg": 3, "getsockname": 4, "getpeername": 5}

// useAddresses makes the calls of sockAddrCalls with datagram sockets. It returns the port
// to which they connect and send.
func useAddresses(t *testing.T, family int, loopback func(port int) unix.Sockaddr) int {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	socket := func() int {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	in, out, connected := socket(), socket(), socket()
	must(unix.Bind(in, loopback(0)))
	port := 0
	for range sockAddrCalls["getsockname"] {
		at, err := unix.Getsockname(in)
		must(err)
		switch at := at.(type) {
		case *unix.SockaddrInet4:
			port = at.Port
		case *unix.SockaddrInet6:
			port = at.Port
		}
	}
	for range sockAddrCalls["connect"] {
		must(unix.Connect(connected, loopback(port)))
	}
	for range sockAddrCalls["getpeername"] {
		_, err := unix.Getpeername(connected)
		must(err)
	}
	for range sockAddrCalls["sendmsg"] {
		must(unix.Sendto(out, []byte("x"), 0, loopback(port)))
		_, _, err := unix.Recvfrom(in, make([]byte, 8), 0)
		must(err)
	}
	return port
}

// TestSocketAddresses counts the calls that use an Internet address, by all hooks of
// cgroup_sock_addr.
func TestSocketAddresses(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no such probes")
	}
	cgroup := cgroupMount()
	families := []struct {
		version, number int
		loopback        func(port int) unix.Sockaddr
	}{
		{4, unix.AF_INET, func(port int) unix.Sockaddr { return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}} }},
		{6, unix.AF_INET6, func(port int) unix.Sockaddr { return &unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}} }},
	}
	var script strings.Builder
	for _, f := range families {
		for call := range sockAddrCalls {
			hook := fmt.Sprint(call, f.version)
			fmt.Fprintf(&script, "cgroup_sock_addr:%s:%s /pid == %d/ { @[%q, ctx.user_family] = count(); ", cgroup, hook, os.Getpid(), hook)
			if call == "connect" || call == "sendmsg" {
				fmt.Fprintf(&script, "@port[%q, bswap((uint16)ctx.user_port)] = count(); ", hook)
			}
			if hook == "connect6" {
				script.WriteString("@addr[ntop(ctx.user_ip6), be16(buf(ctx.user_ip6, 16), 14), ctx.sk.family, ctx.sk.type] = count(); ")
			}
			script.WriteString("}\n")
		}
	}
	s := start(t, "-e", script.String())
	s.attached()
	var want []string
	for _, f := range families {
		if fd, err := unix.Socket(f.number, unix.SOCK_DGRAM, 0); errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		} else if err == nil {
			unix.Close(fd)
		}
		port := useAddresses(t, f.number, f.loopback)
		for call, n := range sockAddrCalls {
			hook := fmt.Sprint(call, f.version)
			want = append(want, fmt.Sprintf("@[%s, %d]: %d", hook, f.number, n))
			if call == "connect" || call == "sendmsg" {
				want = append(want, fmt.Sprintf("@port[%s, %d]: %d", hook, port, n))
			}
			if hook == "connect6" {
				want = append(want, fmt.Sprintf("@addr[::1, 1, %d, %d]: %d", unix.AF_INET6, unix.SOCK_DGRAM, n))
			}
		}
	}
	s.signal(unix.SIGINT)
	res := s.wait()
	res.quiet(t)
	var got []string
	for line := range strings.Lines(res.stdout) {
		if strings.HasPrefix(line, "@") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestConnectionEvents connects several times to a port, and finds each side of each
// connection by sock_ops.
func TestConnectionEvents(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no such probes")
	}
	// From include/uapi/linux/bpf.h: a side starts to connect, is connected, is accepted,
	// or listens.
	const connects, active, passive, listens = 3, 4, 5, 11
	s := start(t, "-e", fmt.Sprintf(`sock_ops:%s /ctx.op in (%d, %d, %d, %d)/ { @[ctx.op, ctx.local_port] = count(); }`,
		cgroupMount(), connects, active, passive, listens))
	s.attached()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := func(a net.Addr) int { return a.(*net.TCPAddr).Port }
	const connections = 3
	ours := map[int]bool{port(l.Addr()): true}
	want := []string{fmt.Sprintf("@[%d, %d]: 1", listens, port(l.Addr())), fmt.Sprintf("@[%d, %d]: %d", passive, port(l.Addr()), connections)}
	for range connections {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		from := port(c.LocalAddr())
		ours[from] = true
		want = append(want, fmt.Sprintf("@[%d, %d]: 1", connects, from), fmt.Sprintf("@[%d, %d]: 1", active, from))
	}
	s.signal(unix.SIGINT)
	res := s.wait()
	res.quiet(t)
	var got []string
	for line := range strings.Lines(res.stdout) {
		var op, at, n int
		if k, _ := fmt.Sscanf(line, "@[%d, %d]: %d", &op, &at, &n); k == 3 && ours[at] {
			got = append(got, strings.TrimSpace(line))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
