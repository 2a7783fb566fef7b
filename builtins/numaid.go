package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func numaid() *Def {
	return &Def{
		Name:   "numaid",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "Number of the NUMA node the probe fired on.",
			Examples: []string{`profile:hz:99 { @[numaid] = count(); }`},
		},
		Check: fixed(types.TUint64),
		Emit:  func(g Gen, _ *Call) *ir.Value { return g.B().Call(ir.NumaNodeID) },
	}
}
