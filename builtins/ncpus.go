package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func ncpus() *Def {
	return &Def{
		Name:   "ncpus",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "The number of CPUs that the machine can have online.",
			Examples: []string{`begin { printf("%d CPUs\n", ncpus); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			call.Lit = &Lit{Int: int64(c.Kernel().NumCPU())}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value { return g.B().Const(call.Lit.Int) },
	}
}
