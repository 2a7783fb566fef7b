package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func random() *Def {
	return &Def{
		Name:   "rand",
		Traits: Traits{Counts: true, Varies: true},
		Doc: Doc{
			Summary:  "A random 32-bit number; each use gives a new one.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read /rand % 100 == 0/ { @sampled = count(); }`},
		},
		Check: fixed(types.TUint32),
		Emit: func(g Gen, _ *Call) *ir.Value {
			b := g.B()
			return b.Extend(b.Call(ir.PrandomU32), 4, false)
		},
	}
}
