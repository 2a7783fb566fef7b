package bpf

import (
	"fmt"
	"sort"

	"github.com/gotrace/gotrace/codegen/ir"
)

// slotUse is what decides where a slot goes.
type slotUse struct {
	slot     *ir.Value
	size     int64
	variable bool // addressed at an offset that is not constant
	escapes  bool // its address is stored: live everywhere
	pointers bool // the kernel wants it on the stack: it holds pointers, or is a callback's context
	used     bool
	clash    bitset // slots that hold something at the same time
}

// derived follows the addresses made from slots through arithmetic, phis and
// barriers: by value ID, the set of slots a value may point into.
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
				switch v.Op {
				case ir.OpAdd, ir.OpSub, ir.OpPhi, ir.OpBarrier:
				default:
					continue
				}
				if !v.Type.IsPtr() {
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
	for i := range d.slots {
		if s != nil && s.has(i) {
			f(&d.slots[i])
		}
	}
}

// isAccess reports whether v touches memory through its pointer operands
// rather than making another pointer of them.
func isAccess(v *ir.Value) bool {
	switch v.Op {
	case ir.OpAdd, ir.OpSub, ir.OpPhi, ir.OpBarrier, ir.OpEq, ir.OpNe, ir.OpULt, ir.OpULe, ir.OpSLt, ir.OpSLe:
		return false
	}
	return true
}

// liveness fills in which slots hold something at the same time: a slot is
// live from its first access on any path to its last one.
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
				if a := v.Op.Info().Access; (a == ir.Stores || a == ir.Updates) && i > 0 {
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
	// In an order in which few rounds do, whatever the layout is.
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
	clash := func(live bitset) {
		for i := range d.slots {
			if live.has(i) {
				d.slots[i].clash.union(live)
			}
		}
	}
	for _, b := range f.Blocks {
		// Backwards: what is accessed later, and of that what was accessed before
		// or is now.
		after := append(bitset(nil), out[b.ID]...)
		before := make([]bitset, len(b.Values))
		seen := append(bitset(nil), in[b.ID]...)
		for i, v := range b.Values {
			if s := touched(v); s != nil {
				seen.union(s)
				before[i] = append(bitset(nil), seen...)
			}
		}
		live := func(seen bitset) {
			l := newBitset(n)
			for i := range l {
				l[i] = seen[i] & after[i]
			}
			clash(l)
		}
		live(seen)
		for i := len(b.Values) - 1; i >= 0; i-- {
			if before[i] == nil {
				continue
			}
			after.union(touched(b.Values[i]))
			live(before[i])
		}
		live(in[b.ID])
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

// pin finds the slots that only the stack can be: scratch memory is a map's
// value, in which the kernel keeps no track of pointers, and which it does not
// take as a callback's context.
func (d *derived) pin(f *ir.Func) {
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			var p *ir.Value
			switch {
			case v.Op == ir.OpStore64 && v.Args[1].Type != ir.Int:
				p = v.Args[0]
			case v.Op == ir.OpCall && (v.Help == ir.Loop || v.Help == ir.ForEachMapElem):
				p = v.Args[2]
			default:
				continue
			}
			d.each(d.of[p.ID], func(u *slotUse) { u.pointers = true })
		}
	}
}

// spot gives each slot of list the lowest offset that no clashing slot has,
// and returns the offsets by slot index and the slots that exceed limit.
func (d *derived) spot(list []int, limit int64) (at map[int]int64, top int64, left []int) {
	at = map[int]int64{}
	for _, i := range list {
		size := (d.slots[i].size + 7) &^ 7
		type span struct{ from, to int64 }
		var taken []span
		for j, from := range at {
			if d.slots[i].clash.has(j) {
				taken = append(taken, span{from, from + (d.slots[j].size+7)&^7})
			}
		}
		sort.Slice(taken, func(a, b int) bool { return taken[a].from < taken[b].from })
		off := int64(0)
		for _, t := range taken {
			if t.from >= off+size {
				break
			}
			off = max(off, t.to)
		}
		if off+size > limit {
			left = append(left, i)
			continue
		}
		at[i] = off
		top = max(top, off+size)
	}
	return at, top, left
}

// layout is where the slots of one function are.
type layout struct {
	frame   map[*ir.Value]int64 // stack slots: offset from r10, negative
	stack   int64               // bytes of stack
	scratch int64               // bytes of scratch memory
}

// layoutSlots puts the slots of f on the stack as far as limit bytes go and the
// rest into scratch memory, from where its users get it through a map lookup
// that this adds to the function.
func layoutSlots(f *ir.Func, limit int64, opts *Target, scratch scratchRef) (*layout, error) {
	foldAddresses(f)
	d := findSlots(f)
	lay := &layout{frame: map[*ir.Value]int64{}}
	if len(d.slots) == 0 {
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
			stack = append(stack, i) // its address at most
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
	at, top, left := d.spot(stack, limit-8*min(1, int64(len(away))))
	if len(left) > 0 {
		// Small ones first, behind those that must be here; and 8 bytes for the key of
		// the scratch lookup.
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
		size := (d.slots[i].size + 7) &^ 7
		lay.frame[d.slots[i].slot] = -(off + size)
	}
	lay.stack = top
	if len(away) == 0 {
		return lay, nil
	}
	sort.Ints(away)
	bySize(away, -1)
	inScratch, bytes, _ := d.spot(away, 1<<40)
	lay.scratch = bytes
	key := insertScratch(f, d, inScratch, scratch)
	lay.stack += 8
	lay.frame[key] = -lay.stack
	return lay, nil
}

// foldAddresses turns constant address arithmetic before loads and stores into
// their offsets, so that it does not decide where a slot's users begin.
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

// peel follows additions of constants from p+off to the pointer they start at.
func peel(p *ir.Value, off int64) (*ir.Value, int64) {
	for {
		switch {
		case p.Op == ir.OpBarrier && p.Type.IsPtr():
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

// scratchRef is the part of the scratch map that a function has.
type scratchRef struct {
	m     *ir.Map
	key   int64 // element
	off   int64 // of the function's first byte in the element
	byCPU bool  // the element is the one of this CPU's number
}

// insertScratch adds the lookup of the scratch map and replaces the slots that
// are there by addresses in it. The lookup goes to the nearest block that
// dominates all users, is in no loop, and cannot be reached with a ring buffer
// record in hand, since a failed lookup ends the program.
func insertScratch(f *ir.Func, d *derived, at map[int]int64, ref scratchRef) (key *ir.Value) {
	dom := ir.NewDom(f)
	var home *ir.Block
	meet := func(b *ir.Block) {
		if home == nil {
			home = b
		} else {
			home = dom.Common(home, b)
		}
	}
	for _, b := range dom.RPO {
		for _, v := range b.Values {
			for i, x := range v.Args {
				for j := range at {
					if x == d.slots[j].slot {
						if v.Op == ir.OpPhi {
							meet(b.Preds[i])
						} else {
							meet(b)
						}
					}
				}
			}
		}
	}
	if home == nil {
		home = f.Blocks[0]
	}
	holding := map[*ir.Block]bool{} // reachable after a reservation
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op == ir.OpCall && v.Help == ir.RingReserve {
				work := append([]*ir.Block(nil), b.Succs...)
				for len(work) > 0 {
					s := work[len(work)-1]
					work = work[:len(work)-1]
					if !holding[s] {
						holding[s] = true
						work = append(work, s.Succs...)
					}
				}
			}
		}
	}
	for dom.IDom(home) != nil && (dom.LoopDepth(home) > 0 || holding[home]) {
		home = dom.IDom(home)
	}

	// Phis and parameters stay in front.
	n := 0
	for n < len(home.Values) && (home.Values[n].Op == ir.OpPhi || home == f.Blocks[0] && home.Values[n].Op == ir.OpParam) {
		n++
	}
	for i := n; i < len(home.Values) && home == f.Blocks[0]; i++ {
		if v := home.Values[i]; v.Op == ir.OpParam {
			copy(home.Values[n+1:i+1], home.Values[n:i])
			home.Values[n] = v
			n++
		}
	}
	pos := home.Pos
	if n < len(home.Values) {
		pos = home.Values[n].Pos
	}
	rest := home.SplitAt(n)
	none := f.AddBlock()
	none.Unlikely = true
	add := func(b *ir.Block, op ir.Op, t ir.Type, args ...*ir.Value) *ir.Value {
		v := f.NewValue(b, op, t, args...)
		v.Pos = pos
		b.Values = append(b.Values, v)
		return v
	}
	key = add(home, ir.OpSlot, ir.PtrSlot)
	key.Imm, key.Imm2 = 8, 8
	var index *ir.Value
	if ref.byCPU {
		index = add(home, ir.OpCall, ir.Int)
		index.Help = ir.SmpProcessorID
	} else {
		index = add(home, ir.OpConst, ir.Int)
		index.Imm = ref.key
	}
	add(home, ir.OpStore32, ir.Void, key, index)
	m := add(home, ir.OpMapPtr, ir.MapRef)
	m.Map = ref.m
	base := add(home, ir.OpCall, ir.PtrMapNil, m, key)
	base.Help = ir.MapLookup
	home.BranchTo(base, rest, none)
	zero := add(none, ir.OpConst, ir.Int)
	none.Term, none.Cond = ir.TermRet, zero

	var head []*ir.Value
	sub := make([]*ir.Value, f.NumValues())
	for j := range d.slots {
		off, ok := at[j]
		if !ok {
			continue
		}
		x := base
		if off += ref.off; off != 0 {
			c := f.NewValue(rest, ir.OpConst, ir.Int)
			c.Imm = off
			x = f.NewValue(rest, ir.OpAdd, ir.PtrMap, base, c)
			x.Pos = pos
			head = append(head, c, x)
		}
		sub[d.slots[j].slot.ID] = x
	}
	rest.Values = append(head, rest.Values...)
	f.Substitute(sub)
	// Addresses made from those slots alone are now map values: their alignment
	// is free.
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Type != ir.PtrSlot || v.ID >= len(d.of) || d.of[v.ID] == nil || v.Op == ir.OpSlot {
				continue
			}
			moved := true
			for j := range d.slots {
				if _, ok := at[j]; d.of[v.ID].has(j) && !ok {
					moved = false
				}
			}
			if moved {
				v.Type = ir.PtrMap
			}
		}
	}
	f.RemoveDead()
	return key
}
