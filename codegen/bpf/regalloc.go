package bpf

import (
	"errors"
	"maps"
	"math"
	"slices"
)

const numRegs = 10 // r0–r9; r10 is the frame pointer

// baseReg holds the scratch memory of a function that spills to it.
const baseReg = 9

// isFar reports whether what lives in memory is spilled to scratch memory.
func (f *mfunc) isFar(info *vinfo) bool { return f.base != 0 && !info.tracked }

// callerSaved reports whether a call destroys r.
func callerSaved(r int) bool { return r <= 5 }

// Registers in the order they are tried, for values that no hint places: first
// those that are seldom wanted for arguments and results.
var tryOrder = [...]int{5, 4, 3, 2, 1, 0, 6, 7, 8, 9}

var errRegisters = errors.New("ran out of registers")

// allocate gives every virtual register of f a register or a spill slot. It is
// a linear scan over intervals with holes, in order of their starts; when one
// finds no register, whatever is cheapest among it and those in its way is
// spilled, the code is changed accordingly, and the scan starts over. Each
// round replaces a long interval by ones that end before the next call or are
// as short as can be, so the rounds come to an end.
func allocate(f *mfunc) error {
	for range 64 {
		lv := analyze(f)
		a := &allocator{f: f, lv: lv}
		a.weigh()
		spilled, err := a.scan()
		if err != nil {
			return err
		}
		if len(spilled) == 0 {
			a.spillSlots()
			return nil
		}
		s := spiller{f: f, spilled: make([]bool, len(f.vregs))}
		for _, v := range spilled {
			s.spilled[v] = true
		}
		s.run()
	}
	return errRegisters
}

type allocator struct {
	f    *mfunc
	lv   *liveness
	regs [numRegs][]*interval // assigned and not ended yet
	done []bool               // by vreg: has a register
}

// weigh estimates for each virtual register what keeping it in a register
// saves: accesses, tenfold per loop, by the length of the interval.
func (a *allocator) weigh() {
	f := a.f
	for i := range f.vregs {
		f.vregs[i].weight = 0
	}
	for _, b := range f.blocks {
		w := math.Pow(10, float64(min(b.depth, 4)))
		if b.unlikely {
			w /= 10
		}
		add := func(v vreg) { f.vregs[v].weight += w }
		for _, p := range b.phis {
			add(p.dst)
			for _, o := range p.args {
				if o.usesReg() {
					add(o.v)
				}
			}
		}
		for _, in := range b.insts {
			eachDef(in, add)
			in.operands(func(o *operand) {
				if o.usesReg() {
					add(o.v)
				}
			})
		}
	}
	for i := range a.lv.intervals {
		iv := &a.lv.intervals[i]
		length := 0
		for _, r := range iv.ranges {
			length += r.end - r.start
		}
		info := &f.vregs[iv.v]
		info.weight /= float64(length + 4*posCount)
		if info.remat {
			info.weight /= 2
		}
		if info.checked {
			info.weight *= 1e6
		}
		if info.noSpill {
			info.weight = math.Inf(1)
		}
	}
}

// scan assigns registers and returns what has to be spilled.
func (a *allocator) scan() (spilled []vreg, err error) {
	a.done = make([]bool, len(a.f.vregs))
	for i := range a.lv.intervals {
		iv := &a.lv.intervals[i]
		info := &a.f.vregs[iv.v]
		if info.mem {
			continue
		}
		if info.fixed {
			info.loc, a.done[iv.v] = baseReg, true
			continue
		}
		for r := range a.regs {
			kept := a.regs[r][:0]
			for _, o := range a.regs[r] {
				if o.end() > iv.start() {
					kept = append(kept, o)
				}
			}
			a.regs[r] = kept
		}
		callLive := overlaps(iv.ranges, from(a.lv.calls, iv.start()))
		if r := a.choose(iv, callLive); r >= 0 {
			a.assign(iv, r)
			continue
		}
		// The cheapest set of intervals to evict, or this one.
		best, cost := -1, info.weight
		for r := range numRegs {
			if callLive && callerSaved(r) || a.reserved(r) {
				continue
			}
			sum := 0.0
			for _, o := range a.regs[r] {
				if overlaps(from(o.ranges, iv.start()), iv.ranges) {
					sum += a.f.vregs[o.v].weight
				}
			}
			if sum < cost {
				best, cost = r, sum
			}
		}
		if best < 0 {
			if info.noSpill {
				return nil, errRegisters
			}
			spilled = append(spilled, iv.v)
			continue
		}
		kept := a.regs[best][:0]
		for _, o := range a.regs[best] {
			if overlaps(from(o.ranges, iv.start()), iv.ranges) {
				spilled = append(spilled, o.v)
			} else {
				kept = append(kept, o)
			}
		}
		a.regs[best] = kept
		a.assign(iv, best)
	}
	return spilled, nil
}

func (a *allocator) assign(iv *interval, r int) {
	a.regs[r] = append(a.regs[r], iv)
	a.f.vregs[iv.v].loc = r
	a.done[iv.v] = true
}

// reserved reports whether r holds the same value throughout the function.
func (a *allocator) reserved(r int) bool { return r == baseReg && a.f.base != 0 }

func (a *allocator) free(iv *interval, r int, callLive bool) bool {
	if callLive && callerSaved(r) || a.reserved(r) {
		return false
	}
	for _, o := range a.regs[r] {
		if overlaps(from(o.ranges, iv.start()), iv.ranges) {
			return false
		}
	}
	return true
}

// choose is a free register for iv, or -1: the hinted one, that of a value it
// is copied from or to, one already in use, any.
func (a *allocator) choose(iv *interval, callLive bool) int {
	info := &a.f.vregs[iv.v]
	if info.hinted && a.free(iv, int(info.hint), callLive) {
		return int(info.hint)
	}
	for _, v := range info.from {
		if l := &a.f.vregs[v]; !l.mem && a.done[v] && a.free(iv, l.loc, callLive) {
			return l.loc
		}
	}
	for like, n := info.like, 0; like != 0 && n < 4; like, n = a.f.vregs[like].like, n+1 {
		l := &a.f.vregs[like]
		if l.mem {
			break
		}
		if a.done[like] && a.free(iv, l.loc, callLive) {
			return l.loc
		}
		if !a.done[like] && l.hinted && a.free(iv, int(l.hint), callLive) {
			return int(l.hint)
		}
	}
	for _, r := range tryOrder {
		if a.free(iv, r, callLive) {
			return r
		}
	}
	return -1
}

// spillSlots places what was spilled, on the stack and in scratch memory.
func (a *allocator) spillSlots() {
	a.f.spills = a.shareSlots(func(info *vinfo) bool { return !a.f.isFar(info) })
	if a.f.base != 0 {
		a.f.farSpills = a.shareSlots(a.f.isFar)
	}
}

// shareSlots numbers the spill slots of one kind of memory and returns how many
// there are. Intervals whose ranges are disjoint share a slot.
func (a *allocator) shareSlots(here func(*vinfo) bool) int {
	var slots [][]*interval
	placed := make([]bool, len(a.f.vregs))
	fits := func(iv *interval, n int) bool {
		for _, o := range slots[n] {
			if overlaps(o.ranges, iv.ranges) {
				return false
			}
		}
		return true
	}
	for i := range a.lv.intervals {
		iv := &a.lv.intervals[i]
		info := &a.f.vregs[iv.v]
		if !info.mem || !here(info) {
			continue
		}
		for n := range slots { // what has ended is in nobody's way
			slots[n] = slices.DeleteFunc(slots[n], func(o *interval) bool { return o.end() <= iv.start() })
		}
		slot := -1
		if l := info.like; l != 0 && a.f.vregs[l].mem && placed[l] && fits(iv, a.f.vregs[l].loc) {
			slot = a.f.vregs[l].loc
		}
		for n := 0; n < len(slots) && slot < 0; n++ {
			if fits(iv, n) {
				slot = n
			}
		}
		if slot < 0 {
			slot = len(slots)
			slots = append(slots, nil)
		}
		slots[slot] = append(slots[slot], iv)
		info.loc, placed[iv.v] = slot, true
	}
	return len(slots)
}

// spiller rewrites the code so that the spilled registers live in memory.
// A register spilled for the first time becomes a home in memory, with one
// register per stretch of a block that no call interrupts; a stretch spilled
// in turn is reloaded for each use. What can be rematerialised needs no home.
type spiller struct {
	f       *mfunc
	spilled []bool // by vreg, of those that existed when the round began
	remats  map[vreg]operand
	ends    []map[vreg]vreg // by block: stretches that go on behind it
	usesIn  map[vreg]int    // of stretches
}

func (s *spiller) isSpilled(v vreg) bool { return int(v) < len(s.spilled) && s.spilled[v] }

func (s *spiller) newVreg(home vreg, noSpill bool) vreg {
	v := s.f.newVreg()
	s.f.vregs[v].home, s.f.vregs[v].noSpill = home, noSpill
	return v
}

func (s *spiller) run() {
	f := s.f
	s.remats, s.usesIn = map[vreg]operand{}, map[vreg]int{}
	first := make([]bool, len(s.spilled)) // spilled for the first time, with a home
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
		first[v] = true
		if l := f.vregs[v].like; l != 0 {
			if f.vregs[l].mem {
				f.vregs[home].like = l
			} else {
				f.vregs[home].like = f.vregs[l].home
			}
		}
	}
	s.ends = make([]map[vreg]vreg, len(f.blocks))
	for _, b := range f.blocks {
		s.chain(b, first)
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

// direct makes a spilled source of a move be read from where it is.
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

// chain does b after the blocks that a stretch may reach it from.
func (s *spiller) chain(b *mblock, first []bool) {
	var todo []*mblock
	for s.ends[b.index] == nil {
		todo = append(todo, b)
		if len(b.preds) != 1 {
			break
		}
		b = b.preds[0]
	}
	for i := len(todo) - 1; i >= 0; i-- {
		s.block(todo[i], first)
	}
}

func (s *spiller) block(b *mblock, first []bool) {
	f := s.f
	// Register of the current stretch, by spilled one. A stretch goes on into
	// blocks that only this one leads to, so that a branch there bounds or checks
	// the register that is used behind it.
	cur := map[vreg]vreg{}
	if len(b.preds) == 1 {
		maps.Copy(cur, s.ends[b.preds[0].index])
	}
	s.ends[b.index] = cur
	usesIn := s.usesIn
	var out []*inst
	for _, in := range b.insts {
		before := len(out)
		if in.op == mCall {
			for i := range in.args {
				o := &in.args[i]
				if c := cur[o.v]; o.usesReg() && c != 0 {
					o.v = c
					usesIn[c]++
				} else {
					s.direct(o)
				}
			}
			clear(cur)
		} else {
			loaded := map[vreg]vreg{}
			in.operands(func(o *operand) {
				if !o.usesReg() || !s.isSpilled(o.v) {
					return
				}
				v := o.v
				if in.op == mSpill {
					return // the store that follows v's definition
				}
				if r, ok := s.remats[v]; ok {
					if in.op == mLet && o.kind == opReg {
						*o = r
						return
					}
					if loaded[v] == 0 {
						loaded[v] = s.newVreg(0, true)
						out = append(out, &inst{op: mLet, dst: loaded[v], a: r, pos: in.pos})
					}
					o.v = loaded[v]
					return
				}
				home := f.vregs[v].home
				if first[v] {
					if cur[v] == 0 {
						cur[v] = s.newVreg(home, false)
						out = append(out, &inst{op: mReload, dst: cur[v], a: reg(home), pos: in.pos})
					}
					o.v = cur[v]
					usesIn[o.v]++
					if in.op == mLet {
						f.vregs[o.v].checked = true
					}
					return
				}
				if loaded[v] == 0 {
					loaded[v] = s.newVreg(home, true)
					out = append(out, &inst{op: mReload, dst: loaded[v], a: reg(home), pos: in.pos})
				}
				o.v = loaded[v]
			})
		}
		if in.op == mParams {
			for i := range in.args {
				if o := &in.args[i]; o.kind == opReg && s.isSpilled(o.v) {
					if first[o.v] {
						o.v = f.vregs[o.v].home
					}
				}
			}
			out = append(out, in)
			continue
		}
		d := in.dst
		if d == 0 || !s.isSpilled(d) {
			out = append(out, in)
			continue
		}
		switch _, again := s.remats[d]; {
		case again, in.op == mReload && !first[d]:
			out = out[:before] // made where it is used
		case first[d]:
			// The value itself is the first stretch, stored as soon as it is there.
			f.vregs[d].like = 0
			t := s.newVreg(f.vregs[d].home, false)
			f.vregs[t].hint, f.vregs[t].hinted = f.vregs[d].hint, f.vregs[d].hinted
			if in.a.kind == opReg && !f.vregs[in.a.v].mem {
				f.vregs[t].like = in.a.v
			}
			in.dst = t
			out = append(out, in, &inst{op: mSpill, dst: f.vregs[d].home, a: reg(t), pos: in.pos})
			cur[d] = t
		default:
			f.vregs[d].noSpill = true // only until the store that follows
			s.spilled[d] = true
			out = append(out, in)
		}
	}
	b.insts = out
}

// shorten marks the stretches that cannot get any shorter: one use right behind
// the load, or none behind the store that follows the definition.
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
