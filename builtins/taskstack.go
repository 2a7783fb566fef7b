package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/unwind"
)

// This file has the stacks of tasks other than the current one. The program looks the
// task up by its number, which gives it a reference that the kernel's helpers accept.
// The kernel takes another task's kernel stack itself. It does not take a user stack,
// but a program that may sleep can read the task's memory and so unwind it. Only
// iterators run such programs in a process that is not the task's.

// otherTask is the task of a call. The fields are those of struct task_struct.
type otherTask struct {
	arg             *Arg
	id, tgid, onCPU types.Field
	find, release   uint32 // kernel functions
}

const (
	taskStruct            = "struct task_struct"
	findTask, releaseTask = "bpf_task_from_pid", "bpf_task_release"
)

// checkOtherTask checks that the stack of the task that a points to can be taken.
func checkOtherTask(c Checker, call *Call, a *Arg) (*otherTask, bool) {
	name := call.Def.Name + "(task)"
	k, o := c.Kernel(), &otherTask{arg: a}
	if to := a.Type.Elem; to == nil || to.Name != taskStruct {
		c.Errorf(call.Span, "%s takes a pointer to a %s, not %s", name, taskStruct, a.Type)
		return nil, false
	}
	if ctx := c.Context(); ctx != nil {
		if call.Def.UserSymbols && !ctx.OtherTasks {
			c.Errorf(call.Span, "%s is not supported in %s probes: the kernel lets only iterators, such as iter:task, read the memory of another process", name, ctx.Kind.Name)
			return nil, false
		}
		if since, ok := ctx.Kfuncs(); !ok || k.Release().Less(since) {
			c.Errorf(call.Span, "%s is not supported in %s probes: the kernel does not let their programs look up tasks", name, ctx.Kind.Name)
			return nil, false
		}
	}
	if call.Def.UserSymbols && c.Invocation().PIDNS != nil {
		c.Errorf(call.Span, "%s needs the initial pid namespace", name)
		return nil, false
	}
	var ok1, ok2 bool
	o.find, ok1 = k.Kfunc(findTask)
	o.release, ok2 = k.Kfunc(releaseTask)
	if !ok1 || !ok2 {
		c.Errorf(call.Span, "%s", probes.NeedsRelease(k, name, "6.2 ("+findTask+")"))
		return nil, false
	}
	t, err := k.Type(taskStruct)
	if err == nil {
		o.id, ok1 = t.Field("pid")
		o.tgid, ok2 = t.Field("tgid")
		o.onCPU, _ = t.Field("on_cpu") // kernels for one CPU have none
	}
	if err != nil || !ok1 || !ok2 {
		c.Errorf(call.Span, "%s needs the kernel's BTF of %s", name, taskStruct)
		return nil, false
	}
	return o, true
}

// read reads a field of the task. It returns 0 if the pointer is null.
func (o *otherTask) read(g Gen, call *Call, f types.Field) *ir.Value {
	v := &ir.Var{Name: "field", Type: ir.Int}
	g.B().Write(v, g.B().Const(0))
	g.Object(o.arg, func(task *ir.Value) {
		b := g.B()
		if task.Type == ir.PtrBTF {
			g.B().If(b.Op(ir.OpNe, task, b.Const(0)), func() {
				b := g.B()
				b.Write(v, b.Load(task, int64(f.Off), 4, false))
			})
			return
		}
		tmp := g.Temp(8)
		g.Read(tmp, 0, 4, b.AddImm(task, int64(f.Off)), types.Kernel, call.Def.Name)
		b = g.B()
		b.Write(v, b.Load(tmp, 0, 4, false))
	}, func() {})
	return g.B().Read(v)
}

// with emits use for a reference to the task with the number id. use must not contain
// jumps out of it.
func (o *otherTask) with(g Gen, id *ir.Value, use func(task *ir.Value)) {
	b := g.B()
	task := b.Kfunc(findTask, int64(o.find), ir.PtrBTF, id)
	g.B().If(b.Op(ir.OpNe, task, b.Const(0)), func() {
		use(task)
		g.B().Kfunc(releaseTask, int64(o.release), ir.Void, task)
	})
}

// takeTaskStack stores the kernel stack of another task and returns its number as
// takeStack does.
func takeTaskStack(g Gen, call *Call, o *otherTask) *ir.Value {
	depth := int(call.Type.Params[1])
	if depth == 0 {
		return g.B().Const(noStack)
	}
	entry, frames := stackEntry(g, depth)
	size, num := &ir.Var{Name: "size", Type: ir.Int}, &ir.Var{Name: "stack", Type: ir.Int}
	b := g.B()
	b.Write(size, b.Const(0))
	b.Write(num, b.Const(noStack))
	o.with(g, o.read(g, call, o.id), func(task *ir.Value) {
		b := g.B()
		b.Write(size, b.Call(ir.GetTaskStack, task, frames, b.Const(int64(8*depth)), b.Const(call.Data.(stackCall).skip)))
	})
	b = g.B()
	n := b.Read(size)
	g.B().If(b.Op(ir.OpSLt, b.Const(0), n), func() { storeFrames(g, call, entry, frames, n, num) })
	b = g.B()
	id := b.Extend(b.Read(num), 4, false)
	if call.Data.(stackCall).lens {
		count := b.Op(ir.OpShr, b.Read(size), b.Const(3))
		id = b.Op(ir.OpOr, id, b.Op(ir.OpShl, b.Op(ir.OpSub, count, b.Const(1)), b.Const(stackLenShift)))
	}
	return id
}

// During a walk two words of the entry, which are written at the end, have the task's
// number and its address.
const (
	walkOther = object.StackUsed
	walkTask  = object.StackHash
)

// startOther sets the state to the registers that another task had when it entered the
// kernel.
func (w *walker) startOther() {
	o, g := w.other, w.g
	w.set(wWhy, w.num(int64(unwind.Ending)))
	w.b().Store(w.p, walkOther, 8, o.read(g, w.call, o.id))
	o.with(g, w.b().Load(w.p, walkOther, 8, false), func(task *ir.Value) {
		b := w.b()
		b.Store(w.p, walkTask, 8, b.AsInt(task))
		w.startAt(task)
		if o.onCPU.Type != nil { // an int, or a byte since Linux 7.0
			running := w.b().Load(task, int64(o.onCPU.Off), o.onCPU.Type.Size, false)
			g.B().If(running, func() { w.set(wWhy, w.num(int64(unwind.Running))) })
		}
	})
}

// readOther reads the memory of another task's process.
func (w *walker) readOther(field, size int, addr *ir.Value) *ir.Value {
	b := w.b()
	failed := &ir.Var{Name: "failed", Type: ir.Int}
	b.Write(failed, b.Const(1))
	w.other.with(w.g, b.Load(w.p, walkOther, 8, false), func(task *ir.Value) {
		b := w.b()
		b.Write(failed, b.Call(ir.CopyFromUserTask, b.AddImm(w.p, w.lay.at(field)), b.Const(int64(size)), addr, task, b.Const(0)))
	})
	return w.b().Read(failed)
}
