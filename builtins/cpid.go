package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func childPID() *Def {
	return &Def{
		Name:   "cpid",
		Traits: Traits{Counts: true},
		Doc: Doc{
			Summary:  "Process ID of the command that -c started; 0 without -c.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read /pid == cpid/ { @ = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !c.Invocation().HasChild && c.Final() {
				c.Warnf(call.Span, "No child command (`-c`); cpid is zero")
			}
			return types.TUint64
		},
		Emit: func(g Gen, _ *Call) *ir.Value { return g.B().Const(int64(g.Invocation().ChildPID)) },
	}
}
