package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// commLen is TASK_COMM_LEN. It includes the NUL.
const commLen = 16

func comm() *Def {
	return &Def{
		Name:   "comm",
		Params: []Param{{Name: "pid", Optional: true}},
		Doc: Doc{
			Summary:  "Name of the current thread, or of the thread with that ID (needs Linux 6.12; not in kprobes, uprobes and raw tracepoints); \"N/A\" and a warning if there is none.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[comm] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if call.arg(0) != nil {
				return checkCommOf(c, call)
			}
			if !needsTask(c, call) {
				return types.TInvalid
			}
			if c.Kernel().Has(probes.FeatTaskBTF) {
				if t, err := c.Kernel().Type("struct task_struct"); err == nil {
					if name, ok := t.Field("comm"); ok {
						call.Data = name
					}
				}
			}
			return types.NewString(commLen)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			if call.arg(0) != nil {
				storeCommOf(g, call, dst)
				return
			}
			if name, ok := call.Data.(types.Field); ok && call.Calls < manyComms {
				loadComm(g, name, dst)
				return
			}
			b := g.B()
			// The helper fills all 16 bytes, with zeros after the name. With
			// FeatShortComm it stops at the NUL.
			if dst.Padded && g.Kernel().Has(probes.FeatShortComm) {
				b.Zero(dst.Ptr, dst.Off, commLen)
			}
			b.Call(ir.CurrentComm, b.AddImm(dst.Ptr, dst.Off), b.Const(commLen))
			padTail(g, dst, commLen)
		},
		Records: Records{
			Shows: true,
			Sends: []Sent{{Args: []int{4}}},
			Handle: func(env Env, rec *object.Record) error {
				env.Warn(rec.Span, "No such process (pid=%d)", int32(binary.NativeEndian.Uint32(rec.Arg(0))))
				return nil
			},
		},
	}
}

// A program with at least manyComms uses of comm calls the helper for all of them, which
// takes fewer instructions.
const manyComms = 100

// loadComm reads the name as two words of the current task, in a fifth of the time of the
// helper. In the kernel the bytes after the name are zeros for most threads, but not for
// every kernel thread.
func loadComm(g Gen, name types.Field, dst Dest) {
	b := g.B()
	task := b.Call(ir.CurrentTaskBTF)
	lo, hi := b.Load(task, int64(name.Off), 8, false), b.Load(task, int64(name.Off)+8, 8, false)
	if dst.Padded {
		end := firstNUL(b, lo)
		short := g.B().IfElse(end, func() *ir.Value { return g.B().Const(0) }, func() *ir.Value { return upTo(g.B(), hi, firstNUL(g.B(), hi)) })
		b = g.B()
		lo, hi = upTo(b, lo, end), short
	}
	b.Store(dst.Ptr, dst.Off, 8, lo)
	b.Store(dst.Ptr, dst.Off+8, 8, hi)
	padTail(g, dst, commLen)
}

// firstNUL finds the first byte of w, in memory order, that is zero. The lowest bit
// that is set in the result is the top bit of that byte. The result is 0 if no byte is
// zero.
func firstNUL(b *ir.Builder, w *ir.Value) *ir.Value {
	const low, high = 0x0101010101010101, -0x7f7f7f7f7f7f7f80
	borrow := b.Op(ir.OpSub, w, b.Const(low))
	return b.Op(ir.OpAnd, b.Op(ir.OpAnd, borrow, b.Op(ir.OpXor, w, b.Const(-1))), b.Const(high))
}

// upTo returns w with zeros from the byte that firstNUL found.
func upTo(b *ir.Builder, w, end *ir.Value) *ir.Value {
	first := b.Op(ir.OpAnd, end, b.Op(ir.OpNeg, end))
	return b.Op(ir.OpAnd, w, b.Op(ir.OpSub, b.Op(ir.OpShr, first, b.Const(7)), b.Const(1)))
}

// commOf is the Data of a call of comm(pid).
type commOf struct {
	find, release     string // kernel functions
	findID, releaseID uint32
	name              types.Field
}

// checkCommOf checks comm(pid). The kernel function looks a task up by its number in
// gotrace's pid namespace. If that is not the initial one, the function uses the
// current task's namespace, which checkCommOf assumes to be the same.
func checkCommOf(c Checker, call *Call) *types.Type {
	if !wantInt(c, call, 0) {
		return types.TInvalid
	}
	k := c.Kernel()
	d := commOf{find: "bpf_task_from_pid", release: "bpf_task_release"}
	needs := probes.FeatTaskFromPID
	if c.Invocation().PIDNS != nil {
		d.find, needs = "bpf_task_from_vpid", probes.FeatTaskFromVPID
	}
	if ctx := c.Context(); ctx != nil {
		lacks, ok := ctx.Kfuncs(k)
		if !ok && lacks == "" {
			c.Errorf(call.Span, "comm(pid) is not supported in %s probes: the kernel does not let their programs look up tasks", ctx.Kind.Name)
			return types.TInvalid
		}
		if !ok {
			c.Errorf(call.Span, "%s", probes.Needs(k, "comm(pid) here", lacks))
			return types.TInvalid
		}
	}
	var ok1, ok2, ok3 bool
	d.findID, ok1 = k.Kfunc(d.find)
	d.releaseID, ok2 = k.Kfunc(d.release)
	if !ok1 || !ok2 {
		c.Errorf(call.Span, "%s", probes.Needs(k, "comm(pid)", needs))
		return types.TInvalid
	}
	t, err := k.Type("struct task_struct")
	if err == nil {
		d.name, ok3 = t.Field("comm")
	}
	if !ok3 {
		c.Errorf(call.Span, "comm(pid) needs the kernel's BTF of struct task_struct")
		return types.TInvalid
	}
	call.Data = d
	return types.NewString(commLen)
}

func storeCommOf(g Gen, call *Call, dst Dest) {
	d := call.Data.(commOf)
	pid := g.Value(&call.Args[0])
	b := g.B()
	task := b.Kfunc(d.find, int64(d.findID), ir.PtrBTF, pid)
	g.B().IfElse(b.Op(ir.OpNe, task, b.Const(0)), func() *ir.Value {
		b := g.B()
		for i := int64(0); i < commLen; i += 8 {
			b.Store(dst.Ptr, dst.Off+i, 8, b.Load(task, int64(d.name.Off)+i, 8, false))
		}
		b.Kfunc(d.release, int64(d.releaseID), ir.Void, task)
		return nil
	}, func() *ir.Value {
		storeText(g, "N/A", Dest{Ptr: dst.Ptr, Off: dst.Off, Size: commLen, Padded: true})
		g.Event(call, []*types.Type{types.TInt32}, nil, func(rec *ir.Value, offs []int) {
			g.B().Store(rec, int64(offs[0]), 4, pid)
		})
		return nil
	})
	padTail(g, dst, commLen)
}
