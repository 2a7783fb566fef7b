package cfi

import (
	"slices"

	"github.com/gotrace/gotrace/runtime/cursor"
)

// column is the place of a register of the caller.
type column struct {
	how colHow
	reg uint8 // savedAt
	off int64
}

type colHow uint8

const (
	unset     colHow = iota // not mentioned: callee-saved registers keep their value
	undefined               // cannot be restored
	savedCFA                // in memory at CFA+off
	savedAt                 // in memory at reg+off
	other                   // in a way that this package does not support
)

// address is the CFA: reg+off, a word of memory at reg+off plus add, or that of a
// procedure linkage table.
type address struct {
	kind Kind // Register, Deref, PLT or Unknown
	reg  uint8
	off  int64
	add  int64
}

// The columns that a rule has.
const (
	colFP = iota
	colBX
	colRA
	colSP
	numColumns
)

// state is one row of the table that the byte code describes.
type state struct {
	cfa   address
	reg   uint8 // the last register and offset of the CFA that were set: an
	off   int64 // operation that changes one of them keeps the other
	cols  [numColumns]column
	saved []state // by remember_state
}

func (st *state) reset() { *st = state{cfa: address{kind: Unknown}} }

// maxRemembered is the maximum number of states that a function may remember at a time.
const maxRemembered = 64

// machine executes the byte code.
type machine struct {
	arch *Arch
	t    *Rows
	cie  *cie
	st   state
	pc   uint64
	from uint64 // where the function's rows start; rows before it belong to another function
	end  uint64 // of the function
}

// run adds the rows of f to the table.
func (m *machine) run(f *function) error {
	m.cie = f.cie
	m.st = f.cie.start
	m.pc, m.from, m.end = f.start, f.from, f.end
	if err := m.exec(f.code, m.row); err != nil {
		return err
	}
	m.row()
	return nil
}

// row adds the row that starts at pc.
func (m *machine) row() {
	if m.pc < m.end {
		m.t.add(max(m.pc, m.from), m.t.rule(m.rule()))
	}
}

// The byte code's operations. The first three have an operand in the low bits.
const (
	opAdvance = 0x40
	opOffset  = 0x80
	opRestore = 0xc0

	opNop            = 0x00
	opSetLoc         = 0x01
	opAdvance1       = 0x02
	opAdvance2       = 0x03
	opAdvance4       = 0x04
	opOffsetExt      = 0x05
	opRestoreExt     = 0x06
	opUndefined      = 0x07
	opSameValue      = 0x08
	opRegister       = 0x09
	opRemember       = 0x0a
	opRestoreState   = 0x0b
	opDefCFA         = 0x0c
	opDefCFARegister = 0x0d
	opDefCFAOffset   = 0x0e
	opDefCFAExpr     = 0x0f
	opExpression     = 0x10
	opOffsetExtSF    = 0x11
	opDefCFASF       = 0x12
	opDefCFAOffsetSF = 0x13
	opValOffset      = 0x14
	opValOffsetSF    = 0x15
	opValExpression  = 0x16
	opNegateRA       = 0x2d // also a register window's
	opArgsSize       = 0x2e
	opNegOffsetExt   = 0x2f
)

// exec executes code. It calls row each time before the address advances. row is nil
// for the byte code of a cie.
func (m *machine) exec(code []byte, row func()) error {
	r := cursor.Cursor{Data: code}
	advance := func(by uint64) {
		if row != nil {
			row()
		}
		if by > (m.end-m.pc)/uint64(m.cie.codeAlign) {
			m.pc = m.end
			return
		}
		m.pc += by * uint64(m.cie.codeAlign)
	}
	for r.More() {
		op := r.Byte()
		low := uint64(op & 0x3f)
		switch op & 0xc0 {
		case opAdvance:
			advance(low)
			continue
		case opOffset:
			m.set(low, column{how: savedCFA, off: int64(r.Uleb()) * m.cie.dataAlign})
			continue
		case opRestore:
			m.restore(low)
			continue
		}
		switch op {
		case opAdvance1:
			advance(r.U8())
		case opAdvance2:
			advance(r.U16())
		case opAdvance4:
			advance(r.U32())
		default:
			if err := m.change(op, &r); err != nil {
				return err
			}
		}
	}
	if r.Bad {
		return badf("a function's operations are cut off")
	}
	return nil
}

// change executes an operation that changes the whole row or the rule for the CFA. r is
// positioned after the opcode.
func (m *machine) change(op byte, r *cursor.Cursor) error {
	switch op {
	case opNop, opNegateRA:
	case opArgsSize:
		r.Uleb()
	case opSetLoc:
		return badf("an operation that sets the address")
	case opRemember:
		if len(m.st.saved) >= maxRemembered {
			return badf("a function remembers too many rows")
		}
		now := m.st
		now.saved = nil
		m.st.saved = append(slices.Clip(m.st.saved), now)
	case opRestoreState:
		n := len(m.st.saved)
		if n == 0 {
			return badf("a function goes back to a row that it did not remember")
		}
		saved := m.st.saved
		m.st = saved[n-1]
		m.st.saved = saved[:n-1]
	case opDefCFA:
		m.defCFA(r.Uleb(), int64(r.Uleb()))
	case opDefCFASF:
		m.defCFA(r.Uleb(), r.Sleb()*m.cie.dataAlign)
	case opDefCFARegister:
		m.defCFA(r.Uleb(), m.st.off)
	case opDefCFAOffset:
		m.defCFA(uint64(m.st.reg), int64(r.Uleb()))
	case opDefCFAOffsetSF:
		m.defCFA(uint64(m.st.reg), r.Sleb()*m.cie.dataAlign)
	case opDefCFAExpr:
		m.st.cfa = m.arch.address(r.Block())
	default:
		return m.changeColumn(op, r)
	}
	return nil
}

// changeColumn executes an operation that changes the rule for one register.
func (m *machine) changeColumn(op byte, r *cursor.Cursor) error {
	data := m.cie.dataAlign
	switch op {
	case opOffsetExt:
		m.set(r.Uleb(), column{how: savedCFA, off: int64(r.Uleb()) * data})
	case opOffsetExtSF:
		m.set(r.Uleb(), column{how: savedCFA, off: r.Sleb() * data})
	case opNegOffsetExt:
		m.set(r.Uleb(), column{how: savedCFA, off: -int64(r.Uleb()) * data})
	case opRestoreExt:
		m.restore(r.Uleb())
	case opUndefined:
		m.set(r.Uleb(), column{how: undefined})
	case opSameValue:
		m.set(r.Uleb(), column{})
	case opRegister:
		reg, from := r.Uleb(), r.Uleb()
		if reg != from {
			m.set(reg, column{how: other})
		} else {
			m.set(reg, column{})
		}
	case opExpression:
		reg := r.Uleb()
		m.set(reg, m.arch.saved(r.Block()))
	case opValExpression:
		reg := r.Uleb()
		r.Block()
		m.set(reg, column{how: other})
	case opValOffset, opValOffsetSF:
		reg := r.Uleb()
		off := int64(0)
		if op == opValOffset {
			off = int64(r.Uleb()) * data
		} else {
			off = r.Sleb() * data
		}
		c := column{how: other}
		if reg == m.arch.SP && off == 0 {
			c = column{} // the default
		}
		m.set(reg, c)
	default:
		return badf("the operation %#x", op)
	}
	return nil
}

func smallReg(n uint64) uint8 { return uint8(min(n, 255)) }

func (m *machine) defCFA(reg uint64, off int64) {
	m.st.reg, m.st.off = smallReg(reg), off
	m.st.cfa = address{kind: Register, reg: m.st.reg, off: off}
}

// column returns the column of a register, or nil if a Rule has no field for it.
func (m *machine) column(st *state, reg uint64) *column {
	switch reg {
	case m.cie.ra:
		return &st.cols[colRA]
	case m.arch.FP:
		return &st.cols[colFP]
	case m.arch.BX:
		return &st.cols[colBX]
	case m.arch.SP:
		return &st.cols[colSP]
	}
	return nil
}

//go:noinline
func (m *machine) set(reg uint64, c column) {
	if p := m.column(&m.st, reg); p != nil {
		*p = c
	}
}

func (m *machine) restore(reg uint64) {
	if p := m.column(&m.st, reg); p != nil {
		*p = *m.column(&m.cie.start, reg)
	}
}

func fits16(n int64) bool { return n == int64(int16(n)) }

// rule returns the current row as a Rule.
func (m *machine) rule() Rule {
	st := &m.st
	unknown := Rule{Kind: Unknown}
	if st.cols[colRA].how == undefined {
		return Rule{Kind: End}
	}
	a := st.cfa
	if a.off != int64(int32(a.off)) || !fits16(a.add) || a.kind == Unknown {
		return unknown
	}
	r := Rule{Kind: a.kind, Reg: a.reg, CFA: int32(a.off), Add: int16(a.add)}
	var ok1, ok2 bool
	r.FP, r.FPOff, ok1 = m.arch.save(st.cols[colFP])
	r.BX, r.BXOff, ok2 = m.arch.save(st.cols[colBX])
	if !ok1 || !ok2 {
		return unknown
	}
	switch ra := st.cols[colRA]; {
	case ra.how == savedCFA && fits16(ra.off):
		if m.cie.signal || st.cols[colSP].how != unset {
			return unknown
		}
		r.RA = int16(ra.off)
	case ra.how == savedAt && uint64(ra.reg) == m.arch.SP && fits16(ra.off) && r.Kind == Deref && uint64(r.Reg) == m.arch.SP && r.Add == 0:
		// In a signal frame, the stack pointer is saved at the CFA, or is the CFA.
		if !m.cie.signal {
			return unknown
		}
		r.Kind, r.RA = Signal, int16(ra.off)
	default:
		return unknown
	}
	return r
}

// save converts a column to its form in a Rule.
func (a *Arch) save(c column) (Save, int16, bool) {
	switch c.how {
	case unset:
		return Same, 0, true
	case savedCFA:
		return AtCFA, int16(c.off), fits16(c.off)
	case savedAt:
		switch uint64(c.reg) {
		case a.SP:
			return AtSP, int16(c.off), fits16(c.off)
		case a.FP:
			return AtFP, int16(c.off), fits16(c.off)
		}
	}
	return Lost, 0, true
}
