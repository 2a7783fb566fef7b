package binary

import "github.com/gotrace/gotrace/runtime/lazy"

// AMD64 describes struct pt_regs of arch/x86/include/asm/ptrace.h and the System V
// and Go calling conventions. The file name has no underscore because the file is
// built for every architecture: a script can be compiled for another one.
var AMD64 = &Arch{
	Name:     "amd64",
	RegsSize: 168,
	regs: lazy.Value[map[string]int]{New: func() map[string]int {
		return map[string]int{
			"r15": 0, "r14": 8, "r13": 16, "r12": 24, "bp": 32, "bx": 40, "r11": 48, "r10": 56, "r9": 64, "r8": 72,
			"ax": 80, "cx": 88, "dx": 96, "si": 104, "di": 112, "orig_ax": 120, "ip": 128, "cs": 136, "flags": 144, "sp": 152, "ss": 160,
		}
	}},
	Args:     []string{"di", "si", "dx", "cx", "r8", "r9"},
	GoArgs:   []string{"ax", "bx", "cx", "di", "si", "r8", "r9", "r10", "r11"},
	goFloats: 15,
	goG:      "r14",
	ret:      "ax",
	ret2:     "dx",
	ip:       "ip",
	sp:       "sp",
	stack:    8, // after the return address
	TrapSize: 1, // int3

	syscallArgs:   []string{"di", "si", "dx", "r10", "r8", "r9"},
	syscallNumber: "orig_ax",

	resultInArgs: true,
	dwarfRegs:    []string{"ax", "dx", "cx", "bx", "si", "di", "bp", "sp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"},
}
