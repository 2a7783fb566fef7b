package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func strnlen() *Def {
	return &Def{
		Name:   "__strnlen",
		Kind:   Function,
		Params: []Param{{Name: "s"}, {Name: "n"}},
		Doc: Doc{
			Summary:  "Number of characters of a string, or at an address, up to the first NUL and at most n; -14 if the memory cannot be read. At most max_strlen bytes are read at an address.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @ = hist(__strnlen(args.filename, 32)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if t := call.typeOf(0); t.Kind != types.Pointer && t.Kind != types.Int && !wantStr(c, call, 0) || !wantInt(c, call, 1) {
				return types.TInvalid
			}
			call.Data = c.Config().MaxStrlen
			return types.TInt64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			a, limit := &call.Args[0], g.Value(&call.Args[1])
			if t := a.Type; t.Kind != types.Pointer && t.Kind != types.Int {
				return smaller(g.B(), emitStrlen(g, a), limit)
			}
			most := call.Data.(int)
			p := g.Temp(most + 1)
			src := g.Value(a)
			space := types.Kernel
			if a.Type.Kind == types.Pointer {
				space = pointee(g, a.Type)
			}
			n := g.ReadStr(p, 0, g.B().Const(int64(most+1)), most+1, src, space)
			b := g.B()
			const fault = -14 // EFAULT
			return g.B().IfElse(b.Op(ir.OpSLt, n, b.Const(0)),
				func() *ir.Value { return g.B().Const(fault) },
				func() *ir.Value { return smaller(g.B(), g.B().Op(ir.OpSub, n, g.B().Const(1)), limit) })
		},
	}
}

// smaller computes the minimum of two unsigned numbers.
func smaller(b *ir.Builder, x, y *ir.Value) *ir.Value {
	less := b.Op(ir.OpNeg, b.Op(ir.OpULt, x, y)) // all ones or 0
	return b.Op(ir.OpXor, y, b.Op(ir.OpAnd, b.Op(ir.OpXor, x, y), less))
}
