package codegen

import (
	"math"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// A kprobe and a kretprobe of the same functions are attached as one where the
// kernel can (a kprobe session): it enters a function's calls once instead of
// twice. The program is both programs, one after the other, and a kernel
// function says which of the two is meant.

// isReturn is the kernel function that tells a session's returns from its entries.
const isReturn = "bpf_session_is_return"

// Kinds that can be paired.
const (
	kindEntry  = "kprobe"
	kindReturn = "kretprobe"
)

// pair gives each entry probe that can be attached together with a return probe
// its partner.
func (c *compilation) pair(o *object.Object) {
	if !c.sessionProbes() {
		return
	}
	id, ok := c.opts.Env.Kernel.Kfunc(isReturn)
	if !ok {
		return
	}
	for i, p := range c.checked.Progs {
		n := c.partner(p)
		if n < 0 {
			continue
		}
		both := *o.Programs[i]
		if both.Insns, ok = joinPrograms(both.Insns, o.Programs[n].Insns, int64(id)); !ok {
			continue
		}
		both.AttachType, both.Points = ebpf.AttachTraceKprobeSession, nil
		both.Lines = slices.Concat(make([]source.Span, prologue), o.Programs[i].Lines, make([]source.Span, 1), o.Programs[n].Lines)
		o.Programs[i].Partner = &object.Partner{Program: n, Both: &both}
	}
}

// partner returns the index of the kretprobe that belongs to a kprobe, or -1.
func (c *compilation) partner(p *check.Prog) int {
	if len(p.Points) == 0 || p.Points[0].Kind.Name != kindEntry || returnsValue(p.Body) {
		return -1
	}
	found := -1
	for i, q := range c.checked.Progs {
		switch {
		case q == p || len(q.Points) == 0:
		case q.Points[0].Kind == p.Points[0].Kind && overlap(p, q):
			return -1 // blocks run in the order of the script: that would mix them up
		case q.Points[0].Kind.Name == kindReturn && overlap(p, q):
			if found >= 0 || !probes.Session(c.opts.Env, p.Points, q.Points) {
				return -1
			}
			found = i
		}
	}
	return found
}

// overlap reports whether two programs have a function in common.
func overlap(p, q *check.Prog) bool {
	funcs := map[string]bool{}
	for _, at := range p.Points {
		funcs[at.Func] = true
	}
	return slices.ContainsFunc(q.Points, func(at *probes.Point) bool { return funcs[at.Func] })
}

// returnsValue reports whether a block returns values of its own: in a session
// that of the entry decides whether there will be a return.
func returnsValue(body ast.Node) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if j, ok := n.(*ast.Jump); ok && j.Kind == ast.Return && j.Value != nil {
			found = true
		}
		return !found
	})
	return found
}

// prologue is how many instructions come before the entry's.
const prologue = 4

// joinPrograms puts two programs one after the other: the first runs where the
// kernel function with this id returns false, the second where it does not. Both
// take the context. false: they have functions of their own, or are too long.
func joinPrograms(entry, exit asm.Instructions, id int64) (asm.Instructions, bool) {
	size := uint64(0)
	for i, ins := range slices.Concat(entry, exit) {
		if ins.Symbol() != "" && i != 0 && i != len(entry) {
			return nil, false
		}
		if i < len(entry) {
			size += ins.Size() / asm.InstructionSize
		}
	}
	if len(entry) == 0 || len(exit) == 0 || size+1 > math.MaxInt16 {
		return nil, false
	}
	skip := asm.JNE.Imm(asm.R0, 0, "")
	skip.Offset = int16(size) + 1
	out := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol(entry[0].Symbol()),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: id},
		skip,
	}
	for _, part := range []asm.Instructions{entry, exit} {
		out = append(out, asm.Mov.Reg(asm.R1, asm.R6))
		first := len(out)
		out = append(out, part...)
		out[first] = out[first].WithSymbol("")
	}
	return out, true
}
