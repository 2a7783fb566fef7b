package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
)

// selector turns the values of a function into machine instructions. It goes
// through the blocks against the flow and through each block backwards: a value
// is emitted when it is reached only if something after it asked for it in a
// register. What its users folded (an immediate, an offset, a condition) is
// never asked for and thereby gone.
type selector struct {
	f     *ir.Func
	m     *mfunc
	opts  *Options
	uses  []int
	terms []int       // of those uses, the ones by terminators
	calls []int       // and as arguments of calls
	vregs []vreg      // by value ID; 0: not asked for
	sexts []*ir.Value // by ID of a load: the extension that becomes part of it

	out    []*inst // of the current block, last first
	before []*inst // to precede the instruction being selected
	pos    source.Span

	// Registers that hold a rematerialisable operand for the instructions already
	// selected, to be loaded at the first call before them or the block's start.
	cache []cached
}

type cached struct {
	o   operand
	v   vreg
	at  int // index in out of the first user in program order
	pos source.Span
}

func selectInstructions(f *ir.Func, lay *layout, opts *Options) *mfunc {
	splitCriticalEdges(f)
	s := &selector{
		f: f, opts: opts, uses: f.Uses(), vregs: make([]vreg, f.NumValues()), sexts: make([]*ir.Value, f.NumValues()),
		m: &mfunc{name: f.Name, vregs: make([]vinfo, 1), frame: lay.frame, stack: lay.stack},
	}
	s.terms, s.calls = make([]int, f.NumValues()), make([]int, f.NumValues())
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			switch v.Op {
			case ir.OpCall, ir.OpCallFn, ir.OpKfunc, ir.OpCmpXchg64:
				for _, x := range v.Args {
					s.calls[x.ID]++
				}
			}
		}
		if b.Term == ir.TermBr {
			s.terms[b.Cond.ID]++
		}
	}
	dom := ir.NewDom(f)
	unlikely := unlikelyBlocks(f, dom)
	order := layoutBlocks(f, dom, unlikely)
	blocks := make([]*mblock, f.NumBlocks())
	for i, b := range order {
		blocks[b.ID] = &mblock{id: b.ID, index: i, depth: dom.LoopDepth(b), unlikely: unlikely[b.ID]}
		s.m.blocks = append(s.m.blocks, blocks[b.ID])
	}
	for _, b := range order {
		for _, x := range b.Succs {
			blocks[b.ID].succs = append(blocks[b.ID].succs, blocks[x.ID])
		}
		for _, x := range b.Preds {
			blocks[b.ID].preds = append(blocks[b.ID].preds, blocks[x.ID])
		}
	}
	for _, b := range order {
		for _, v := range b.Phis() {
			for _, x := range v.Args {
				s.moved(x)
			}
		}
	}
	for i := len(dom.RPO) - 1; i >= 0; i-- {
		b := dom.RPO[i]
		s.selectBlock(b, blocks)
	}
	for _, b := range order {
		mb := blocks[b.ID]
		for _, v := range b.Phis() {
			phi := mphi{dst: s.reg(v)}
			for _, x := range v.Args {
				o := s.moved(x)
				phi.args = append(phi.args, o)
				if o.kind == opReg {
					if s.m.vregs[o.v].like == 0 {
						s.m.vregs[o.v].like = phi.dst
					}
					s.m.vregs[phi.dst].from = append(s.m.vregs[phi.dst].from, o.v)
				}
			}
			mb.phis = append(mb.phis, phi)
		}
	}
	return s.m
}

// splitCriticalEdges gives phi moves a block of their own on edges from blocks
// with several successors.
func splitCriticalEdges(f *ir.Func) {
	for _, b := range f.Blocks[:len(f.Blocks):len(f.Blocks)] {
		if len(b.Succs) < 2 {
			continue
		}
		for i, s := range b.Succs {
			if len(s.Phis()) > 0 {
				b.SplitEdge(i)
			}
		}
	}
}

// testsBits reports whether a branch on cond becomes a JSET.
func testsBits(cond *ir.Value) bool {
	if cond.Op == ir.OpNe && cond.Args[1].Op == ir.OpConst && cond.Args[1].Imm == 0 {
		cond = cond.Args[0]
	}
	return cond.Op == ir.OpAnd
}

// unlikelyBlocks says by ID which blocks are failure paths, or behind one.
func unlikelyBlocks(f *ir.Func, dom *ir.Dom) []bool {
	unlikely := make([]bool, f.NumBlocks())
	for _, b := range dom.RPO[1:] {
		unlikely[b.ID] = b.Unlikely || unlikely[dom.IDom(b).ID]
	}
	return unlikely
}

// layoutBlocks orders the reachable blocks so that the likely successor comes
// next, loops are contiguous and failure paths come last.
func layoutBlocks(f *ir.Func, dom *ir.Dom, unlikely []bool) []*ir.Block {
	seen := make([]bool, f.NumBlocks())
	var post []*ir.Block
	type frame struct {
		b     *ir.Block
		succs []*ir.Block
	}
	// Visited first means laid out last.
	succs := func(b *ir.Block) []*ir.Block {
		if len(b.Succs) < 2 {
			return b.Succs
		}
		x, y := b.Succs[0], b.Succs[1]
		switch {
		case unlikely[x.ID] != unlikely[y.ID]:
			if unlikely[x.ID] {
				return []*ir.Block{x, y}
			}
		case dom.LoopDepth(x) < dom.LoopDepth(y):
			return []*ir.Block{x, y}
		case dom.LoopDepth(x) == dom.LoopDepth(y) && testsBits(b.Cond):
			return []*ir.Block{x, y} // there is no jump for "no bit set"
		}
		return []*ir.Block{y, x}
	}
	stack := []frame{{f.Blocks[0], succs(f.Blocks[0])}}
	seen[f.Blocks[0].ID] = true
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.succs) > 0 {
			s := top.succs[0]
			top.succs = top.succs[1:]
			if !seen[s.ID] {
				seen[s.ID] = true
				stack = append(stack, frame{s, succs(s)})
			}
			continue
		}
		post = append(post, top.b)
		stack = stack[:len(stack)-1]
	}
	order := make([]*ir.Block, 0, len(post))
	for _, last := range []bool{false, true} {
		for i := len(post) - 1; i >= 0; i-- {
			if unlikely[post[i].ID] == last {
				order = append(order, post[i])
			}
		}
	}
	return order
}

// emit appends in, and what was asked to precede it.
func (s *selector) emit(in *inst) {
	in.pos = s.pos
	s.out = append(s.out, in)
	for _, p := range s.before {
		p.pos = s.pos
		s.out = append(s.out, p)
	}
	s.before = s.before[:0]
}

// reg asks for v in a register.
func (s *selector) reg(v *ir.Value) vreg {
	if s.vregs[v.ID] == 0 {
		s.vregs[v.ID] = s.m.newVreg()
	}
	return s.vregs[v.ID]
}

// remat is v as an operand that is made where it is used, if v is such a value.
func remat(v *ir.Value) (operand, bool) {
	switch v.Op {
	case ir.OpConst:
		return imm(v.Imm), true
	case ir.OpSlot:
		return operand{kind: opFrame, val: v}, true
	case ir.OpMapPtr:
		return operand{kind: opMap, val: v}, true
	case ir.OpMapValue:
		return operand{kind: opMapVal, val: v, imm: v.Imm}, true
	case ir.OpFuncAddr:
		return operand{kind: opFunc, val: v}, true
	}
	return operand{}, false
}

// moved is v as the source of a move, which takes any operand.
func (s *selector) moved(v *ir.Value) operand {
	if o, ok := remat(v); ok {
		return o
	}
	if base, off := peel(v, 0); base != v && fitsS32(off) {
		switch o, ok := remat(base); {
		case ok && o.kind == opFrame:
			o.imm += off
			return o
		case ok && o.kind == opMapVal && o.imm+off >= 0 && o.imm+off < int64(base.Map.ValueSize):
			o.imm += off
			return o
		}
	}
	return reg(s.reg(v))
}

// argument is v as a call's argument: what only calls use, a sum with a
// constant, is added up in the argument register itself.
func (s *selector) argument(v *ir.Value) operand {
	if s.vregs[v.ID] == 0 && s.uses[v.ID] == s.calls[v.ID] && (v.Op == ir.OpAdd || v.Op == ir.OpSub) && v.Args[1].Op == ir.OpConst {
		n := v.Args[1].Imm
		if v.Op == ir.OpSub {
			n = -n
		}
		if o := s.moved(v.Args[0]); o.kind == opReg && fitsS32(n) {
			return operand{kind: opSum, v: o.v, imm: n}
		}
	}
	return s.moved(v)
}

// held is o in a register.
func (s *selector) held(o operand) operand {
	if o.kind == opReg {
		return o
	}
	for i := range s.cache {
		if c := &s.cache[i]; c.o == o {
			c.at, c.pos = len(s.out), s.pos
			return reg(c.v)
		}
	}
	v := s.m.newVreg()
	s.m.vregs[v].remat = true
	s.cache = append(s.cache, cached{o, v, len(s.out), s.pos})
	return reg(v)
}

// flush places the loads of what instructions since the last flush expect in
// registers, each before its first user.
func (s *selector) flush() {
	for len(s.cache) > 0 {
		last := 0 // insert from the back, so that the other indices stay right
		for i, c := range s.cache {
			if c.at > s.cache[last].at {
				last = i
			}
		}
		c := s.cache[last]
		s.cache = append(s.cache[:last], s.cache[last+1:]...)
		s.out = append(s.out, nil)
		copy(s.out[c.at+2:], s.out[c.at+1:])
		s.out[c.at+1] = &inst{op: mLet, dst: c.v, a: c.o, pos: c.pos}
	}
}

// source is v as an ALU or jump operand: an immediate of 32 bits or a register.
func (s *selector) source(v *ir.Value) operand {
	if v.Op == ir.OpConst && fitsS32(v.Imm) {
		return imm(v.Imm)
	}
	return s.value(v)
}

// value is v in a register.
func (s *selector) value(v *ir.Value) operand { return s.held(s.moved(v)) }

// address is p+off as base and offset of a memory access.
func (s *selector) address(p *ir.Value, off int64) (operand, int16) {
	base, off := peel(p, off)
	o, ok := remat(base)
	switch {
	case ok && o.kind == opFrame:
		o.imm = off
		return o, 0
	case ok && o.kind == opMapVal:
		if n := o.imm + off; n >= 0 && fitsS16(n) {
			o.val, o.imm = s.canonicalMap(o.val), 0
			return s.held(o), int16(n)
		}
	}
	if !fitsS16(off) {
		// Too far for the instruction: the part that does not fit is added first.
		v, low := s.m.newVreg(), int64(int16(off))
		s.before = append(s.before, &inst{op: mALU, alu: asm.Add, dst: v, a: s.moved(base), b: imm(off - low)})
		return reg(v), int16(low)
	}
	return s.held(s.moved(base)), int16(off)
}

// canonicalMap makes equal operands of all direct values of one map.
func (s *selector) canonicalMap(v *ir.Value) *ir.Value {
	for _, c := range s.cache {
		if c.o.kind == opMapVal && c.o.val.Map == v.Map {
			return c.o.val
		}
	}
	return v
}

func (s *selector) selectBlock(b *ir.Block, blocks []*mblock) {
	mb := blocks[b.ID]
	s.out, s.pos = nil, b.Pos
	switch b.Term {
	case ir.TermJump:
		s.emit(&inst{op: mJump, then: blocks[b.Succs[0].ID]})
	case ir.TermRet:
		o := s.moved(b.Cond)
		s.hint(o, asm.R0)
		s.emit(&inst{op: mRet, a: o})
	case ir.TermBr:
		in := s.condition(b.Cond, true)
		in.op = mBranch
		in.then, in.els = blocks[b.Succs[0].ID], blocks[b.Succs[1].ID]
		if in.then == in.els {
			in = &inst{op: mJump, then: in.then}
		}
		s.emit(in)
	default:
		panic(fmt.Sprintf("bpf: %s: %s has no terminator", s.f.Name, b))
	}
	for i := len(b.Values) - 1; i >= 0; i-- {
		v := b.Values[i]
		if v.Op == ir.OpPhi || v.Op == ir.OpParam {
			continue
		}
		if v.Op == ir.OpBarrier && s.vregs[v.ID] == 0 {
			continue
		}
		if _, ok := remat(v); ok || v.Effect()&ir.Writes == 0 && s.vregs[v.ID] == 0 && s.sexts[v.ID] == nil {
			continue
		}
		s.pos = v.Pos
		s.instruction(v)
	}
	s.flush()
	if b == s.f.Blocks[0] {
		s.params(b)
	}
	for i := len(s.out) - 1; i >= 0; i-- {
		mb.insts = append(mb.insts, s.out[i])
	}
}

func (s *selector) hint(o operand, r asm.Register) {
	if o.kind == opReg && !s.m.vregs[o.v].hinted {
		s.m.vregs[o.v].hint, s.m.vregs[o.v].hinted = r, true
	}
}

func (s *selector) params(entry *ir.Block) {
	in := &inst{op: mParams, args: make([]operand, len(s.f.Params))}
	for _, v := range entry.Values {
		if r := s.vregs[v.ID]; v.Op == ir.OpParam && r != 0 {
			if o := &in.args[v.Imm]; o.kind == opNone {
				*o = reg(r)
				s.hint(*o, asm.R1+asm.Register(v.Imm))
			} else { // a second value of the same parameter
				s.out = append(s.out, &inst{op: mLet, dst: r, a: *o})
			}
		}
	}
	s.out = append(s.out, in)
}

var jumps = map[ir.Op]asm.JumpOp{
	ir.OpEq: asm.JEq, ir.OpNe: asm.JNE, ir.OpULt: asm.JLT, ir.OpULe: asm.JLE, ir.OpSLt: asm.JSLT, ir.OpSLe: asm.JSLE,
}

// mirrored gives the comparison with exchanged operands.
var mirrored = map[asm.JumpOp]asm.JumpOp{
	asm.JEq: asm.JEq, asm.JNE: asm.JNE, asm.JLT: asm.JGT, asm.JLE: asm.JGE, asm.JSLT: asm.JSGT, asm.JSLE: asm.JSGE,
}

// condition is the comparison of a branch, or with branch false of an mSet.
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

var memSize = map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}

// instruction selects the instructions of v.
func (s *selector) instruction(v *ir.Value) {
	dst := s.vregs[v.ID]
	arg := func(i int) *ir.Value { return v.Args[i] }
	size := memSize[v.Op.Info().Size]
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
	case ir.OpLoad8, ir.OpLoad16, ir.OpLoad32, ir.OpLoad64:
		in := &inst{op: mLoad, size: size, dst: dst}
		if x := s.sexts[v.ID]; x != nil {
			in.sext, in.dst = true, s.vregs[x.ID]
		}
		in.a, in.off = s.address(arg(0), v.Imm)
		s.emit(in)
	case ir.OpStore8, ir.OpStore16, ir.OpStore32, ir.OpStore64:
		in := &inst{op: mStore, size: size}
		in.a, in.off = s.address(arg(0), v.Imm)
		x := arg(1)
		if n := x.Imm; x.Op == ir.OpConst && arg(0).Type != ir.PtrCtx && (fitsS32(n) || size != asm.DWord) {
			in.b = imm(int64(int32(n)))
		} else {
			in.b = s.value(x)
		}
		s.emit(in)
	case ir.OpAtomicAdd32, ir.OpAtomicAdd64:
		in := &inst{op: mAtomic, size: size, b: s.value(arg(1))}
		in.a, in.off = s.address(arg(0), v.Imm)
		s.emit(in)
	case ir.OpXchg64:
		if dst == 0 {
			dst = s.m.newVreg()
		}
		s.emit(&inst{op: mXchg, size: size, dst: dst, a: s.moved(arg(1)), b: s.value(arg(0)), off: int16(v.Imm)})
	case ir.OpCall, ir.OpCallFn, ir.OpKfunc, ir.OpCmpXchg64: // the latter wants r0, as calls do
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
		panic(fmt.Sprintf("bpf: no instruction for %s", v))
	}
}

// wordSafe reports whether the low 32 bits of x depend on the low 32 bits of
// its operands alone, so that a 32-bit instruction can compute them.
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

// likeA asks for dst in the register of a, which saves the copy, and for a in
// that of dst.
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
		load := loadOps[map[int64]int{8: 0, 16: 1, 32: 2}[n]]
		if x.Op == load && s.uses[x.ID] == 1 && (x.Args[0].Type == ir.PtrSlot || x.Args[0].Type == ir.PtrMap || x.Args[0].Type == ir.PtrRec) {
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

// arith selects a two-operand computation of v into dst, of its low 32 bits
// (zero-extended) where word is set.
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
