package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

func regSet() *Def {
	return &Def{
		Name:   "reg_set",
		Kind:   Action,
		Traits: Traits{AtOnce: true, Unsafe: true},
		Params: []Param{{Name: "name"}, {Name: "value"}},
		Doc: Doc{
			Summary:  "Changes a register of the process, which continues with the new value. For uprobe, uretprobe and usdt probes. Changing the stack pointer at the start of a function that has a uretprobe damages the caller. Needs Linux 6.19 and --unsafe.",
			Examples: []string{`uprobe:./server:limit { reg_set("di", 100); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			ctx := c.Context()
			switch {
			case ctx == nil || ctx.Ctx.SetReg == nil:
				c.Errorf(call.Span, "reg_set can not be used for this probetype: %s", kindName(c))
			case !ok || !wantInt(c, call, 1):
			default:
				b := ir.NewFunc("", ir.PtrCtx)
				if err := ctx.Ctx.SetReg(b, b.Param(0), name, b.Const(0)); err != nil {
					c.Errorf(call.Args[0].Span, "reg_set: %v", err)
				} else if !c.Kernel().Has(probes.FeatSetReg) {
					needs(c, call.Span, "reg_set", probes.FeatSetReg)
				} else {
					return types.TVoid
				}
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			v := g.Value(&call.Args[1])
			if err := g.Context().Ctx.SetReg(g.B(), g.Ctx(), call.Args[0].Lit.Str, v); err != nil {
				panic("builtins: reg_set: " + err.Error()) // Check has done the same before
			}
			return nil
		},
	}
}
