package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func cgroup() *Def {
	return &Def{
		Name:   "cgroup",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "ID of the current task's cgroup in the v2 hierarchy.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[cgroup] = count(); }`},
		},
		Check: fixed(types.TUint64),
		Emit:  func(g Gen, _ *Call) *ir.Value { return g.B().Call(ir.CurrentCgroupID) },
	}
}
