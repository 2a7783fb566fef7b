package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

const (
	// dnsAnswers is the maximum number of records of an answer that are read, and
	// dnsLabels the maximum number of labels of a record's name.
	dnsAnswers = 16
	dnsLabels  = 16
)

// dnsAddress is a record of an answer: an address, and the number of seconds for which it
// may be used (TTL). If there is no address, the TTL is -1.
var dnsAddress = types.NewRecord([]string{"addr", "ttl"}, []*types.Type{inetType, types.TInt64})

func dnsAddresses() *Def {
	return &Def{
		Name:   "dns_addresses",
		Kind:   Variable,
		Traits: Traits{NotInLoop: true, Branches: 60},
		Doc: Doc{
			Summary: "The addresses in the first 16 records of a DNS answer, in probes that have pkt: an array of records with the members addr and ttl, the number of seconds for which the address may be used. " +
				"The ttl is -1 if a record has no address. It reads the messages that dns_name() reads.",
			Examples: []string{`cgroup_skb:ingress /pkt.udp.sport == 53/ { $a = dns_addresses(); if ($a[0].ttl >= 0) { print((dns_name(), $a[0].addr, $a[0].ttl)); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !hasPacket(c, call, "dns_addresses()") {
				return types.TInvalid
			}
			return types.NewArray(dnsAddress, dnsAnswers)
		},
		Store: storeDNSAddresses,
	}
}

func storeDNSAddresses(g Gen, call *Call, dst Dest) {
	b := g.B()
	b.Zero(dst.Ptr, dst.Off, dst.Size)
	ttl := int64(dnsAddress.Fields[1].Off)
	for i := range dnsAnswers {
		b.Store(dst.Ptr, dst.Off+int64(i*dnsAddress.Size)+ttl, 8, b.Const(-1))
	}
	dnsMessage(g, call, func(m *dnsData, raw *ir.Value) {
		b := g.B()
		answer := b.Op(ir.OpAnd, b.Load(raw, 2, 1, false), b.Const(0x80))
		w := &dnsWalker{g: g, call: call, m: m, one: g.Temp(8), at: &ir.Var{Name: "record", Type: ir.Int}}
		b = g.B()
		b.If(answer, func() {
			b := g.B()
			count := b.Op(ir.OpBswap16, b.Load(raw, 6, 2, false))
			b.Section(func(stop *ir.Block) {
				b.Write(w.at, b.AddImm(m.from, dnsHeader))
				w.name(stop)
				b.Write(w.at, b.AddImm(b.Read(w.at), dnsFixed))
				b.Count(dnsAnswers, func(i *ir.Value, _ *ir.Block) {
					b.Need(b.Op(ir.OpULt, i, count), stop)
					w.record(i, dst, stop)
				})
			})
		})
	})
}

// dnsWalker emits code that goes through the records of a message.
type dnsWalker struct {
	g    Gen
	call *Call
	m    *dnsData
	one  *ir.Value // memory for what is read
	at   *ir.Var   // offset in the packet
}

// read copies n bytes at the current offset to dst and advances the offset. If the
// message is too short, it jumps to stop.
func (w *dnsWalker) read(dst *ir.Value, n int64, stop *ir.Block) {
	b := w.g.B()
	at := b.Read(w.at)
	b.Need(b.Op(ir.OpULe, b.AddImm(at, n), w.m.end), stop)
	r := packetOf(w.g, w.call).Load(b, w.g.Ctx(), at, dst, b.Const(n))
	b.Leave(b.Op(ir.OpSLt, r, b.Const(0)), stop)
	b.Write(w.at, b.AddImm(at, n))
}

// name skips a name.
func (w *dnsWalker) name(stop *ir.Block) {
	b := w.g.B()
	b.Section(func(end *ir.Block) {
		b.Count(dnsLabels, func(*ir.Value, *ir.Block) {
			w.read(w.one, 1, stop)
			c := b.Load(w.one, 0, 1, false)
			b.Need(c, end)
			b.If(b.Op(ir.OpULe, b.Const(0xc0), c), func() { // the rest of the name is elsewhere
				b.Write(w.at, b.AddImm(b.Read(w.at), 1))
				b.Jump(end)
			})
			b.Write(w.at, b.Op(ir.OpAdd, b.Read(w.at), c))
		})
		b.Jump(stop)
	})
}

// record reads record i and stores its address.
func (w *dnsWalker) record(i *ir.Value, dst Dest, stop *ir.Block) {
	const a, aaaa = 1, 28
	w.name(stop)
	head := w.g.Temp(16) // the type, the class, the TTL and the size of the data
	w.read(head, 10, stop)
	b := w.g.B()
	kind := b.Op(ir.OpBswap16, b.Load(head, 0, 2, false))
	seconds := b.Op(ir.OpBswap32, b.Op(ir.OpOr, b.Load(head, 4, 2, false), b.Op(ir.OpShl, b.Load(head, 6, 2, false), b.Const(16))))
	size := b.Op(ir.OpBswap16, b.Load(head, 8, 2, false))
	next := b.Op(ir.OpAdd, b.Read(w.at), size)
	slot := b.Op(ir.OpAdd, b.AddImm(dst.Ptr, dst.Off), b.Op(ir.OpMul, i, b.Const(int64(dnsAddress.Size))))
	for _, t := range []struct{ kind, size, family int64 }{{a, 4, afInet}, {aaaa, 16, afInet6}} {
		is := b.Op(ir.OpAnd, b.Op(ir.OpEq, kind, b.Const(t.kind)), b.Op(ir.OpEq, size, b.Const(t.size)))
		b.If(is, func() {
			w.read(b.AddImm(slot, 8), t.size, stop)
			b.Store(slot, 0, 8, b.Const(t.family))
			b.Store(slot, int64(dnsAddress.Fields[1].Off), 8, seconds)
		})
	}
	b.Write(w.at, next)
}
