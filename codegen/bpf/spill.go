package bpf

import "maps"

// spiller rewrites the code so that spilled registers are in memory. A register that is
// spilled for the first time gets a home in memory, and a new register for each stretch
// of code without a call. If the register of a stretch is spilled too, it is loaded for
// each use. A value that can be computed again needs no home.
type spiller struct {
	f       *mfunc
	spilled []bool // by vreg, of those that existed when the round began
	first   []bool // by vreg: spilled for the first time, with a home
	remats  map[vreg]operand
	ends    []map[vreg]vreg // by block: stretches that continue after it
	usesIn  map[vreg]int    // of stretches
}

//go:noinline
func (s *spiller) isSpilled(v vreg) bool { return int(v) < len(s.spilled) && s.spilled[v] }

func (s *spiller) newVreg(home vreg, noSpill bool) vreg {
	v := s.f.newVreg()
	s.f.vregs[v].home, s.f.vregs[v].noSpill = home, noSpill
	return v
}

func (s *spiller) run() {
	f := s.f
	s.usesIn = map[vreg]int{}
	s.giveHomes()
	s.ends = make([]map[vreg]vreg, len(f.blocks))
	for _, b := range f.blocks {
		s.chain(b)
	}
	for _, b := range f.blocks {
		s.shorten(b)
	}
	for _, b := range f.blocks {
		for i := range b.phis {
			p := &b.phis[i]
			for k := range p.args {
				s.direct(&p.args[k])
			}
			if s.isSpilled(p.dst) {
				p.dst = f.vregs[p.dst].home
			}
		}
	}
}

// giveHomes finds the spilled registers whose values can be computed again. It assigns
// a home to the others if they are spilled for the first time.
func (s *spiller) giveHomes() {
	f := s.f
	s.remats = map[vreg]operand{}
	s.first = make([]bool, len(s.spilled))
	for _, b := range f.blocks {
		for _, in := range b.insts {
			if in.op == mLet && s.isSpilled(in.dst) && f.vregs[in.dst].remat {
				s.remats[in.dst] = in.a
			}
		}
	}
	for v := range s.spilled {
		if !s.spilled[v] || s.remats[vreg(v)].kind != opNone || f.vregs[v].home != 0 {
			continue
		}
		home := f.newVreg()
		f.vregs[home].mem, f.vregs[home].noSpill = true, true
		f.vregs[home].tracked = f.vregs[v].tracked
		f.vregs[v].home = home
		s.first[v] = true
		if l := f.vregs[v].like; l != 0 {
			if f.vregs[l].mem {
				f.vregs[home].like = l
			} else {
				f.vregs[home].like = f.vregs[l].home
			}
		}
	}
}

// direct makes a move read a spilled source from its home.
func (s *spiller) direct(o *operand) {
	if !o.usesReg() || !s.isSpilled(o.v) {
		return
	}
	if r, ok := s.remats[o.v]; ok {
		if o.kind == opSum {
			r.imm += o.imm
		}
		*o = r
		return
	}
	o.v = s.f.vregs[o.v].home
}

// chain first rewrites the predecessors of b whose stretches may continue into b, then b.
func (s *spiller) chain(b *mblock) {
	var todo []*mblock
	for s.ends[b.index] == nil {
		todo = append(todo, b)
		if len(b.preds) != 1 {
			break
		}
		b = b.preds[0]
	}
	for i := len(todo) - 1; i >= 0; i-- {
		s.block(todo[i])
	}
}

// block rewrites the instructions of b. A stretch continues into blocks whose only
// predecessor is b, so that a branch in b bounds or checks the register that is used
// there.
func (s *spiller) block(b *mblock) {
	r := &rewriter{spiller: s, cur: map[vreg]vreg{}}
	if len(b.preds) == 1 {
		maps.Copy(r.cur, s.ends[b.preds[0].index])
	}
	s.ends[b.index] = r.cur
	for _, in := range b.insts {
		before := len(r.out)
		if in.op == mCall {
			r.arguments(in)
		} else {
			loaded := map[vreg]vreg{}
			in.operands(func(o *operand) {
				if o.usesReg() && s.isSpilled(o.v) {
					r.operand(in, o, loaded)
				}
			})
		}
		r.result(in, before)
	}
	b.insts = r.out
}

// rewriter rewrites the instructions of one block.
type rewriter struct {
	*spiller
	cur map[vreg]vreg // register of the current stretch, by spilled register
	out []*inst       // the instructions so far
}

// arguments makes a call read its arguments from the current stretches, which it ends,
// or from memory.
func (r *rewriter) arguments(in *inst) {
	for i := range in.args {
		o := &in.args[i]
		if c := r.cur[o.v]; o.usesReg() && c != 0 {
			o.v = c
			r.usesIn[c]++
		} else {
			r.direct(o)
		}
	}
	clear(r.cur)
}

// operand makes in read a spilled operand from a register that contains its value. If
// there is none, operand emits an instruction that loads it. loaded holds the registers
// that were loaded only for in.
func (r *rewriter) operand(in *inst, o *operand, loaded map[vreg]vreg) {
	v := o.v
	if in.op == mSpill {
		return // the store that follows v's definition
	}
	if m, ok := r.remats[v]; ok {
		if in.op == mLet && o.kind == opReg {
			*o = m
			return
		}
		if loaded[v] == 0 {
			loaded[v] = r.newVreg(0, true)
			r.out = append(r.out, &inst{op: mLet, dst: loaded[v], a: m, pos: in.pos})
		}
		o.v = loaded[v]
		return
	}
	home := r.f.vregs[v].home
	if !r.first[v] {
		if loaded[v] == 0 {
			loaded[v] = r.reload(home, true, in)
		}
		o.v = loaded[v]
		return
	}
	if r.cur[v] == 0 {
		r.cur[v] = r.reload(home, false, in)
	}
	o.v = r.cur[v]
	r.usesIn[o.v]++
	if in.op == mLet {
		r.f.vregs[o.v].checked = true
	}
}

// reload emits the load of a home for in, and returns the register it is loaded to.
func (r *rewriter) reload(home vreg, noSpill bool, in *inst) vreg {
	v := r.newVreg(home, noSpill)
	r.out = append(r.out, &inst{op: mReload, dst: v, a: reg(home), pos: in.pos})
	return v
}

// result emits in. If its result is spilled, result also emits the store to memory.
// before is the number of instructions emitted before those that load the operands of
// in.
func (r *rewriter) result(in *inst, before int) {
	f := r.f
	if in.op == mParams {
		for i := range in.args {
			if o := &in.args[i]; o.kind == opReg && r.isSpilled(o.v) && r.first[o.v] {
				o.v = f.vregs[o.v].home
			}
		}
		r.out = append(r.out, in)
		return
	}
	d := in.dst
	if d == 0 || !r.isSpilled(d) {
		r.out = append(r.out, in)
		return
	}
	switch _, again := r.remats[d]; {
	case again, in.op == mReload && !r.first[d]:
		r.out = r.out[:before] // it is computed at its use
	case r.first[d]:
		// The value itself is the first stretch. It is stored immediately.
		f.vregs[d].like = 0
		t := r.newVreg(f.vregs[d].home, false)
		f.vregs[t].hint, f.vregs[t].hinted = f.vregs[d].hint, f.vregs[d].hinted
		if in.a.kind == opReg && !f.vregs[in.a.v].mem {
			f.vregs[t].like = in.a.v
		}
		in.dst = t
		r.out = append(r.out, in, &inst{op: mSpill, dst: f.vregs[d].home, a: reg(t), pos: in.pos})
		r.cur[d] = t
	default:
		f.vregs[d].noSpill = true // only until the store that follows
		r.spilled[d] = true
		r.out = append(r.out, in)
	}
}

// shorten marks the stretches that cannot be shorter: those with one use immediately
// after the load, and those without a use after the store that follows the definition.
func (s *spiller) shorten(b *mblock) {
	for i, in := range b.insts {
		if in.op == mReload && s.usesIn[in.dst] == 1 && i+1 < len(b.insts) {
			b.insts[i+1].operands(func(o *operand) {
				if o.usesReg() && o.v == in.dst {
					s.f.vregs[in.dst].noSpill = true
				}
			})
		}
		if in.op == mSpill && int(in.a.v) >= len(s.spilled) && s.usesIn[in.a.v] == 0 && i > 0 && b.insts[i-1].dst == in.a.v {
			s.f.vregs[in.a.v].noSpill = true
		}
	}
}
