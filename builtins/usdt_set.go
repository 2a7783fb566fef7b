package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func usdtSet() *Def {
	return &Def{
		Name:   "usdt_set",
		Kind:   Function,
		Traits: Traits{Acts: true, Unsafe: true, Args: true, Refusals: overwriteRefused},
		Params: []Param{{Name: "n"}, {Name: "value"}},
		Doc: Doc{
			Summary:  "Overwrites argument n of a USDT probe, which must be in memory. n is a literal. The program sees the change if it reads the argument again. The result is true if that succeeds. Needs --unsafe.",
			Examples: []string{`usdt:./server:server:limit { $ok = usdt_set(0, 100); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			if ctx == nil || ctx.Args.Place == nil {
				c.Errorf(call.Span, "usdt_set can not be used for this probetype: %s", kindName(c))
				return types.TInvalid
			}
			n := call.Args[0].Lit
			if n == nil || n.IsStr || n.Unsigned || n.Int < 0 || n.Int >= int64(ctx.Args.N) {
				c.Errorf(call.Args[0].Span, "usdt_set: the number of the argument must be a literal")
				return types.TInvalid
			}
			if !wantInt(c, call, 1) {
				return types.TInvalid
			}
			if _, _, err := ctx.Args.Place(int(n.Int)); err != nil {
				c.Errorf(call.Span, "usdt_set: %v", err)
				return types.TInvalid
			}
			return types.TBool
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			b := g.B()
			size, addr, err := g.Context().Args.Place(int(call.Args[0].Lit.Int))
			if err != nil { // Check has reported it
				return b.Const(0)
			}
			v := g.Value(&call.Args[1])
			p := g.Temp(size)
			b.Store(p, 0, size, v)
			r := b.Call(ir.ProbeWriteUser, addr(b, g.Ctx()), p, b.Const(int64(size)))
			return b.Op(ir.OpEq, r, b.Const(0))
		},
	}
}
