package builtins

import (
	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func pid() *Def {
	return &Def{
		Name:   "pid",
		Traits: Traits{Counts: true},
		Params: []Param{pidNamespaceParam},
		Doc: Doc{
			Summary:  "Process ID of the current task in the pid namespace of gotrace; pid(init) is the one in the initial namespace.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[pid] = count(); }`},
		},
		Check: checkPid,
		Emit:  func(g Gen, call *Call) *ir.Value { return currentIDs(g, call).pid() },
	}
}

var pidNamespaceParam = Param{Name: "namespace", Kind: NameArg, Optional: true}

func checkPid(c Checker, call *Call) *types.Type {
	if a := call.arg(0); a != nil && a.Word != "init" && a.Word != "curr_ns" {
		c.Errorf(a.Span, "Invalid PID namespace mode: %s (expects: curr_ns or init)", a.Span.Text())
		return types.TInvalid
	}
	return types.TUint32
}

// ids holds the current task's process and thread ID, either in one word or in memory
// as struct bpf_pidns_info { u32 pid, tgid }.
type ids struct {
	b    *ir.Builder
	both *ir.Value // tgid << 32 | pid
	info *ir.Value
}

func (i ids) pid() *ir.Value {
	if i.info != nil {
		return i.b.Load(i.info, 4, 4, false)
	}
	return i.b.Op(ir.OpShr, i.both, i.b.Const(32))
}

func (i ids) tid() *ir.Value {
	if i.info != nil {
		return i.b.Load(i.info, 0, 4, false)
	}
	return i.b.Extend(i.both, 4, false)
}

// InProcess emits code that tests whether the current task belongs to the process with
// the ID pid in gotrace's namespace.
func InProcess(g Gen, pid int) *ir.Value {
	var ids ids
	if s := g.Invocation(); s.PIDNS != nil && pid == s.PID && s.Inner.PID != 0 {
		ids, pid = idsIn(g, &s.Inner.PIDNamespace, nil), s.Inner.PID
	} else {
		ids = currentIDs(g, nil)
	}
	return g.B().Op(ir.OpEq, ids.pid(), g.B().Const(int64(pid)))
}

// currentIDs gets the IDs in the namespace that call specifies. If call is nil, it is
// gotrace's.
func currentIDs(g Gen, call *Call) ids {
	ns := g.Invocation().PIDNS
	if call != nil {
		if a := call.arg(0); a != nil && a.Word == "init" {
			ns = nil
		}
	}
	return idsIn(g, ns, call)
}

// idsIn gets the IDs in a namespace; nil: the initial one. It counts failures at call,
// unless call is nil.
func idsIn(g code.Gen, ns *PIDNamespace, call *Call) ids {
	b := g.B()
	if ns == nil {
		return ids{b: b, both: b.Call(ir.CurrentPidTgid)}
	}
	info := g.Temp(8)
	// The helper clears info if the task is in another namespace.
	r := b.Call(ir.NsPidTgid, b.Const(int64(ns.Dev)), b.Const(int64(ns.Ino)), info, b.Const(8))
	if call != nil {
		b.If(b.Op(ir.OpNe, r, b.Const(0)), func() { g.Count(object.HelperFail, call.Span, call.Def.Name) })
	}
	return ids{b: b, info: info}
}
