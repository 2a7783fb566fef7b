package bpf

import "github.com/gotrace/gotrace/codegen/ir"

// scratchRef is a function's part of the scratch map.
type scratchRef struct {
	m     *ir.Map
	key   int64 // element
	off   int64 // of the function's first byte in the element
	byCPU bool  // the index of the element is the number of this CPU

	spills int64 // number of bytes at its beginning for spilled values
}

// insertScratch adds the lookup of the scratch map and replaces the slots in it by
// addresses. at holds the offsets of those slots. It returns the slot of the map's key
// and the address of the function's scratch memory.
func insertScratch(f *ir.Func, d *derived, at map[int]int64, ref scratchRef) (key, base *ir.Value) {
	away := map[*ir.Value]bool{}
	for j := range at {
		away[d.slots[j].slot] = true
	}
	home := lookupBlock(f, away, ref)
	n := leadingValues(f, home)
	rest := home.SplitAt(n)
	key, base = lookUp(f, home, rest, ref)
	if ref.spills > 0 && ref.off > 0 {
		c := f.NewValue(rest, ir.OpConst, ir.Int)
		c.Imm = ref.off
		pos := base.Pos
		base = f.NewValue(rest, ir.OpAdd, ir.PtrMap, base, c)
		base.Pos = pos
		rest.Values = append([]*ir.Value{c, base}, rest.Values...)
		ref.off = 0
	}
	offset := map[*ir.Value]int64{}
	for j, off := range at {
		offset[d.slots[j].slot] = ref.off + ref.spills + off
	}
	addressSlots(f, rest, base, offset, d)
	retype(f, away, d)
	f.RemoveDead()
	return key, base
}

// lookupBlock returns the block that looks up the scratch map. It is the nearest one that
// dominates all users of the slots in away and is in no loop. Since a failed lookup ends the
// program, it also cannot be a block in which a ring buffer record may be reserved. If values
// are spilled to scratch memory, it is the entry.
func lookupBlock(f *ir.Func, away map[*ir.Value]bool, ref scratchRef) *ir.Block {
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
				switch {
				case !away[x]:
				case v.Op == ir.OpPhi:
					meet(b.Preds[i])
				default:
					meet(b)
				}
			}
		}
	}
	if home == nil || ref.spills > 0 {
		home = f.Blocks[0]
	}
	holding := afterReserve(f)
	for dom.IDom(home) != nil && (dom.LoopDepth(home) > 0 || holding[home]) {
		home = dom.IDom(home)
	}
	return home
}

// afterReserve returns the blocks that can run after another block has reserved a
// record of the ring buffer.
func afterReserve(f *ir.Func) map[*ir.Block]bool {
	after := map[*ir.Block]bool{}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Help != ir.RingReserve {
				continue
			}
			work := append([]*ir.Block(nil), b.Succs...)
			for len(work) > 0 {
				s := work[len(work)-1]
				work = work[:len(work)-1]
				if !after[s] {
					after[s] = true
					work = append(work, s.Succs...)
				}
			}
		}
	}
	return after
}

// leadingValues moves the phis of b, and the parameters if b is the entry, to its
// front. It returns their number.
func leadingValues(f *ir.Func, b *ir.Block) int {
	n := 0
	for n < len(b.Values) && (b.Values[n].Op == ir.OpPhi || b == f.Blocks[0] && b.Values[n].Op == ir.OpParam) {
		n++
	}
	for i := n; i < len(b.Values) && b == f.Blocks[0]; i++ {
		if v := b.Values[i]; v.Op == ir.OpParam {
			copy(b.Values[n+1:i+1], b.Values[n:i])
			b.Values[n] = v
			n++
		}
	}
	return n
}

// lookUp ends home with the lookup of the scratch map, after which rest runs. It
// returns the slot of the map's key and the address of the element. A lookup that
// fails ends the program.
func lookUp(f *ir.Func, home, rest *ir.Block, ref scratchRef) (key, base *ir.Value) {
	pos := rest.Pos // of its terminator
	if len(rest.Values) > 0 {
		pos = rest.Values[0].Pos
	}
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
	base = add(home, ir.OpCall, ir.PtrMapNil, m, key)
	base.Help = ir.MapLookup
	home.BranchTo(base, rest, none)
	zero := add(none, ir.OpConst, ir.Int)
	none.Term, none.Cond = ir.TermRet, zero
	return key, base
}

// retype changes addresses that are made only from slots in away to the type of a map's
// value, whose alignment does not matter.
func retype(f *ir.Func, away map[*ir.Value]bool, d *derived) {
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Type != ir.PtrSlot || v.ID >= len(d.of) || d.of[v.ID] == nil || v.Op == ir.OpSlot {
				continue
			}
			moved := true
			d.each(d.of[v.ID], func(u *slotUse) { moved = moved && away[u.slot] })
			if moved {
				v.Type = ir.PtrMap
			}
		}
	}
}

// addressSlots replaces slots by base and their offset, added at the start of block
// rest.
func addressSlots(f *ir.Func, rest *ir.Block, base *ir.Value, offset map[*ir.Value]int64, d *derived) {
	var head []*ir.Value
	sub := make([]*ir.Value, f.NumValues())
	for j := range d.slots {
		slot := d.slots[j].slot
		off, ok := offset[slot]
		if !ok {
			continue
		}
		x := base
		if off != 0 {
			c := f.NewValue(rest, ir.OpConst, ir.Int)
			c.Imm = off
			x = f.NewValue(rest, ir.OpAdd, ir.PtrMap, base, c)
			x.Pos = base.Pos
			head = append(head, c, x)
		}
		sub[slot.ID] = x
	}
	rest.Values = append(head, rest.Values...)
	f.Substitute(sub)
}

// sinkSums computes sums of a pointer and a constant where they are used. If a sum were
// kept from one use to the next, it would need a register or a stack word.
func sinkSums(f *ir.Func) {
	atEnd := map[*ir.Block][]*ir.Value{} // for phis of the blocks after it
	for _, b := range f.Blocks {
		var out []*ir.Value
		for _, v := range b.Values {
			for i, x := range v.Args {
				base, off := peel(x, 0)
				if base == x || off == 0 || (v.Op == ir.OpAdd || v.Op == ir.OpSub) && v.Args[1].Op == ir.OpConst {
					continue
				}
				user := b
				if v.Op == ir.OpPhi {
					user = b.Preds[i]
				}
				c := f.NewValue(user, ir.OpConst, ir.Int)
				c.Imm = off
				sum := f.NewValue(user, ir.OpAdd, x.Type, base, c)
				sum.Pos = v.Pos
				v.Args[i] = sum
				if v.Op == ir.OpPhi {
					atEnd[user] = append(atEnd[user], c, sum)
				} else {
					out = append(out, c, sum)
				}
			}
			out = append(out, v)
		}
		b.Values = out
	}
	for b, list := range atEnd {
		b.Values = append(b.Values, list...)
	}
	f.RemoveDead()
}
