package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

func curtask() *Def {
	return &Def{
		Name: "curtask",
		Doc: Doc{
			Summary:  "The current task's struct task_struct.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[curtask.real_parent.pid] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !needsTask(c, call) {
				return types.TInvalid
			}
			t, err := c.Kernel().Type("struct task_struct")
			if err != nil { // no BTF: the address has no type
				return types.TUint64
			}
			if c.Kernel().Has(probes.FeatTaskBTF) {
				return types.NewPointer(t.InSpace(types.BTF), types.BTF)
			}
			return types.NewPointer(t, types.Kernel)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Type.Kind == types.Pointer && call.Type.Space == types.BTF {
				return g.B().Call(ir.CurrentTaskBTF)
			}
			return g.B().Call(ir.CurrentTask)
		},
	}
}
