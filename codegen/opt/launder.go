package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// manyCompares is the minimum number of blocks that compare a value which is laundered.
const manyCompares = 16

// launder passes values that f compares in many blocks through memory, in two halves.
// The kernel's verifier derives facts from each comparison of a register, so that paths
// differ. It derives none for a word that was stored in halves. f must have Forgets
// set. The pass does not change values that the verifier has to track: those from which
// addresses and sizes are computed, and those that a loop uses.
func launder(f *ir.Func) bool {
	if !f.Forgets {
		return false
	}
	dom := ir.NewDom(f)
	known := knownValues(f)
	users := make([][]*ir.Value, f.NumValues()) // comparisons, one list per value
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if !v.Op.IsCompare() {
				continue
			}
			for _, x := range v.Args {
				if x.Type != ir.Int || x.Op == ir.OpConst || known[x.ID] || x.Block == b {
					continue
				}
				if dom.LoopDepth(b) > 0 || dom.LoopDepth(x.Block) > 0 {
					known[x.ID] = true
					continue
				}
				users[x.ID] = append(users[x.ID], v)
			}
		}
	}
	changed := false
	for _, b := range f.Blocks {
		for _, x := range slices.Clone(b.Values) {
			if x.ID < len(users) && !known[x.ID] && len(users[x.ID]) >= manyCompares {
				throughMemory(f, x, users[x.ID])
				changed = true
			}
		}
	}
	return changed
}

// throughMemory stores x in a slot, from which each of users loads it in its block.
func throughMemory(f *ir.Func, x *ir.Value, users []*ir.Value) {
	entry := f.Blocks[0]
	slot := f.NewValue(entry, ir.OpSlot, ir.PtrSlot)
	slot.Imm, slot.Imm2 = 8, 8
	half := f.NewValue(x.Block, ir.OpConst, ir.Int)
	half.Imm = 32
	high := f.NewValue(x.Block, ir.OpShr, ir.Int, x, half)
	low := f.NewValue(x.Block, ir.OpStore32, ir.Void, slot, x)
	upper := f.NewValue(x.Block, ir.OpStore32, ir.Void, slot, high)
	upper.Imm = 4
	for _, v := range []*ir.Value{half, high, low, upper} {
		v.Pos = x.Pos
	}
	at := slices.Index(x.Block.Values, x) + 1
	at = max(at, len(x.Block.Phis()))
	x.Block.Values = slices.Insert(x.Block.Values, at, half, high, low, upper)
	entry.Values = slices.Insert(entry.Values, 0, slot)

	loaded := map[*ir.Block]*ir.Value{}
	for _, v := range users {
		word := loaded[v.Block]
		if word == nil {
			word = f.NewValue(v.Block, ir.LoadOp(8), ir.Int, slot)
			word.Pos = v.Pos
			v.Block.Values = slices.Insert(v.Block.Values, slices.Index(v.Block.Values, v), word)
			loaded[v.Block] = word
		}
		for i, a := range v.Args {
			if a == x {
				v.Args[i] = word
			}
		}
	}
}

// knownValues returns, by ID, the values from which addresses, sizes and arguments of
// functions are computed.
func knownValues(f *ir.Func) []bool {
	known := make([]bool, f.NumValues())
	var work []*ir.Value
	need := func(x *ir.Value) {
		if x.Type == ir.Int && !known[x.ID] {
			known[x.ID] = true
			work = append(work, x)
		}
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			switch {
			case v.Calls(), v.Hides(), v.Type.IsPtr():
				for _, x := range v.Args {
					need(x)
				}
			}
		}
	}
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		if v.Op.Info().Access != ir.NoAccess || v.Calls() {
			continue // the result does not depend on the facts about the operands
		}
		for _, x := range v.Args {
			need(x)
		}
	}
	return known
}
