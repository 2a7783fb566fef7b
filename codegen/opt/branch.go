package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// maxSweeps is the maximum number of times that edges are threaded before the rest of
// branch runs.
const maxSweeps = 16

// branch simplifies control flow: constant and repeated conditions, jumps to
// jumps, blocks that only continue another, unreachable blocks.
func branch(f *ir.Func) bool {
	changed := false
	for again := true; again; {
		again = f.RemoveUnreachable()
		again = known(f) || again
		for n := 0; n < maxSweeps && thread(f); n++ {
			again = true
		}
		for _, b := range f.Blocks {
			again = condition(b) || again
			again = skipEmpty(b) || again
		}
		again = f.RemoveUnreachable() || again
		again = merge(f) || again
		changed = changed || again
	}
	return changed
}

// condition simplifies the terminator of b.
func condition(b *ir.Block) bool {
	if b.Term != ir.TermBr {
		return false
	}
	changed := false
	for {
		c := b.Cond
		if (c.Op == ir.OpNe || c.Op == ir.OpEq) && c.Args[1].Op == ir.OpConst && c.Args[1].Imm == 0 {
			if c.Op == ir.OpEq {
				if b.Succs[0] == b.Succs[1] {
					break // only their order shows which edge is which
				}
				b.Succs[0], b.Succs[1] = b.Succs[1], b.Succs[0]
			}
			b.Cond = c.Args[0]
			changed = true
			continue
		}
		break
	}
	switch {
	case notNull(b.Cond):
		toJump(b, 0)
		return true
	case b.Cond.Op == ir.OpConst:
		keep := 1
		if b.Cond.Imm != 0 {
			keep = 0
		}
		toJump(b, keep)
		return true
	case b.Succs[0] == b.Succs[1] && sameOnBothEdges(b):
		toJump(b, 0)
		return true
	}
	return changed
}

// notNull reports whether x is a pointer of a type that is never null. Pointers to
// kernel objects may be null.
func notNull(x *ir.Value) bool {
	return x.Type == ir.PtrMap || x.Type == ir.PtrRec || x.Type == ir.PtrSlot || x.Type == ir.PtrCtx
}

func sameOnBothEdges(b *ir.Block) bool {
	s := b.Succs[0]
	i := s.PredIndex(b)
	for j := i + 1; j < len(s.Preds); j++ {
		if s.Preds[j] != b {
			continue
		}
		for _, v := range s.Phis() {
			if v.Args[i] != v.Args[j] {
				return false
			}
		}
	}
	return true
}

// toJump makes b's branch a jump to its successor keep.
func toJump(b *ir.Block, keep int) {
	to, other := b.Succs[keep], b.Succs[1-keep]
	i := other.PredIndex(b)
	if to == other && keep == 0 { // the edge that remains is the second one
		for j := i + 1; j < len(other.Preds); j++ {
			if other.Preds[j] == b {
				i = j
				break
			}
		}
	}
	other.DropPred(i)
	b.Term, b.Cond, b.Succs = ir.TermJump, nil, []*ir.Block{to}
}

// known decides branches whose condition a dominating branch has tested. The removal of
// an edge does not invalidate dominance, so the tree is computed once. Bounds checks on
// which a barrier depends are kept: if the value was in memory since the first test,
// the kernel's verifier may have lost the bounds.
func known(f *ir.Func) bool {
	const maxTests = 64 // of one condition, the nearest ones

	dom := ir.NewDom(f)
	tests := map[*ir.Value][]*ir.Block{} // by condition: blocks that only a branch on it leads to
	for _, b := range dom.RPO {
		if len(b.Preds) == 1 && b.Preds[0].Term == ir.TermBr {
			c := b.Preds[0].Cond
			tests[c] = append(tests[c], b)
		}
	}
	changed := false
	for _, b := range dom.RPO {
		if b.Term != ir.TermBr || b.Succs[0] == b.Succs[1] {
			continue
		}
		list := tests[b.Cond]
		for _, d := range slices.Backward(list[max(0, len(list)-maxTests):]) {
			if len(d.Preds) != 1 {
				continue
			}
			p := d.Preds[0]
			if p == b || p.Term != ir.TermBr || p.Succs[0] == p.Succs[1] || !dom.Dominates(d, b) {
				continue
			}
			keep := 0
			if p.Succs[1] == d {
				keep = 1
			}
			if guards(b, b.Succs[keep]) {
				break
			}
			toJump(b, keep)
			changed = true
			break
		}
	}
	return changed
}

// guards reports whether the branch at the end of b bounds the value of a barrier in s,
// to which it leads.
func guards(b, s *ir.Block) bool {
	c := b.Cond
	if !c.Op.IsCompare() || c.Op == ir.OpEq || c.Op == ir.OpNe || len(s.Preds) != 1 {
		return false
	}
	return slices.ContainsFunc(s.Values, func(v *ir.Value) bool {
		return v.Hides() && slices.Contains(c.Args, v.Args[0])
	})
}

// redirect changes p's edge to from into one to to. The caller must update the lists of
// predecessors.
func redirect(p, from, to *ir.Block) {
	for i, s := range p.Succs {
		if s == from {
			p.Succs[i] = to
			return
		}
	}
}

// skipEmpty makes the predecessors of b, which only jumps, jump to its successor.
func skipEmpty(b *ir.Block) bool {
	if len(b.Values) > 0 || b.Term != ir.TermJump || b.Succs[0] == b || b == b.Func.Blocks[0] {
		return false
	}
	to := b.Succs[0]
	if b.Unlikely && !to.Unlikely {
		return false // it still marks the unlikely direction
	}
	k := to.PredIndex(b)
	hasPhis := len(to.Phis()) > 0
	changed := false
	for i := 0; i < len(b.Preds); {
		p := b.Preds[i]
		if hasPhis && (to.PredIndex(p) >= 0 || len(p.Succs) == 2 && p.Succs[0] == p.Succs[1]) {
			i++
			continue
		}
		redirect(p, b, to)
		for _, v := range to.Phis() {
			v.Args = append(v.Args, v.Args[k])
		}
		to.Preds = append(to.Preds, p)
		b.DropPred(i)
		changed = true
	}
	return changed
}

// merge appends each block to its only predecessor if the block is its only successor.
func merge(f *ir.Func) bool {
	changed := false
	gone := map[*ir.Block]bool{}
	sub := make([]*ir.Value, f.NumValues())
	for _, b := range f.Blocks {
		if gone[b] {
			continue
		}
		for b.Term == ir.TermJump {
			s := b.Succs[0]
			if s == b || len(s.Preds) != 1 || s == f.Blocks[0] {
				break
			}
			phis := s.Phis()
			typed := false
			for _, v := range phis {
				typed = typed || v.Args[0].Type != v.Type || v.Args[0] == v
			}
			if typed {
				break
			}
			for _, v := range phis {
				sub[v.ID] = v.Args[0]
			}
			for _, v := range s.Values[len(phis):] {
				v.Block = b
				b.Values = append(b.Values, v)
			}
			b.Term, b.Cond, b.Succs, b.Pos = s.Term, s.Cond, s.Succs, s.Pos
			for k, t := range b.Succs {
				if k == 0 || t != b.Succs[0] {
					t.ReplacePred(s, b)
				}
			}
			gone[s], changed = true, true
		}
	}
	if !changed {
		return false
	}
	kept := f.Blocks[:0:0]
	for _, b := range f.Blocks {
		if !gone[b] {
			kept = append(kept, b)
		}
	}
	f.Blocks = kept
	f.Substitute(sub)
	return true
}
