package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func pcomm() *Def {
	return taskName("pcomm", "Name of a task's parent.", "real_parent")
}

func leaderComm() *Def {
	return taskName("leader_comm", "Name of a task's thread group leader.", "group_leader")
}

//go:noinline
func taskName(name, summary, ptr string) *Def {
	return &Def{
		Name:   name,
		Params: taskParam,
		Doc:    Doc{Summary: summary + " The task is the current one if none is given.", Examples: []string{`tracepoint:syscalls:sys_enter_execve { @[` + name + `] = count(); }`}},
		Check: func(c Checker, call *Call) *types.Type {
			r, ok := checkRelative(c, call, ptr, "comm")
			if !ok {
				return types.TInvalid
			}
			call.Data = r
			return types.NewString(commLen)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			r := call.Data.(relative)
			other, direct := r.otherTask(g, call)
			if direct {
				b := g.B()
				for i := int64(0); i < commLen; i += 8 {
					b.Store(dst.Ptr, dst.Off+i, 8, b.Load(other, int64(r.field.Off)+i, 8, false))
				}
			} else {
				g.Read(dst.Ptr, dst.Off, commLen, g.B().AddImm(other, int64(r.field.Off)), types.Kernel, name)
			}
			padTail(g, dst, commLen)
		},
	}
}
