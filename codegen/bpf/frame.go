package bpf

import (
	"fmt"
	"sort"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// slotUse holds the facts that determine where a slot is placed.
type slotUse struct {
	slot     *ir.Value
	size     int64
	variable bool // addressed at an offset that is not constant
	escapes  bool // its address is stored, so it is live everywhere
	pointers bool // it must be on the stack: it contains pointers, or is a callback's context
	used     bool
	clash    bitset // slots that are live at the same time
}

// derived tracks the addresses made from slots through arithmetic, phis and barriers:
// by value ID, the set of slots that a value may point into. The type of the value does
// not matter: a script may store the address of a variable as a number.
type derived struct {
	slots []slotUse
	of    []bitset
}

func findSlots(f *ir.Func) *derived {
	d := &derived{of: make([]bitset, f.NumValues())}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == ir.OpSlot {
				d.slots = append(d.slots, slotUse{slot: v, size: v.Imm})
			}
		}
	}
	n := len(d.slots)
	for i := range d.slots {
		d.slots[i].clash = newBitset(n)
		s := newBitset(n)
		s.add(i)
		d.of[d.slots[i].slot.ID] = s
	}
	for changed := n > 0; changed; {
		changed = false
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if !v.Derives() && v.Op != ir.OpPhi {
					continue
				}
				for _, x := range v.Args {
					if d.of[x.ID] == nil {
						continue
					}
					if d.of[v.ID] == nil {
						d.of[v.ID] = newBitset(n)
					}
					changed = d.of[v.ID].union(d.of[x.ID]) || changed
				}
			}
		}
	}
	return d
}

func (d *derived) each(s bitset, f func(*slotUse)) {
	s.each(func(i int) { f(&d.slots[i]) })
}

// isAccess reports whether v accesses memory through its pointer operands, instead of
// computing another pointer from them.
func isAccess(v *ir.Value) bool {
	return !v.Derives() && v.Op != ir.OpPhi && (v.Op < ir.OpEq || v.Op > ir.OpSLe)
}

// hides reports whether the result of v may be an address made from its operands that
// derived does not track: a result of other arithmetic, or of a function of the script.
func hides(v *ir.Value) bool {
	return v.Type != ir.Void && v.Help == nil && v.Op != ir.OpKfunc && v.Op.Info().Access == ir.NoAccess
}

// liveness determines which slots are live at the same time: a slot is live from its
// first access on any path to its last one.
func (d *derived) liveness(f *ir.Func) {
	n := len(d.slots)
	touched := func(v *ir.Value) bitset {
		if !isAccess(v) {
			return nil
		}
		var s bitset
		for i, x := range v.Args {
			if o := d.of[x.ID]; o != nil {
				if s == nil {
					s = newBitset(n)
				}
				s.union(o)
				if a := v.Op.Info().Access; (a == ir.Stores || a == ir.Updates) && i > 0 || hides(v) {
					d.each(o, func(u *slotUse) { u.escapes = true })
				}
			}
		}
		return s
	}
	here := make([]bitset, f.NumBlocks()) // accessed in the block
	in := make([]bitset, f.NumBlocks())   // accessed on some path before it
	out := make([]bitset, f.NumBlocks())  // accessed on some path after it
	for _, b := range f.Blocks {
		here[b.ID], in[b.ID], out[b.ID] = newBitset(n), newBitset(n), newBitset(n)
		for _, v := range b.Values {
			if v.Op == ir.OpAdd || v.Op == ir.OpSub {
				if o := d.of[v.ID]; o != nil && v.Args[1].Op != ir.OpConst {
					d.each(o, func(u *slotUse) { u.variable = true })
				}
			}
			if s := touched(v); s != nil {
				here[b.ID].union(s)
				d.each(s, func(u *slotUse) { u.used = true })
			}
		}
	}
	// This order needs few rounds, whatever the layout is.
	order := ir.NewDom(f).RPO
	for changed := true; changed; {
		changed = false
		for i := range order {
			b, r := order[i], order[len(order)-1-i]
			for _, p := range b.Preds {
				changed = in[b.ID].union(in[p.ID]) || changed
				changed = in[b.ID].union(here[p.ID]) || changed
			}
			for _, s := range r.Succs {
				changed = out[r.ID].union(out[s.ID]) || changed
				changed = out[r.ID].union(here[s.ID]) || changed
			}
		}
	}
	// If two slots are live at the same time, the other one is live at the next access
	// to one of them. So only accesses need to be searched.
	live := newBitset(n)
	for _, b := range f.Blocks {
		// Backwards: slots that are accessed later and were accessed before, or are
		// accessed now, are live.
		after := append(bitset(nil), out[b.ID]...)
		before := make([]bitset, len(b.Values))
		seen := append(bitset(nil), in[b.ID]...)
		for i, v := range b.Values {
			if s := touched(v); s != nil {
				seen.union(s)
				before[i] = append(bitset(nil), seen...)
			}
		}
		for i := len(b.Values) - 1; i >= 0; i-- {
			if before[i] == nil {
				continue
			}
			now := touched(b.Values[i])
			after.union(now)
			for k := range live {
				live[k] = before[i][k] & after[k]
			}
			d.each(now, func(u *slotUse) { u.clash.union(live) })
		}
	}
	for i := range d.slots {
		d.slots[i].clash.each(func(j int) { d.slots[j].clash.add(i) })
	}
	all := newBitset(n)
	for i := range d.slots {
		if d.slots[i].used {
			all.add(i)
		}
	}
	for i := range d.slots {
		if d.slots[i].escapes {
			d.slots[i].clash.union(all)
			d.each(all, func(u *slotUse) { u.clash.add(i) })
		}
	}
}

// pin finds the slots that must be on the stack. Scratch memory is a map's value, in
// which the verifier does not track pointers, and which it does not accept as a
// callback's context. A pointer to a kernel object that is only stored, as part of a
// tuple for example, is data.
func (d *derived) pin(f *ir.Func) {
	loaded := newBitset(len(d.slots))
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Loads(8) && v.Type == ir.PtrBTF {
				d.of[v.Args[0].ID].each(loaded.add)
			}
		}
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			var p *ir.Value
			switch {
			case v.Op == ir.OpStore64 && v.Args[1].Type == ir.PtrBTF:
				d.of[v.Args[0].ID].each(func(i int) {
					u := &d.slots[i]
					u.pointers = u.pointers || u.escapes || loaded.has(i)
				})
				continue
			case v.Op == ir.OpStore64 && v.Args[1].Type != ir.Int:
				p = v.Args[0]
			case v.Help.Context() >= 0:
				p = v.Args[v.Help.Context()]
			default:
				continue
			}
			d.each(d.of[p.ID], func(u *slotUse) { u.pointers = true })
		}
	}
}

// spot assigns to each slot of list the lowest offset that no clashing slot has. It
// returns the offsets by slot index, and the slots that exceed limit.
func (d *derived) spot(list []int, limit int64) (at map[int]int64, top int64, left []int) {
	type span struct {
		from, to int64
		slot     int
	}
	at = map[int]int64{}
	var taken []span // by from
	for _, i := range list {
		size := types.RoundUp(d.slots[i].size, 8)
		off := int64(0)
		for _, t := range taken {
			if t.from >= off+size {
				break
			}
			if d.slots[i].clash.has(t.slot) {
				off = max(off, t.to)
			}
		}
		if off+size > limit {
			left = append(left, i)
			continue
		}
		taken = append(taken, span{off, off + size, i})
		for k := len(taken) - 1; k > 0 && taken[k-1].from >= off; k-- {
			taken[k-1], taken[k] = taken[k], taken[k-1]
		}
		at[i] = off
		top = max(top, off+size)
	}
	return at, top, left
}

// layout holds the positions of the slots of one function.
type layout struct {
	frame   map[*ir.Value]int64 // stack slots: offset from r10, negative
	stack   int64               // bytes of stack
	scratch int64               // bytes of scratch memory
	base    *ir.Value           // address of the scratch memory, where values are spilled to it
}

// manySlots is the minimum number of slots in scratch memory for which addresses of
// slots are computed at each use.
const manySlots = 24

// layoutSlots places slots of f on the stack, up to limit bytes, and the rest in
// scratch memory. It adds the map lookup that gets the scratch memory.
func layoutSlots(f *ir.Func, limit int64, opts *Target, scratch scratchRef) (*layout, error) {
	foldAddresses(f)
	d := findSlots(f)
	lay := &layout{frame: map[*ir.Value]int64{}}
	if len(d.slots) == 0 && scratch.spills == 0 {
		return lay, nil
	}
	d.liveness(f)
	d.pin(f)
	largest := int64(opts.OnStackLimit)
	var stack, away []int
	for i := range d.slots {
		s := &d.slots[i]
		switch {
		case !s.used && !s.variable:
			stack = append(stack, i) // at most its address
		case s.pointers:
			stack = append(stack, i)
		case s.size > largest && largest > 0, s.size > limit, s.variable && !opts.VarStack:
			away = append(away, i)
		default:
			stack = append(stack, i)
		}
	}
	bySize := func(list []int, sign int64) {
		sort.SliceStable(list, func(a, b int) bool {
			x, y := &d.slots[list[a]], &d.slots[list[b]]
			if x.pointers != y.pointers {
				return x.pointers
			}
			return sign*x.size < sign*y.size
		})
	}
	bySize(stack, -1)
	at, top, left := d.spot(stack, limit-8*min(1, int64(len(away))+scratch.spills))
	if len(left) > 0 {
		// First place the slots that must be on the stack, then small ones. The key for
		// the lookup of scratch memory takes 8 bytes.
		bySize(stack, 1)
		at, top, left = d.spot(stack, limit-8)
		for _, i := range left {
			if s := &d.slots[i]; s.pointers {
				return nil, fmt.Errorf("the %d bytes that a loop's body shares with what is around it do not fit the stack", s.size)
			}
		}
		away = append(away, left...)
	}
	for i, off := range at {
		size := types.RoundUp(d.slots[i].size, 8)
		lay.frame[d.slots[i].slot] = -(off + size)
	}
	lay.stack = top
	if len(away) == 0 && scratch.spills == 0 {
		return lay, nil
	}
	sort.Ints(away)
	bySize(away, -1)
	inScratch, bytes, _ := d.spot(away, 1<<40)
	lay.scratch = scratch.spills + bytes
	key, base := insertScratch(f, d, inScratch, scratch)
	if scratch.spills > 0 {
		lay.base = base
	}
	if scratch.spills > 0 || len(inScratch) > manySlots {
		foldAddresses(f)
		sinkSums(f)
	}
	lay.stack += 8
	lay.frame[key] = -lay.stack
	return lay, nil
}

// foldAddresses moves constants that are added to addresses into the offsets of loads
// and stores, so that the sums do not count as the first use of a slot.
func foldAddresses(f *ir.Func) {
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op.Info().Access != ir.NoAccess {
				base, off := peel(v.Args[0], v.Imm)
				if fitsS16(off) {
					v.Args[0], v.Imm = base, off
				}
			}
		}
	}
	f.RemoveDead()
}

// peel returns p+off as a pointer that is not a sum with a constant, and an offset.
func peel(p *ir.Value, off int64) (*ir.Value, int64) {
	for {
		switch {
		case p.Retypes():
			p = p.Args[0]
		case p.Op == ir.OpAdd && p.Args[1].Op == ir.OpConst && p.Args[0].Type != ir.Int && fitsS32(off+p.Args[1].Imm):
			p, off = p.Args[0], off+p.Args[1].Imm
		case p.Op == ir.OpSub && p.Args[1].Op == ir.OpConst && p.Args[0].Type != ir.Int && fitsS32(off-p.Args[1].Imm):
			p, off = p.Args[0], off-p.Args[1].Imm
		default:
			return p, off
		}
	}
}
