package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// Sizes of parts of messages of DNS, in bytes.
const (
	dnsHeader  = 12
	dnsMaxName = 255 // with the bytes of lengths and the 0 at the end
	dnsFixed   = 4   // the type and the class after the name of a question
)

func dnsName() *Def {
	return &Def{
		Name:   "dns_name",
		Kind:   Variable,
		Traits: Traits{NotInLoop: true, Branches: 60},
		Doc: Doc{
			Summary: "The name in the question of a DNS query or answer, in lower case and without a dot at its end, in probes that have pkt. " +
				"It is empty if the packet's data is not a DNS message with one question. The message may be in UDP, or in TCP if it starts at the beginning of the packet.",
			Examples: []string{`cgroup_skb:egress /pkt.udp.dport == 53/ { @[dns_name()] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !hasPacket(c, call, "dns_name()") {
				return types.TInvalid
			}
			return types.NewString(dnsMaxName + 1)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			g.B().Zero(dst.Ptr, dst.Off, dst.Size)
			dnsMessage(g, call, func(m *dnsData, raw *ir.Value) {
				storeDNSName(g, raw, dst)
			})
			if dst.Len != nil {
				b := g.B()
				b.Write(dst.Len, b.Const(int64(call.Type.Size)))
			}
		},
	}
}

// dnsData is a message in the data of a packet, from its first byte to its end.
type dnsData struct{ from, end *ir.Value }

// dnsMessage emits use for a message of DNS with one question, whose header and name are
// at raw. Bytes after the end of a short message are 0.
func dnsMessage(g Gen, call *Call, use func(m *dnsData, raw *ir.Value)) {
	const size = dnsHeader + dnsMaxName + 1
	parsed := parsedPacket(g, call)
	b := g.B()
	from := &ir.Var{Name: "message", Type: ir.Int}
	b.Write(from, b.Load(parsed, pktData, 4, false))
	end := b.Load(parsed, pktEnd, 4, false)
	// Over TCP, the length comes before the message.
	tcp := b.Op(ir.OpAnd, b.Load(parsed, pktHas, 4, false), b.Const(hasTCP))
	b.If(tcp, func() { g.B().Write(from, g.B().AddImm(b.Read(from), 2)) })
	b = g.B()
	at := b.Read(from)
	raw := g.Temp(size)
	b.Zero(raw, 0, size)
	b.If(b.Op(ir.OpULt, b.AddImm(at, dnsHeader+dnsFixed), end), func() {
		b := g.B()
		n := bounded(g, b.Op(ir.OpSub, end, at), size)
		b = g.B()
		r := packetOf(g, call).Load(b, g.Ctx(), at, raw, n)
		b.IfElse(b.Op(ir.OpEq, r, b.Const(0)), func() *ir.Value {
			b := g.B()
			one := b.Op(ir.OpEq, b.Load(raw, 4, 2, false), b.Const(0x0100)) // in network byte order
			b.If(one, func() { use(&dnsData{at, end}, raw) })
			return nil
		}, func() *ir.Value {
			g.Count(object.ReadFault, call.Span, call.Def.Name)
			return nil
		})
	})
}

// storeDNSName writes the name after the header at raw. It leaves dst empty if the name
// has no end. The code for a byte has no branches, so that the verifier follows one path.
func storeDNSName(g Gen, raw *ir.Value, dst Dest) {
	const room = dnsMaxName + 9 // rounded up, with a byte before the text
	text := g.Temp(room)
	b := g.B()
	b.Zero(text, 0, room)
	left := &ir.Var{Name: "left", Type: ir.Int} // bytes of the label to come
	done := &ir.Var{Name: "done", Type: ir.Int} // all ones after the name
	bad := &ir.Var{Name: "bad", Type: ir.Int}   // not 0 if a length is not one
	for _, v := range []*ir.Var{left, done, bad} {
		b.Write(v, b.Const(0))
	}
	b.Count(dnsMaxName, func(i *ir.Value, _ *ir.Block) {
		b := g.B()
		n := func(v int64) *ir.Value { return b.Const(v) }
		not := func(x *ir.Value) *ir.Value { return b.Op(ir.OpXor, x, n(-1)) }
		// below is all ones if x < y, for small numbers.
		below := func(x *ir.Value, y int64) *ir.Value { return b.Op(ir.OpSar, b.Op(ir.OpSub, x, n(y)), n(63)) }
		c := byteAt(b, b.AddImm(raw, dnsHeader), i)
		l, d := b.Read(left), b.Read(done)
		length := below(l, 1) // this byte is the length of a label
		upper := b.Op(ir.OpAnd, not(below(c, 'A')), below(c, 'Z'+1))
		lower := b.Op(ir.OpOr, c, b.Op(ir.OpAnd, upper, n(0x20)))
		char := b.Op(ir.OpOr, b.Op(ir.OpAnd, length, n('.')), b.Op(ir.OpAnd, not(length), lower))
		d = b.Op(ir.OpOr, d, b.Op(ir.OpAnd, length, below(c, 1)))
		b.Store(b.Op(ir.OpAdd, text, i), 0, 1, b.Op(ir.OpAnd, char, not(d)))
		b.Write(bad, b.Op(ir.OpOr, b.Read(bad), b.Op(ir.OpAnd, b.Op(ir.OpAnd, length, not(d)), not(below(c, 64)))))
		b.Write(left, b.Op(ir.OpOr, b.Op(ir.OpAnd, length, c), b.Op(ir.OpAnd, not(length), b.Op(ir.OpSub, l, n(1)))))
		b.Write(done, d)
	})
	b = g.B()
	whole := b.Op(ir.OpAnd, b.Read(done), b.Op(ir.OpEq, b.Read(bad), b.Const(0)))
	b.If(whole, func() { g.B().Copy(dst.Ptr, dst.Off, b.AddImm(text, 1), dnsMaxName) })
}
