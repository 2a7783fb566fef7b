package builtins

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/value"
)

// The bits of a parsed packet's first word: the parts that the packet has.
const (
	hasEth = 1 << iota
	hasVLAN
	hasIP
	hasIP6
	hasTCP
	hasUDP
	hasICMP
	hasPorts
)

const (
	hasAddrs = hasIP | hasIP6
	// maxTags is the maximum number of VLAN tags that are parsed in a packet.
	// maxExtensions is that of IPv6 extension headers.
	maxTags       = 3
	maxExtensions = 8
)

// Offsets in the memory of a parsed packet. A packet has one header of each layer, so
// the headers of a layer share memory. Headers are copied unchanged.
const (
	pktHas     = 0
	pktLen     = 4
	pktProto   = 8
	pktVLAN    = 12
	pktIface   = 16
	pktDir     = 24
	pktSaddr   = 32
	pktDaddr   = 56
	pktEth     = 80
	pktNetwork = 96
	pktTrans   = 136
	pktScratch = 160
	pktData    = 168 // offset in the packet of the data after the header of TCP or UDP; 0: none
	pktEnd     = 172 // offset in the packet of the end of that data
	pktSize    = 176
)

//go:noinline
func structOf(name string, size int, fields ...types.Field) *types.Type {
	return &types.Type{Kind: types.Struct, Name: "struct " + name, Size: size, Comp: types.NewComposite(false, func() []types.Field { return fields })}
}

// header returns the type of a header. members has, for each member, its name, its offset
// and its size in bytes, and for a bitfield its lowest bit and its bits. An array has [] for
// the size, and its length. Integers are in network byte order.
//
//go:noinline
func header(name string, size int, members string) *types.Type {
	var fields []types.Field
	for m := range strings.SplitSeq(members, ", ") {
		w := strings.Fields(m)
		var n [5]int
		for i := 1; i < len(w); i++ {
			n[i], _ = strconv.Atoi(w[i])
		}
		f := types.Field{Name: w[0], Off: n[1], BitOff: n[3], BitSize: n[4], Net: n[2] > 1}
		if w[2] == "[]" {
			f.Type, f.BitOff = types.NewArray(types.TUint8, n[3]), 0
		} else {
			f.Type = types.NewInt(n[2], false)
		}
		fields = append(fields, f)
	}
	return structOf(name, size, fields...)
}

// ifaceType is the type of the number of a network interface (u64), which is printed as
// the interface's name.
var ifaceType = &types.Type{Kind: types.Opaque, Name: "iface", Size: 8}

// packetType returns the type of a packet. The members of its headers have the names in
// include/uapi/linux.
var packetType = lazy.Value[*types.Type]{New: func() *types.Type {
	ethHeader := header("ethhdr", 14, "h_dest 0 [] 6, h_source 6 [] 6, h_proto 12 2")
	ipHeader := header("iphdr", 20, "version 0 1 4 4, ihl 0 1 0 4, tos 1 1, tot_len 2 2, id 4 2, frag_off 6 2, "+
		"ttl 8 1, protocol 9 1, check 10 2, saddr 12 [] 4, daddr 16 [] 4")
	ip6Header := header("ipv6hdr", 40, "version 0 1 4 4, priority 0 2 4 8, flow_lbl 0 4 0 20, payload_len 4 2, "+
		"nexthdr 6 1, hop_limit 7 1, saddr 8 [] 16, daddr 24 [] 16")
	tcpHeader := header("tcphdr", 20, "source 0 2, dest 2 2, sport 0 2, dport 2 2, seq 4 4, ack_seq 8 4, "+
		"doff 12 2 12 4, flags 13 1, cwr 12 2 7 1, ece 12 2 6 1, urg 12 2 5 1, ack 12 2 4 1, psh 12 2 3 1, "+
		"rst 12 2 2 1, syn 12 2 1 1, fin 12 2 0 1, window 14 2, check 16 2, urg_ptr 18 2")
	udpHeader := header("udphdr", 8, "source 0 2, dest 2 2, sport 0 2, dport 2 2, len 4 2, check 6 2")
	icmpHeader := header("icmphdr", 8, "type 0 1, code 1 1, checksum 2 2, id 4 2, sequence 6 2")
	vlanTag := structOf("vlan", 2,
		types.Field{Name: "id", Type: types.TUint16, BitSize: 12},
		types.Field{Name: "dei", Type: types.TUint16, BitOff: 12, BitSize: 1},
		types.Field{Name: "priority", Type: types.TUint16, BitOff: 13, BitSize: 3})
	var fields []types.Field
	part := func(name string, off, has int, t *types.Type) {
		fields = append(fields, types.Field{Name: name, Off: off, Has: has, Type: t, Net: has == hasPorts})
	}
	part("len", pktLen, 0, types.TUint32)
	part("iface", pktIface, 0, ifaceType)
	part("dir", pktDir, 0, types.NewString(8))
	part("saddr", pktSaddr, hasAddrs, inetType)
	part("daddr", pktDaddr, hasAddrs, inetType)
	part("sport", pktTrans, hasPorts, types.TUint16)
	part("dport", pktTrans+2, hasPorts, types.TUint16)
	part("proto", pktProto, hasAddrs, types.TUint8)
	part("eth", pktEth, hasEth, ethHeader)
	part("vlan", pktVLAN, hasVLAN, vlanTag)
	part("ip", pktNetwork, hasIP, ipHeader)
	part("ip6", pktNetwork, hasIP6, ip6Header)
	part("tcp", pktTrans, hasTCP, tcpHeader)
	part("udp", pktTrans, hasUDP, udpHeader)
	part("icmp", pktTrans, hasICMP, icmpHeader)
	return structOf("pkt", pktSize, fields...)
}}

func packet() *Def {
	return &Def{
		Name:   "pkt",
		Traits: Traits{NotInLoop: true, OnlyMembers: true},
		TypeDef: TypeDef{
			TypeName: ifaceType.Name,
			TypeSize: ifaceType.Size,
			Format: func(_ Env, _ *types.Type, data []byte) value.Value {
				n := int(word(data, 0))
				if ifc, err := net.InterfaceByIndex(n); err == nil {
					return value.Str{S: ifc.Name}
				}
				return value.Str{S: fmt.Sprint(n)}
			},
		},
		Doc: Doc{
			Summary: "The packet for which an xdp, tc, netfilter or cgroup_skb probe runs. In tracepoint, rawtracepoint, kprobe and fentry probes, it is the packet in the first argument of the type struct sk_buff *, and begins with the header of the network layer. pkt.len is its length in bytes, pkt.iface its interface, pkt.dir ingress or egress. " +
				"The headers pkt.eth, pkt.ip, pkt.ip6, pkt.tcp, pkt.udp and pkt.icmp (of both ICMP and ICMPv6) have the members of the kernel's headers, with integers in host byte order; addresses are arrays, for ntop(), macaddr() and comparisons with pton(). " +
				"pkt.saddr, pkt.daddr, pkt.sport, pkt.dport and pkt.proto, the protocol's number, exist for IPv4 and IPv6; pkt.vlan has the id and priority of the outermost VLAN tag. VLAN tags and IPv6 extension headers are skipped. " +
				"If the packet does not have a complete header, a comparison with a member of it is false, and any other statement that reads a member does nothing. Only the first fragment of a packet has ports.",
			Examples: []string{
				`cgroup_skb:/sys/fs/cgroup:egress /pkt.tcp.dport == 443/ { @[pkt.daddr] = sum(pkt.len); }`,
				`xdp:lo { @[pkt.saddr, pkt.daddr, pkt.dport] = count(); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !hasPacket(c, call, "pkt") {
				return types.TInvalid
			}
			return types.NewPointer(packetType.Get(), types.NoSpace)
		},
		Emit: parsedPacket,
	}
}

// hasPacket reports whether there is a packet where a builtin is called. If not, it adds
// an error.
func hasPacket(c Checker, call *Call, name string) bool {
	ctx := c.Context()
	switch {
	case ctx == nil || ctx.Packet == nil:
		c.Errorf(call.Span, "%s can only be used in probes that see a packet, not in %s probes", name, kindOf(c, "these"))
		return false
	case ctx.Packet.Find != nil:
		c.NeedsPoint()
		find, err := ctx.Packet.Find()
		if err != nil {
			c.Errorf(call.Span, "there is no packet here: %v", err)
			return false
		}
		call.Data = find
	}
	return true
}

// packetOf returns the packet for a call that hasPacket has accepted.
func packetOf(g Gen, call *Call) *probes.Packet {
	if find, ok := call.Data.(func(*ir.Builder, *ir.Value) *probes.Packet); ok {
		return find(g.B(), g.Ctx())
	}
	return g.Context().Packet
}

// parsedPacket returns the address of the parsed packet. It is parsed once in a program.
//
//go:noinline
func parsedPacket(g Gen, call *Call) *ir.Value {
	return g.Once("parsed", pktSize, func(p *ir.Value) { parsePacket(g, packetOf(g, call), p) })
}

// A parser emits code that finds the headers of a packet.
type parser struct {
	b    *ir.Builder
	ctx  *ir.Value
	from *probes.Packet
	p    *ir.Value // memory of pktSize bytes
	done *ir.Block // where the code continues when there is nothing more to find

	at    *ir.Var // offset in the packet
	proto *ir.Var // type of the data at that offset: an EtherType, then the number of a protocol
	end   *ir.Var // offset of the packet's end according to its headers
}

// parsePacket emits the parser, which writes the parsed packet at p.
func parsePacket(g Gen, from *probes.Packet, p *ir.Value) {
	b := g.B()
	s := &parser{b: b, ctx: g.Ctx(), from: from, p: p}
	s.at, s.proto, s.end = &ir.Var{Name: "at", Type: ir.Int}, &ir.Var{Name: "proto", Type: ir.Int}, &ir.Var{Name: "limit", Type: ir.Int}
	b.Zero(s.p, 0, pktSize)
	size := from.Len(b, s.ctx)
	b.Store(s.p, pktLen, 4, size)
	b.Store(s.p, pktIface, 8, from.Ifindex(b, s.ctx))
	for i := range len(from.Dir) {
		b.Store(s.p, pktDir+int64(i), 1, s.num(int64(from.Dir[i])))
	}
	b.Write(s.at, s.num(0))
	b.Write(s.end, size)
	b.Section(func(done *ir.Block) {
		s.done = done
		if from.Ethernet {
			s.link()
		} else {
			b.Write(s.proto, from.Protocol(b, s.ctx))
		}
		six := b.Op(ir.OpEq, b.Read(s.proto), s.num(0x86dd))
		b.IfElse(six, func() *ir.Value { s.ip6(); return nil }, func() *ir.Value { s.ip4(); return nil })
		s.transport()
	})
}

//go:noinline
func (s *parser) num(n int64) *ir.Value { return s.b.Const(n) }

func (s *parser) is(x *ir.Value, n int64) *ir.Value { return s.b.Op(ir.OpEq, x, s.num(n)) }

// byte returns a byte of the parsed packet.
//
//go:noinline
func (s *parser) byte(off int64) *ir.Value { return s.b.Load(s.p, off, 1, false) }
func (s *parser) short(off int64) *ir.Value {
	return s.b.Op(ir.OpBswap16, s.b.Load(s.p, off, 2, false))
}

// found records that the packet has a part.
func (s *parser) found(bit int64) {
	s.b.Store(s.p, pktHas, 4, s.b.Op(ir.OpOr, s.b.Load(s.p, pktHas, 4, false), s.num(bit)))
}

// read copies n bytes at the current offset to off. If the packet ends earlier, the
// parser stops.
func (s *parser) read(off int64, n int) {
	b := s.b
	at := b.Read(s.at)
	b.Need(b.Op(ir.OpULe, b.AddImm(at, int64(n)), b.Read(s.end)), s.done)
	r := s.from.Load(b, s.ctx, at, b.AddImm(s.p, off), s.num(int64(n)))
	b.Leave(b.Op(ir.OpSLt, r, s.num(0)), s.done)
}

// skip advances the current offset by n.
func (s *parser) skip(n *ir.Value) { s.b.Write(s.at, s.b.Op(ir.OpAdd, s.b.Read(s.at), n)) }

// link finds the Ethernet header and VLAN tags.
func (s *parser) link() {
	b := s.b
	s.read(pktEth, 14)
	s.found(hasEth)
	s.skip(s.num(14))
	b.Write(s.proto, s.short(pktEth+12))
	if s.from.Tag != nil {
		tag, present, _ := s.from.Tag(b, s.ctx)
		b.If(present, func() {
			b.Store(s.p, pktVLAN, 2, tag)
			s.found(hasVLAN)
		})
	}
	for range maxTags {
		proto := b.Read(s.proto)
		tagged := b.Op(ir.OpOr, s.is(proto, 0x8100), s.is(proto, 0x88a8))
		b.If(tagged, func() {
			s.read(pktScratch, 4)
			s.skip(s.num(4))
			first := s.is(b.Op(ir.OpAnd, b.Load(s.p, pktHas, 4, false), s.num(hasVLAN)), 0)
			b.If(first, func() {
				b.Store(s.p, pktVLAN, 2, s.short(pktScratch))
				s.found(hasVLAN)
			})
			b.Write(s.proto, s.short(pktScratch+2))
		})
	}
}

// bound sets the end of the packet to n bytes after the current offset. Bytes after
// that do not belong to the packet, such as the padding of a short Ethernet frame.
func (s *parser) bound(n *ir.Value) {
	b := s.b
	end := b.Op(ir.OpAdd, b.Read(s.at), n)
	b.If(b.Op(ir.OpULt, end, b.Read(s.end)), func() { b.Write(s.end, end) })
}

// jumbo reports whether the packet is longer than its headers can express.
func (s *parser) jumbo() *ir.Value { return s.b.Op(ir.OpULt, s.num(0xffff), s.b.Read(s.end)) }

// ip4 finds the header of IPv4.
func (s *parser) ip4() {
	b := s.b
	b.Need(s.is(b.Read(s.proto), 0x0800), s.done)
	s.read(pktNetwork, 20)
	first := s.byte(pktNetwork)
	size := b.Op(ir.OpShl, b.Op(ir.OpAnd, first, s.num(15)), s.num(2))
	b.Need(s.is(b.Op(ir.OpShr, first, s.num(4)), 4), s.done)
	b.Leave(b.Op(ir.OpULt, size, s.num(20)), s.done)
	total := s.short(pktNetwork + 2)
	b.Unless(b.Op(ir.OpAnd, s.is(total, 0), s.jumbo()), func() { s.bound(total) })
	s.found(hasIP)
	for i, at := range []int64{pktSaddr, pktDaddr} {
		b.Store(s.p, at, 8, s.num(afInet))
		b.Store(s.p, at+8, 4, b.Load(s.p, pktNetwork+12+4*int64(i), 4, false))
	}
	proto := s.byte(pktNetwork + 9)
	b.Store(s.p, pktProto, 1, proto)
	b.Leave(b.Op(ir.OpAnd, s.short(pktNetwork+6), s.num(0x1fff)), s.done) // a fragment, not the first
	b.Write(s.proto, proto)
	s.skip(size)
}

// ip6 finds the header of IPv6 and skips its extension headers.
func (s *parser) ip6() {
	b := s.b
	s.read(pktNetwork, 40)
	b.Need(s.is(b.Op(ir.OpShr, s.byte(pktNetwork), s.num(4)), 6), s.done)
	size := s.short(pktNetwork + 4)
	jumbo := b.Op(ir.OpAnd, s.is(size, 0), s.jumbo())
	s.skip(s.num(40))
	b.Unless(jumbo, func() { s.bound(size) })
	s.found(hasIP6)
	for i, at := range []int64{pktSaddr, pktDaddr} {
		b.Store(s.p, at, 8, s.num(afInet6))
		b.Copy(s.p, at+8, b.AddImm(s.p, pktNetwork+8+16*int64(i)), 16)
	}
	next := s.byte(pktNetwork + 6)
	b.Store(s.p, pktProto, 1, next)
	b.Write(s.proto, next)
	b.Count(maxExtensions, func(_ *ir.Value, out *ir.Block) { s.extension(out) })
}

// extension skips an IPv6 extension header. If the next header is not one, it continues
// at out.
func (s *parser) extension(out *ir.Block) {
	const hopByHop, routing, fragment, authentication, destination = 0, 43, 44, 51, 60
	b := s.b
	kind := b.Read(s.proto)
	known := s.is(kind, hopByHop)
	for _, n := range []int64{routing, fragment, authentication, destination} {
		known = b.Op(ir.OpOr, known, s.is(kind, n))
	}
	b.Need(known, out)
	s.read(pktScratch, 8)
	next := s.byte(pktScratch)
	b.Write(s.proto, next)
	b.Store(s.p, pktProto, 1, next)
	size := b.IfElse(s.is(kind, fragment), func() *ir.Value {
		b.Leave(b.Op(ir.OpShr, s.short(pktScratch+2), s.num(3)), s.done) // not the first fragment
		return s.num(8)
	}, func() *ir.Value {
		units := s.byte(pktScratch + 1)
		return b.IfElse(s.is(kind, authentication), func() *ir.Value {
			return b.Op(ir.OpShl, b.AddImm(units, 2), s.num(2))
		}, func() *ir.Value {
			return b.Op(ir.OpShl, b.AddImm(units, 1), s.num(3))
		})
	})
	s.skip(size)
}

// data records where the data after a header of n bytes is.
func (s *parser) data(n *ir.Value) {
	b := s.b
	b.Store(s.p, pktData, 4, b.Op(ir.OpAdd, b.Read(s.at), n))
	b.Store(s.p, pktEnd, 4, b.Read(s.end))
}

// transport finds the header of the transport protocol.
func (s *parser) transport() {
	const icmp, tcp, udp, icmp6, sctp = 1, 6, 17, 58, 132
	b := s.b
	six := b.Op(ir.OpAnd, b.Load(s.p, pktHas, 4, false), s.num(hasIP6))
	for _, h := range []struct {
		proto int64
		size  int
		has   int64
	}{{tcp, 20, hasTCP | hasPorts}, {udp, 8, hasUDP | hasPorts}, {sctp, 12, hasPorts}, {icmp, 8, hasICMP}, {icmp6, 8, hasICMP}} {
		match := s.is(b.Read(s.proto), h.proto)
		switch h.proto {
		case icmp:
			match = b.Op(ir.OpAnd, match, s.is(six, 0))
		case icmp6:
			match = b.Op(ir.OpAnd, match, s.is(six, hasIP6))
		}
		b.If(match, func() {
			s.read(pktTrans, h.size)
			s.found(h.has)
			switch h.proto {
			case tcp:
				words := b.Op(ir.OpShr, s.byte(pktTrans+12), s.num(4))
				s.data(b.Op(ir.OpShl, words, s.num(2)))
			case udp:
				s.data(s.num(int64(h.size)))
			}
			b.Jump(s.done)
		})
	}
}
