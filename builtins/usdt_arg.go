package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func usdtArg() *Def {
	return &Def{
		Name:   "usdt_arg",
		Kind:   Function,
		Params: []Param{{Name: "n"}},
		Traits: Traits{Args: true, NotInLoop: true},
		Doc: Doc{
			Summary:  "Argument n of a USDT probe as a pointer into user memory; 0 if there is none. Unlike with argN, n need not be known at compile time.",
			Examples: []string{`usdt:/usr/sbin/mysqld:mysql:query__start { print(str(usdt_arg(0))); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if ctx := c.Context(); ctx == nil || !ctx.Kind.NoteArgs {
				c.Errorf(call.Span, "usdt_arg can not be used for this probetype: %s", kindName(c))
				return types.TInvalid
			}
			if !wantInt(c, call, 0) {
				return types.TInvalid
			}
			return types.NewPointer(types.TInt8, types.User)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			ctx := g.Context()
			if l := call.Args[0].Lit; l != nil {
				if l.Unsigned || l.Int < 0 || l.Int >= int64(ctx.Args.N) {
					return g.B().Const(0)
				}
				return ctx.Args.Read(g.B(), g.Ctx(), int(l.Int))
			}
			n := g.Value(&call.Args[0])
			return pick(g, n, 0, ctx.Args.N)
		},
	}
}

// pick returns argument n if it is one of lo to hi-1, else 0.
func pick(g Gen, n *ir.Value, lo, hi int) *ir.Value {
	if lo >= hi {
		return g.B().Const(0)
	}
	return g.B().IfElse(g.B().Op(ir.OpEq, n, g.B().Const(int64(lo))),
		func() *ir.Value { return g.Context().Args.Read(g.B(), g.Ctx(), lo) },
		func() *ir.Value { return pick(g, n, lo+1, hi) })
}
