package unwind

import "github.com/gotrace/gotrace/runtime/unwind/cfi"

// Arch describes a machine.
type Arch struct {
	CFI *cfi.Arch
	// Offsets in the kernel's struct pt_regs, of RegsSize bytes. It is at the top of a
	// thread's kernel stack, of StackSize bytes.
	PC, SP, FP, BX, Mode int
	RegsSize, StackSize  int
	// NarrowMode is the value of the low bits of Mode in a 32-bit process.
	NarrowMode int64
	// Instructions at a return address may free a frame of less than 128 bytes and
	// return. If so, their first eight bytes, masked with FreeMask, are Free, and the
	// size of the frame is the byte at the bit FreeSize.
	Free, FreeMask, FreeSize int64
	// regs holds the offset of each register, by DWARF's number.
	regs []uint8
}

// AMD64 describes the x86-64.
var AMD64 = &Arch{
	CFI: cfi.AMD64,
	PC:  128, SP: 152, FP: 32, BX: 40, Mode: 136, // the code segment
	RegsSize: 168, StackSize: 16 << 10,
	NarrowMode: 0x23,                                               // __USER32_CS
	Free:       0xc300c48348, FreeMask: 0xff80ffffff, FreeSize: 24, // add $size, %rsp; ret
	// rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15
	regs: []uint8{80, 96, 88, 40, 104, 112, 32, 152, 72, 64, 56, 48, 24, 16, 8, 0},
}

// ByName returns the machine with the given GOARCH name, or nil if its stacks cannot be
// unwound.
func ByName(name string) *Arch {
	if name == "amd64" {
		return AMD64
	}
	return nil
}
