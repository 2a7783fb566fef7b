package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

func tid() *Def {
	return &Def{
		Name:   "tid",
		Params: []Param{pidNamespaceParam},
		Traits: Traits{Counts: true, Thread: true},
		Doc: Doc{
			Summary:  "Thread ID of the current task in the pid namespace of gotrace; tid(init) is the one in the initial namespace.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; }`},
		},
		Check: checkPid,
		Emit:  func(g Gen, call *Call) *ir.Value { return currentIDs(g, call).tid() },
	}
}
