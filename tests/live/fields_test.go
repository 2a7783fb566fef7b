package live

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// fieldScript prints fields of events that a thread, whose ID is $1, causes. $2 and $3
// are the ports of TCP, $4 is a port of UDP to which nothing can be sent.
const fieldScript = `
net:listen /tid == $1/ { printf("listen %d %d %s %d %d %d %d\n", args.family, args.proto, args.laddr, args.lport, args.backlog, args.fd, args.ret); }
net:connect /tid == $1/ { printf("connect %d %d %s %d %s %d [%s] %d %d\n", args.family, args.proto, args.laddr, args.lport, args.raddr, args.rport, args.path, args.fd, args.ret); }
net:accept /tid == $1/ { printf("accept %d %d %s %d %s %d %d %d\n", args.family, args.proto, args.laddr, args.lport, args.raddr, args.rport, args.fd, args.ret); }
net:send /tid == $1/ { printf("send %d %d %s %d %s %d %d %d\n", args.family, args.proto, args.laddr, args.lport, args.raddr, args.rport, args.bytes, args.ret); }
net:recv /tid == $1/ { printf("recv %d %d %s %d %s %d %d %d\n", args.family, args.proto, args.laddr, args.lport, args.raddr, args.rport, args.bytes, args.ret); }
net:data /tid == $1/ { printf("data %d %d %d [%s] %d %d %s %d %s %d\n", args.sent, args.returned, args.bytes, str(args.data), args.sock.sk_type, args.family, args.laddr, args.lport, args.raddr, args.rport); }
net:data /tid == $1 && args.family == 2/ { if (args.sent) { @first = args.pos; } else { printf("pos %d\n", args.pos == @first); } }
net:sent /tid == $1 && args.ret != 8/ { printf("sent %d %d [%s]\n", args.fd, args.ret, str(args.data)); }
net:datagram /tid == $1/ { printf("datagram %d %d [%s] %d %d %d %s %d %s %d\n", args.sent, args.bytes, str(args.data), args.to != 0, args.sock.sk_protocol, args.family, args.laddr, args.lport, args.raddr, args.rport); }
net:close /args.lport == $2 && args.rport != 0 || args.rport == $2 || args.lport == $3 && args.rport != 0 || args.rport == $3/ { printf("close %d %s %d %s %d %d %d %d %d\n", args.family, args.laddr, args.lport, args.raddr, args.rport, args.sent, args.received, args.oldstate, args.rtt); }
net:retransmit /args.rport == $2/ { printf("retransmit %d %s %d %s %d %d %d\n", args.family, args.laddr, args.lport, args.raddr, args.rport, args.state, args.len); }
net:drop /args.dport == $4/ { printf("drop %d %d %d %s %d %s %d %d %d %d\n", args.sent, args.family, args.proto, args.saddr, args.sport, args.daddr, args.dport, args.len, args.skb.len, args.sock.__sk_common.skc_num); }
pkt:out /args.dport == $4/ { drop(); }
proc:signal /tid == $1 && args.sig >= 40/ { printf("signal %d %d %d %s %d\n", args.target, args.tid, args.sig, args.comm, args.ret); }
end { clear(@first); }
`

// fieldWork causes the events of fieldScript, and records the output that fieldScript has
// to print.
type fieldWork struct {
	*testing.T
	want []string
}

func (w *fieldWork) note(format string, args ...any) {
	w.want = append(w.want, fmt.Sprintf(format, args...))
}

func (w *fieldWork) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// call makes a system call and returns its result, negative if it failed.
func (w *fieldWork) call(nr uintptr, args ...uintptr) int {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return -int(errno)
	}
	return int(r)
}

func (w *fieldWork) socket(family, kind int, at unix.Sockaddr) int {
	w.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	w.must(err)
	w.Cleanup(func() { unix.Close(fd) })
	if at != nil {
		w.must(unix.Bind(fd, at))
	}
	return fd
}

// name returns the address and the port of a socket: of a local one, "0.0.0.0" and 0.
func (w *fieldWork) name(fd int) (string, int) {
	w.Helper()
	sa, err := unix.Getsockname(fd)
	w.must(err)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.IP(sa.Addr[:]).String(), sa.Port
	case *unix.SockaddrInet6:
		return net.IP(sa.Addr[:]).String(), sa.Port
	}
	return "0.0.0.0", 0
}

// stream makes a connection to a listening socket, sends and receives bytes and resets
// it.
func (w *fieldWork) stream(family, listener int, path string) {
	w.Helper()
	addr, port := w.name(listener)
	proto := 6
	if family == unix.AF_UNIX {
		proto = 0
	}
	w.note("listen %d %d %s %d 7 %d 0", family, proto, addr, port, listener)
	w.must(unix.Listen(listener, 7))
	to, err := unix.Getsockname(listener)
	w.must(err)
	client := w.socket(family, unix.SOCK_STREAM, nil)
	w.must(unix.Connect(client, to))
	_, from := w.name(client)
	w.note("connect %d %d %s %d %s %d [%s] %d 0", family, proto, addr, from, addr, port, path, client)
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	w.must(err)
	w.note("accept %d %d %s %d %s %d %d %d", family, proto, addr, port, addr, from, server, server)
	there := fmt.Sprintf("%s %d %s %d", addr, from, addr, port)
	back := fmt.Sprintf("%s %d %s %d", addr, port, addr, from)
	buf := make([]byte, 64)
	for i, text := range []string{"a", "hello", "three"} {
		switch i {
		case 0:
			_, err = unix.Write(client, []byte(text))
		case 1:
			_, err = unix.Writev(client, [][]byte{[]byte(text[:2]), []byte(text[2:])})
		case 2:
			err = unix.Sendmsg(client, []byte(text), nil, nil, 0)
		}
		w.must(err)
		w.note("data 1 0 %d [%s] 1 %d %s", len(text), text, family, there)
		w.note("send %d %d %s %d %d", family, proto, there, len(text), len(text))
		w.note("sent %d %d [%s]", client, len(text), text)
		switch i {
		case 0:
			_, err = unix.Read(server, buf)
		case 1:
			_, err = unix.Readv(server, [][]byte{buf[:2], buf[2:]})
		case 2:
			_, _, _, _, err = unix.Recvmsg(server, buf, nil, 0)
		}
		w.must(err)
		w.note("recv %d %d %s %d %d", family, proto, back, len(text), len(text))
		w.note("data 0 1 %d [%s] 1 %d %s", len(text), text, family, back)
		if family == unix.AF_INET {
			w.note("pos 1")
		}
	}
	if n := w.call(unix.SYS_RECVFROM, uintptr(server), 0, 0, unix.MSG_DONTWAIT); n != 0 && n != -int(unix.EAGAIN) {
		w.Fatal(n)
	}
	w.note("recv %d %d %s 0 %d", family, proto, back, -int(unix.EAGAIN))
	if family == unix.AF_INET {
		w.again(client, server, there)
	}
	if proto == 0 {
		unix.Close(client)
		unix.Close(server)
		return
	}
	info := func(fd int) uint32 {
		i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		w.must(err)
		return i.Rtt
	}
	sent := 11
	if family == unix.AF_INET {
		sent += 5
	}
	w.note("close %d %s %d 0 1 %d000", family, there, sent, info(client))
	w.note("close %d %s 0 %d 1 %d000", family, back, sent, info(server))
	w.must(unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	unix.Close(client)
	unix.Close(server)
}

// again makes TCP retransmit a segment: the filter of the receiver drops it at first.
func (w *fieldWork) again(client, server int, there string) {
	w.Helper()
	none := unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}}
	w.must(unix.SetsockoptSockFprog(server, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &none))
	_, err := unix.Write(client, []byte("again"))
	w.must(err)
	w.note("data 1 0 5 [again] 1 2 %s", there)
	w.note("send 2 6 %s 5 5", there)
	w.note("sent %d 5 [again]", client)
	w.note("retransmit 2 %s 1 5", there)
	eventually(w.T, "the segment is sent again", func() bool {
		i, err := unix.GetsockoptTCPInfo(client, unix.IPPROTO_TCP, unix.TCP_INFO)
		w.must(err)
		return i.Total_retrans > 0
	})
	w.must(unix.SetsockoptInt(server, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
	eventually(w.T, "the segment has arrived", func() bool {
		n, err := unix.IoctlGetInt(server, unix.TIOCINQ)
		w.must(err)
		return n == 5
	})
}

// datagrams sends datagrams from sockets without a peer, and from connected ones.
func (w *fieldWork) datagrams(family int, at unix.Sockaddr, none string) {
	w.Helper()
	server, client := w.socket(family, unix.SOCK_DGRAM, at), w.socket(family, unix.SOCK_DGRAM, at)
	addr, port := w.name(server)
	_, from := w.name(client)
	to, err := unix.Getsockname(server)
	w.must(err)
	buf := make([]byte, 64)
	get := func(i int, n int) {
		w.Helper()
		var err error
		peer := fmt.Sprintf("1 17 %d %s %d %s %d", family, addr, port, addr, from)
		switch i {
		case 0:
			_, _, err = unix.Recvfrom(server, buf, 0)
		case 1:
			_, _, _, _, err = unix.Recvmsg(server, buf, nil, 0)
		case 2:
			_, err = unix.Read(server, buf)
			peer = fmt.Sprintf("0 17 %d %s %d %s 0", family, addr, port, none)
		}
		w.must(err)
		w.note("recv %d 17 %s %d %s 0 %d %d", family, addr, port, none, n, n)
		w.note("datagram 0 %d [%s] %s", n, buf[:n], peer)
	}
	for i, text := range []string{"one", "other"} {
		if i == 0 {
			w.must(unix.Sendto(client, []byte(text), 0, to))
		} else {
			w.must(unix.Sendmsg(client, []byte(text), nil, to, 0))
		}
		w.note("datagram 1 %d [%s] 1 17 %d %s %d %s %d", len(text), text, family, addr, from, addr, port)
		w.note("send %d 17 %s %d %s 0 %d %d", family, addr, from, none, len(text), len(text))
		w.note("sent %d %d [%s]", client, len(text), text)
		get(i, len(text))
	}
	w.must(unix.Connect(client, to))
	w.note("connect %d 17 %s %d %s %d [] %d 0", family, addr, from, addr, port, client)
	_, err = unix.Write(client, []byte("last"))
	w.must(err)
	w.note("datagram 1 4 [last] 0 17 %d %s %d %s %d", family, addr, from, addr, port)
	w.note("send %d 17 %s %d %s %d 4 4", family, addr, from, addr, port)
	w.note("sent %d 4 [last]", client)
	get(2, 4)
}

// signals sends signals in all ways to this process and this thread.
func (w *fieldWork) signals() {
	pid, tid := os.Getpid(), unix.Gettid()
	comm := func(tid int) string {
		name, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/comm", tid))
		w.must(err)
		return strings.TrimSpace(string(name))
	}
	fd, err := unix.PidfdOpen(pid, 0)
	w.must(err)
	defer unix.Close(fd)
	info := new([128]byte)
	info[8] = 0xff // SI_QUEUE
	info[9], info[10], info[11] = 0xff, 0xff, 0xff
	for i, send := range []struct {
		nr     uintptr
		args   []int
		thread bool
	}{
		{unix.SYS_KILL, []int{pid, 40}, false},
		{unix.SYS_TKILL, []int{tid, 41}, true},
		{unix.SYS_TGKILL, []int{pid, tid, 42}, true},
		{unix.SYS_PIDFD_SEND_SIGNAL, []int{fd, 43}, false},
		{unix.SYS_RT_SIGQUEUEINFO, []int{pid, 44}, false},
		{unix.SYS_RT_TGSIGQUEUEINFO, []int{pid, tid, 45}, true},
	} {
		args := make([]uintptr, 4)
		for i, a := range send.args {
			args[i] = uintptr(a)
		}
		info[0] = byte(40 + i)
		if send.nr == unix.SYS_RT_SIGQUEUEINFO || send.nr == unix.SYS_RT_TGSIGQUEUEINFO {
			args[len(send.args)] = uintptr(unsafe.Pointer(info))
		}
		n := w.call(send.nr, args...)
		runtime.KeepAlive(info)
		if n != 0 {
			w.Errorf("signal %d: %d", 40+i, n)
		}
		to := pid
		if send.thread {
			to = tid
		}
		w.note("signal %d %d %d %s 0", pid, to, 40+i, comm(to))
	}
}

// TestFields compares fields of the providers with the arguments and results of the
// calls, for both families and for all calls from which a field gets its value.
func TestFields(t *testing.T) {
	if *peer {
		t.Skip("it has no providers")
	}
	needRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := &fieldWork{T: t}
	v4, v6 := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	path := filepath.Join(t.TempDir(), "socket")
	tcp4, tcp6 := w.socket(unix.AF_INET, unix.SOCK_STREAM, v4), w.socket(unix.AF_INET6, unix.SOCK_STREAM, v6)
	local := w.socket(unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path})
	silent, speaker := w.socket(unix.AF_INET, unix.SOCK_DGRAM, v4), w.socket(unix.AF_INET, unix.SOCK_DGRAM, v4)
	_, port4 := w.name(tcp4)
	_, port6 := w.name(tcp6)
	_, never := w.name(silent)
	s := start(t, "--unsafe", "-q", "-e", fieldScript, fmt.Sprint(unix.Gettid()), fmt.Sprint(port4), fmt.Sprint(port6), fmt.Sprint(never))
	s.attached()
	w.stream(unix.AF_INET, tcp4, "")
	w.stream(unix.AF_INET6, tcp6, "")
	w.stream(unix.AF_UNIX, local, path)
	w.datagrams(unix.AF_INET, v4, "0.0.0.0")
	w.datagrams(unix.AF_INET6, v6, "::")
	to, err := unix.Getsockname(silent)
	w.must(err)
	if err := unix.Sendto(speaker, []byte("no"), 0, to); err != unix.EPERM {
		t.Errorf("sending what is dropped: %v", err)
	}
	_, from := w.name(speaker)
	w.note("datagram 1 2 [no] 1 17 2 127.0.0.1 %d 127.0.0.1 %d", from, never)
	w.note("send 2 17 127.0.0.1 %d 0.0.0.0 0 0 -1", from)
	w.note("sent %d -1 []", speaker)
	w.note("drop 1 2 17 127.0.0.1 %d 127.0.0.1 %d 30 30 %d", from, never, from)
	w.signals()
	s.signal(syscall.SIGINT)
	r := s.wait()
	r.quietButMissed(t)
	got := strings.Split(strings.TrimSpace(r.stdout), "\n")
	t.Logf("stderr: %s", r.stderr)
	// The position of an answer is compared with that of its request. If the kernel left
	// out the event of the request, the position is that of another one.
	if r.missed() > 0 && (len(got) < len(w.want) || slices.Contains(got, "pos 0")) {
		r.leftOut(t)
	}
	w.compare(got)
}

// compare compares the lines of each kind of event. A segment may be retransmitted more
// than once.
func (w *fieldWork) compare(got []string) {
	w.Helper()
	kinds := func(lines []string) map[string][]string {
		m := map[string][]string{}
		for _, line := range lines {
			kind, _, _ := strings.Cut(line, " ")
			if kind == "retransmit" && len(m[kind]) > 0 && m[kind][0] == line {
				continue
			}
			m[kind] = append(m[kind], line)
		}
		return m
	}
	want, seen := kinds(w.want), kinds(got)
	for kind := range seen {
		if want[kind] == nil {
			w.Errorf("unexpected: %q", seen[kind])
		}
	}
	for kind, lines := range want {
		if d := cmp.Diff(lines, seen[kind]); d != "" {
			w.Errorf("%s: -want +got\n%s", kind, d)
		}
	}
}
