package bpf

import (
	"math"
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// joinPrologue is the number of instructions before those of the first program.
const joinPrologue = 4

// Join returns a program that runs entry if the kernel function with the BTF ID which
// returns false, and exit if it returns true. Both receive the context. The other
// properties of the program are those of entry. ok is false if one of them contains
// functions, or if entry is too long to jump over.
func Join(entry, exit *object.Program, which int64) (both *object.Program, ok bool) {
	size := uint64(0)
	for i, ins := range slices.Concat(entry.Insns, exit.Insns) {
		if ins.Symbol() != "" && i != 0 && i != len(entry.Insns) {
			return nil, false
		}
		if i < len(entry.Insns) {
			size += ins.Size() / asm.InstructionSize
		}
	}
	if len(entry.Insns) == 0 || len(exit.Insns) == 0 || size+1 > math.MaxInt16 {
		return nil, false
	}
	skip := asm.JNE.Imm(asm.R0, 0, "")
	skip.Offset = int16(size) + 1
	insns := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol(entry.Insns[0].Symbol()),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: which},
		skip,
	}
	for _, part := range []asm.Instructions{entry.Insns, exit.Insns} {
		insns = append(insns, asm.Mov.Reg(asm.R1, asm.R6))
		first := len(insns)
		insns = append(insns, part...)
		insns[first] = insns[first].WithSymbol("")
	}
	both = new(object.Program)
	*both = *entry
	both.Insns = insns
	both.Lines = slices.Concat(make([]source.Span, joinPrologue), entry.Lines, make([]source.Span, 1), exit.Lines)
	return both, true
}
