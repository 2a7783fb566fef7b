package stacks

import (
	"github.com/gotrace/gotrace/builtins/code"
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

// Task has what code for the stacks of other tasks needs of a kernel: fields of
// TaskStruct, and the IDs of kernel functions.
type Task struct {
	ID, TGID, onCPU types.Field
	find, release   uint32
}

// TaskStruct is the kernel's struct of a task. FindTask is the kernel function that
// returns the task with a number.
const (
	TaskStruct  = "struct task_struct"
	FindTask    = "bpf_task_from_pid"
	releaseTask = "bpf_task_release"
)

// NewTask returns what the code needs. known is false if the kernel lacks the functions.
// In the kernel's BTF the fields may be missing; then it returns nil.
func NewTask(k probes.Kernel) (task *Task, known bool) {
	o := &Task{}
	var ok1, ok2 bool
	o.find, ok1 = k.Kfunc(FindTask)
	o.release, ok2 = k.Kfunc(releaseTask)
	if !ok1 || !ok2 {
		return nil, false
	}
	t, err := k.Type(TaskStruct)
	if err != nil {
		return nil, true
	}
	o.ID, ok1 = t.Field("pid")
	o.TGID, ok2 = t.Field("tgid")
	o.onCPU, _ = t.Field("on_cpu") // kernels for one CPU have none
	if !ok1 || !ok2 {
		return nil, true
	}
	return o, true
}

// with emits use for a reference to the task with the number id. use must not contain
// jumps out of it.
func (o *Task) with(b *ir.Builder, id *ir.Value, use func(task *ir.Value)) {
	task := b.Kfunc(FindTask, int64(o.find), ir.PtrBTF, id)
	b.If(b.Op(ir.OpNe, task, b.Const(0)), func() {
		use(task)
		b.Kfunc(releaseTask, int64(o.release), ir.Void, task)
	})
}

// TakeOther emits code that stores the kernel stack of r.Task and returns its number as
// Take does.
func (r *Request) TakeOther(g code.Gen) *ir.Value {
	b := g.B()
	if r.Depth == 0 {
		return b.Const(None)
	}
	entry, frames := stackEntry(g, r.Depth)
	size, num := &ir.Var{Name: "size", Type: ir.Int}, &ir.Var{Name: "stack", Type: ir.Int}
	b.Write(size, b.Const(0))
	b.Write(num, b.Const(None))
	r.Task.with(b, r.ID(), func(task *ir.Value) {
		b.Write(size, b.Call(ir.GetTaskStack, task, frames, b.Const(int64(8*r.Depth)), b.Const(r.Skip)))
	})
	n := b.Read(size)
	b.If(b.Op(ir.OpSLt, b.Const(0), n), func() { r.store(g, entry, frames, n, num) })
	id := b.Extend(b.Read(num), 4, false)
	if r.Lens {
		id = withLen(b, id, b.Op(ir.OpShr, b.Read(size), b.Const(3)))
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
	o := w.r.Task
	w.set(wWhy, w.num(int64(unwind.Ending)))
	w.b.Store(w.p, walkOther, 8, w.r.ID())
	o.with(w.b, w.b.Load(w.p, walkOther, 8, false), func(task *ir.Value) {
		b := w.b
		b.Store(w.p, walkTask, 8, b.AsInt(task))
		w.startAt(task)
		if o.onCPU.Type != nil { // an int, or a byte since Linux 7.0
			running := b.Load(task, int64(o.onCPU.Off), o.onCPU.Type.Size, false)
			b.If(running, func() { w.set(wWhy, w.num(int64(unwind.Running))) })
		}
	})
}

// readOther reads the memory of another task's process.
func (w *walker) readOther(field, size int, addr *ir.Value) *ir.Value {
	b := w.b
	failed := &ir.Var{Name: "failed", Type: ir.Int}
	b.Write(failed, b.Const(1))
	w.r.Task.with(w.b, b.Load(w.p, walkOther, 8, false), func(task *ir.Value) {
		b.Write(failed, b.Call(ir.CopyFromUserTask, b.AddImm(w.p, w.lay.at(field)), b.Const(int64(size)), addr, task, b.Const(0)))
	})
	return b.Read(failed)
}
