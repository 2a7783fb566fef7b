package binary

import "github.com/gotrace/gotrace/runtime/amd64"

// AtInstruction reports whether an address in the function s is the start of an
// instruction. If that cannot be determined, it returns true.
func (x *File) AtInstruction(arch string, s Symbol, addr uint64) bool {
	off, ok := x.CodeOffset(s.Addr)
	if addr == s.Addr || !ok || off+s.Size > uint64(len(x.data)) {
		return true
	}
	return atInstruction(arch, x.data[off:off+s.Size], addr-s.Addr)
}

// atInstruction reports whether offset is the start of an instruction in a function's
// code. If the code has an instruction that cannot be decoded, it returns true, because
// the kernel checks the address too.
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

// insnLen returns the length of the first instruction of code for amd64, or 0 if the
// instruction is unknown.
func insnLen(code []byte) int {
	in, ok := amd64.Decode(code)
	if !ok {
		return 0
	}
	return in.Size
}
