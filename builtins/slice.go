package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func slice() *Def {
	return &Def{
		Name:   "slice",
		Kind:   Function,
		Params: []Param{{Name: "data"}, {Name: "from"}, {Name: "size", Optional: true}},
		Doc: Doc{
			Summary:  "Part of a buffer, from an offset on: to its end, or at most size bytes. It is shorter if the buffer ends before.",
			Examples: []string{`tracepoint:syscalls:sys_enter_write { printf("%r\n", slice(buf(args.buf, args.count, 64), 4, 8)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			if !wantBuffer(c, call, 0) || !wantInt(c, call, 1) || call.arg(2) != nil && !wantInt(c, call, 2) {
				return types.TInvalid
			}
			for i := 1; i < len(call.Args); i++ {
				if l := call.Args[i].Lit; l != nil && l.Int < 0 && !l.Unsigned {
					c.Errorf(call.Args[i].Span, "slice() expects an offset and a size that are not negative")
					return types.TInvalid
				}
			}
			limit := t.Len
			if a := call.arg(2); a != nil && a.Lit != nil && a.Lit.Int >= 0 {
				limit = int(min(int64(limit), a.Lit.Int))
			}
			if a := call.arg(1); a.Lit != nil && a.Lit.Int >= 0 && a.Lit.Int < int64(t.Len) {
				limit = min(limit, t.Len-int(a.Lit.Int))
			}
			return types.NewBuffer(max(limit, 1))
		},
		Store: func(g Gen, call *Call, dst Dest) {
			p := g.Addr(&call.Args[0])
			from := g.Value(&call.Args[1])
			n := g.B().Const(int64(call.Type.Len))
			if len(call.Args) == 3 {
				n = g.Value(&call.Args[2])
			}
			b := g.B()
			size := b.Load(p, 0, 4, false)
			// The verifier must know the limits of a number that is added to an address.
			from = b.Opaque(from)
			from = b.IfElse(b.Op(ir.OpULt, from, b.Const(int64(call.Args[0].Type.Len))), func() *ir.Value { return from }, func() *ir.Value {
				return g.B().Const(int64(call.Args[0].Type.Len))
			})
			b = g.B()
			n = b.IfElse(b.Op(ir.OpULt, from, size), func() *ir.Value {
				b := g.B()
				rest := b.Op(ir.OpSub, size, from)
				return b.IfElse(b.Op(ir.OpULt, rest, n), func() *ir.Value { return rest }, func() *ir.Value { return n })
			}, func() *ir.Value { return g.B().Const(0) })
			b = g.B()
			storeBuffer(g, dst, call.Type.Len, b.Op(ir.OpAdd, b.AsInt(b.AddImm(p, 4)), from), n)
		},
	}
}

// wantBuffer checks that argument i is a buffer.
func wantBuffer(c Checker, call *Call, i int) bool {
	t := call.typeOf(i)
	if t.Kind == types.Buffer {
		return true
	}
	if t.Kind != types.Invalid && c.Final() {
		c.Errorf(call.Span, "%s() expects a buffer, as buf() reads it (%s provided)", call.Def.Name, className(t))
	}
	return false
}
