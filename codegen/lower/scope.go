package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// only emits code that ends the program unless the condition that branch tests is true.
func (f *fn) only(branch func(body, out *ir.Block)) {
	body, out := f.b.NewBlock(), f.b.NewBlock()
	branch(body, out)
	f.b.SealSet(out)
	f.Return(nil)
	f.b.SealSet(body)
}

// onlyIf is only for a condition of one word.
//
//go:noinline
func (f *fn) onlyIf(cond *ir.Value) {
	f.b.Unless(cond, func() { f.Return(nil) })
}

// confine emits the tests for the tasks that the flags select, the cheapest first.
func (f *fn) confine(o *probes.Only) {
	if o.PID != 0 {
		if o.Owner != nil {
			f.onlyIf(f.b.Op(ir.OpEq, o.Owner(f.b, f.ctxValue()), f.b.Const(int64(o.PID))))
		} else {
			f.onlyIf(builtins.InProcess(f, o.PID))
		}
	}
	if o.Scope == nil {
		return
	}
	t := scoped{fn: f}
	switch {
	case o.Task != nil:
		t.task, t.walked = o.Task(f.b, f.ctxValue()), true
	case f.k.Has(probes.FeatTaskBTF):
		t.task = f.b.Call(ir.CurrentTaskBTF)
	}
	if o.Scope.Follow {
		f.onlyIf(t.followed())
	}
	if o.Scope.Comm != "" {
		f.onlyIf(t.named(o.Scope.Comm))
	}
	if o.Scope.UID != nil {
		f.onlyIf(f.b.Op(ir.OpEq, t.uid(), f.b.Const(int64(*o.Scope.UID))))
	}
	for i, c := range o.Scope.Cgroups {
		f.onlyIf(t.under(i, c))
	}
}

// scoped emits tests of a task.
type scoped struct {
	*fn
	task   *ir.Value // its struct task_struct; nil: the current task, and the kernel has no BTF for it
	walked bool      // the task comes from an iterator, it is not the current one
}

// field returns a member of a kernel struct. If the kernel's BTF does not have it, it
// reports an error.
func (u *shared) field(of, name string) types.Field {
	t, err := u.k.Type(of)
	if err == nil {
		if m, ok := t.Field(name); ok {
			return m
		}
	}
	u.scopeError("the kernel's BTF of " + of + ", with its member " + name)
	return types.Field{}
}

// scopeError reports, once, that a flag that selects tasks needs something.
func (u *shared) scopeError(what string) {
	if !u.scopeFailed {
		u.scopeFailed = true
		u.diags.Errorf(u.p.Progs[0].Span, "the flags that select processes need %s", what)
	}
}

// readMember loads a member of the kernel object at p.
func (f *fn) readMember(p *ir.Value, of, name string, size int) *ir.Value {
	return f.b.Load(p, int64(f.field(of, name).Off), size, false)
}

// readPointer loads a member that points to a kernel object.
//
//go:noinline
func (f *fn) readPointer(p *ir.Value, of, name string) *ir.Value {
	v := f.readMember(p, of, name, 8)
	v.Type = ir.PtrBTF
	return v
}

// followed returns whether the task's process is in the table of --follow.
func (t *scoped) followed() *ir.Value {
	var tgid *ir.Value
	if t.task != nil {
		tgid = t.readMember(t.task, "struct task_struct", "tgid", 4)
	} else {
		tgid = t.b.Op(ir.OpShr, t.b.Call(ir.CurrentPidTgid), t.b.Const(32))
	}
	return t.b.Load(t.followSlot(t.b, tgid), 0, 1, false)
}

// named returns whether the task has the given name. The kernel does not always clear
// the bytes after the NUL.
func (t *scoped) named(name string) *ir.Value {
	data := append([]byte(name), 0)
	if t.task != nil {
		return equalConst(t.b, t.task, int64(t.field("struct task_struct", "comm").Off), data)
	}
	const commLen = 16
	buf := t.temp(commLen)
	t.b.Call(ir.CurrentComm, buf, t.b.Const(commLen))
	return equalConst(t.b, buf, 0, data)
}

// uid returns the task's user ID in the initial user namespace.
func (t *scoped) uid() *ir.Value {
	if !t.walked {
		return t.b.Extend(t.b.Call(ir.CurrentUIDGID), 4, false)
	}
	return t.readMember(t.readPointer(t.task, "struct task_struct", "cred"), "struct cred", "uid", 4)
}

// maxCgroupDepth is the maximum number of levels of the cgroup hierarchy that are
// searched for tasks other than the current one.
const maxCgroupDepth = 32

// under returns whether the task is in a cgroup of the map, or in a descendant.
func (t *scoped) under(i int, scope probes.Cgroup) *ir.Value {
	if !t.walked {
		return builtins.InCgroup(t.fn, i)
	}
	return t.below(scope.ID)
}

// below walks from the task's version 2 cgroup up to the root and returns whether it
// finds the cgroup with the given ID.
func (t *scoped) below(id uint64) *ir.Value {
	const cgroup, state = "struct cgroup", "struct cgroup_subsys_state"
	b := t.b
	at, found := &ir.Var{Name: "cgroup", Type: ir.PtrBTF}, &ir.Var{Name: "found", Type: ir.Int}
	b.Write(at, t.readPointer(t.readPointer(t.task, "struct task_struct", "cgroups"), "struct css_set", "dfl_cgrp"))
	b.Write(found, b.Const(0))
	self := t.field(cgroup, "self")
	b.Count(maxCgroupDepth, func(_ *ir.Value, out *ir.Block) {
		now := b.Read(at)
		b.Need(now, out)
		same := b.Op(ir.OpEq, t.readMember(t.readPointer(now, cgroup, "kn"), "struct kernfs_node", "id", 8), b.Const(int64(id)))
		b.Write(found, same)
		b.Leave(same, out)
		parent := b.Load(now, int64(self.Off+t.field(state, "parent").Off), 8, false)
		parent.Type = ir.PtrBTF
		b.Need(parent, out)
		b.Write(at, t.readPointer(parent, state, "cgroup"))
	})
	return b.Read(found)
}
