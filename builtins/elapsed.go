package builtins

import (
	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func elapsed() *Def {
	return &Def{
		Name:   "elapsed",
		Traits: Traits{Counts: true, Varies: true},
		Doc: Doc{
			Summary:  "Nanoseconds since gotrace began to trace, on the boot clock.",
			Examples: []string{`interval:s:1 { printf("%d ms\n", elapsed / 1000000); exit(); }`},
		},
		Check: fixed(types.TUint64),
		Emit: func(g Gen, _ *Call) *ir.Value {
			b := g.B()
			return b.Op(ir.OpSub, b.Call(ir.KtimeBootNs), code.SessionWord(g, object.SessionStart))
		},
	}
}
