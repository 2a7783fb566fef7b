package cfi

// Arch describes a machine.
type Arch struct {
	SP, FP, BX uint64 // DWARF's numbers of registers
	// PLTBefore and PLTAfter are the expression for the CFA in the procedure linkage
	// table, before and after the number in it.
	PLTBefore, PLTAfter []byte
	// Sigreturn lists the instructions to which a signal handler returns if the C
	// library does not describe them. SignalFrame is the rule for them.
	Sigreturn   [][]byte
	SignalFrame Rule
	// OtherStack is the rule for a function whose frame pointer is that of a frame on another
	// stack, to whose caller it leads.
	OtherStack Rule
}

// AMD64 describes the x86-64.
var AMD64 = &Arch{
	SP: 7, FP: 6, BX: 3,
	PLTBefore: []byte{0x77, 8, 0x80, 0, 0x3f, 0x1a}, // breg7 8; breg16 0; lit15; and
	PLTAfter:  []byte{0x2a, 0x33, 0x24, exprPlus},   // ge; lit3; shl; plus
	Sigreturn: [][]byte{
		{0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}, // mov $15, %rax; syscall
		{0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05},             // mov $15, %eax; syscall
	},
	// The stack pointer is at the kernel's struct ucontext.
	SignalFrame: Rule{Kind: Signal, Reg: 7, CFA: 160, RA: 168, FP: AtSP, FPOff: 120, BX: AtSP, BXOff: 128},
	OtherStack:  Rule{Kind: Switch, Reg: 6, CFA: 16, Add: switchAdd, RA: 8, FP: AtCFA, FPOff: -16},
}
