package bpf

import (
	"errors"
	"math"
	"slices"
)

const numRegs = 10 // r0–r9; r10 is the frame pointer

// baseReg holds the scratch memory of a function that spills to it.
const baseReg = 9

// isFar reports whether a spilled register is in scratch memory.
func (f *mfunc) isFar(info *vinfo) bool { return f.base != 0 && !info.tracked }

// callerSaved reports whether a call destroys r.
func callerSaved(r int) bool { return r <= 5 }

// tryOrder is the order in which registers are tried for values without a hint. Those
// that are rarely needed for arguments and results come first.
var tryOrder = [...]int{5, 4, 3, 2, 1, 0, 6, 7, 8, 9}

var errRegisters = errors.New("ran out of registers")

// allocate assigns a register or a spill slot to every virtual register of f. It is a
// linear scan over intervals with holes, in the order of their starts. If there is no
// register for an interval, the cheapest among it and the intervals that conflict with
// it is spilled, the code is changed accordingly, and the scan starts again. Each round
// replaces a long interval by ones that end before the next call or are as short as
// possible, so the number of rounds is bounded.
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

// weigh estimates the benefit of keeping each virtual register in a register: the
// number of accesses, times ten for each loop, divided by the length of the interval.
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

// scan assigns registers and returns the virtual registers that must be spilled.
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
		// Find the cheapest set of intervals to evict, or this one.
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

// choose returns a free register for iv, or -1. It first tries the hint, then the
// registers of values that iv is copied from or to, then all others.
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

// spillSlots gives spilled registers their slots on the stack and in scratch memory.
func (a *allocator) spillSlots() {
	a.f.spills = a.shareSlots(func(info *vinfo) bool { return !a.f.isFar(info) })
	if a.f.base != 0 {
		a.f.farSpills = a.shareSlots(a.f.isFar)
	}
}

// shareSlots numbers the spill slots of one kind of memory and returns their number.
// Intervals whose ranges are disjoint share a slot.
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
		for n := range slots { // remove intervals that have ended
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
