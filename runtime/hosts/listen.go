package hosts

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
)

// SplitPort divides an address into its host, without the brackets of an IPv6 address,
// and its port: a number or the name of a service. The host may be "".
func SplitPort(addr string) (host string, port uint16, ok bool) {
	at := strings.LastIndexByte(addr, ':')
	if at < 0 {
		return "", 0, false
	}
	host, text := addr[:at], addr[at+1:]
	if inner, found := strings.CutPrefix(host, "["); found {
		if host, found = strings.CutSuffix(inner, "]"); !found {
			return "", 0, false
		}
	} else if strings.Contains(host, ":") {
		return "", 0, false
	}
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		return host, uint16(n), true
	}
	port, ok = Port(text)
	return host, port, ok && text != ""
}

// Listener accepts TCP connections. Its connections are files that have deadlines.
type Listener struct {
	f    *os.File
	raw  syscall.RawConn
	addr netip.AddrPort
}

// backlog is the number of connections that may wait to be accepted.
const backlog = 64

// Listen listens on a port of an address of this machine, or of all if host is "". Port 0
// selects a free port.
func Listen(host string, port uint16) (*Listener, error) {
	list := []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()}
	if host != "" {
		var err error
		if list, err = Lookup(host, 10*time.Second); err != nil {
			return nil, err
		}
	}
	var first error
	for _, a := range list {
		l, err := listen(netip.AddrPortFrom(a, port))
		if err == nil {
			return l, nil
		}
		if first == nil || first == unix.EAFNOSUPPORT {
			first = err
		}
		if err != unix.EAFNOSUPPORT && err != unix.EADDRNOTAVAIL {
			break
		}
	}
	return nil, first
}

func listen(at netip.AddrPort) (*Listener, error) {
	family, addr := sockaddr(at)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil && family == unix.AF_INET6 && at.Addr().IsUnspecified() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err == nil {
		err = unix.Bind(fd, addr)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			at = netip.AddrPortFrom(at.Addr(), uint16(sa.Port))
		case *unix.SockaddrInet6:
			at = netip.AddrPortFrom(at.Addr(), uint16(sa.Port))
		}
	}
	l := &Listener{f: os.NewFile(uintptr(fd), "listener"), addr: at}
	if l.raw, err = l.f.SyscallConn(); err != nil {
		l.f.Close()
		return nil, err
	}
	return l, nil
}

// Addr returns the address on which l listens.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Accept waits for the next connection. After Stop or Close it returns os.ErrClosed.
func (l *Listener) Accept() (*os.File, error) {
	var fd int
	var err error
	rerr := l.raw.Read(func(s uintptr) bool {
		fd, _, err = unix.Accept4(int(s), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return err != unix.EAGAIN
	})
	switch {
	case rerr != nil:
		return nil, outline.Errorf("%w (%w)", os.ErrClosed, rerr)
	case err != nil:
		return nil, err
	}
	return os.NewFile(uintptr(fd), "connection"), nil
}

// Stop refuses further connections. Drain returns those that have already arrived.
func (l *Listener) Stop() {
	// Drop TCP segments with the flag SYN, which is in byte 13: clients retry after the
	// listener is closed, and are refused.
	const load, ifSet, end, flags, syn, all = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K, 13, 2, 1 << 20
	filter := []unix.SockFilter{{Code: load, K: flags}, {Code: ifSet, K: syn, Jf: 1}, {Code: end}, {Code: end, K: all}}
	l.raw.Control(func(s uintptr) {
		unix.SetsockoptSockFprog(int(s), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
	l.f.SetReadDeadline(time.Unix(1, 0))
}

// Drain returns the connections that have arrived but were not accepted, which Close
// would reset.
func (l *Listener) Drain() (list []*os.File) {
	l.raw.Control(func(s uintptr) {
		for range backlog + 1 {
			fd, _, err := unix.Accept4(int(s), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			if err != nil {
				return
			}
			list = append(list, os.NewFile(uintptr(fd), "connection"))
		}
	})
	return list
}

// Close ends l.
func (l *Listener) Close() error { return l.f.Close() }

// CloseWrite tells the other side of a connection that nothing more is written.
func CloseWrite(c *os.File) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
}
