package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

func ppid() *Def {
	return taskNumber("ppid", "Process ID of a task's parent.", "real_parent", "tgid")
}

func leaderTid() *Def {
	return taskNumber("leader_tid", "Thread ID of a task's thread group leader.", "group_leader", "pid")
}

var taskParam = []Param{{Name: "task", Optional: true}}

// relative holds the fields that Check found: the pointer to the other task, and the
// field to read from that task.
type relative struct{ ptr, field types.Field }

// checkRelative looks up the fields.
func checkRelative(c Checker, call *Call, ptr, field string) (relative, bool) {
	var r relative
	if !needsTask(c, call) {
		return r, false
	}
	if t := call.typeOf(0); call.arg(0) != nil && t.Kind != types.Pointer && t.Kind != types.Int && t.Kind != types.Invalid {
		c.Errorf(call.Args[0].Span, "%s() expects a pointer to a task (%s provided)", call.Def.Name, className(t))
		return r, false
	}
	t, err := c.Kernel().Type("struct task_struct")
	if err != nil {
		c.Errorf(call.Span, "%s needs the kernel's BTF: %v", call.Def.Name, err)
		return r, false
	}
	var ok1, ok2 bool
	r.ptr, ok1 = t.Field(ptr)
	r.field, ok2 = t.Field(field)
	if !ok1 || !ok2 {
		c.Errorf(call.Span, "%s: this kernel's struct task_struct has no %s or %s", call.Def.Name, ptr, field)
		return r, false
	}
	return r, true
}

// otherTask returns the address of the other task, and whether the verifier
// accepts plain loads from it.
func (r relative) otherTask(g Gen, call *Call) (*ir.Value, bool) {
	b := g.B()
	var task *ir.Value
	switch a := call.arg(0); {
	case a != nil:
		task = g.Value(a)
	case g.Kernel().Has(probes.FeatTaskBTF):
		task = b.Call(ir.CurrentTaskBTF)
	default:
		task = b.Call(ir.CurrentTask)
	}
	b = g.B()
	if task.Type == ir.PtrBTF {
		p := b.Load(task, int64(r.ptr.Off), 8, false)
		p.Type = ir.PtrBTF
		return p, true
	}
	tmp := g.Temp(8)
	g.Read(tmp, 0, 8, b.AddImm(task, int64(r.ptr.Off)), types.Kernel, call.Def.Name)
	return g.B().Load(tmp, 0, 8, false), false
}

//go:noinline
func taskNumber(name, summary, ptr, field string) *Def {
	return &Def{
		Name:   name,
		Params: taskParam,
		Doc:    Doc{Summary: summary + " The task is the current one if none is given.", Examples: []string{`tracepoint:syscalls:sys_enter_execve { @[` + name + `] = count(); }`}},
		Check: func(c Checker, call *Call) *types.Type {
			r, ok := checkRelative(c, call, ptr, field)
			if !ok {
				return types.TInvalid
			}
			call.Data = r
			return types.TInt32
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			r := call.Data.(relative)
			other, direct := r.otherTask(g, call)
			if direct {
				return g.B().Load(other, int64(r.field.Off), 4, true)
			}
			tmp := g.Temp(8)
			g.Read(tmp, 0, 4, g.B().AddImm(other, int64(r.field.Off)), types.Kernel, name)
			return g.B().Load(tmp, 0, 4, true)
		},
	}
}
