package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func cpu() *Def {
	return &Def{
		Name:   "cpu",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "Number of the CPU the probe fired on.",
			Examples: []string{`profile:hz:99 { @[cpu] = count(); }`},
		},
		Check: fixed(types.TUint64),
		Emit:  func(g Gen, _ *Call) *ir.Value { return g.B().Call(ir.SmpProcessorID) },
	}
}
