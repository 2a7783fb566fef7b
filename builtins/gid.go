package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func gid() *Def {
	return &Def{
		Name:   "gid",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "Group ID of the current task in the initial user namespace.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[gid] = count(); }`},
		},
		Check: fixed(types.TUint32),
		Emit: func(g Gen, _ *Call) *ir.Value {
			b := g.B()
			return b.Op(ir.OpShr, b.Call(ir.CurrentUIDGID), b.Const(32))
		},
	}
}
