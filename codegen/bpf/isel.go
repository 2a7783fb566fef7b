package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
)

// selector converts the values of a function to machine instructions. It visits the
// blocks, and the values of each block, backwards. It emits a value only if a later
// instruction needs it in a register. A value that all its users have folded (an
// immediate, an offset, a condition) is not emitted.
type selector struct {
	f     *ir.Func
	m     *mfunc
	opts  *Target
	uses  []int
	terms []int       // of those uses, the ones by terminators
	calls []int       // number of those as arguments of calls
	vregs []vreg      // by value ID; 0: not needed
	sexts []*ir.Value // by ID of a load: the extension that becomes part of it

	tracked []bool // by value ID: see trackedValues

	out    []*inst // of the current block, last first
	before []*inst // to be emitted before the instruction being selected
	pos    source.Span

	// Registers that hold a rematerializable operand for instructions that have been
	// selected. They are loaded at the first call before these instructions, or at the
	// start of the block.
	cache []cached
}

type cached struct {
	o   operand
	v   vreg
	at  int // index in out of the first user in program order
	pos source.Span
}

func selectInstructions(f *ir.Func, lay *layout, opts *Target) *mfunc {
	splitCriticalEdges(f)
	s := &selector{
		f: f, opts: opts, uses: f.Uses(), vregs: make([]vreg, f.NumValues()), sexts: make([]*ir.Value, f.NumValues()),
		m: &mfunc{name: f.Name, vregs: make([]vinfo, 1), frame: lay.frame, stack: lay.stack},
	}
	s.terms, s.calls = make([]int, f.NumValues()), make([]int, f.NumValues())
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Calls() || v.Op == ir.OpCmpXchg64 {
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
	s.tracked = trackedValues(f, dom)
	if lay.base != nil {
		s.m.base = s.reg(lay.base)
		s.m.vregs[s.m.base].fixed = true
	}
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

// emit appends in and the instructions that must precede it.
//
//go:noinline
func (s *selector) emit(in *inst) {
	in.pos = s.pos
	s.out = append(s.out, in)
	for _, p := range s.before {
		p.pos = s.pos
		s.out = append(s.out, p)
	}
	s.before = s.before[:0]
}

// reg returns the register for v, and so marks v as a value to emit.
func (s *selector) reg(v *ir.Value) vreg {
	if s.vregs[v.ID] == 0 {
		s.vregs[v.ID] = s.m.newVreg()
		s.m.vregs[s.vregs[v.ID]].tracked = s.tracked[v.ID]
	}
	return s.vregs[v.ID]
}

// remat returns v as an operand that is computed at its use, if v is such a value.
//
//go:noinline
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

// moved returns v as the source of a move, which can be any operand.
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

// argument returns v as a call's argument. A sum with a constant that only calls use is
// computed in the argument register itself.
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

// maxCached is the maximum number of operands that wait to be loaded. Each new one is
// compared with all of them.
const maxCached = 64

// held returns o in a register.
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
	if len(s.cache) >= maxCached {
		s.flush()
	}
	v := s.m.newVreg()
	s.m.vregs[v].remat = true
	s.cache = append(s.cache, cached{o, v, len(s.out), s.pos})
	return reg(v)
}

// flush emits the loads of the operands that the instructions selected since the last
// flush expect in registers, each before its first user.
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

// source returns v as an ALU or jump operand: an immediate of 32 bits or a register.
func (s *selector) source(v *ir.Value) operand {
	if v.Op == ir.OpConst && fitsS32(v.Imm) {
		return imm(v.Imm)
	}
	return s.value(v)
}

// value returns v in a register.
func (s *selector) value(v *ir.Value) operand { return s.held(s.moved(v)) }

// address returns p+off as base and offset of a memory access.
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
		// The offset does not fit the instruction: add the rest first.
		v, low := s.m.newVreg(), int64(int16(off))
		s.m.vregs[v].tracked = true
		s.before = append(s.before, &inst{op: mALU, alu: asm.Add, dst: v, a: s.moved(base), b: imm(off - low)})
		return reg(v), int16(low)
	}
	return s.held(s.moved(base)), int16(off)
}

// canonicalMap returns the same value for all addresses in the value of one map, so
// that they become equal operands.
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
		if v.Hides() && s.vregs[v.ID] == 0 {
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

//go:noinline
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
