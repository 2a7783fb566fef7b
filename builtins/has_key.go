package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/store"
)

func hasKey() *Def {
	return &Def{
		Name:   "has_key",
		Kind:   Function,
		Params: []Param{{Name: "map", Kind: MapArg, Map: store.Read}, {Name: "key"}},
		Doc: Doc{
			Summary:  "Whether a map has an entry with a key.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { if (!has_key(@seen, pid)) { @seen[pid] = nsecs; print(comm); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if checkEntry(c, call) == nil {
				return types.TInvalid
			}
			return types.TBool
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			p := g.Lookup(entry(call))
			return g.B().Op(ir.OpNe, p, g.B().Const(0))
		},
	}
}
