package bpf

import (
	"sort"

	"github.com/gotrace/gotrace/runtime/sorted"
)

// Every instruction has four positions. It reads operands at the first; a call destroys
// r0–r5 at the second; results are written at the third. A range [start, end) consists
// of such positions. If an operand must survive until the result is written, its range
// ends one position after that.
const (
	posUse   = 0
	posCall  = 1
	posDef   = 2
	posLate  = 3
	posCount = 4
)

type rng struct{ start, end int }

// interval holds the ranges of positions at which a virtual register holds its value:
// disjoint and in ascending order.
type interval struct {
	v      vreg
	ranges []rng
}

//go:noinline
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

// analyze numbers the instructions of f and finds the live ranges. Phis use their
// arguments at the end of the predecessors, and are defined at the start of their block.
func analyze(f *mfunc) *liveness {
	n := len(f.vregs)
	f.findLive()

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
		for _, v := range b.liveOut {
			open[v] = b.end
		}
		for k := len(b.insts) - 1; k >= 0; k-- {
			in := b.insts[k]
			eachDef(in, func(v vreg) { closeAt(v, in.spot+posDef) })
			if in.op == mCall {
				lv.calls = append(lv.calls, rng{in.spot + posCall, in.spot + posCall + 1})
			}
			use := func(o *operand, end int) {
				if o.usesReg() {
					open[o.v] = max(open[o.v], end)
				}
			}
			if in.lateB() {
				use(&in.b, in.spot+posLate)
				if in.op == mSet {
					use(&in.a, in.spot+posLate)
				}
			}
			in.operands(func(o *operand) { use(o, in.spot+posUse+1) })
		}
		for _, p := range b.phis {
			closeAt(p.dst, b.start)
		}
		for _, v := range b.liveIn {
			closeAt(v, b.start)
		}
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
	sorted.By(lv.intervals, func(i *interval) uint64 { return uint64(i.start()) })
	return lv
}

// findLive numbers the instructions and finds the registers that are live at the
// beginning and end of each block. It follows each register from its uses back to its
// definition, so the work is proportional to the size of the result.
func (f *mfunc) findLive() {
	uses := make([][]int32, len(f.vregs)) // blocks that read a register before they write it
	ends := make([][]int32, len(f.vregs)) // blocks at whose end a phi reads it
	defs := make([][]int32, len(f.vregs))
	last := func(l []int32, i int) bool { return len(l) > 0 && l[len(l)-1] == int32(i) }
	pos := 0
	for i, b := range f.blocks {
		b.index, b.liveIn, b.liveOut = i, b.liveIn[:0], b.liveOut[:0]
	}
	for i, b := range f.blocks {
		b.start = pos
		for _, p := range b.phis {
			defs[p.dst] = append(defs[p.dst], int32(i))
			for k, o := range p.args {
				if o.usesReg() {
					ends[o.v] = append(ends[o.v], int32(b.preds[k].index))
				}
			}
		}
		for _, in := range b.insts {
			in.spot = pos
			pos += posCount
			in.operands(func(o *operand) {
				if o.usesReg() && !last(defs[o.v], i) && !last(uses[o.v], i) {
					uses[o.v] = append(uses[o.v], int32(i))
				}
			})
			eachDef(in, func(v vreg) {
				if !last(defs[v], i) {
					defs[v] = append(defs[v], int32(i))
				}
			})
		}
		b.end = pos
	}
	// By block: the register that was last found to be defined, live in or live out.
	defined, in, out := make([]vreg, len(f.blocks)), make([]vreg, len(f.blocks)), make([]vreg, len(f.blocks))
	var work []int32
	for v := vreg(1); int(v) < len(f.vregs); v++ {
		for _, i := range defs[v] {
			defined[i] = v
		}
		leave := func(i int32) {
			if out[i] == v {
				return
			}
			out[i] = v
			f.blocks[i].liveOut = append(f.blocks[i].liveOut, v)
			if defined[i] != v && in[i] != v {
				in[i] = v
				work = append(work, i)
			}
		}
		for _, i := range uses[v] {
			if in[i] != v {
				in[i] = v
				work = append(work, i)
			}
		}
		for _, i := range ends[v] {
			leave(i)
		}
		for len(work) > 0 {
			b := f.blocks[work[len(work)-1]]
			work = work[:len(work)-1]
			b.liveIn = append(b.liveIn, v)
			for _, p := range b.preds {
				leave(int32(p.index))
			}
		}
	}
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
