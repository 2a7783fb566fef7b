package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

func tid() *Def {
	return &Def{
		Name:   "tid",
		Params: []Param{pidNamespaceParam},
		Thread: true,
		Doc: Doc{
			Summary:  "Thread ID of the current task, as the namespace gotrace runs in counts it; tid(init) as the initial namespace does.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; }`},
		},
		Check: checkPid,
		Emit:  func(g Gen, call *Call) *ir.Value { return currentIDs(g, call).tid() },
	}
}
