package binary

import (
	"strconv"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// ARM64 describes struct user_pt_regs of arch/arm64/include/uapi/asm/ptrace.h, which
// is the start of the kernel's struct pt_regs, and the AAPCS64 and Go calling
// conventions.
var ARM64 = &Arch{
	Name:     "arm64",
	RegsSize: 336,
	regs: lazy.Value[map[string]int]{New: func() map[string]int {
		regs := map[string]int{"sp": 248, "pc": 256, "pstate": 264, "lr": 240, "fp": 232}
		for i := range 31 {
			regs["r"+strconv.Itoa(i)] = 8 * i
			regs["x"+strconv.Itoa(i)] = 8 * i
		}
		return regs
	}},
	Args:     []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"},
	GoArgs:   []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"},
	goFloats: 16,
	goG:      "r28",
	ret:      "r0",
	ret2:     "r1",
	ip:       "pc",
	sp:       "sp",

	largeByRef: true,
	evenPairs:  true,
	dwarfRegs: []string{
		"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
		"x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",
	},
}
