package cfi

// Arch describes a machine.
type Arch struct {
	SP, FP, BX uint64 // DWARF's register numbers
	// PLTBefore and PLTAfter are the expression for the CFA in the procedure linkage
	// table, before and after the number in it.
	PLTBefore, PLTAfter []byte
	// Sigreturn lists the instructions to which a signal handler returns if the C
	// library does not describe them. SignalFrame is the rule for them.
	Sigreturn   [][]byte
	SignalFrame Rule
	// OtherStack is the rule for a function whose frame pointer belongs to a frame on
	// another stack. It leads to the caller of that frame.
	OtherStack Rule
	// Leaves returns the offset in a function after the first instruction that sets the
	// stack pointer to a stored value, or the function's length if there is none.
	Leaves func(code []byte) int
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
	Leaves:      leavesAMD64,
}

// leavesAMD64 looks for mov DISPLACEMENT(REGISTER), %rsp and mov REGISTER, %rsp. In Go's
// functions that leave a stack, no earlier instruction contains these bytes.
func leavesAMD64(code []byte) int {
	const sp = 4
	for i := 0; i+4 <= len(code); i++ {
		if code[i] != 0x48 && code[i] != 0x49 {
			continue
		}
		mod, reg, rm := code[i+2]>>6, code[i+2]>>3&7, code[i+2]&7
		switch {
		case code[i+1] == 0x8b && reg == sp && rm != sp && mod == 1:
			return i + 4
		case code[i+1] == 0x8b && reg == sp && (mod == 0 && rm != sp && rm != 5 || mod == 3),
			code[i+1] == 0x89 && rm == sp && mod == 3:
			return i + 3
		}
	}
	return len(code)
}
