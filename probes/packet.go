package probes

import (
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
)

// Packet describes how a program reads the packet for which it runs, for the builtin
// pkt. All functions emit code. ctx is the program's context.
type Packet struct {
	// Ethernet is set if the packet starts with an Ethernet header. Otherwise it starts
	// with the header of the network layer, and Protocol reads its EtherType in host
	// byte order.
	Ethernet bool
	Protocol func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Tag reads the VLAN tag that the kernel has removed from the packet and the tag's
	// EtherType, in host byte order, and whether there is one. It may be nil.
	Tag func(b *ir.Builder, ctx *ir.Value) (tag, present, proto *ir.Value)
	// Len reads the packet's length in bytes, and Ifindex its interface's number.
	Len, Ifindex func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Linear reads the number of bytes from the start that Load can read; nil: all.
	Linear func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Load copies n bytes of the packet, 1 or more, from off on, to dst. The caller has
	// compared their end with Len. The result is negative if they could not be read.
	Load func(b *ir.Builder, ctx, off, dst, n *ir.Value) *ir.Value
	// Dir is the direction: ingress or egress, or "" if it is not known.
	Dir string
	// Sockets is set if the program can look up sockets.
	Sockets bool
	// If Find is not nil, the other members are not set. The function that Find returns
	// emits code that finds the packet, and describes it. It depends on the point. The
	// error is the reason why there is no packet.
	Find func() (func(b *ir.Builder, ctx *ir.Value) *Packet, error)
}

// contextWord returns a function that reads the 32-bit member of a context at off.
func contextWord(off int64) func(b *ir.Builder, ctx *ir.Value) *ir.Value {
	return func(b *ir.Builder, ctx *ir.Value) *ir.Value { return b.Load(ctx, off, 4, false) }
}

// Offsets in struct __sk_buff and struct xdp_md of include/uapi/linux/bpf.h. They never
// change.
const (
	skbLen         = 0
	skbProtocol    = 16
	skbVlanPresent = 20
	skbVlanTCI     = 24
	skbVlanProto   = 28
	skbIfindex     = 40
	xdpData        = 0
	xdpDataEnd     = 4
	xdpIfindex     = 12
)

// skbPacket describes the packet of a program whose context is struct __sk_buff. A
// helper reads it, even if it is not contiguous.
func skbPacket(ethernet bool, dir string) *Packet {
	p := &Packet{Ethernet: ethernet, Dir: dir, Len: contextWord(skbLen), Ifindex: contextWord(skbIfindex)}
	p.Protocol = func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		return b.Op(ir.OpBswap16, b.Load(ctx, skbProtocol, 4, false))
	}
	if ethernet {
		p.Tag = func(b *ir.Builder, ctx *ir.Value) (tag, present, proto *ir.Value) {
			proto = b.Op(ir.OpBswap16, b.Load(ctx, skbVlanProto, 4, false))
			return b.Load(ctx, skbVlanTCI, 4, false), b.Load(ctx, skbVlanPresent, 4, false), proto
		}
	}
	p.Load = func(b *ir.Builder, ctx, off, dst, n *ir.Value) *ir.Value {
		return b.Call(ir.SkbLoadBytes, ctx, off, dst, n)
	}
	return p
}

// xdpPacket describes the packet of an XDP program, which is contiguous in memory.
func xdpPacket(ethernet bool) *Packet {
	p := &Packet{Ethernet: ethernet, Dir: "ingress", Ifindex: contextWord(xdpIfindex)}
	data, end := contextWord(xdpData), contextWord(xdpDataEnd)
	p.Len = func(b *ir.Builder, ctx *ir.Value) *ir.Value { return b.Op(ir.OpSub, end(b, ctx), data(b, ctx)) }
	// The verifier distinguishes all numbers that a program adds to a pointer to the
	// packet, so it would follow each iteration of a loop over the packet. Therefore the
	// address, the first member of the struct at ctx, is read as a number.
	p.Load = func(b *ir.Builder, ctx, off, dst, n *ir.Value) *ir.Value {
		start := b.Slot(8)
		b.Store(start, 0, 8, b.Const(0))
		b.Call(ir.ReadKernel, start, b.Const(8), ctx)
		return b.Call(ir.ReadKernel, dst, n, b.Op(ir.OpAdd, b.Load(start, 0, 8, false), off))
	}
	// An interface without Ethernet headers has packets of the Internet protocol, whose
	// first four bits are the version.
	p.Protocol = func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		first := b.Slot(8)
		b.Store(first, 0, 8, b.Const(0))
		p.Load(b, ctx, b.Const(0), first, b.Const(1))
		return protocolOf(b, b.Load(first, 0, 1, false))
	}
	return p
}

// protocolOf returns the EtherType of a packet of the Internet protocol, by its first
// byte.
func protocolOf(b *ir.Builder, first *ir.Value) *ir.Value {
	six := b.Op(ir.OpEq, b.Op(ir.OpShr, first, b.Const(4)), b.Const(6))
	return b.IfElse(six, func() *ir.Value { return b.Const(0x86dd) }, func() *ir.Value { return b.Const(0x0800) })
}

// isEthernet reports whether the packets of an interface start with an Ethernet header,
// according to the type of its address. It returns true for an interface that does not
// exist.
func isEthernet(name string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, req) != nil {
		return true
	}
	kind := req.Uint16()
	return kind == unix.ARPHRD_ETHER || kind == unix.ARPHRD_LOOPBACK
}

// linkShape returns the part of a context's shape that distinguishes interfaces with
// Ethernet headers from those without.
func linkShape(ethernet bool) string {
	if ethernet {
		return ""
	}
	return " without Ethernet"
}
