package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

func usermode() *Def {
	return &Def{
		Name:   "usermode",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "1 if the probe interrupted user code, 0 if it interrupted the kernel; x86 only.",
			Examples: []string{`profile:hz:99 { @[usermode] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			switch {
			case c.Kernel().Arch() != "amd64":
				c.Errorf(call.Span, "'usermode' builtin is only supported on x86")
				return types.TInvalid
			case ctx == nil:
				return types.TInvalid
			case ctx.Kind.Runs != probes.OnEvent: // gotrace itself runs the program
				call.Lit = &Lit{Int: 1}
			case ctx.Ctx.Reg == nil: // the kernel calls the program from its own code
				call.Lit = &Lit{Int: 0}
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			// The lowest bit of the code segment's selector is set in user mode only.
			cs, err := g.Context().Ctx.Reg(g.B(), g.Ctx(), "cs")
			if err != nil {
				panic("builtins: usermode: " + err.Error())
			}
			return g.B().Op(ir.OpAnd, cs, g.B().Const(1))
		},
	}
}
