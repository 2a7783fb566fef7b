// Package amd64 decodes x86-64 instructions: their lengths, where execution continues,
// the addresses that they compute, and their effects on the registers that hold addresses
// of stack frames.
package amd64

import "encoding/binary"

// Insn is a decoded instruction: its parts, and its effect on control
// flow and addresses. Other operands are not decoded.
type Insn struct {
	Size     int    // bytes of the instruction
	opcodes  byte   // map of opcodes: 0 for one byte, 1 after 0f, 2 after 0f 38, 3 after 0f 3a
	op       byte   // opcode in that map
	vector   bool   // it starts with VEX or EVEX
	wide     bool   // REX.W: operands have 64 bits
	rex      byte   // 0 if it has none
	modRM    byte   // 0 if it has none
	sib      byte   // 0 if it has none
	relative bool   // its operand in memory is at disp from the next instruction
	Disp     int32  // displacement of the operand in memory
	imm      []byte // constant at its end
}

// MaxInsn is the length of the longest instruction.
const MaxInsn = 15

// Opcodes is a set of opcodes.
type Opcodes [256]bool

// SetOf returns the opcodes in a list of ranges, each with its first and last opcode.
//
//go:noinline
func SetOf(ranges ...[2]byte) *Opcodes {
	var s Opcodes
	for _, r := range ranges {
		for i := int(r[0]); i <= int(r[1]); i++ {
			s[i] = true
		}
	}
	return &s
}

// Sets of one-byte opcodes, and of opcodes after 0f, without prefixes and without those
// that Insn.immSize lists.
var (
	invalid64   = SetOf([2]byte{0x06, 0x07}, [2]byte{0x0e, 0x0e}, [2]byte{0x16, 0x17}, [2]byte{0x1e, 0x1f}, [2]byte{0x27, 0x27}, [2]byte{0x2f, 0x2f}, [2]byte{0x37, 0x37}, [2]byte{0x3f, 0x3f}, [2]byte{0x60, 0x62}, [2]byte{0x82, 0x82}, [2]byte{0x9a, 0x9a}, [2]byte{0xce, 0xce}, [2]byte{0xd4, 0xd6}, [2]byte{0xea, 0xea})
	invalid0f   = SetOf([2]byte{0x04, 0x04}, [2]byte{0x0a, 0x0a}, [2]byte{0x0c, 0x0c}, [2]byte{0x24, 0x27}, [2]byte{0x36, 0x36}, [2]byte{0x39, 0x39}, [2]byte{0x3b, 0x3f}, [2]byte{0x7a, 0x7b}, [2]byte{0xa6, 0xa7})
	withModRM   = SetOf([2]byte{0x63, 0x63}, [2]byte{0x69, 0x69}, [2]byte{0x6b, 0x6b}, [2]byte{0x80, 0x8f}, [2]byte{0xc0, 0xc1}, [2]byte{0xc6, 0xc7}, [2]byte{0xd0, 0xd3}, [2]byte{0xd8, 0xdf}, [2]byte{0xf6, 0xf7}, [2]byte{0xfe, 0xff})
	without0f   = SetOf([2]byte{0x05, 0x09}, [2]byte{0x0b, 0x0b}, [2]byte{0x0e, 0x0e}, [2]byte{0x30, 0x37}, [2]byte{0x77, 0x77}, [2]byte{0x80, 0x8f}, [2]byte{0xa0, 0xa2}, [2]byte{0xa8, 0xaa}, [2]byte{0xc8, 0xcf})
	byteImm     = SetOf([2]byte{0x6a, 0x6b}, [2]byte{0x70, 0x7f}, [2]byte{0x80, 0x80}, [2]byte{0x83, 0x83}, [2]byte{0xa8, 0xa8}, [2]byte{0xb0, 0xb7}, [2]byte{0xc0, 0xc1}, [2]byte{0xc6, 0xc6}, [2]byte{0xcd, 0xcd}, [2]byte{0xe0, 0xe7}, [2]byte{0xeb, 0xeb})
	operandImm  = SetOf([2]byte{0x68, 0x69}, [2]byte{0x81, 0x81}, [2]byte{0xa9, 0xa9}, [2]byte{0xc7, 0xc7}) // 2 bytes after prefix 66, else 4
	byteImm0f   = SetOf([2]byte{0x0f, 0x0f}, [2]byte{0x70, 0x73}, [2]byte{0xa4, 0xa4}, [2]byte{0xac, 0xac}, [2]byte{0xba, 0xba}, [2]byte{0xc2, 0xc2}, [2]byte{0xc4, 0xc6})
	vectorImm0f = SetOf([2]byte{0x70, 0x73}, [2]byte{0xc2, 0xc2}, [2]byte{0xc4, 0xc6})
)

// Decode decodes the first instruction of code. ok is false if the
// instruction is unknown or incomplete.
func Decode(code []byte) (in Insn, ok bool) {
	code = code[:min(len(code), MaxInsn)]
	narrow, shortAddr := false, false // prefixes 66 and 67
	at := 0
prefixes:
	for ; at < len(code); at++ {
		switch code[at] {
		case 0x66:
			narrow = true
		case 0x67:
			shortAddr = true
		case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf0, 0xf2, 0xf3:
		default:
			break prefixes
		}
	}
	if at < len(code) && code[at]>>4 == 4 { // REX
		in.rex, in.wide = code[at], code[at]&8 != 0
		at++
	}
	// next returns the byte at at and increments at. After the end it returns 0; the
	// length is checked later.
	next := func() (b byte) {
		if at < len(code) {
			b = code[at]
		}
		at++
		return b
	}
	switch in.op = next(); in.op {
	case 0xc5:
		in.vector, in.opcodes = true, 1
		next()
		in.op = next()
	case 0xc4:
		in.vector, in.opcodes = true, next()&0x1f
		next()
		in.op = next()
	case 0x62:
		in.vector, in.opcodes = true, next()&7
		next()
		next()
		in.op = next()
	case 0x0f:
		in.opcodes, in.op = 1, next()
		switch in.op {
		case 0x38:
			in.opcodes, in.op = 2, next()
		case 0x3a:
			in.opcodes, in.op = 3, next()
		}
	}
	has, known := in.hasModRM()
	if !known {
		return in, false
	}
	if has {
		in.modRM = next()
		mod, base := in.modRM>>6, in.modRM&7
		if !in.vector && in.opcodes == 1 && in.op>>2 == 0x20>>2 {
			mod = 3 // moves of control and debug registers
		}
		if mod != 3 && base == 4 {
			in.sib = next()
			base = in.sib & 7
		} else if mod == 0 && base == 5 {
			in.relative = true
		}
		switch n := 0; {
		case mod == 1:
			in.Disp = int32(int8(next()))
		case mod == 2, mod == 0 && base == 5:
			for ; n < 4; n++ {
				in.Disp |= int32(next()) << (8 * n)
			}
		}
	}
	n := in.immSize(narrow && !in.wide, shortAddr)
	if at+n > len(code) {
		return in, false
	}
	in.imm, in.Size = code[at:at+n], at+n
	return in, true
}

// hasModRM reports whether the instruction has a ModRM byte. known is false if the
// opcode is invalid.
func (in *Insn) hasModRM() (has, known bool) {
	switch {
	case in.vector:
		maps := in.opcodes >= 1 && in.opcodes <= 3 || in.opcodes == 5 || in.opcodes == 6
		return in.opcodes != 1 || in.op != 0x77, maps // vzeroupper, vzeroall
	case in.opcodes == 1:
		return !without0f[in.op], !invalid0f[in.op]
	case in.opcodes > 1:
		return true, true
	case in.op < 0x40:
		return in.op&7 < 4, !invalid64[in.op]
	}
	return withModRM[in.op], !invalid64[in.op]
}

// immSize returns the number of bytes of the constant at the end.
func (in *Insn) immSize(narrow, shortAddr bool) int {
	operand := 4
	if narrow {
		operand = 2
	}
	one := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	op := in.op
	switch {
	case in.opcodes == 3:
		return 1
	case in.opcodes == 1 && in.vector:
		return one(vectorImm0f[op])
	case in.opcodes == 1 && op>>4 == 8: // jumps, which prefix 66 does not shorten
		return 4
	case in.opcodes == 1:
		return one(byteImm0f[op])
	case in.opcodes != 0:
		return 0
	case op < 0x40 && op&7 == 4 || byteImm[op]:
		return 1
	case op < 0x40 && op&7 == 5 || operandImm[op]:
		return operand
	case op == 0xe8 || op == 0xe9:
		return 4
	case op>>3 == 0xb8>>3:
		if in.wide {
			return 8
		}
		return operand
	case op>>2 == 0xa0>>2: // an address
		if shortAddr {
			return 4
		}
		return 8
	case op == 0xc2 || op == 0xca: // ret, which frees arguments
		return 2
	case op == 0xc8: // enter
		return 3
	case op == 0xf6 && in.modRM>>3&7 < 2: // test
		return 1
	case op == 0xf7 && in.modRM>>3&7 < 2:
		return operand
	}
	return 0
}

// constant returns the constant at the end, sign-extended.
//
//go:noinline
func (in *Insn) constant() int64 {
	switch len(in.imm) {
	case 1:
		return int64(int8(in.imm[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(in.imm)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(in.imm)))
	case 8:
		return int64(binary.LittleEndian.Uint64(in.imm))
	}
	return 0
}

// Flow returns where execution continues after the instruction. target is the distance
// of a fixed target from the next instruction.
func (in *Insn) Flow() (f Flow, target int64) {
	reg := in.modRM >> 3 & 7
	switch op := in.op; {
	case in.vector:
	case in.opcodes == 1 && op>>4 == 8:
		return FlowBranch, in.constant()
	case in.opcodes != 0:
	case op == 0xc3 || op == 0xc2:
		return FlowReturn, 0
	case op == 0xeb || op == 0xe9:
		return FlowJump, in.constant()
	case op == 0xe8:
		return FlowCall, in.constant()
	case op>>4 == 7 || op >= 0xe0 && op <= 0xe3:
		return FlowBranch, in.constant()
	case op == 0xff && reg == 4 && (in.modRM>>6 == 3 || in.modRM&7 != 4):
		return FlowAway, 0
		// With a SIB byte it jumps through a table of addresses, to another part of
		// the function.
	}
	return FlowNext, 0
}

// CallsIndirectly reports whether the instruction calls the address in a register or in
// memory.
func (in *Insn) CallsIndirectly() bool {
	reg := in.modRM >> 3 & 7
	return !in.vector && in.opcodes == 0 && in.op == 0xff && (reg == 2 || reg == 3)
}

// Loads reports whether the instruction reads a word of 8 bytes at disp from the next
// instruction into a register.
func (in *Insn) Loads() bool {
	moves := in.opcodes == 0 && in.op == 0x8b || in.opcodes == 1 && in.op>>4 == 4 // mov, cmov
	return in.relative && in.wide && !in.vector && moves
}

// Address returns the address that the instruction computes by lea or by moving a
// constant. next is the address of the next instruction.
func (in *Insn) Address(next uint64) (addr uint64, ok bool) {
	if in.vector || in.opcodes != 0 {
		return 0, false
	}
	switch {
	case in.op == 0x8d && in.relative:
		return next + uint64(int64(in.Disp)), true
	case in.op>>3 == 0xb8>>3 && len(in.imm) == 4:
		return uint64(binary.LittleEndian.Uint32(in.imm)), true
	case in.op>>3 == 0xb8>>3 || in.op == 0xc7 && in.modRM>>3&7 == 0:
		return uint64(in.constant()), true
	}
	return 0, false
}
