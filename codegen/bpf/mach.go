package bpf

import (
	"math/bits"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
)

// vreg is a virtual register in SSA form: an instruction, a phi or a parameter defines
// it once. 0 is none.
type vreg int32

// opKind is the kind of an operand.
type opKind uint8

const (
	opNone   opKind = iota
	opReg           // vreg
	opImm           // imm
	opFrame         // address of the stack slot of val, plus imm
	opSum           // vreg + imm, computed where it is used
	opMap           // the map of val
	opMapVal        // the map value of val, plus imm
	opFunc          // the function of val
)

// operand is an operand of an instruction. All except virtual registers are computed at
// their use (rematerialized).
type operand struct {
	kind opKind
	v    vreg
	imm  int64
	val  *ir.Value
}

func reg(v vreg) operand   { return operand{kind: opReg, v: v} }
func imm(n int64) operand  { return operand{kind: opImm, imm: n} }
func fitsS32(n int64) bool { return n == int64(int32(n)) }
func fitsU32(n int64) bool { return n == int64(uint32(n)) }
func fitsS16(n int64) bool { return n == int64(int16(n)) }

// usesReg reports whether the operand reads a virtual register.
func (o operand) usesReg() bool { return o.kind == opReg || o.kind == opSum }

// mop is the kind of a machine instruction.
type mop uint8

const (
	mParams mop = iota // defines args: the parameters, in r1…r5
	mLet               // dst = a: a is rematerialisable, or a register to be copied
	mALU               // dst = a alu b
	mUnary             // dst = alu a: negation, byte swap, sign extension
	mSet               // dst = a jump b ? 1 : 0
	mLoad              // dst = *(size *)(a + off)
	mStore             // *(size *)(a + off) = b
	mAtomic            // lock *(size *)(a + off) atom= b
	mFetch             // dst = *(size *)(b + off) as it was before lock atom= a
	mCall              // dst = call of val with args
	mReload            // dst = spilled a
	mSpill             // spilled dst = a
	mJump              // to then, after the phi moves of that edge
	mBranch            // if a jump b, to then, else to els
	mRet               // return a
)

// inst is a machine instruction over virtual registers.
type inst struct {
	op   mop
	alu  asm.ALUOp
	jump asm.JumpOp
	atom asm.AtomicOp // mAtomic, mFetch
	size asm.Size
	word bool // 32-bit operation
	sext bool // mLoad: sign-extending
	off  int16
	dst  vreg
	a, b operand
	args []operand // mCall; of mParams: the registers defined
	val  *ir.Value // mCall: the function or helper
	then *mblock
	els  *mblock
	spot int // position in the numbering of the whole function
	pos  source.Span
}

// lateB reports whether dst must not be the register of b. An instruction with two
// operands needs its first one in dst before it reads b, unless the operation commutes.
func (in *inst) lateB() bool {
	switch in.op {
	case mALU:
		return !(commutes(in.alu) && in.a.kind == opReg)
	case mSet, mFetch:
		return true
	}
	return false
}

func commutes(op asm.ALUOp) bool {
	switch op {
	case asm.Add, asm.Mul, asm.And, asm.Or, asm.Xor:
		return true
	}
	return false
}

// operands calls f for each operand of in, which f may replace, except those of phis.
func (in *inst) operands(f func(*operand)) {
	if in.a.kind != opNone {
		f(&in.a)
	}
	if in.b.kind != opNone {
		f(&in.b)
	}
	if in.op == mCall {
		for i := range in.args {
			f(&in.args[i])
		}
	}
}

type mphi struct {
	dst  vreg
	args []operand // one per predecessor
}

type mblock struct {
	id       int
	phis     []mphi
	insts    []*inst
	preds    []*mblock
	succs    []*mblock
	depth    int // loop nesting
	unlikely bool

	index      int // in the layout
	start, end int // positions: [start, end)
	liveIn     []vreg
	liveOut    []vreg
}

func (b *mblock) last() *inst { return b.insts[len(b.insts)-1] }

// predIndex returns the index of the only edge from p. There is one, as critical edges
// are split.
func (b *mblock) predIndex(p *mblock) int {
	for i, q := range b.preds {
		if q == p {
			return i
		}
	}
	return -1
}

// vinfo describes a virtual register.
type vinfo struct {
	mem     bool // it is in a spill slot instead of a register
	home    vreg // the spill slot that holds the same value, if any
	remat   bool // defined by an mLet that can be repeated anywhere
	noSpill bool // it cannot be shorter
	checked bool // between a bounds check and the copy that has the checked bounds
	tracked bool // a pointer or a bounded number, which the verifier tracks only on the stack
	fixed   bool // in baseReg
	hint    asm.Register
	hinted  bool
	like    vreg   // preferably in the same place as this one
	from    []vreg // of a phi: its arguments
	weight  float64

	loc int // register number, or spill slot index
}

// mfunc is a function of machine instructions.
type mfunc struct {
	name   string
	blocks []*mblock // in layout order
	vregs  []vinfo   // [0] unused
	frame  map[*ir.Value]int64
	stack  int64 // bytes of slots below r10, a multiple of 8
	spills int   // spill slots below those

	// If a function spills more than the stack can hold, it keeps the address of its
	// scratch memory in baseReg and spills numbers to it. base is the vreg of that
	// address. It is 0 if all spill slots are on the stack.
	base      vreg
	farSpills int // spill slots in scratch memory

	outline outline
}

//go:noinline
func (f *mfunc) newVreg() vreg {
	f.vregs = append(f.vregs, vinfo{})
	return vreg(len(f.vregs) - 1)
}

// bitset is a set of small integers.
type bitset []uint64

//go:noinline
func newBitset(n int) bitset    { return make(bitset, (n+63)/64) }
func (s bitset) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s bitset) add(i int)      { s[i>>6] |= 1 << (i & 63) }

// each calls f for the members in ascending order.
func (s bitset) each(f func(int)) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			f(i<<6 + bits.TrailingZeros64(w))
		}
	}
}

// union adds t to s and reports whether s grew.
func (s bitset) union(t bitset) bool {
	grew := false
	for i := range s {
		if n := s[i] | t[i]; n != s[i] {
			s[i], grew = n, true
		}
	}
	return grew
}
