package ir

// These are the edits that passes make to a function. Each keeps predecessors,
// successors and phi arguments consistent.

// PredIndex returns the index of the first edge from p among b's predecessors.
//
//go:noinline
func (b *Block) PredIndex(p *Block) int {
	for i, q := range b.Preds {
		if q == p {
			return i
		}
	}
	return -1
}

// DropPred removes the i-th incoming edge of b and the phi arguments that belong to it.
// The caller removes the other end of the edge.
//
//go:noinline
func (b *Block) DropPred(i int) {
	b.Preds = append(b.Preds[:i:i], b.Preds[i+1:]...)
	for _, v := range b.Values {
		if v.Op != OpPhi {
			break
		}
		v.Args = append(v.Args[:i:i], v.Args[i+1:]...)
	}
}

// Phis returns the leading phis of b.
func (b *Block) Phis() []*Value {
	n := 0
	for n < len(b.Values) && b.Values[n].Op == OpPhi {
		n++
	}
	return b.Values[:n]
}

// RemoveUnreachable removes the blocks that cannot be reached from the entry. It
// reports whether there were any.
func (f *Func) RemoveUnreachable() bool {
	reach := make([]bool, f.nextB)
	rpo := RPO(f)
	if len(rpo) == len(f.Blocks) {
		return false
	}
	for _, b := range rpo {
		reach[b.ID] = true
	}
	kept := f.Blocks[:0:0]
	for _, b := range f.Blocks {
		if reach[b.ID] {
			kept = append(kept, b)
			continue
		}
		for _, s := range b.Succs {
			if reach[s.ID] {
				s.DropPred(s.PredIndex(b))
			}
		}
	}
	f.Blocks = kept
	return true
}

// SplitAt moves the values of b from index i on, and its terminator, to a new
// block, which is placed after b in the function. b then has no terminator.
func (b *Block) SplitAt(i int) *Block {
	f := b.Func
	c := f.AddBlock()
	for k := range f.Blocks {
		if f.Blocks[k] == b {
			copy(f.Blocks[k+2:], f.Blocks[k+1:len(f.Blocks)-1])
			f.Blocks[k+1] = c
			break
		}
	}
	c.Values = append(c.Values, b.Values[i:]...)
	b.Values = b.Values[:i:i]
	for _, v := range c.Values {
		v.Block = c
	}
	c.Term, c.Cond, c.Succs, c.Pos, c.Unlikely = b.Term, b.Cond, b.Succs, b.Pos, b.Unlikely
	for k, s := range c.Succs {
		// If both edges of a branch lead to one block, replace them once.
		if k == 0 || s != c.Succs[0] {
			s.ReplacePred(b, c)
		}
	}
	b.Term, b.Cond, b.Succs = TermNone, nil, nil
	return c
}

// ReplacePred replaces a predecessor of b, in each edge from it.
//
//go:noinline
func (b *Block) ReplacePred(old, by *Block) {
	for i, p := range b.Preds {
		if p == old {
			b.Preds[i] = by
		}
	}
}

// JumpTo ends the open block b with a jump.
func (b *Block) JumpTo(to *Block) {
	b.Term, b.Cond, b.Succs = TermJump, nil, []*Block{to}
	to.Preds = append(to.Preds, b)
}

// BranchTo ends the open block b with a branch.
//
//go:noinline
func (b *Block) BranchTo(cond *Value, then, els *Block) {
	b.Term, b.Cond, b.Succs = TermBr, cond, []*Block{then, els}
	then.Preds = append(then.Preds, b)
	els.Preds = append(els.Preds, b)
}

// SplitEdge inserts a new block into the i-th outgoing edge of b.
func (b *Block) SplitEdge(i int) *Block {
	to := b.Succs[i]
	// The n-th edge from b to this successor is the n-th b among its predecessors.
	nth := 0
	for _, s := range b.Succs[:i] {
		if s == to {
			nth++
		}
	}
	c := b.Func.AddBlock()
	c.Term, c.Succs, c.Preds, c.Unlikely, c.Pos = TermJump, []*Block{to}, []*Block{b}, to.Unlikely || b.Unlikely, b.Pos
	b.Succs[i] = c
	for j, p := range to.Preds {
		if p != b {
			continue
		}
		if nth == 0 {
			to.Preds[j] = c
			break
		}
		nth--
	}
	return c
}

// Subst maps IDs of values to their replacements. It may be shorter than the number of
// values.
type Subst []*Value

// Find returns the replacement of x, which may be x itself.
//
//go:noinline
func (s Subst) Find(x *Value) *Value {
	for x.ID < len(s) && s[x.ID] != nil {
		x = s[x.ID]
	}
	return x
}

// Substitute replaces the uses of the values that sub maps to others.
func (f *Func) Substitute(sub Subst) {
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for i, x := range v.Args {
				v.Args[i] = sub.Find(x)
			}
		}
		if b.Cond != nil {
			b.Cond = sub.Find(b.Cond)
		}
	}
}

// Uses returns, by value ID, the number of operands and terminators that use each
// value.
//
//go:noinline
func (f *Func) Uses() []int {
	n := make([]int, f.nextID)
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			for _, x := range v.Args {
				n[x.ID]++
			}
		}
		if b.Cond != nil {
			n[b.Cond.ID]++
		}
	}
	return n
}

// RemoveDead removes values that have no effect and that no value with an effect needs,
// including phis that use only each other. It reports whether there were any.
func (f *Func) RemoveDead() bool {
	live := make([]bool, f.nextID)
	var work []*Value
	mark := func(v *Value) {
		if !live[v.ID] {
			live[v.ID] = true
			work = append(work, v)
		}
	}
	total := 0
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			total++
			// A barrier has no effect of its own: it only affects its result.
			if v.Effect()&Writes != 0 && !v.Derives() {
				mark(v)
			}
		}
		if b.Cond != nil {
			mark(b.Cond)
		}
	}
	n := 0
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		n++
		for _, x := range v.Args {
			mark(x)
		}
	}
	if n == total {
		return false
	}
	for _, b := range f.Blocks {
		kept := b.Values[:0:0]
		for _, v := range b.Values {
			if live[v.ID] {
				kept = append(kept, v)
			}
		}
		b.Values = kept
	}
	return true
}
