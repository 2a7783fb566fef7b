package bpf

import (
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
)

// code is a function's final instructions.
type code struct {
	insns asm.Instructions
	spans []source.Span // by raw instruction number
	rare  []bool        // the same: on a failure path
	stack int64
}

type emitter struct {
	f   *mfunc
	c   *code
	pos source.Span
	bad bool // on a failure path

	spare  [2]int64 // offsets of the emergency words; 0: none
	bottom int64    // bytes of stack so far

	order  []*mblock
	raw    int             // number of raw instructions so far
	reach  int             // maximum number of instructions that the kernel may convert them to
	starts map[*mblock]int // raw number of a block's first instruction
	far    map[*mblock]int // the same in terms of reach
	jumps  []jumpFix
	isles  []*island
}

type jumpFix struct {
	insn int // index in insns
	raw  int // raw number of the instruction after it
	far  int // the same in terms of reach
	to   *mblock
}

// emit emits the final instructions of f, whose virtual registers have been allocated.
func emit(f *mfunc) (*code, error) {
	e := &emitter{f: f, c: &code{}, bottom: f.stack + 8*int64(f.spills), starts: map[*mblock]int{}, far: map[*mblock]int{}}
	e.arrange()
	for i, b := range e.order {
		e.starts[b], e.far[b] = e.raw, e.reach
		var next *mblock
		if i+1 < len(e.order) {
			next = e.order[i+1]
		}
		for _, in := range b.insts {
			e.shore()
			e.pos, e.bad = in.pos, b.unlikely
			e.inst(b, in, next)
		}
	}
	if err := e.link(); err != nil {
		return nil, err
	}
	e.c.stack = e.bottom
	return e.c, nil
}

// keepFrame adds a tail call in front of c, a program's main function. If a program has a
// tail call, the kernel places all of the program's frames on the stack of the task. The
// call is never reached, so the kernel removes it.
func (c *code) keepFrame() {
	c.insns = append(asm.Instructions{
		asm.Mov.Imm(asm.R0, 0),
		{OpCode: asm.JEq.Op(asm.ImmSource), Dst: asm.R0, Offset: 1},
		asm.FnTailCall.Call(),
	}, c.insns...)
	c.spans = append(make([]source.Span, 3), c.spans...)
	c.rare = append(make([]bool, 3), c.rare...)
}

// arrange decides which blocks are emitted. Jumps skip blocks that only jump. Of the
// blocks that only return the same constant, one is kept, unless that requires another
// jump.
func (e *emitter) arrange() {
	threaded := func(b *mblock) *mblock {
		for range e.f.blocks { // a loop of empty blocks must remain a loop
			in := b.insts[0]
			if in.op != mJump || e.hasMoves(b, in.then) {
				break
			}
			b = in.then
		}
		return b
	}
	for _, b := range e.f.blocks {
		switch in := b.last(); in.op {
		case mJump:
			// The moves of the first edge stay here. The edges after it have none.
			if then := threaded(in.then); then != in.then && len(then.phis) == 0 && !e.hasMoves(b, in.then) {
				in.then = then
			}
		case mBranch:
			in.then, in.els = threaded(in.then), threaded(in.els)
		}
	}
	order := e.reachable(e.f.blocks)
	returns := map[int64]*mblock{}
	only := func(b *mblock) (int64, bool) {
		in := b.insts[0]
		return in.a.imm, in.op == mRet && in.a.kind == opImm && len(b.phis) == 0 && b != order[0]
	}
	falls := func(i int) bool { // the block before order[i] runs into it
		return i > 0 && order[i-1].last().op == mJump && order[i-1].last().then == order[i]
	}
	for i, b := range order {
		if n, ok := only(b); ok && (returns[n] == nil || falls(i)) {
			returns[n] = b
		}
	}
	for i, b := range order {
		in := b.last()
		redirect := func(to *mblock) *mblock {
			if n, ok := only(to); ok {
				return returns[n]
			}
			return to
		}
		switch in.op {
		case mJump:
			if i+1 == len(order) || in.then != order[i+1] {
				in.then = redirect(in.then)
			}
		case mBranch:
			in.then, in.els = redirect(in.then), redirect(in.els)
		}
	}
	e.order = e.reachable(order)
}

// reachable keeps the blocks that jumps can reach.
func (e *emitter) reachable(blocks []*mblock) []*mblock {
	seen := map[*mblock]bool{blocks[0]: true}
	work := []*mblock{blocks[0]}
	for len(work) > 0 {
		in := work[len(work)-1].last()
		work = work[:len(work)-1]
		for _, s := range []*mblock{in.then, in.els} {
			if s != nil && !seen[s] {
				seen[s] = true
				work = append(work, s)
			}
		}
	}
	var kept []*mblock
	for _, b := range blocks {
		if seen[b] {
			kept = append(kept, b)
		}
	}
	return kept
}

// add appends an instruction.
func (e *emitter) add(in asm.Instruction) {
	e.c.insns = append(e.c.insns, in)
	n := 1
	if in.OpCode.IsDWordLoad() {
		n = 2
	}
	for range n {
		e.c.spans, e.c.rare = append(e.c.spans, e.pos), append(e.c.rare, e.bad)
	}
	e.raw += n
	e.reach += patched(in)
}

// emergency returns the offset of a stack word for moves for which no register is free.
func (e *emitter) emergency(i int) int64 {
	if e.spare[i] == 0 {
		e.bottom += 8
		e.spare[i] = -e.bottom
	}
	return e.spare[i]
}

//go:noinline
func (e *emitter) spot(v vreg) spot {
	info := &e.f.vregs[v]
	switch {
	case info.mem && e.f.isFar(info):
		return spot{mem: true, far: true, off: 8 * int64(info.loc)}
	case info.mem:
		return spot{mem: true, off: -(e.f.stack + 8*int64(info.loc+1))}
	}
	return spot{reg: asm.Register(info.loc)}
}

//go:noinline
func (e *emitter) reg(v vreg) asm.Register {
	p := e.spot(v)
	if p.mem {
		panic("bpf: spilled register in an instruction")
	}
	return p.reg
}

//go:noinline
func (e *emitter) source(o operand) (p spot) {
	if o.usesReg() {
		return e.spot(o.v)
	}
	return spot{}
}

// edgeMoves returns the moves on the edge from b to s.
func (e *emitter) edgeMoves(b, s *mblock) []move {
	if len(s.phis) == 0 {
		return nil
	}
	k := s.predIndex(b)
	moves := make([]move, 0, len(s.phis))
	for i := range s.phis {
		o := s.phis[i].args[k]
		moves = append(moves, move{dst: e.spot(s.phis[i].dst), src: o, at: e.source(o)})
	}
	return moves
}

func (e *emitter) hasMoves(b, s *mblock) bool {
	for _, m := range e.edgeMoves(b, s) {
		if !m.trivial() {
			return true
		}
	}
	return false
}

func (e *emitter) inst(b *mblock, in *inst, next *mblock) {
	switch in.op {
	case mParams:
		var moves []move
		for i, o := range in.args {
			if o.kind == opReg {
				moves = append(moves, move{dst: e.spot(o.v), src: reg(0), at: spot{reg: asm.R1 + asm.Register(i)}})
			}
		}
		e.parallel(moves, [numRegs]bool{})
	case mLet:
		e.load(e.reg(in.dst), in.a, e.source(in.a))
	case mReload:
		e.load(e.reg(in.dst), in.a, e.source(in.a))
	case mSpill:
		p := e.spot(in.dst)
		e.add(asm.StoreMem(p.base(), int16(p.off), e.reg(in.a.v), asm.DWord))
	case mALU:
		e.alu(in)
	case mUnary:
		e.unary(in)
	case mSet:
		d := e.reg(in.dst)
		e.add(asm.Mov.Imm(d, 1))
		e.jump(in, in.jump, nil)
		e.c.insns[len(e.c.insns)-1].Offset = 1
		e.add(asm.Mov.Imm(d, 0))
	case mLoad:
		base, off := e.base(in)
		x := asm.LoadMem(e.reg(in.dst), base, off, in.size)
		if in.sext {
			x.OpCode = x.OpCode.SetMode(asm.MemSXMode)
		}
		e.add(x)
	case mStore:
		base, off := e.base(in)
		if in.b.kind == opImm {
			e.add(storeImm(base, off, in.b.imm, in.size))
		} else {
			e.add(asm.StoreMem(base, off, e.reg(in.b.v), in.size))
		}
	case mAtomic:
		base, off := e.base(in)
		e.add(atomic(in.atom, base, e.reg(in.b.v), in.size, off))
	case mFetch:
		d := e.reg(in.dst)
		e.load(d, in.a, e.source(in.a))
		e.add(atomic(in.atom, e.reg(in.b.v), d, in.size, in.off))
	case mCall:
		e.call(in)
	case mJump:
		if moves := e.edgeMoves(b, in.then); len(moves) > 0 {
			var taken [numRegs]bool
			for _, v := range in.then.liveIn {
				if !e.f.vregs[v].mem {
					taken[e.f.vregs[v].loc] = true
				}
			}
			e.parallel(moves, taken)
		}
		if in.then != next {
			e.jump(in, asm.Ja, in.then)
		}
	case mBranch:
		switch {
		case in.then == in.els:
			if in.then != next {
				e.jump(in, asm.Ja, in.then)
			}
		case in.els == next:
			e.jump(in, in.jump, in.then)
		case in.then == next && in.jump != asm.JSet:
			e.jump(in, inverted[in.jump], in.els)
		default:
			e.jump(in, in.jump, in.then)
			e.jump(in, asm.Ja, in.els)
		}
	case mRet:
		e.load(asm.R0, in.a, e.source(in.a))
		e.add(asm.Return())
	}
}

var inverted = map[asm.JumpOp]asm.JumpOp{
	asm.JEq: asm.JNE, asm.JNE: asm.JEq, asm.JLT: asm.JGE, asm.JGE: asm.JLT, asm.JLE: asm.JGT, asm.JGT: asm.JLE,
	asm.JSLT: asm.JSGE, asm.JSGE: asm.JSLT, asm.JSLE: asm.JSGT, asm.JSGT: asm.JSLE,
}

// jump emits a jump that compares in's operands with op. link sets the offset of its
// target later.
func (e *emitter) jump(in *inst, op asm.JumpOp, to *mblock) {
	class := asm.JumpClass
	if in.word {
		class = asm.Jump32Class
	}
	x := asm.Instruction{}
	switch {
	case op == asm.Ja:
		x.OpCode = asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja)
	case in.b.kind == opImm:
		x.OpCode = asm.OpCode(class).SetJumpOp(op).SetSource(asm.ImmSource)
		x.Dst, x.Constant = e.reg(in.a.v), in.b.imm
	default:
		x.OpCode = asm.OpCode(class).SetJumpOp(op).SetSource(asm.RegSource)
		x.Dst, x.Src = e.reg(in.a.v), e.reg(in.b.v)
	}
	e.add(x)
	if to != nil {
		e.jumps = append(e.jumps, jumpFix{len(e.c.insns) - 1, e.raw, e.reach, to})
	}
}

// base returns the register and offset of a memory access.
func (e *emitter) base(in *inst) (asm.Register, int16) {
	if in.a.kind == opFrame {
		return asm.R10, int16(e.f.frame[in.a.val] + in.a.imm)
	}
	return e.reg(in.a.v), in.off
}

func (e *emitter) alu(in *inst) {
	d := e.reg(in.dst)
	a, b := in.a, in.b
	if b.kind == opReg && a.kind == opReg && commutes(in.alu) && e.reg(b.v) == d && e.reg(a.v) != d {
		a, b = b, a
	}
	if b.kind == opReg && e.reg(b.v) == d && !(a.kind == opReg && e.reg(a.v) == d) {
		panic("bpf: operand overwritten before it is read")
	}
	e.load(d, a, e.source(a))
	op := in.alu.Op
	if in.word {
		op = in.alu.Op32
	}
	if b.kind == opImm {
		if in.alu == asm.Add && b.imm == 0 && !in.word {
			return
		}
		e.add(asm.Instruction{OpCode: op(asm.ImmSource), Dst: d, Constant: b.imm})
		return
	}
	e.add(asm.Instruction{OpCode: op(asm.RegSource), Dst: d, Src: e.reg(b.v)})
}

func (e *emitter) unary(in *inst) {
	d := e.reg(in.dst)
	switch in.alu {
	case asm.Mov, asm.MovSX8, asm.MovSX16, asm.MovSX32:
		if in.a.kind != opReg {
			e.load(d, in.a, spot{})
			in.a = reg(in.dst)
		}
		if in.word {
			e.add(in.alu.Reg32(d, e.reg(in.a.v)))
		} else {
			e.add(in.alu.Reg(d, e.reg(in.a.v)))
		}
		return
	}
	e.load(d, in.a, e.source(in.a))
	if in.alu == asm.Swap {
		e.add(asm.HostTo(asm.BE, d, in.size))
	} else {
		e.add(asm.Instruction{OpCode: in.alu.Op(asm.ImmSource), Dst: d})
	}
}

// atomic returns an atomic instruction. cilium/ebpf 0.22 encodes its immediate, but not
// the operation in its opcode.
func atomic(op asm.AtomicOp, base, src asm.Register, size asm.Size, off int16) asm.Instruction {
	x := op.Mem(base, src, size, off)
	x.Constant = int64(op >> 8)
	return x
}

func (e *emitter) call(in *inst) {
	var moves []move
	for i, o := range in.args {
		moves = append(moves, move{dst: spot{reg: asm.R1 + asm.Register(i)}, src: o, at: e.source(o)})
	}
	var taken [numRegs]bool
	for r := 6; r < numRegs; r++ {
		taken[r] = true // may hold something beyond the call
	}
	e.parallel(moves, taken)
	switch v := in.val; v.Op {
	case ir.OpCall:
		e.add(e.f.outline.call(v))
	case ir.OpCallFn:
		e.add(asm.Call.Label(v.Fn.Name))
	case ir.OpCmpXchg64:
		e.add(asm.Mov.Reg(asm.R0, asm.R2))
		e.add(atomic(asm.CmpXchg, asm.R1, asm.R3, asm.DWord, int16(v.Imm)))
	case ir.OpKfunc:
		e.add(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: v.Imm})
	}
	if in.dst != 0 {
		if d := e.reg(in.dst); d != asm.R0 {
			e.add(asm.Mov.Reg(d, asm.R0))
		}
	}
}
