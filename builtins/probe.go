package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func probe() *Def {
	return &Def{
		Name: "probe",
		Doc: Doc{
			Summary:  "Full name of the attach point that fired.",
			Examples: []string{`tracepoint:syscalls:sys_enter_r* { @[probe] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			c.NeedsPoint()
			if p := c.Point(); p != nil {
				call.Lit = &Lit{Str: p.Name, IsStr: true}
			}
			return checkPointText(c, call)
		},
		Store: func(g Gen, call *Call, dst Dest) { storeText(g, call.Lit.Str, dst) },
	}
}

// checkPointText returns the type of a text that depends on the attach point only.
func checkPointText(c Checker, call *Call) *types.Type {
	if call.Lit == nil {
		if c.Final() {
			c.Errorf(call.Span, "%s cannot be used here: there is no single attach point", call.Def.Name)
			return types.TInvalid
		}
		return types.NewString(1)
	}
	return types.NewString(len(call.Lit.Str) + 1)
}
