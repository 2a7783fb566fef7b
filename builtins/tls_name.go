package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// tlsExtensions is the maximum number of extensions of a greeting that are read.
const tlsExtensions = 32

func tlsName() *Def {
	return &Def{
		Name:   "tls_name",
		Kind:   Variable,
		Traits: Traits{NotInLoop: true, Branches: 60},
		Doc: Doc{
			Summary: "The name of the server that a TLS client requests (SNI), in probes that have pkt. " +
				"It is \"-\" if the client gives none, and empty if the packet's data does not start with a client's greeting.",
			Examples: []string{`cgroup_skb:egress /pkt.tcp.dport == 443/ { $n = tls_name(); if ($n != "") { @[$n] = count(); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !hasPacket(c, call, "tls_name()") {
				return types.TInvalid
			}
			return types.NewString(256)
		},
		Store: storeTLSName,
	}
}

// storeTLSName parses a greeting: the record, the message, its random bytes, a session,
// ciphers, compressions, and extensions. Extension 0 has the name.
func storeTLSName(g Gen, call *Call, dst Dest) {
	const random = 5 + 4 + 2 + 32 // the bytes before the session
	parsed := parsedPacket(g, call)
	b := g.B()
	b.Zero(dst.Ptr, dst.Off, dst.Size)
	w := &dnsWalker{g: g, call: call, one: g.Temp(16), at: &ir.Var{Name: "greeting", Type: ir.Int}}
	b = g.B()
	b.Zero(w.one, 0, 16)
	from := b.Load(parsed, pktData, 4, false)
	w.m = &dnsData{from, b.Load(parsed, pktEnd, 4, false)}
	b.Section(func(stop *ir.Block) {
		b.Need(from, stop)
		b.Write(w.at, from)
		w.read(w.one, 6, stop)
		b.Need(b.Op(ir.OpEq, b.Load(w.one, 0, 1, false), b.Const(22)), stop) // a handshake
		b.Need(b.Op(ir.OpEq, b.Load(w.one, 1, 1, false), b.Const(3)), stop)  // of SSL 3 or later
		b.Need(b.Op(ir.OpEq, b.Load(w.one, 5, 1, false), b.Const(1)), stop)  // the client's greeting
		b.Store(dst.Ptr, dst.Off, 1, b.Const('-'))
		b.Write(w.at, b.AddImm(from, random))
		skip := func(width int64) {
			w.read(w.one, width, stop)
			n := b.Load(w.one, 0, 1, false)
			if width == 2 {
				n = b.Op(ir.OpBswap16, b.Load(w.one, 0, 2, false))
			}
			b.Write(w.at, b.Op(ir.OpAdd, b.Read(w.at), n))
		}
		skip(1) // the session
		skip(2) // ciphers
		skip(1) // compressions
		b.Write(w.at, b.AddImm(b.Read(w.at), 2))
		b.Count(tlsExtensions, func(*ir.Value, *ir.Block) {
			w.read(w.one, 4, stop)
			size := b.Op(ir.OpBswap16, b.Load(w.one, 2, 2, false))
			next := b.Op(ir.OpAdd, b.Read(w.at), size)
			b.Unless(b.Load(w.one, 0, 2, false), func() {
				w.read(w.one, 5, stop) // the size of the list, the kind of name, the size of the name
				n := bounded(g, b.Op(ir.OpBswap16, b.Op(ir.OpOr, b.Load(w.one, 3, 1, false), b.Op(ir.OpShl, b.Load(w.one, 4, 1, false), b.Const(8)))), 255)
				b := g.B()
				b.Need(b.Op(ir.OpULe, b.Op(ir.OpAdd, b.Read(w.at), n), w.m.end), stop)
				packetOf(g, call).Load(b, g.Ctx(), b.Read(w.at), b.AddImm(dst.Ptr, dst.Off), n)
				b.Jump(stop)
			})
			b.Write(w.at, next)
		})
	})
	if dst.Len != nil {
		b.Write(dst.Len, b.Const(int64(call.Type.Size)))
	}
}
