package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
)

var jumps = map[ir.Op]asm.JumpOp{
	ir.OpEq: asm.JEq, ir.OpNe: asm.JNE, ir.OpULt: asm.JLT, ir.OpULe: asm.JLE, ir.OpSLt: asm.JSLT, ir.OpSLe: asm.JSLE,
}

// mirrored holds the comparisons with exchanged operands.
var mirrored = map[asm.JumpOp]asm.JumpOp{
	asm.JEq: asm.JEq, asm.JNE: asm.JNE, asm.JLT: asm.JGT, asm.JLE: asm.JGE, asm.JSLT: asm.JSGT, asm.JSLE: asm.JSGE,
}

// condition returns the comparison of a branch or, if branch is false, of an mSet.
func (s *selector) condition(v *ir.Value, branch bool) *inst {
	in := &inst{}
	if branch {
		switch {
		case s.vregs[v.ID] == 0 && s.uses[v.ID] == s.terms[v.ID] && jumps[v.Op] != 0:
		case v.Op == ir.OpAnd && s.uses[v.ID] == 1:
			in.jump, in.a, in.b = asm.JSet, s.value(v.Args[0]), s.source(v.Args[1])
			return in
		case (v.Op == ir.OpZext32 || v.Op == ir.OpSext32) && s.uses[v.ID] == 1 && v.Args[0].Op != ir.OpConst:
			in.jump, in.word, in.a, in.b = asm.JNE, true, s.value(v.Args[0]), imm(0)
			return in
		default:
			in.jump, in.a, in.b = asm.JNE, s.value(v), imm(0)
			return in
		}
	}
	x, y := v.Args[0], v.Args[1]
	in.jump = jumps[v.Op]
	if x.Op == ir.OpConst && y.Op != ir.OpConst {
		x, y, in.jump = y, x, mirrored[in.jump]
	}
	if in.jump == asm.JNE && x.Op == ir.OpAnd && s.uses[x.ID] == 1 && y.Op == ir.OpConst && y.Imm == 0 {
		in.jump, in.a, in.b = asm.JSet, s.value(x.Args[0]), s.source(x.Args[1])
		return in
	}
	narrow := func(v *ir.Value, op ir.Op) bool {
		return v.Op == op && s.uses[v.ID] == 1 && v.Args[0].Type == ir.Int && v.Args[0].Op != ir.OpConst
	}
	signed := in.jump == asm.JSLT || in.jump == asm.JSLE || in.jump == asm.JSGT || in.jump == asm.JSGE
	switch {
	case narrow(x, ir.OpZext32) && !signed && y.Op == ir.OpConst && fitsU32(y.Imm):
		in.word, in.a, in.b = true, s.value(x.Args[0]), imm(int64(int32(y.Imm)))
	case narrow(x, ir.OpSext32) && y.Op == ir.OpConst && fitsS32(y.Imm):
		in.word, in.a, in.b = true, s.value(x.Args[0]), imm(y.Imm)
	case narrow(x, ir.OpZext32) && narrow(y, ir.OpZext32) && !signed, narrow(x, ir.OpSext32) && narrow(y, ir.OpSext32):
		in.word, in.a, in.b = true, s.value(x.Args[0]), s.value(y.Args[0])
	default:
		in.a, in.b = s.value(x), s.source(y)
	}
	return in
}

var aluOps = map[ir.Op]asm.ALUOp{
	ir.OpAdd: asm.Add, ir.OpSub: asm.Sub, ir.OpMul: asm.Mul, ir.OpUDiv: asm.Div, ir.OpSDiv: asm.SDiv,
	ir.OpUMod: asm.Mod, ir.OpSMod: asm.SMod, ir.OpAnd: asm.And, ir.OpOr: asm.Or, ir.OpXor: asm.Xor,
	ir.OpShl: asm.LSh, ir.OpShr: asm.RSh, ir.OpSar: asm.ArSh,
}

// atoms maps an operation on memory to its atomic instructions, without a result and
// with the old value as the result.
var atoms = map[ir.Op]struct{ plain, fetch asm.AtomicOp }{
	ir.OpAdd: {asm.AddAtomic, asm.FetchAdd}, ir.OpOr: {asm.OrAtomic, asm.FetchOr},
	ir.OpAnd: {asm.AndAtomic, asm.FetchAnd}, ir.OpXor: {asm.XorAtomic, asm.FetchXor},
	ir.OpInvalid: {fetch: asm.Xchg},
}

var memSize = map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}

// instruction selects the instructions of v.
func (s *selector) instruction(v *ir.Value) {
	dst := s.vregs[v.ID]
	arg := func(i int) *ir.Value { return v.Args[i] }
	switch v.Op {
	case ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpUDiv, ir.OpSDiv, ir.OpUMod, ir.OpSMod, ir.OpAnd, ir.OpOr, ir.OpXor, ir.OpShl, ir.OpShr, ir.OpSar:
		s.arith(v, dst, false)
	case ir.OpBarrier:
		o := s.value(arg(0))
		s.likeA(dst, o)
		s.emit(&inst{op: mLet, dst: dst, a: o})
	case ir.OpNeg:
		s.unary(&inst{alu: asm.Neg, a: s.value(arg(0))}, dst)
	case ir.OpSext8, ir.OpSext16, ir.OpSext32:
		s.signExtend(v, dst)
	case ir.OpZext8:
		s.alu(asm.And, dst, s.value(arg(0)), imm(0xff), false)
	case ir.OpZext16:
		s.alu(asm.And, dst, s.value(arg(0)), imm(0xffff), false)
	case ir.OpZext32:
		if x := arg(0); s.uses[x.ID] == 1 && s.vregs[x.ID] == 0 && wordSafe(x) {
			s.arith(x, dst, true)
			return
		}
		s.unary(&inst{alu: asm.Mov, word: true, a: s.value(arg(0))}, dst)
	case ir.OpBswap16:
		s.unary(&inst{alu: asm.Swap, size: asm.Half, a: s.value(arg(0))}, dst)
	case ir.OpBswap32:
		s.unary(&inst{alu: asm.Swap, size: asm.Word, a: s.value(arg(0))}, dst)
	case ir.OpBswap64:
		s.unary(&inst{alu: asm.Swap, size: asm.DWord, a: s.value(arg(0))}, dst)
	case ir.OpEq, ir.OpNe, ir.OpULt, ir.OpULe, ir.OpSLt, ir.OpSLe:
		if v.Op == ir.OpSLt && arg(1).Op == ir.OpConst && arg(1).Imm == 0 {
			s.alu(asm.RSh, dst, s.value(arg(0)), imm(63), false) // the sign bit
			return
		}
		in := s.condition(v, false)
		in.op, in.dst = mSet, dst
		s.emit(in)
	case ir.OpCall, ir.OpCallFn, ir.OpKfunc, ir.OpCmpXchg64: // the latter needs r0, as calls do
		s.flush()
		in := &inst{op: mCall, val: v, dst: dst}
		if dst != 0 {
			s.hint(reg(dst), asm.R0)
		}
		for i, x := range v.Args {
			o := s.argument(x)
			s.hint(o, asm.R1+asm.Register(i))
			in.args = append(in.args, o)
		}
		s.emit(in)
	default:
		s.access(v, dst)
	}
}

// access selects the instruction of an operation on memory.
func (s *selector) access(v *ir.Value, dst vreg) {
	info := v.Op.Info()
	size := memSize[info.Size]
	switch info.Access {
	case ir.Loads:
		in := &inst{op: mLoad, size: size, dst: dst}
		if x := s.sexts[v.ID]; x != nil {
			in.sext, in.dst = true, s.vregs[x.ID]
		}
		in.a, in.off = s.address(v.Args[0], v.Imm)
		s.emit(in)
	case ir.Stores:
		in := &inst{op: mStore, size: size}
		in.a, in.off = s.address(v.Args[0], v.Imm)
		x := v.Args[1]
		if n := x.Imm; x.Op == ir.OpConst && v.Args[0].Type != ir.PtrCtx && (fitsS32(n) || size != asm.DWord) {
			in.b = imm(int64(int32(n)))
		} else {
			in.b = s.value(x)
		}
		s.emit(in)
	case ir.Updates:
		s.update(v, dst)
	default:
		panic(fmt.Sprintf("bpf: no instruction for %s", v))
	}
}

// update selects the instruction of an operation that reads and writes memory
// atomically.
func (s *selector) update(v *ir.Value, dst vreg) {
	info := v.Op.Info()
	atom, size := atoms[info.With], memSize[info.Size]
	if info.Result == ir.Void {
		in := &inst{op: mAtomic, atom: atom.plain, size: size, b: s.value(v.Args[1])}
		in.a, in.off = s.address(v.Args[0], v.Imm)
		s.emit(in)
		return
	}
	if dst == 0 {
		dst = s.m.newVreg()
	}
	at, off := s.address(v.Args[0], v.Imm)
	s.emit(&inst{op: mFetch, atom: atom.fetch, size: size, dst: dst, a: s.moved(v.Args[1]), b: s.held(at), off: off})
}

// wordSafe reports whether the low 32 bits of x depend only on the low 32 bits of its
// operands, so that a 32-bit instruction can compute them.
func wordSafe(x *ir.Value) bool {
	if x.Type != ir.Int {
		return false
	}
	switch x.Op {
	case ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpAnd, ir.OpOr, ir.OpXor:
		return x.Args[0].Type == ir.Int && x.Args[1].Type == ir.Int
	case ir.OpShl:
		return x.Args[1].Op == ir.OpConst && x.Args[1].Imm&63 < 32
	}
	return false
}

func (s *selector) unary(in *inst, dst vreg) {
	in.op, in.dst = mUnary, dst
	s.likeA(dst, in.a)
	s.emit(in)
}

func (s *selector) alu(op asm.ALUOp, dst vreg, a, b operand, word bool) {
	s.likeA(dst, a)
	s.emit(&inst{op: mALU, alu: op, dst: dst, a: a, b: b, word: word})
}

// likeA makes the allocator prefer the same register for dst and a, which avoids a
// copy.
//
//go:noinline
func (s *selector) likeA(dst vreg, a operand) {
	if a.kind != opReg {
		return
	}
	if s.m.vregs[dst].like == 0 {
		s.m.vregs[dst].like = a.v
	}
	if s.m.vregs[a.v].like == 0 {
		s.m.vregs[a.v].like = dst
	}
}

func (s *selector) signExtend(v *ir.Value, dst vreg) {
	x := v.Args[0]
	n := map[ir.Op]int64{ir.OpSext8: 8, ir.OpSext16: 16, ir.OpSext32: 32}[v.Op]
	if s.opts.V4 {
		if x.Loads(int(n/8)) && s.uses[x.ID] == 1 && (x.Args[0].Type == ir.PtrSlot || x.Args[0].Type == ir.PtrMap || x.Args[0].Type == ir.PtrRec) {
			s.sexts[x.ID] = v
			return
		}
		op := map[int64]asm.ALUOp{8: asm.MovSX8, 16: asm.MovSX16, 32: asm.MovSX32}[n]
		s.unary(&inst{alu: op, a: s.value(x)}, dst)
		return
	}
	t := s.m.newVreg()
	s.alu(asm.ArSh, dst, reg(t), imm(64-n), false)
	s.alu(asm.LSh, t, s.value(x), imm(64-n), false)
}

// arith selects a two-operand computation of v into dst. If word is set, it computes the
// low 32 bits, zero-extended.
func (s *selector) arith(v *ir.Value, dst vreg, word bool) {
	op := aluOps[v.Op]
	x, y := v.Args[0], v.Args[1]
	if commutes(op) && x.Op == ir.OpConst && y.Op != ir.OpConst {
		x, y = y, x
	}
	if y.Op != ir.OpConst {
		a, b := s.moved(x), s.value(y)
		s.alu(op, dst, a, b, word)
		return
	}
	n := y.Imm
	if word {
		n = int64(int32(n))
	}
	switch op {
	case asm.Sub:
		if m := -n; fitsS32(m) {
			op, n = asm.Add, m
		}
	case asm.LSh, asm.RSh, asm.ArSh:
		n &= 63
	case asm.Div, asm.SDiv:
		if n == 0 {
			s.emit(&inst{op: mLet, dst: dst, a: imm(0)})
			return
		}
	case asm.Mod, asm.SMod:
		if n == 0 {
			s.emit(&inst{op: mLet, dst: dst, a: s.moved(x)})
			return
		}
	case asm.And:
		if !fitsS32(n) && fitsU32(n) {
			n, word = int64(int32(n)), true
		}
	}
	switch {
	case fitsS32(n):
		s.alu(op, dst, s.moved(x), imm(n), word)
	case commutes(op) && x.Op != ir.OpConst:
		s.alu(op, dst, imm(n), s.value(x), word)
	default:
		s.alu(op, dst, s.moved(x), s.held(imm(n)), word)
	}
}
