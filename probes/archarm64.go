package probes

import "fmt"

// archARM64 is struct user_pt_regs, with which the kernel's pt_regs begins, of
// arch/arm64/include/uapi/asm/ptrace.h.
var archARM64 = func() *arch {
	a := &arch{
		name: "arm64",
		size: 336,
		regs: map[string]int{"sp": 248, "pc": 256, "pstate": 264, "lr": 240, "fp": 232},
		ret:  "r0",
		ip:   "pc",
		sp:   "sp",

		goFloats: 16, largeByRef: true, evenPairs: true,
	}
	for i := range 31 {
		a.regs[fmt.Sprintf("r%d", i)] = 8 * i
		a.regs[fmt.Sprintf("x%d", i)] = 8 * i
		a.dwarfRegs = append(a.dwarfRegs, fmt.Sprintf("x%d", i))
	}
	a.dwarfRegs = append(a.dwarfRegs, "sp")
	for i := range 8 {
		a.args = append(a.args, fmt.Sprintf("r%d", i))
	}
	for i := range 16 {
		a.goArgs = append(a.goArgs, fmt.Sprintf("r%d", i))
	}
	return a
}()
