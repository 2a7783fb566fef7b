package amd64

// Effect is what an instruction does to the stack pointer and to the registers that may
// hold the address of a frame.
type Effect struct {
	Size   int
	Flow   Flow
	Target uint64 // target of a branch, jump or call, if it is fixed
	Taken  uint64 // address that the instruction computes, or 0

	Change Change
	Reg    Reg
	N      int64
}

// Flow is where execution continues after an instruction.
type Flow uint8

const (
	FlowNext   Flow = iota
	FlowBranch      // at Target, or at the next instruction
	FlowJump        // at Target
	FlowAway        // at an unknown address
	FlowCall        // at the next instruction, after a call
	FlowReturn      // in the caller, after taking N bytes of arguments off the stack
	FlowEnd         // nowhere
)

// Reg is a register of interest.
type Reg uint8

const (
	OtherReg Reg = iota
	FramePointer
	BaseRegister // rbx
)

// Change is the way in which an instruction changes such registers.
type Change uint8

const (
	NoChange   Change = iota
	Push              // pushes Reg
	Pop               // pops Reg
	AddSP             // adds N to the stack pointer
	LoseSP            // sets the stack pointer to something else
	FPFromSP          // sets the frame pointer to the stack pointer plus N
	SPFromFP          // sets the stack pointer to the frame pointer plus N
	LeaveFrame        // sets the stack pointer to the frame pointer, and pops the latter
	StoreReg          // stores Reg at the stack pointer plus N
	LoadReg           // loads Reg from the stack pointer plus N
	ClearReg          // sets Reg to 0
	LoseReg           // sets Reg to something else
)

// The numbers of registers in instructions.
const (
	numBX = 3
	numSP = 4
	numBP = 5
)

// EffectOf decodes the instruction at the start of code, which is at addr. It reports
// whether that is possible.
func EffectOf(code []byte, addr uint64) (e Effect, ok bool) {
	in, ok := Decode(code)
	if !ok {
		return e, false
	}
	e.Size = in.Size
	next := addr + uint64(in.Size)
	flow, distance := in.Flow()
	switch e.Flow = flow; {
	case flow == FlowBranch || flow == FlowJump || flow == FlowCall:
		e.Target = next + uint64(distance)
	case flow == FlowReturn:
		e.N = in.constant()
	case in.CallsIndirectly():
		e.Flow = FlowCall
	case in.vector || in.opcodes > 1:
	case in.opcodes == 1 && (in.op == 0x0b || in.op == 0xb9), in.opcodes == 0 && (in.op == 0xf4 || in.op == 0xcc): // ud2, ud1, hlt, int3
		e.Flow = FlowEnd
	case in.opcodes == 0 && in.op == 0xff && in.modRM>>3&6 == 4: // jmp
		e.Flow = FlowAway
	}
	if at, ok := in.Address(next); ok && in.op == 0x8d {
		e.Taken = at
	}
	in.change(&e)
	return e, true
}

// regOf returns the register with a number in instructions.
func regOf(n byte) Reg {
	switch n {
	case numBP:
		return FramePointer
	case numBX:
		return BaseRegister
	}
	return OtherReg
}

// change sets what the instruction does to registers.
func (in *Insn) change(e *Effect) {
	if in.vector || in.opcodes > 1 {
		return
	}
	op := in.op
	low := op&7 | in.rex&1<<3 // the register in the opcode
	reg := in.modRM>>3&7 | in.rex&4<<1
	rm := in.modRM&7 | in.rex&1<<3
	direct := in.modRM>>6 == 3
	// written records that a register gets an unknown value.
	written := func(n byte) {
		switch r := regOf(n); {
		case n == numSP:
			e.Change = LoseSP
		case r != OtherReg:
			e.Change, e.Reg = LoseReg, r
		}
	}
	if in.opcodes == 1 {
		switch {
		case op>>4 == 4, op == 0xaf, op&0xf6 == 0xb6: // cmov, imul, movzx, movsx
			written(reg)
		case op == 0xa2: // cpuid
			e.Change, e.Reg = LoseReg, BaseRegister
		case op == 0xa0 || op == 0xa8: // push %fs, %gs
			e.Change = Push
		case op == 0xa1 || op == 0xa9:
			e.Change = Pop
		}
		return
	}
	switch {
	case op>>3 == 0x50>>3:
		e.Change, e.Reg = Push, regOf(low)
	case op>>3 == 0x58>>3 && low == numSP:
		e.Change = LoseSP
	case op>>3 == 0x58>>3:
		e.Change, e.Reg = Pop, regOf(low)
	case op == 0x68 || op == 0x6a || op == 0x9c || op == 0xff && in.modRM>>3&7 == 6: // push, pushf
		e.Change = Push
	case op == 0x8f || op == 0x9d:
		e.Change = Pop
	case op == 0xc9:
		e.Change = LeaveFrame
	case op == 0xc8: // enter
		e.Change = LoseSP
	case op>>3 == 0xb8>>3:
		written(low)
	case op == 0x81 || op == 0x83:
		in.changeByConstant(e, direct, rm, written)
	case op == 0x89 || op == 0x8b || op == 0x8d:
		in.move(e, direct, reg, rm, written)
	case op < 0x40 && op&7 == 1 && direct && op>>3 != 7: // except cmp
		if op == 0x31 && reg == rm && regOf(rm) != OtherReg { // xor
			e.Change, e.Reg = ClearReg, regOf(rm)
			return
		}
		written(rm)
	case op < 0x40 && op&7 == 3 && op>>3 != 7, op == 0x63, op == 0x69, op == 0x6b:
		written(reg)
	case op == 0xc7 && direct, op == 0xff && direct && in.modRM>>3&7 < 2, op|2 == 0xd3 && direct, op == 0xc1 && direct:
		written(rm)
	case op == 0x87 && direct: // xchg
		written(rm)
		written(reg)
	}
}

// changeByConstant sets the change of an arithmetic instruction with a constant.
func (in *Insn) changeByConstant(e *Effect, direct bool, rm byte, written func(byte)) {
	kind := in.modRM >> 3 & 7
	switch {
	case !direct || kind == 7: // cmp
	case rm != numSP:
		written(rm)
	case kind == 0:
		e.Change, e.N = AddSP, in.constant()
	case kind == 5:
		e.Change, e.N = AddSP, -in.constant()
	default:
		e.Change = LoseSP
	}
}

// move sets the change of mov or lea.
func (in *Insn) move(e *Effect, direct bool, reg, rm byte, written func(byte)) {
	to, from := reg, rm
	if in.op == 0x89 {
		to, from = rm, reg
	}
	base := rm // of an operand in memory, or 255 if it also has an index
	if !direct && rm&7 == numSP {
		if base = in.sib&7 | in.rex&1<<3; in.sib>>3&7 != numSP || in.rex&2 != 0 {
			base = 255
		}
	}
	lea := in.op == 0x8d
	switch {
	case !direct && in.relative:
		if in.op != 0x89 {
			written(reg)
		}
	case !in.wide:
		if direct || in.op != 0x89 {
			written(to)
		}
	case direct && to == numBP && from == numSP:
		e.Change, e.Reg = FPFromSP, FramePointer
	case direct && to == numSP && from == numBP:
		e.Change = SPFromFP
	case direct:
		written(to)
	case lea && reg == numBP && base == numSP:
		e.Change, e.Reg, e.N = FPFromSP, FramePointer, int64(in.Disp)
	case lea && reg == numSP && base == numSP:
		e.Change, e.N = AddSP, int64(in.Disp)
	case lea && reg == numSP && base == numBP && in.modRM>>6 != 0:
		e.Change, e.N = SPFromFP, int64(in.Disp)
	case in.op == 0x89:
		if r := regOf(reg); r != OtherReg && base == numSP {
			e.Change, e.Reg, e.N = StoreReg, r, int64(in.Disp)
		}
	case in.op == 0x8b && regOf(reg) != OtherReg && base == numSP:
		e.Change, e.Reg, e.N = LoadReg, regOf(reg), int64(in.Disp)
	default:
		written(reg)
	}
}
