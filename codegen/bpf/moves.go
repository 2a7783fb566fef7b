package bpf

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// spot is the source or target of a move: a register, or a word in memory at an offset
// from r10 or, if far, from baseReg.
type spot struct {
	mem, far bool
	reg      asm.Register
	off      int64
}

// base returns the register from which the word is addressed.
func (p spot) base() asm.Register {
	if p.far {
		return baseReg
	}
	return asm.R10
}

// move is one of several parallel moves.
type move struct {
	dst spot
	src operand // registers and homes already have places:
	at  spot    // the place of src's virtual register, if it has one
}

func (m *move) fromPlace() bool { return m.src.usesReg() }

// trivial reports whether the move does nothing.
func (m *move) trivial() bool { return m.src.kind == opReg && m.at == m.dst }

// parallel emits moves as if all of them read before any writes. taken marks the
// registers, in addition to those of the moves, that are live and must not be changed.
func (e *emitter) parallel(moves []move, taken [numRegs]bool) {
	if e.f.base != 0 {
		taken[baseReg] = true
	}
	pending := moves[:0:0]
	for _, m := range moves {
		if !m.trivial() {
			pending = append(pending, m)
		}
	}
	reads := func(p spot) bool {
		for i := range pending {
			if pending[i].fromPlace() && pending[i].at == p {
				return true
			}
		}
		return false
	}
	// spare returns a register that is not live, is no longer read, and has not been
	// written. If there is none, spare saves one in an emergency word.
	spare := func() (asm.Register, bool) {
	next:
		for r := range numRegs {
			p := spot{reg: asm.Register(r)}
			if taken[r] || reads(p) {
				continue
			}
			for i := range moves {
				if moves[i].dst == p && !slices.ContainsFunc(pending, func(m move) bool { return m.dst == p }) {
					continue next
				}
			}
			return p.reg, true
		}
		return 0, false
	}
	for len(pending) > 0 {
		ready := -1
		for i := range pending {
			m := pending[i]
			// A move may read the place that it writes (a sum with itself).
			pending[i].src.kind, pending[i].at = opNone, spot{}
			blocked := reads(m.dst)
			pending[i] = m
			if !blocked {
				ready = i
				break
			}
		}
		if ready < 0 {
			// Only cycles are left: save the value that the first move overwrites.
			old := pending[0].dst
			aside := spot{}
			if r, ok := spare(); ok && !old.mem {
				aside.reg = r
			} else {
				aside = spot{mem: true, off: e.emergency(0)}
			}
			e.move(move{dst: aside, src: reg(0), at: old}, spare)
			for i := range pending {
				if pending[i].fromPlace() && pending[i].at == old {
					pending[i].at = aside
				}
			}
			continue
		}
		m := pending[ready]
		pending = append(pending[:ready], pending[ready+1:]...)
		e.move(m, spare)
	}
}

// move emits one move. It uses a register for a move between two places in memory, and
// for a constant that does not fit a store instruction.
func (e *emitter) move(m move, spare func() (asm.Register, bool)) {
	if !m.dst.mem {
		e.load(m.dst.reg, m.src, m.at)
		return
	}
	switch {
	case m.src.kind == opReg && !m.at.mem:
		e.add(asm.StoreMem(m.dst.base(), int16(m.dst.off), m.at.reg, asm.DWord))
		return
	case m.src.kind == opImm && fitsS32(m.src.imm):
		e.add(storeImm(m.dst.base(), int16(m.dst.off), m.src.imm, asm.DWord))
		return
	}
	r, ok := spare()
	if !ok { // borrow one
		r = asm.R0
		if m.src.usesReg() && !m.at.mem && m.at.reg == r {
			r = asm.R1
		}
		e.add(asm.StoreMem(asm.R10, int16(e.emergency(1)), r, asm.DWord))
	}
	e.load(r, m.src, m.at)
	e.add(asm.StoreMem(m.dst.base(), int16(m.dst.off), r, asm.DWord))
	if !ok {
		e.add(asm.LoadMem(r, asm.R10, int16(e.emergency(1)), asm.DWord))
	}
}

// load emits a load of o, whose virtual register is at p, into register r.
func (e *emitter) load(r asm.Register, o operand, p spot) {
	switch o.kind {
	case opReg, opSum:
		switch {
		case p.mem:
			e.add(asm.LoadMem(r, p.base(), int16(p.off), asm.DWord))
		case p.reg != r:
			e.add(asm.Mov.Reg(r, p.reg))
		}
		if o.kind == opSum && o.imm != 0 {
			e.add(asm.Add.Imm(r, int32(o.imm)))
		}
	case opImm:
		e.constant(r, o.imm)
	case opFrame:
		e.add(asm.Mov.Reg(r, asm.R10))
		e.add(asm.Add.Imm(r, int32(e.f.frame[o.val]+o.imm)))
	case opMap:
		e.add(asm.LoadMapPtr(r, 0).WithReference(o.val.Map.Name))
	case opMapVal:
		e.add(asm.LoadMapValue(r, 0, uint32(o.imm)).WithReference(o.val.Map.Name))
	case opFunc:
		e.add(asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: r, Src: asm.PseudoFunc, Constant: -1}.WithReference(o.val.Fn.Name))
	default:
		panic("bpf: operand without a value")
	}
}

// constant emits the shortest instruction that sets r to n.
func (e *emitter) constant(r asm.Register, n int64) {
	switch {
	case fitsS32(n):
		e.add(asm.Mov.Imm(r, int32(n)))
	case fitsU32(n):
		e.add(asm.Mov.Imm32(r, int32(n)))
	default:
		e.add(asm.LoadImm(r, n, asm.DWord))
	}
}

// storeImm returns *(size *)(dst + off) = n. If size is 8 bytes, the kernel sign-extends
// n.
func storeImm(dst asm.Register, off int16, n int64, size asm.Size) asm.Instruction {
	return asm.Instruction{OpCode: asm.StoreImmOp(size), Dst: dst, Offset: off, Constant: n}
}
