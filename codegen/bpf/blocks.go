package bpf

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

// splitCriticalEdges inserts a block into each edge from a block with several
// successors to one with several predecessors. The moves for phis are emitted there.
func splitCriticalEdges(f *ir.Func) {
	for _, b := range f.Blocks[:len(f.Blocks):len(f.Blocks)] {
		if len(b.Succs) < 2 {
			continue
		}
		for i, s := range b.Succs {
			if len(s.Phis()) > 0 {
				b.SplitEdge(i)
			}
		}
	}
}

// testsBits reports whether a branch on cond becomes a JSET instruction.
func testsBits(cond *ir.Value) bool {
	if cond.Op == ir.OpNe && cond.Args[1].Op == ir.OpConst && cond.Args[1].Imm == 0 {
		cond = cond.Args[0]
	}
	return cond.Op == ir.OpAnd
}

// unlikelyBlocks reports, by ID, which blocks are failure paths or run only after one.
func unlikelyBlocks(f *ir.Func, dom *ir.Dom) []bool {
	unlikely := make([]bool, f.NumBlocks())
	for _, b := range dom.RPO[1:] {
		unlikely[b.ID] = b.Unlikely || unlikely[dom.IDom(b).ID]
	}
	return unlikely
}

// layoutBlocks orders the reachable blocks so that the likely successor comes
// next, loops are contiguous and failure paths come last.
func layoutBlocks(f *ir.Func, dom *ir.Dom, unlikely []bool) []*ir.Block {
	seen := make([]bool, f.NumBlocks())
	var post []*ir.Block
	type frame struct {
		b     *ir.Block
		succs []*ir.Block
	}
	// The block that is visited first is placed last.
	succs := func(b *ir.Block) []*ir.Block {
		if len(b.Succs) < 2 {
			return b.Succs
		}
		x, y := b.Succs[0], b.Succs[1]
		switch {
		case unlikely[x.ID] != unlikely[y.ID]:
			if unlikely[x.ID] {
				return []*ir.Block{x, y}
			}
		case dom.LoopDepth(x) < dom.LoopDepth(y):
			return []*ir.Block{x, y}
		case dom.LoopDepth(x) == dom.LoopDepth(y) && testsBits(b.Cond):
			return []*ir.Block{x, y} // there is no jump for "no bit set"
		}
		return []*ir.Block{y, x}
	}
	stack := []frame{{f.Blocks[0], succs(f.Blocks[0])}}
	seen[f.Blocks[0].ID] = true
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.succs) > 0 {
			s := top.succs[0]
			top.succs = top.succs[1:]
			if !seen[s.ID] {
				seen[s.ID] = true
				stack = append(stack, frame{s, succs(s)})
			}
			continue
		}
		post = append(post, top.b)
		stack = stack[:len(stack)-1]
	}
	order := make([]*ir.Block, 0, len(post))
	var late []*ir.Block
	size := 0
	for i := len(post) - 1; i >= 0; i-- {
		b := post[i]
		if unlikely[b.ID] {
			late = append(late, b)
		} else {
			order = append(order, b)
		}
		// In a long function, failure paths must stay within reach of jumps.
		if size += len(b.Values) + 1; size > nearValues {
			order, late, size = append(order, late...), late[:0], 0
		}
	}
	return append(order, late...)
}

// nearValues is the number of values between failure paths in a long function.
const nearValues = 10_000
