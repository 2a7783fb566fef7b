// Package hosts looks up the addresses of hosts and the ports of services, and makes and
// accepts connections. It replaces package net, whose resolver alone would add 300 kB to
// the binary.
package hosts

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
)

// system has the files and the port that are used to look up names.
type system struct {
	hosts, resolv, services string
	port                    uint16 // of the name servers
}

var here = system{"/etc/hosts", "/etc/resolv.conf", "/etc/services", 53}

// Lookup returns the addresses of a host, from /etc/hosts or else from the name servers
// in /etc/resolv.conf. For an address, it returns the address.
func Lookup(name string, timeout time.Duration) ([]netip.Addr, error) {
	return here.lookup(name, time.Now().Add(timeout))
}

func (s system) lookup(name string, deadline time.Time) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, nil
	}
	if list := s.inFile(name); len(list) > 0 {
		return list, nil
	}
	return s.ask(name, deadline)
}

// inFile returns the addresses that the file of hosts has for a name.
func (s system) inFile(name string) (list []netip.Addr) {
	name = strings.TrimSuffix(name, ".")
	for _, words := range readLines(s.hosts) {
		a, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		for _, w := range words[1:] {
			if strings.EqualFold(strings.TrimSuffix(w, "."), name) {
				list = append(list, a)
				break
			}
		}
	}
	return list
}

// readLines returns the words of all lines of a file that are not empty, without
// comments. It returns nothing if it cannot read the file.
func readLines(path string) (lines [][]string) {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			lines = append(lines, words)
		}
	}
	return lines
}

// wellKnown has the ports of services for machines without /etc/services.
const wellKnown = "ftp 21 ssh 22 telnet 23 smtp 25 domain 53 gopher 70 http 80 pop3 110 imap2 143 imap3 220 " +
	"https 443 submissions 465 ftps 990 imaps 993 pop3s 995"

// Port returns the port of a service, and whether it is known.
func Port(service string) (uint16, bool) { return here.portOf(service) }

func (s system) portOf(service string) (uint16, bool) {
	for _, proto := range []string{"/tcp", "/udp"} {
		for _, words := range readLines(s.services) {
			if len(words) < 2 || !strings.HasSuffix(words[1], proto) {
				continue
			}
			n, err := strconv.ParseUint(strings.TrimSuffix(words[1], proto), 10, 16)
			for i, w := range words {
				if i != 1 && err == nil && strings.EqualFold(w, service) {
					return uint16(n), true
				}
			}
		}
	}
	words := strings.Fields(wellKnown)
	for i := 0; i < len(words); i += 2 {
		if strings.EqualFold(words[i], service) {
			n, _ := strconv.Atoi(words[i+1])
			return uint16(n), true
		}
	}
	return 0, false
}

var errTimeout = errors.New("timeout")

// Dial connects to a port of a host with TCP. It takes at most the timeout. Reads and
// writes together also have this time, until the caller sets another deadline.
func Dial(host string, port uint16, timeout time.Duration) (*os.File, error) {
	deadline := time.Now().Add(timeout)
	list, err := here.lookup(host, deadline)
	for _, a := range list {
		var f *os.File
		if f, err = connect(unix.SOCK_STREAM, netip.AddrPortFrom(a, port), deadline); err == nil {
			return f, nil
		}
	}
	return nil, err
}

// connect returns a connected socket with a deadline, which also applies to connecting.
func connect(kind int, to netip.AddrPort, deadline time.Time) (*os.File, error) {
	if !time.Now().Before(deadline) {
		return nil, errTimeout
	}
	family, addr := sockaddr(to)
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = unix.Connect(fd, addr)
	f := os.NewFile(uintptr(fd), to.String())
	if err == unix.EINPROGRESS || err == unix.EINTR {
		err = connected(f, deadline)
	} else if err == nil {
		err = f.SetDeadline(deadline)
	}
	if err != nil {
		f.Close()
		return nil, outline.Errorf("cannot connect to %s: %w", to, err)
	}
	return f, nil
}

// connected waits until a socket is connected.
func connected(f *os.File, deadline time.Time) error {
	if err := f.SetDeadline(deadline); err != nil {
		return err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(s uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(s), Events: unix.POLLOUT}}
		if n, err := unix.Poll(fds, 0); n == 0 || err == unix.EINTR {
			return false
		}
		if n, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
			failed = err
		} else if n != 0 {
			failed = unix.Errno(n)
		}
		return true
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTimeout
	}
	return cmp.Or(err, failed)
}

// sockaddr returns the family of an address and its form for the kernel.
func sockaddr(at netip.AddrPort) (family int, addr unix.Sockaddr) {
	if a := at.Addr().Unmap(); a.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: a.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16(), ZoneId: zone(at.Addr())}
}

// zone returns the number of the interface that an address belongs to, or 0.
func zone(a netip.Addr) uint32 {
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n)
	}
	if ifc, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(ifc.Index)
	}
	return 0
}
