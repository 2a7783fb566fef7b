package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func bufConcat() *Def {
	return &Def{
		Name:   "buf_concat",
		Kind:   Function,
		Params: []Param{{Name: "a"}, {Name: "b"}, {Name: "most", Kind: Literal}},
		Doc: Doc{
			Summary:  "The bytes of two buffers, one after the other, cut to the number of bytes in the argument most.",
			Examples: []string{`tracepoint:syscalls:sys_enter_write { printf("%r\n", buf_concat(buf(args.buf, args.count, 8), buf("!", 1), 9)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			limit, ok := wantSize(c, call, 2)
			if !wantBuffer(c, call, 0) || !wantBuffer(c, call, 1) || !ok {
				return types.TInvalid
			}
			return types.NewBuffer(limit)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			most := call.Type.Len
			p, q := g.Addr(&call.Args[0]), g.Addr(&call.Args[1])
			// The verifier knows only that each part has at most max bytes.
			data := g.Temp(2 * most)
			defineStack(g, data, 0, 2*most)
			b := g.B()
			n := atMost(g, b.Load(p, 0, 4, false), most)
			g.B().If(n, func() {
				b := g.B()
				b.Call(ir.ReadKernel, data, bounded(g, n, most), b.AsInt(b.AddImm(p, 4)))
			})
			b = g.B()
			more := atMost(g, b.Load(q, 0, 4, false), most)
			g.B().If(more, func() {
				b := g.B()
				at := b.Opaque(n)
				b.If(b.Op(ir.OpULt, at, b.Const(int64(most))), func() {
					b := g.B()
					b.Call(ir.ReadKernel, b.Op(ir.OpAdd, data, at), bounded(g, more, most), b.AsInt(b.AddImm(q, 4)))
				})
			})
			b = g.B()
			storeBuffer(g, dst, most, data, atMost(g, b.Op(ir.OpAdd, n, more), most))
		},
	}
}

// atMost returns the smaller of n and a number.
func atMost(g Gen, n *ir.Value, most int) *ir.Value {
	b := g.B()
	return b.IfElse(b.Op(ir.OpULt, n, b.Const(int64(most))), func() *ir.Value { return n }, func() *ir.Value { return g.B().Const(int64(most)) })
}
