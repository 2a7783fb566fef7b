package probes

import (
	"errors"
	"io"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// From Linux 7.2 on, one fentry or fexit program can be attached to many functions with
// one link, and a program for the calls and the returns (a session) too. The program is
// loaded for no function in particular. So it cannot load arguments, whose types depend on
// the function: a block that uses args becomes a program per function, as on older
// kernels.

// manyFunctions returns the attach type of a program for the calls or returns of many
// functions, or 0 if the kernel has none.
//
//go:noinline
func manyFunctions(e *Env, ret bool) ebpf.AttachType {
	switch {
	case e.NoFeature[string(FeatTracingMulti)] || !e.Kernel.Has(FeatTracingMulti):
		return 0
	case ret:
		return object.AttachTraceFExitMulti
	}
	return object.AttachTraceFEntryMulti
}

// fentrySession returns the attach type of a program for calls and returns, or 0. If
// sessions of kprobes are disabled, sessions of fentry are too.
func fentrySession(e *Env) ebpf.AttachType {
	if e.NoFeature[string(FeatKprobeSession)] || manyFunctions(e, false) == 0 {
		return 0
	}
	return object.AttachTraceFSessionMulti
}

// sharedFentry returns the context of a program for many functions, among them the one
// at p, whose own context is own. It returns nil if there can be no such program.
func sharedFentry(e *Env, p *Point, own *Context, ret bool) *Context {
	if !p.Matched || p.Target != "vmlinux" {
		return nil
	}
	attach := manyFunctions(e, ret)
	if attach == 0 {
		return nil
	}
	c := *own
	c.Load = Load{Type: ebpf.Tracing, AttachType: attach, Multi: true, Joins: true, BareShape: p.Kind.Name + " multi"}
	c.Load.Shape = c.Load.BareShape
	c.Args.Type, c.Args.Typed = nil, func() (*types.Type, error) { return own.Args.Type, own.Args.Err }
	c.Func = TracedFunc{Addr: own.Func.Addr}
	if find := own.Packet; find != nil {
		c.Packet = &Packet{Find: func() (func(*ir.Builder, *ir.Value) *Packet, error) {
			if find.Find != nil {
				return find.Find()
			}
			return func(*ir.Builder, *ir.Value) *Packet { return find }, nil
		}}
	}
	if own.Ret.Type == nil {
		return &c
	}
	c.Ctx.Nullable = false
	c.Ret.Read = funcRet
	if t := own.Ret.Type; t.IsInteger() {
		c.Load.Shape += " returns " + t.String()
	} else { // its type exists only in a program for the function
		c.Ret.Type = types.TWord
		c.Ret.Typed = func() (*types.Type, error) { return t, nil }
	}
	return &c
}

// funcRet emits code that gets the result of the traced function from the kernel.
func funcRet(b *ir.Builder, ctx *ir.Value) *ir.Value {
	slot := b.Slot(8)
	b.Zero(slot, 0, 8)
	b.Call(ir.GetFuncRet, ctx, slot)
	return b.Load(slot, 0, 8, false)
}

// attachFentryMulti attaches a program to functions. If the kernel refuses one of them,
// it refuses all, and does not tell which. In that case they are attached with several
// links.
func attachFentryMulti(e *Env, prog *ebpf.Program, attach ebpf.AttachType, ps []*object.Point) (io.Closer, error) {
	var ids []btf.TypeID
	at := map[btf.TypeID]*object.Point{}
	for _, p := range ps {
		proto, err := e.Kernel.FuncProto(p.Target, p.Func)
		if err != nil {
			return nil, attachError(p, err, capsTracing, nil)
		}
		id := btf.TypeID(proto.ID)
		if at[id] == nil {
			ids = append(ids, id)
		}
		at[id] = p
	}
	links := &partly{}
	err := links.attach(prog, attach, ids, func(id btf.TypeID, err error) {
		p := at[id]
		if errors.Is(err, unix.EINVAL) {
			err = &AttachError{p, fentryRefusal(e, p, noFentry), err}
		}
		links.refused = append(links.refused, Refusal{p, attachError(p, err, capsTracing, nil)})
	})
	if err == nil && len(links.closers) == 0 {
		err = links.refused[0].Err
	}
	if err != nil {
		links.Close()
		return nil, err
	}
	return links, nil
}

// Refusal is a point to which the kernel did not attach a program, and the reason.
type Refusal struct {
	Point *object.Point
	Err   error
}

// partly holds the links of a program for many functions.
type partly struct {
	closers
	refused []Refusal
}

// Refused returns the points to which the program is not attached.
func (l *partly) Refused() []Refusal { return l.refused }

// attach attaches a program to functions. It halves a list that the kernel refuses, and
// calls refuse for a single function. It returns an error that applies to all functions.
func (l *partly) attach(prog *ebpf.Program, typ ebpf.AttachType, ids []btf.TypeID, refuse func(btf.TypeID, error)) error {
	one, err := tracingMulti(prog, tracingMultiOptions{AttachType: typ, Functions: ids})
	switch {
	case err == nil:
		l.closers = append(l.closers, one)
		return nil
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EMFILE):
		return err
	case len(ids) == 1:
		refuse(ids[0], err)
		return nil
	}
	half := len(ids) / 2
	return errors.Join(l.attach(prog, typ, ids[:half], refuse), l.attach(prog, typ, ids[half:], refuse))
}

// attachFentrySession attaches a program to the calls and returns of functions.
func attachFentrySession(e *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error) {
	links, err := attachFentryMulti(e, prog, object.AttachTraceFSessionMulti, ps)
	if err == nil && len(links.(*partly).refused) > 0 {
		err = links.(*partly).refused[0].Err
		links.Close()
	}
	if err != nil {
		return nil, err
	}
	return links, nil
}

// neverTraced lists functions that the kernel lists as traceable but to which it attaches
// no fentry or fexit program, since these call them.
var neverTraced = []string{
	"migrate_disable", "migrate_enable", "___migrate_enable", "rcu_read_unlock_strict",
	"preempt_count_add", "preempt_count_sub", "__rcu_read_lock", "__rcu_read_unlock",
}

// neverReturn lists traceable functions that do not return. From Linux 6.16 on, the kernel
// attaches no fexit program to them.
var neverReturn = []string{
	"__ia32_sys_exit", "__ia32_sys_exit_group", "__x64_sys_exit", "__x64_sys_exit_group", "__arm64_sys_exit", "__arm64_sys_exit_group",
	"do_exit", "do_group_exit", "make_task_dead", "kthread_complete_and_exit", "__module_put_and_kthread_exit", "__kunit_abort",
}

// unmatched reports whether wildcards of fentry or, if ret is true, of fexit do not match
// a function: no program could be attached to it, or would run.
func unmatched(fn string, ret bool) bool {
	return slices.Contains(neverTraced, fn) || ret && slices.Contains(neverReturn, fn)
}
