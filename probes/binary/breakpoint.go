package binary

import (
	"bytes"
	"encoding/binary"

	"github.com/gotrace/gotrace/runtime/amd64"
)

// The kernel places a breakpoint only on instructions that it can execute elsewhere. On
// amd64 it decides by the opcode, and treats the opcode of a VEX or EVEX instruction
// like the one-byte opcode with the same number: vmovd (0x6e) counts as outsb, which is
// refused. Several functions of the C library start with such an instruction. The
// kernel reports the refusal only if a process has the file mapped at the time of
// attaching.

// refusedOps are the one-byte opcodes on which the kernel places no breakpoint in a
// 64-bit program. TestLiveBreakpoints compares them with the running kernel.
var refusedOps = amd64.SetOf(
	[2]byte{0x06, 0x07}, [2]byte{0x0e, 0x0e}, [2]byte{0x16, 0x17}, [2]byte{0x1e, 0x1f}, [2]byte{0x27, 0x27}, [2]byte{0x2f, 0x2f},
	[2]byte{0x37, 0x37}, [2]byte{0x3f, 0x3f}, [2]byte{0x60, 0x62}, [2]byte{0x6c, 0x6f}, [2]byte{0x82, 0x82}, [2]byte{0x9a, 0x9a},
	[2]byte{0xcc, 0xcf}, [2]byte{0xd4, 0xd6}, [2]byte{0xe4, 0xe7}, [2]byte{0xea, 0xea}, [2]byte{0xec, 0xef}, [2]byte{0xf1, 0xf1},
	[2]byte{0xf4, 0xf4}, [2]byte{0xfa, 0xfb})

// vectorOps are the opcodes of refusedOps and misread that, in VEX's first map, change only
// vector registers and flags.
var vectorOps = amd64.SetOf(
	[2]byte{0x16, 0x16}, [2]byte{0x2f, 0x2f}, [2]byte{0x60, 0x62}, [2]byte{0x6c, 0x6f}, [2]byte{0x74, 0x76}, [2]byte{0xd4, 0xd5}, [2]byte{0xe4, 0xe6},
	[2]byte{0xe8, 0xeb}, [2]byte{0xec, 0xef}, [2]byte{0xf1, 0xf1}, [2]byte{0xf4, 0xf4}, [2]byte{0xfa, 0xfb})

// misread are the opcodes of VEX and EVEX instructions that the kernel accepts, but
// executes as the jump, call or nop with that opcode: the instruction has no effect, or a
// wrong one. On processors with AVX-512, memset of the C library starts with such an
// instruction. After 0x9d, taken for popf, the program is ended by a trap.
var misread = amd64.SetOf([2]byte{0x70, 0x7f}, [2]byte{0x90, 0x90}, [2]byte{0x9d, 0x9d}, [2]byte{0xe8, 0xe9}, [2]byte{0xeb, 0xeb})

// misplaced are the opcodes of VEX and EVEX instructions that the kernel takes for returns.
// It executes them elsewhere without adjusting an address relative to the instruction.
var misplaced = amd64.SetOf([2]byte{0xc2, 0xc3}, [2]byte{0xca, 0xcb})

// Refused reports whether there can be no breakpoint on the instruction at an address: the
// kernel refuses or does not know it, or would not execute the instruction.
func (x *File) Refused(addr uint64) bool {
	if x.elf == nil {
		return false
	}
	code := x.codeAt(addr, amd64.MaxInsn)
	return Refused(x.Arch(), code) || x.Arch() == "amd64" && (misreadAMD64(code) || unknownAMD64(code))
}

// Unknown reports whether the kernel does not know the instruction at an address: one of FMA4
// or XOP, which only processors of AMD from 2011 to 2017 have. It puts no breakpoint there.
func (x *File) Unknown(addr uint64) bool {
	return x.elf != nil && x.Arch() == "amd64" && unknownAMD64(x.codeAt(addr, amd64.MaxInsn))
}

// fma4 are the opcodes of FMA4, in VEX's third map.
var fma4 = amd64.SetOf([2]byte{0x5c, 0x5f}, [2]byte{0x68, 0x6f}, [2]byte{0x78, 0x7f})

func unknownAMD64(code []byte) bool {
	if len(code) > 1 && code[0] == 0x8f {
		return code[1]&0x38 != 0 // XOP, not pop
	}
	op, _, ok := vexOpcode(code)
	return ok && code[0] == 0xc4 && code[1]&0x1f == 3 && fma4[op]
}

// misreadAMD64 reports whether the kernel executes the first instruction of code as another
// one, or with another address, if there is a breakpoint on it.
func misreadAMD64(code []byte) bool {
	for len(code) > 0 && code[0] >= 0x64 && code[0] <= 0x67 { // prefixes
		code = code[1:]
	}
	op, at, ok := vexOpcode(code)
	relative := ok && len(code) > at+1 && code[at+1]&0xc7 == 5
	return ok && (misread[op] || misplaced[op] && relative)
}

// Refused reports whether the kernel refuses a breakpoint on the first instruction of
// code.
func Refused(arch string, code []byte) bool { return arch == "amd64" && refusedAMD64(code) }

// Nop5 reports whether the instruction at an address is a five-byte nop, which some
// kernels replace by a call when there is a probe on it.
func (x *File) Nop5(addr uint64) bool {
	return x.elf != nil && x.Arch() == "amd64" && bytes.Equal(x.codeAt(addr, 5), []byte{0x0f, 0x1f, 0x44, 0, 0})
}

// SecondNop returns the address of the second instruction at addr, if both are nops and the
// second has ten bytes. Static probes have this form for kernels that replace the second nop
// by a call. Other kernels refuse a breakpoint on it.
func (x *File) SecondNop(addr uint64) (uint64, bool) {
	return addr + 1, x.elf != nil && x.Arch() == "amd64" && bytes.Equal(x.codeAt(addr, 11), []byte{0x90, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0})
}

// Entry returns the address at which every call of s hits a breakpoint once. That is the
// first instruction if the kernel accepts a breakpoint there. Otherwise Entry skips
// instructions that change only vector registers, or copy a part of one to a register, up to
// one that the kernel accepts. The function does not use an argument in a register that is
// overwritten so. In a Go function the address is after the check of the stack's size, so
// that a call that grows the stack counts once.
func (x *File) Entry(s Symbol) uint64 {
	addr := s.Addr
	if x.IsGo(s) {
		return x.pastStackCheck(s)
	}
	for x.Refused(addr) {
		n := vectorLen(x.codeAt(addr, amd64.MaxInsn))
		if n == 0 || x.jumpedTo(s, addr+uint64(n)) {
			return s.Addr
		}
		addr += uint64(n)
	}
	return addr
}

// codeAt returns up to n bytes of code at an address.
func (x *File) codeAt(addr uint64, n int) []byte {
	off, ok := x.CodeOffset(addr)
	if !ok || off >= uint64(len(x.data)) {
		return nil
	}
	code := x.data[off:]
	return code[:min(n, len(code))]
}

// refusedAMD64 is Refused for amd64.
func refusedAMD64(code []byte) bool {
	for i := 0; i < len(code); i++ {
		switch b := code[i]; {
		case b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0xf0: // segments, lock
			return true
		case b >= 0x64 && b <= 0x67 || b == 0xf2 || b == 0xf3:
			continue
		case b>>4 == 4: // REX comes right before the opcode
			i++
		}
		if i >= len(code) {
			return false
		}
		code = code[i:]
		op, at, ok := vexOpcode(code)
		if !ok {
			op, at = code[0], 0
		}
		// A load of the stack segment disables interrupts for an instruction.
		return refusedOps[op] || op == 0x8e && len(code) > at+1 && code[at+1]>>3&7 == 2
	}
	return false
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

// vectorLen returns the length of the first instruction of code if it changes only
// vector registers and flags or copies a part of a vector register, and otherwise 0.
func vectorLen(code []byte) int {
	op, at, ok := vexOpcode(code)
	if !ok || len(code) < at+2 || code[at+1]>>6 != 3 {
		return 0 // or it has an operand in memory
	}
	firstMap := code[0] == 0xc5 || code[0] == 0xc4 && code[1]&0x1f == 1
	secondMap := code[0] == 0xc4 && code[1]&0x1f == 2 || code[0] == 0x62 && code[1]&7 == 2
	const storeMove = 0x7e // with the prefix 0x66: vmovd, vmovq
	if firstMap && (vectorOps[op] || op == storeMove && code[at-1]&3 == 1) || secondMap && broadcasts[op] {
		return at + 2
	}
	return 0
}

// broadcasts are the opcodes of the second map, of VEX and EVEX, that copy a register to all
// parts of a vector register.
var broadcasts = amd64.SetOf([2]byte{0x78, 0x7c})

// jumpedTo reports whether a jump with a fixed target may lead to an address of s.
func (x *File) jumpedTo(s Symbol, addr uint64) bool {
	if x.jumpedFar(addr) || x.jumpedNear(s, addr) {
		return true
	}
	// Short jumps reach 128 bytes, so the previous function may contain one.
	for at := s.Addr - 1; at >= s.Addr-16; at-- {
		if before, ok := x.Covering(at); ok {
			return x.jumpedNear(before, addr)
		}
	}
	return false
}

// jumpedNear reports whether s has a short jump to an address. It returns true if the
// code cannot be decoded.
func (x *File) jumpedNear(s Symbol, addr uint64) bool {
	code := x.codeAt(s.Addr, int(min(s.Size, 1<<20)))
	for pos := 0; pos < len(code); {
		n := insnLen(code[pos:])
		if n == 0 || pos+n > len(code) {
			return true
		}
		op := code[pos]
		if n == 2 && (op == 0xeb || op>>4 == 7 || op>>2 == 0xe0>>2) && s.Addr+uint64(pos+2)+uint64(int64(int8(code[pos+1]))) == addr {
			return true
		}
		pos += n
	}
	return false
}

// jumpedFar reports whether any bytes of the code, whether they are instructions or
// not, could be a jump with a displacement of four bytes to an address.
func (x *File) jumpedFar(addr uint64) bool {
	for _, p := range x.elf.Progs {
		code := x.codeAt(p.Vaddr, int(min(p.Filesz, uint64(len(x.data)))))
		for i := 0; i+4 <= len(code); i++ {
			if uint32(addr-p.Vaddr)-uint32(i)-4 == binary.LittleEndian.Uint32(code[i:]) && jumpFar(code[:i]) {
				return true
			}
		}
	}
	return false
}

// jumpFar reports whether code ends with the opcode of a jump or call that has a
// displacement of four bytes.
func jumpFar(code []byte) bool {
	n := len(code)
	return n > 0 && code[n-1]&^1 == 0xe8 || n > 1 && code[n-2] == 0x0f && code[n-1]>>4 == 8
}
