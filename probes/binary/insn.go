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
		if bytes.HasPrefix(code[pos:], endbr64) {
			pos += uint64(len(endbr64))
			continue
		}
		insn, err := x86asm.Decode(code[pos:], 64)
		if err != nil || insn.Len <= 0 {
			return true
		}
		pos += uint64(insn.Len)
	}
	return false
}
