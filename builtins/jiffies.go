package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func jiffies() *Def {
	return &Def{
		Name:   "jiffies",
		Traits: Traits{Counts: true, Varies: true},
		Doc: Doc{
			Summary:  "The kernel's count of timer ticks.",
			Examples: []string{`interval:s:1 { print(jiffies); exit(); }`},
		},
		Check: fixed(types.TUint64),
		Emit:  func(g Gen, _ *Call) *ir.Value { return g.B().Call(ir.Jiffies64) },
	}
}
