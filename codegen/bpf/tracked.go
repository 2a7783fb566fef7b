package bpf

import "github.com/gotrace/gotrace/codegen/ir"

// trackedValues finds the values of f, by ID, of which the kernel's verifier must
// know more than that they are numbers, wherever they are kept: pointers; numbers
// that are added to a pointer or passed to a helper, since it checks their bounds;
// numbers that end a loop, since it follows the loop until it ends; and the
// parameters, which are there before scratch memory is.
func trackedValues(f *ir.Func, dom *ir.Dom) []bool {
	tracked := make([]bool, f.NumValues())
	var work []*ir.Value
	bounded := func(v *ir.Value) {
		if v.Type == ir.Int && !tracked[v.ID] {
			tracked[v.ID] = true
			work = append(work, v)
		}
	}
	for _, b := range dom.RPO {
		for _, v := range b.Values {
			if v.Type != ir.Int {
				tracked[v.ID] = true
			}
			switch v.Op {
			case ir.OpBarrier, ir.OpParam:
				bounded(v)
			case ir.OpAdd, ir.OpSub:
				if v.Type != ir.Int {
					for _, x := range v.Args {
						bounded(x)
					}
				}
			case ir.OpCall:
				for _, x := range v.Args {
					bounded(x)
				}
			}
		}
		if b.Term == ir.TermBr && leavesLoop(b, dom) {
			bounded(b.Cond)
		}
	}
	// What a bounded number is computed from has to be known as well.
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		if v.Op == ir.OpPhi || v.Op != ir.OpBarrier && v.Effect() == 0 {
			for _, x := range v.Args {
				bounded(x)
			}
		}
	}
	return tracked
}

// leavesLoop reports whether the branch at the end of b may end a loop.
func leavesLoop(b *ir.Block, dom *ir.Dom) bool {
	for _, s := range b.Succs {
		if dom.LoopDepth(s) < dom.LoopDepth(b) {
			return true
		}
	}
	return false
}
