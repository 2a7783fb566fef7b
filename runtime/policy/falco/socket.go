package falco

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// The families of sockets.
const (
	afUnix    = 1
	afInet    = 2
	afInet6   = 10
	afNetlink = 16
)

// The states of sockets, as TCP has them.
const (
	established = 1
	listening   = 10
)

var protocols = map[int64]string{1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 255: "raw", 132: "sctp", 33: "dccp", 136: "udplite"}

// socket sets what is known about a socket.
func (e *Event) socket(d *descriptor) {
	d.isSock = true
	d.name, d.raw = "", ""
	family, _ := e.num("family")
	kind, _ := e.num("sktype")
	proto, _ := e.num("skproto")
	state, _ := e.num("skstate")
	d.protocolNumber = int(proto)
	switch family {
	case afInet, afInet6:
		d.proto = protocols[proto]
		if kind == 3 && d.proto != "icmp" {
			d.proto = "raw"
		}
		d.v6 = family == afInet6
		e.inet(d, family, state)
	case afUnix:
		d.kind, d.char = "unix", "u"
		e.unix(d)
	case afNetlink:
		d.kind, d.char = "netlink", "n"
	default:
		d.kind, d.char = "", "o"
	}
}

// address returns an address of a socket.
func (e *Event) address(family int64, v4, v6, port string) netip.AddrPort {
	n, _ := e.num(port)
	if family == afInet {
		raw, _ := e.num(v4)
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(raw))
		return netip.AddrPortFrom(netip.AddrFrom4(b), uint16(n))
	}
	lo, _ := e.num(v6 + "a")
	hi, _ := e.num(v6 + "b")
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], uint64(lo))
	binary.NativeEndian.PutUint64(b[8:], uint64(hi))
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), uint16(n))
}

// inet sets the ends of an Internet socket.
func (e *Event) inet(d *descriptor, family, state int64) {
	d.local = e.address(family, "laddr4", "laddr6", "lport")
	d.remote = e.address(family, "raddr4", "raddr6", "rport")
	d.connected = d.remote.IsValid() && d.remote.Port() != 0 && (state == established || d.proto != "tcp")
	d.hasTuple = d.remote.Port() != 0 || !d.remote.Addr().IsUnspecified()
	d.listens = state == listening
	if d.listens {
		d.hasTuple = false
	}
	name := e.what.Event.Name
	switch name {
	case "connect":
		if to, ok := e.sockaddr("sa1"); ok {
			d.remote, d.hasTuple = to, true
		}
	case "sendto", "sendmsg", "sendmmsg":
		e.sent(d)
	case "recvfrom", "recvmsg":
		e.received(d)
	case "accept", "accept4":
		d.server = true
	case "bind":
		if at, ok := e.sockaddr("sa1"); ok {
			d.local = at
		}
	}
	if bound, _ := e.num("bound"); bound != 0 && !d.hasTuple {
		d.listens = true // Falco takes a socket for a server as soon as it is bound
	}
	if name != "connect" && !d.listens && d.hasTuple && !d.server {
		d.server = e.accepted(d)
	}
	v6 := d.v6 && !(d.hasTuple && d.remote.Addr().Is4() || d.listens && d.local.Addr().Is4())
	d.v6 = v6
	switch {
	case v6 && d.listens:
		d.kind, d.char = "ipv6", "3"
	case d.listens:
		d.kind, d.char = "ipv4", "2"
	case v6:
		d.kind, d.char = "ipv6", "6"
	default:
		d.kind, d.char = "ipv4", "4"
	}
	switch {
	case d.listens:
		d.name = end(d.local)
	case !d.hasTuple:
	case d.server:
		d.name = end(d.remote) + "->" + end(d.local)
	default:
		d.name = end(d.local) + "->" + end(d.remote)
	}
	if !d.listens && !d.hasTuple && d.local.Port() != 0 {
		d.name = end(d.local)
	}
}

// end returns an address as Falco shows it.
//
//go:noinline
func end(a netip.AddrPort) string {
	return fmt.Sprintf("%s:%d", a.Addr(), a.Port())
}

// maxPrivileged is the last of the privileged ports, which servers use.
const maxPrivileged = 1023

// accepted reports whether a connection was accepted by this machine, not made. A socket
// that accept() creates has the backlog of the listening socket. If that is 0, accepted
// decides by the port, which must be below those of clients. A UDP socket belongs to a
// server if it was bound to a port below that of the other end.
func (e *Event) accepted(d *descriptor) bool {
	lower := d.local.Port() < d.remote.Port()
	if d.proto != "tcp" {
		bound, _ := e.num("bound")
		return bound != 0 && lower
	}
	backlog, _ := e.num("backlog")
	return backlog != 0 || lower && d.local.Port() <= maxPrivileged
}

// sent sets the destination of data that is sent without a connection, and whether it
// differs from the last destination.
func (e *Event) sent(d *descriptor) {
	to, ok := e.sockaddr("sa4")
	if !ok {
		to, ok = e.sockaddr("msg")
	}
	if !ok || d.proto == "tcp" {
		return
	}
	sk, _ := e.num("sk")
	key := [2]uint64{uint64(sk), d.ino}
	last, known := e.sends[key]
	d.changed = to != d.remote && (!known || last != to)
	if len(e.sends) > maxSends {
		clear(e.sends)
	}
	e.sends[key] = to
	d.remote, d.hasTuple = to, true
}

// received sets the source of data that was received without a connection.
func (e *Event) received(d *descriptor) {
	from, ok := e.sockaddr("from4")
	if !ok {
		from, ok = e.sockaddr("from")
	}
	if ok && d.proto != "tcp" {
		d.remote, d.hasTuple = from, true
	}
}

// maxSends is the maximum number of sockets whose last destination is stored.
const maxSends = 1 << 14

// sockaddr returns the Internet address that was passed to a call.
func (e *Event) sockaddr(name string) (netip.AddrPort, bool) {
	b, ok := e.text(name)
	if !ok || len(b) < 8 {
		return netip.AddrPort{}, false
	}
	raw := []byte(b)
	port := binary.BigEndian.Uint16(raw[2:])
	switch binary.NativeEndian.Uint16(raw) {
	case afInet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port), true
	case afInet6:
		if len(raw) >= 24 {
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), port), true
		}
	}
	return netip.AddrPort{}, false
}

// unixPath returns the path in the address of a local socket that was passed to a call.
func (e *Event) unixPath(name string) (string, bool) {
	b, ok := e.text(name)
	if !ok || len(b) < 3 || binary.NativeEndian.Uint16([]byte(b[:2])) != afUnix {
		return "", false
	}
	text := b[2:]
	if text[0] == 0 { // an abstract name
		return "", true
	}
	text, _, _ = strings.Cut(text, "\x00")
	return text, true
}

// unix sets the name of a local socket.
func (e *Event) unix(d *descriptor) {
	sk, _ := e.num("sk")
	peer, _ := e.num("unixpeer")
	d.unix, _ = e.text("unixpath")
	if e.what.Event.Name == "connect" || e.what.Event.Name == "bind" {
		if p, ok := e.unixPath("sa1"); ok {
			d.unix = p
		}
	}
	d.name = fmt.Sprintf("%x->%x %s", uint64(sk), uint64(peer), d.unix)
}

// socketKind returns the type of a socket by its link in /proc. The link does not have
// the family, so socketKind searches the network tables in /proc.
func socketKind(link string) string {
	inode := strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")
	for _, t := range []struct {
		file, kind string
		column     int
	}{{"tcp", "ipv4", 9}, {"udp", "ipv4", 9}, {"raw", "ipv4", 9}, {"tcp6", "ipv6", 9}, {"udp6", "ipv6", 9}, {"raw6", "ipv6", 9}, {"unix", "unix", 6}, {"netlink", "netlink", 9}} {
		data, err := os.ReadFile("/proc/net/" + t.file)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(data), "\n") {
			if f := strings.Fields(line); len(f) > t.column && f[t.column] == inode {
				return t.kind
			}
		}
	}
	return "unknown"
}

// endOf returns an end of a connection: "l"ocal, "r"emote, "s"erver or "c"lient.
func endOf(d *descriptor, end string) (netip.AddrPort, bool) {
	if !d.isSock || d.proto == "" {
		return netip.AddrPort{}, false
	}
	switch end {
	case "l":
		return d.local, d.hasTuple || d.listens
	case "r":
		return d.remote, d.hasTuple
	case "c":
		return d.client()
	}
	return d.serverEnd()
}
