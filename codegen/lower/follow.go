package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/runtime/object"
)

// With --follow, a table has a byte for each possible process ID, which is 1 for the
// processes that are followed. A program at every fork copies the byte of the parent to
// that of the child before the child runs. It writes both 0 and 1, so the byte of a
// process that has ended does not have to be cleared: the fork of the next process with
// that ID sets it. Thread IDs have bytes too, which are not used.

// followSlot returns the address of a process's byte in the table of --follow.
func (u *shared) followSlot(b *ir.Builder, pid *ir.Value) *ir.Value {
	m := u.array(&u.follow, object.FollowMap)
	m.ValueSize = object.MaxPIDs
	return b.Op(ir.OpAdd, b.MapValue(m, 0), b.Op(ir.OpAnd, pid, b.Const(object.MaxPIDs-1)))
}

// followState returns the address of a word of the state that the runtime shares with
// the iterator over all tasks.
func (u *shared) followState(b *ir.Builder, off int64) *ir.Value {
	m := u.array(&u.state, object.FollowStateMap)
	m.ValueSize = object.FollowStateSize
	return b.MapValue(m, off)
}

// followers lowers the programs of --follow: one that runs at every fork, and one that
// the runtime runs for every task.
func (u *shared) followers() {
	if u.follow == nil {
		return
	}
	const task = "struct task_struct"
	u.follower("follow_fork", ir.ForFork, func(f *fn) {
		pointer := func(arg int64) *ir.Value { // the argument arg, of the parent or the child
			v := f.b.Load(f.ctx, 8*arg, 8, false)
			v.Type = ir.PtrBTF
			return v
		}
		parent := f.readMember(pointer(0), task, "tgid", 4)
		child := f.readMember(pointer(1), task, "pid", 4)
		f.b.Store(f.followSlot(f.b, child), 0, 1, f.b.Load(f.followSlot(f.b, parent), 0, 1, false))
	})
	u.follower("follow_walk", ir.ForTasks, func(f *fn) { f.b.Section(f.followWalk) })
}

// followWalk emits the program that the runtime runs for every task. It jumps to end if
// there is nothing to do for the task.
func (f *fn) followWalk(end *ir.Block) {
	const task = "struct task_struct"
	b := f.b
	t := b.Load(f.ctx, 8, 8, false) // of struct bpf_iter__task
	t.Type = ir.PtrBTF
	b.Need(t, end)
	slot := f.followSlot(b, f.readMember(t, task, "tgid", 4))
	mode := b.Load(f.followState(b, object.FollowMode), 0, 8, false)
	b.If(b.Op(ir.OpEq, mode, b.Const(object.FollowAdd)), func() { b.Store(slot, 0, 1, b.Const(1)) })
	b.If(b.Op(ir.OpEq, mode, b.Const(object.FollowChildren)), func() {
		b.Leave(b.Load(slot, 0, 1, false), end)
		parent := f.readMember(f.readPointer(t, task, "real_parent"), task, "tgid", 4)
		b.Need(b.Load(f.followSlot(b, parent), 0, 1, false), end)
		b.Store(slot, 0, 1, b.Const(1))
		b.Store(f.followState(b, object.FollowFound), 0, 8, b.Const(1))
	})
	b.If(b.Op(ir.OpEq, mode, b.Const(object.FollowAlive)), func() {
		b.Need(b.Load(slot, 0, 1, false), end)
		b.Leave(f.readMember(t, task, "exit_state", 4), end)
		b.Store(f.followState(b, object.FollowFound), 0, 8, b.Const(1))
	})
}

// follower lowers a program of --follow.
func (u *shared) follower(name string, role ir.Role, body func(f *fn)) {
	prog := &ir.Prog{Name: name, Kind: "follow", Role: role}
	f := newFn(u, prog, &check.Prog{}, "main", ir.PtrCtx)
	f.ctx = f.b.Param(0)
	prog.Main = f.b.Fn
	f.at(u.p.Progs[0].Span)
	f.start()
	body(f)
	f.b.Ret(f.b.Const(0))
	f.end()
	u.res.Module.Progs = append(u.res.Module.Progs, prog)
}
