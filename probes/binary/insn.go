package binary

import (
	"bytes"

	"golang.org/x/arch/x86/x86asm"
)

// endbr64 is the first instruction of most functions of current compilers. Package
// x86asm does not decode it.
var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// AtInstruction reports whether an address in the function s is the start of an
// instruction. If that cannot be determined, it returns true.
func (x *File) AtInstruction(arch string, s Symbol, addr uint64) bool {
	off, ok := x.CodeOffset(s.Addr)
	if addr == s.Addr || !ok || off+s.Size > uint64(len(x.data)) {
		return true
	}
	return atInstruction(arch, x.data[off:off+s.Size], addr-s.Addr)
}

// atInstruction reports whether offset is the start of an instruction in a
// function's code. If the code has an instruction that cannot be decoded, it
// returns true, because the kernel checks the address too.
func atInstruction(arch string, code []byte, offset uint64) bool {
	if arch == "arm64" {
		return offset%4 == 0
	}
	for pos := uint64(0); pos < uint64(len(code)); {
		if pos == offset {
			return true
		}
		if pos > offset {
			return false
		}
		n := insnLen(code[pos:])
		if n == 0 {
			return true
		}
		pos += uint64(n)
	}
	return false
}

// insnLen returns the length of the first instruction of code for amd64, or 0 if it
// is not known.
func insnLen(code []byte) int {
	if bytes.HasPrefix(code, endbr64) {
		return len(endbr64)
	}
	if op, at, ok := vexOpcode(code); ok {
		return vexLen(code, op, at)
	}
	insn, err := x86asm.Decode(code, 64)
	if err != nil {
		return 0
	}
	return insn.Len
}

// vexOpcode returns the opcode of an instruction that starts with VEX or EVEX, and
// the number of bytes before it.
func vexOpcode(code []byte) (op byte, at int, ok bool) {
	if len(code) == 0 {
		return 0, 0, false
	}
	switch code[0] {
	case 0xc5:
		at = 2
	case 0xc4:
		at = 3
	case 0x62:
		at = 4
	default:
		return 0, 0, false
	}
	if len(code) <= at {
		return 0, 0, false
	}
	return code[at], at, true
}

// vexLen returns the length of an instruction with the opcode op at code[at], after
// VEX or EVEX.
func vexLen(code []byte, op byte, at int) int {
	opcodes := byte(1) // which map of opcodes it is of
	switch code[0] {
	case 0xc4:
		opcodes = code[1] & 0x1f
	case 0x62:
		opcodes = code[1] & 7
	}
	n := at + 1
	if op == 0x77 && opcodes == 1 { // vzeroupper, vzeroall
		return n
	}
	if len(code) < n+2 {
		return 0
	}
	mod, rm := code[n]>>6, code[n]&7
	base := rm
	n++
	if mod != 3 && rm == 4 { // a SIB byte
		base = code[n] & 7
		n++
	}
	switch {
	case mod == 1:
		n++
	case mod == 2, mod == 0 && base == 5:
		n += 4
	}
	// What has a constant of one byte.
	if opcodes == 3 || opcodes == 1 && (op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6) {
		n++
	}
	if n > len(code) {
		return 0
	}
	return n
}
