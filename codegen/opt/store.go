package opt

import "github.com/gotrace/gotrace/codegen/ir"

// maxTracked is the maximum number of bytes of slots that deadStores tracks.
const maxTracked = 4096

// deadStores removes writes to slots that are overwritten, or no longer used, before a
// read. It tracks the bytes of slots backwards through the function.
func deadStores(f *ir.Func) bool {
	mi := newMemInfo(f)
	first := map[*ir.Value]int{} // slot → its first bit
	total := 0
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == ir.OpSlot && mi.private(v) && total+int(v.Imm) <= maxTracked {
				first[v] = total
				total += int(v.Imm)
			}
		}
	}
	if total == 0 {
		return false
	}
	d := &storePass{f: f, first: first, words: (total + 63) / 64}
	liveIn := make([][]uint64, f.NumBlocks())
	rpo := ir.RPO(f)
	for _, b := range rpo {
		liveIn[b.ID] = make([]uint64, d.words)
	}
	out := func(b *ir.Block) []uint64 {
		live := make([]uint64, d.words)
		for _, s := range b.Succs {
			for i, w := range liveIn[s.ID] {
				live[i] |= w
			}
		}
		return live
	}
	for changed := true; changed; {
		changed = false
		for i := len(rpo) - 1; i >= 0; i-- {
			b := rpo[i]
			live := out(b)
			for k := len(b.Values) - 1; k >= 0; k-- {
				d.step(b.Values[k], live)
			}
			for w := range live {
				if live[w] != liveIn[b.ID][w] {
					liveIn[b.ID], changed = live, true
					break
				}
			}
		}
	}
	d.final = true
	removed := false
	for _, b := range rpo {
		live := out(b)
		keep := make([]bool, len(b.Values))
		n := 0
		for k := len(b.Values) - 1; k >= 0; k-- {
			if keep[k] = d.step(b.Values[k], live); keep[k] {
				n++
			}
		}
		removed = d.trimmed || removed
		d.trimmed = false
		if n == len(b.Values) {
			continue
		}
		removed = true
		kept := make([]*ir.Value, 0, n)
		for k, v := range b.Values {
			if keep[k] {
				kept = append(kept, v)
			}
		}
		b.Values = kept
	}
	return removed
}

type storePass struct {
	f       *ir.Func
	first   map[*ir.Value]int
	words   int
	final   bool // liveness is complete: writes may be shortened
	trimmed bool
}

// bits returns the numbers [from, to) of the bits for n bytes at p+off, if p points
// into a tracked slot. If the offset is not known, the result is the whole slot, and
// exact is false.
func (d *storePass) bits(p *ir.Value, off, n int64) (from, to int, exact, ok bool) {
	at := locate(p, off)
	if at.base == nil {
		return 0, 0, false, false
	}
	r := root(at.base)
	bit, ok := d.first[r]
	if !ok {
		return 0, 0, false, false
	}
	if at.base != r || at.off < 0 || at.off+n > r.Imm {
		return bit, bit + int(r.Imm), false, true
	}
	return bit + int(at.off), bit + int(at.off+n), true, true
}

//go:noinline
func (d *storePass) mark(live []uint64, from, to int) {
	for i := from; i < to; i++ {
		live[i>>6] |= 1 << (i & 63)
	}
}

// step updates live backwards across v and reports whether v is needed.
func (d *storePass) step(v *ir.Value, live []uint64) bool {
	write := func(n int64) bool {
		from, to, exact, ok := d.bits(v.Args[0], v.Imm, n)
		if !ok {
			return true
		}
		first, last := -1, -1
		for i := from; i < to; i++ {
			if live[i>>6]&(1<<(i&63)) != 0 {
				if last = i; first < 0 {
					first = i
				}
				if exact {
					live[i>>6] &^= 1 << (i & 63)
				}
			}
		}
		if d.final && exact && v.Op.Info().Access == ir.Fills && first >= 0 {
			// Both ends stay at word boundaries, which cost no more than bytes.
			if cut := int64(first-from) &^ 7; cut > 0 {
				v.Imm, v.Imm2, d.trimmed = v.Imm+cut, v.Imm2-cut, true
			}
			if cut := int64(to-1-last) &^ 7; cut > 0 {
				v.Imm2, d.trimmed = v.Imm2-cut, true
			}
		}
		return first >= 0
	}
	read := func(p *ir.Value, off, n int64) {
		if from, to, _, ok := d.bits(p, off, n); ok {
			d.mark(live, from, to)
		}
	}
	size := v.Width()
	switch v.Op.Info().Access {
	case ir.Stores, ir.Fills:
		return write(size)
	case ir.Moves:
		if !write(size) {
			return false
		}
		read(v.Args[1], 0, size)
	case ir.Loads, ir.Updates:
		read(v.Args[0], v.Imm, size)
	}
	if v.Calls() {
		for _, x := range v.Args {
			if x.Type.IsPtr() {
				if bit, ok := d.first[root(x)]; ok {
					d.mark(live, bit, bit+int(root(x).Imm))
				}
			}
		}
	}
	return true
}
