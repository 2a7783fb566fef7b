package cfi

import (
	"debug/elf"
	"slices"
	"strings"
)

// switching are the functions of Go's runtime that call a function on another stack. They do
// not change the frame pointer, which is that of their caller or, in cgocallback, the one of
// the frame that they have on the old stack.
var switching = []string{"runtime.asmcgocall", "runtime.asmcgocall_no_g", "runtime.cgocallback", "runtime.systemstack"}

// switchAdd is the Add of a Switch rule. As for a PLT rule, from that byte of an entry of the
// procedure linkage table on, the CFA is 8 more. No entry has that byte.
const switchAdd = 16

// fillSwitches adds rows for the functions of a Go program that switch stacks. Go's linker
// describes them as if they used only one. The rows follow the frame pointer back to the old
// stack, which leaves out the caller of a function that does not set the frame pointer.
func (f *File) fillSwitches(e *elf.File, arch *Arch) {
	syms, err := e.Symbols()
	if err != nil {
		return // a stripped program, in which frame pointers are followed everywhere
	}
	syms = slices.DeleteFunc(syms, func(s elf.Symbol) bool {
		return elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 || s.Value+s.Size < s.Value || !slices.Contains(switching, strings.TrimSuffix(s.Name, ".abi0"))
	})
	for _, s := range syms[:min(len(syms), 2*len(switching))] { // a malformed file may have more
		var more Rows
		more.add(s.Value, more.rule(arch.OtherStack))
		more.add(s.Value+s.Size, more.rule(Rule{}))
		f.Fill(&more)
	}
}

// saveGoFP adds to the rules of Go's linker, which describe only the stack pointer, where the
// frame pointer is saved: next to the return address in all functions that have a frame.
func (t *Rows) saveGoFP(arch *Arch) {
	for i, r := range t.Rules {
		if r.Kind == Register && uint64(r.Reg) == arch.SP && r.CFA >= -int32(arch.OtherStack.FPOff) && r.FP == Same {
			t.Rules[i].FP, t.Rules[i].FPOff = AtCFA, arch.OtherStack.FPOff
		}
	}
}
