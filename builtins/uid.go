package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func uid() *Def {
	return &Def{
		Name:   "uid",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "User ID of the current task in the initial user namespace.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[uid] = count(); }`},
		},
		Check: fixed(types.TUint32),
		Emit: func(g Gen, _ *Call) *ir.Value {
			b := g.B()
			return b.Extend(b.Call(ir.CurrentUIDGID), 4, false)
		},
	}
}
