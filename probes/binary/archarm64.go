package binary

import "fmt"

// ARM64 describes struct user_pt_regs of arch/arm64/include/uapi/asm/ptrace.h, which
// is the start of the kernel's struct pt_regs, and the AAPCS64 and Go calling
// conventions.
var ARM64 = func() *Arch {
	a := &Arch{
		Name:     "arm64",
		RegsSize: 336,
		regs:     map[string]int{"sp": 248, "pc": 256, "pstate": 264, "lr": 240, "fp": 232},
		ret:      "r0",
		ret2:     "r1",
		ip:       "pc",
		sp:       "sp",

		goFloats: 16, goG: "r28", largeByRef: true, evenPairs: true,
	}
	for i := range 31 {
		a.regs[fmt.Sprintf("r%d", i)] = 8 * i
		a.regs[fmt.Sprintf("x%d", i)] = 8 * i
		a.dwarfRegs = append(a.dwarfRegs, fmt.Sprintf("x%d", i))
	}
	a.dwarfRegs = append(a.dwarfRegs, "sp")
	for i := range 8 {
		a.Args = append(a.Args, fmt.Sprintf("r%d", i))
	}
	for i := range 16 {
		a.GoArgs = append(a.GoArgs, fmt.Sprintf("r%d", i))
	}
	return a
}()
