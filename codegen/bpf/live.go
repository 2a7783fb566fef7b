package bpf

import "sort"

// Every instruction takes four positions: operands are read at the first, a
// call destroys r0–r5 at the second, results are written at the third. A range
// [start, end) covers positions; an operand that must survive until the result
// is written ends one position after it.
const (
	posUse   = 0
	posCall  = 1
	posDef   = 2
	posLate  = 3
	posCount = 4
)

type rng struct{ start, end int }

// interval is where a virtual register holds its value: disjoint ranges in
// ascending order.
type interval struct {
	v      vreg
	ranges []rng
}

func (iv *interval) start() int { return iv.ranges[0].start }
func (iv *interval) end() int   { return iv.ranges[len(iv.ranges)-1].end }

// overlaps reports whether two ascending lists of ranges intersect.
func overlaps(a, b []rng) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].end <= b[0].start:
			a = a[1:]
		case b[0].end <= a[0].start:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}

// from drops the ranges that end before pos.
func from(r []rng, pos int) []rng {
	return r[sort.Search(len(r), func(i int) bool { return r[i].end > pos }):]
}

// liveness is the result of the analysis of one function.
type liveness struct {
	intervals []interval // of the registers that are defined, by start
	calls     []rng      // where r0–r5 are destroyed
}

// analyze numbers the instructions of f and finds the live ranges. Uses by phis
// are at the end of the predecessor; phis are defined at the start of theirs.
func analyze(f *mfunc) *liveness {
	n := len(f.vregs)
	pos := 0
	uses := make([]bitset, len(f.blocks))
	defs := make([]bitset, len(f.blocks))
	phiUses := make([]bitset, len(f.blocks))
	words := (n + 63) / 64
	pool := make([]uint64, words*len(f.blocks)*5)
	set := func() bitset {
		s := bitset(pool[:words:words])
		pool = pool[words:]
		return s
	}
	for i, b := range f.blocks {
		b.index = i
		uses[i], defs[i], phiUses[i], b.liveIn, b.liveOut = set(), set(), set(), set(), set()
	}
	for i, b := range f.blocks {
		b.start = pos
		for _, p := range b.phis {
			defs[i].add(int(p.dst))
			for k, o := range p.args {
				if o.usesReg() {
					phiUses[b.preds[k].index].add(int(o.v))
				}
			}
		}
		for _, in := range b.insts {
			in.place = pos
			pos += posCount
			in.operands(func(o *operand) {
				if o.usesReg() && !defs[i].has(int(o.v)) {
					uses[i].add(int(o.v))
				}
			})
			eachDef(in, func(v vreg) { defs[i].add(int(v)) })
		}
		b.end = pos
	}
	for changed := true; changed; {
		changed = false
		for i := len(f.blocks) - 1; i >= 0; i-- {
			b := f.blocks[i]
			b.liveOut.union(phiUses[i])
			for _, s := range b.succs {
				b.liveOut.union(s.liveIn)
			}
			for w := range b.liveIn {
				if in := uses[i][w] | b.liveOut[w]&^defs[i][w]; in != b.liveIn[w] {
					b.liveIn[w], changed = in, true
				}
			}
		}
	}

	lv := &liveness{}
	ranges := make([][]rng, n) // built backwards: last range first
	open := make([]int, n)     // end of the range being built, 0: none
	closeAt := func(v vreg, start int) {
		if open[v] == 0 { // defined and never used: still written
			open[v] = start + 1
		}
		r := ranges[v]
		if k := len(r) - 1; k >= 0 && r[k].start <= open[v] {
			r[k].start = start
		} else {
			ranges[v] = append(r, rng{start, open[v]})
		}
		open[v] = 0
	}
	for i := len(f.blocks) - 1; i >= 0; i-- {
		b := f.blocks[i]
		b.liveOut.each(func(v int) { open[v] = b.end })
		for k := len(b.insts) - 1; k >= 0; k-- {
			in := b.insts[k]
			eachDef(in, func(v vreg) { closeAt(v, in.place+posDef) })
			if in.op == mCall {
				lv.calls = append(lv.calls, rng{in.place + posCall, in.place + posCall + 1})
			}
			use := func(o *operand, end int) {
				if o.usesReg() {
					open[o.v] = max(open[o.v], end)
				}
			}
			if in.lateB() {
				use(&in.b, in.place+posLate)
				if in.op == mSet {
					use(&in.a, in.place+posLate)
				}
			}
			in.operands(func(o *operand) { use(o, in.place+posUse+1) })
		}
		for _, p := range b.phis {
			closeAt(p.dst, b.start)
		}
		b.liveIn.each(func(v int) { closeAt(vreg(v), b.start) })
	}
	for i, j := 0, len(lv.calls)-1; i < j; i, j = i+1, j-1 {
		lv.calls[i], lv.calls[j] = lv.calls[j], lv.calls[i]
	}
	for v, r := range ranges {
		if len(r) == 0 {
			continue
		}
		for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
			r[i], r[j] = r[j], r[i]
		}
		lv.intervals = append(lv.intervals, interval{vreg(v), r})
	}
	sort.SliceStable(lv.intervals, func(i, j int) bool { return lv.intervals[i].start() < lv.intervals[j].start() })
	return lv
}

// eachDef calls f for the virtual registers that in defines.
func eachDef(in *inst, f func(vreg)) {
	if in.dst != 0 {
		f(in.dst)
	}
	if in.op == mParams {
		for _, o := range in.args {
			if o.kind == opReg {
				f(o.v)
			}
		}
	}
}
