package codegen

import (
	"math"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// A kprobe and a kretprobe of the same functions are attached as one where the
// kernel can (a kprobe session): it enters a function's calls once instead of
// twice. The program is both programs, one after the other, and a kernel
// function says which of the two is meant.

// isReturn is the kernel function that tells a session's returns from its entries.
const isReturn = "bpf_session_is_return"

// join makes the programs that do the work of the pairs that were planned. Each
// comes in addition to the two, so that they can be attached where it cannot be.
func (c *compilation) join(o *object.Object) {
	id, ok := c.opts.Env.Kernel.Kfunc(isReturn)
	if !ok {
		return
	}
	for _, p := range c.planned.Pairs {
		entry, exit := o.Programs[p.Entry], o.Programs[p.Return]
		both := *entry
		if both.Insns, ok = joinPrograms(entry.Insns, exit.Insns, int64(id)); !ok {
			continue
		}
		both.AttachType, both.Points = ebpf.AttachTraceKprobeSession, nil
		both.Lines = slices.Concat(make([]source.Span, prologue), entry.Lines, make([]source.Span, 1), exit.Lines)
		entry.Partner = &object.Partner{Program: p.Return, Both: &both}
	}
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
