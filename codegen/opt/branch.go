package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// maxThreaded bounds the functions whose edges are threaded, in values: threading
// looks through the function for every edge. maxEdges is how many at a time.
const maxThreaded, maxEdges = 20_000, 5_000

// branch simplifies control flow: constant and repeated conditions, jumps to
// jumps, blocks that only continue another, unreachable blocks.
func branch(f *ir.Func) bool {
	changed := false
	edges := maxEdges
	if f.NumValues() > maxThreaded {
		edges = 0
	}
	for again := true; again; {
		again = f.RemoveUnreachable()
		again = known(f) || again
		for edges > 0 && thread(f) {
			edges--
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
					break // which edge is which shows only in their order
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

// notNull reports whether x is a pointer that its type says is not null. Kernel
// objects may be all the same.
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
	if to == other && keep == 0 { // the edge that goes is the second one
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

// known decides branches whose condition a dominating branch has tested. An
// edge that goes takes no dominance away, so one look at the tree is enough.
// Bounds that a barrier stands for are tested again: the kernel's verifier may
// have lost those it found before, where the value was in memory since.
func known(f *ir.Func) bool {
	dom := ir.NewDom(f)
	tests := map[*ir.Value][]*ir.Block{} // by condition: blocks that a branch on it alone leads to
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
		for _, d := range slices.Backward(tests[b.Cond]) {
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

// guards reports whether the branch at the end of b bounds what a barrier at s,
// where it leads, keeps.
func guards(b, s *ir.Block) bool {
	c := b.Cond
	if !isCompare(c) || c.Op == ir.OpEq || c.Op == ir.OpNe || len(s.Preds) != 1 {
		return false
	}
	return slices.ContainsFunc(s.Values, func(v *ir.Value) bool {
		return v.Op == ir.OpBarrier && v.Type == ir.Int && slices.Contains(c.Args, v.Args[0])
	})
}

// thread lets a predecessor that decides the branch of b, b being nothing but
// phis and that branch, go straight to where it leads. This is what && and ||
// come down to, and pointers that one path has checked for null before.
func thread(f *ir.Func) bool {
	var dom *ir.Dom
	for _, b := range f.Blocks {
		if b.Term != ir.TermBr || b.Succs[0] == b.Succs[1] || len(b.Values) == 0 || len(b.Values) != len(b.Phis()) || b.Cond.Block != b {
			continue
		}
		if dom == nil {
			dom = ir.NewDom(f)
		}
		for i, p := range b.Preds {
			x := b.Cond.Args[i]
			taken := truth(dom, x, p, b)
			if taken < 0 || dom.Dominates(b, p) || len(p.Succs) == 2 && p.Succs[0] == p.Succs[1] {
				continue
			}
			to := b.Succs[taken]
			if to == b || to.PredIndex(p) >= 0 || !localPhis(dom, b) {
				continue
			}
			threadEdge(dom, b, i, to)
			return true
		}
	}
	return false
}

// truth is the index of the successor that a branch on x takes when it comes
// from p to b, or -1 if that is not known.
func truth(dom *ir.Dom, x *ir.Value, p, b *ir.Block) int {
	switch {
	case notNull(x), x.Op == ir.OpConst && x.Imm != 0:
		return 0
	case x.Op == ir.OpConst:
		return 1
	}
	at := func(p, s *ir.Block) int {
		if p.Term != ir.TermBr || p.Cond != x || p.Succs[0] == p.Succs[1] {
			return -1
		}
		if p.Succs[0] == s {
			return 0
		}
		return 1
	}
	if t := at(p, b); t >= 0 {
		return t
	}
	for d := p; d != nil; d = dom.IDom(d) {
		if len(d.Preds) == 1 {
			if t := at(d.Preds[0], d); t >= 0 {
				return t
			}
		}
	}
	return -1
}

// localPhis reports whether the phis of b are used only by its branch, by phis
// of its successors for the edge from b, and in what a successor of which b is
// the only predecessor dominates.
func localPhis(dom *ir.Dom, b *ir.Block) bool {
	ok := func(at *ir.Block) bool {
		for _, s := range b.Succs {
			if len(s.Preds) == 1 && dom.Dominates(s, at) {
				return true
			}
		}
		return false
	}
	for _, u := range dom.RPO {
		for _, v := range u.Values {
			for i, x := range v.Args {
				if x.Block != b || x.Op != ir.OpPhi {
					continue
				}
				switch {
				case v.Op != ir.OpPhi && !ok(u):
					return false
				case v.Op == ir.OpPhi && u.Preds[i] != b && !ok(u.Preds[i]):
					return false
				case v.Op == ir.OpPhi && u == b:
					return false
				}
			}
		}
		if c := u.Cond; c != nil && u != b && c.Block == b && c.Op == ir.OpPhi && !ok(u) {
			return false
		}
	}
	return true
}

// threadEdge makes the i-th predecessor of b jump to b's successor to.
func threadEdge(dom *ir.Dom, b *ir.Block, i int, to *ir.Block) {
	p, k := b.Preds[i], to.PredIndex(b)
	mine := map[*ir.Value]*ir.Value{} // phi of b → what it is on the new edge
	for _, phi := range b.Phis() {
		mine[phi] = phi.Args[i]
	}
	if len(to.Preds) == 1 {
		// Behind this successor the phis of b now come from two places.
		sub := map[*ir.Value]*ir.Value{}
		var fresh []*ir.Value
		for _, phi := range b.Phis() {
			t := phi.Type
			if phi == b.Cond && b.Succs[0] == to {
				t = t.NonNil()
			}
			n := b.Func.NewValue(to, ir.OpPhi, t, phi)
			n.Pos = phi.Pos
			sub[phi] = n
			fresh = append(fresh, n)
		}
		for _, u := range dom.RPO {
			for _, v := range u.Values {
				for a, x := range v.Args {
					at := u
					if v.Op == ir.OpPhi {
						at = u.Preds[a]
					}
					if sub[x] != nil && dom.Dominates(to, at) {
						v.Args[a] = sub[x]
					}
				}
			}
			if u.Cond != nil && sub[u.Cond] != nil && dom.Dominates(to, u) {
				u.Cond = sub[u.Cond]
			}
		}
		to.Values = append(fresh, to.Values...)
	}
	redirect(p, b, to)
	for _, v := range to.Phis() {
		x := v.Args[k]
		if y := mine[x]; y != nil {
			x = y
		}
		v.Args = append(v.Args, x)
	}
	to.Preds = append(to.Preds, p)
	b.DropPred(i)
}

// redirect makes p's edge to from go to to; the predecessor lists are the
// caller's.
func redirect(p, from, to *ir.Block) {
	for i, s := range p.Succs {
		if s == from {
			p.Succs[i] = to
			return
		}
	}
}

// skipEmpty lets the predecessors of b, which only jumps on, do that themselves.
func skipEmpty(b *ir.Block) bool {
	if len(b.Values) > 0 || b.Term != ir.TermJump || b.Succs[0] == b || b == b.Func.Blocks[0] {
		return false
	}
	to := b.Succs[0]
	if b.Unlikely && !to.Unlikely {
		return false // it still says which way is the unlikely one
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

// merge appends blocks to their only predecessor where that goes nowhere else.
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
					for i, p := range t.Preds {
						if p == s {
							t.Preds[i] = b
						}
					}
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
