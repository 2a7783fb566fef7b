package probes

// archAMD64 is struct pt_regs of arch/x86/include/asm/ptrace.h and the System V
// and Go calling conventions. (The file name has no underscore: it must be
// compiled everywhere, as scripts can be compiled for another machine.)
var archAMD64 = &arch{
	name: "amd64",
	size: 168,
	regs: map[string]int{
		"r15": 0, "r14": 8, "r13": 16, "r12": 24, "bp": 32, "bx": 40, "r11": 48, "r10": 56, "r9": 64, "r8": 72,
		"ax": 80, "cx": 88, "dx": 96, "si": 104, "di": 112, "orig_ax": 120, "ip": 128, "cs": 136, "flags": 144, "sp": 152, "ss": 160,
	},
	args:     []string{"di", "si", "dx", "cx", "r8", "r9"},
	goArgs:   []string{"ax", "bx", "cx", "di", "si", "r8", "r9", "r10", "r11"},
	goFloats: 15,
	ret:      "ax",
	ip:       "ip",
	sp:       "sp",
	stack:    8, // behind the return address
	trapSize: 1, // int3

	resultInArgs: true,
	dwarfRegs:    []string{"ax", "dx", "cx", "bx", "si", "di", "bp", "sp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"},
}
