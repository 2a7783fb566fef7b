package bpf

import "github.com/gotrace/gotrace/codegen/ir"

// trackedValues returns, by ID, the values of f that must not be spilled to scratch memory,
// because the verifier does not track the values there:
//
//   - pointers
//   - numbers that are added to a pointer or passed to a helper: it checks their bounds
//   - numbers that end a loop: it follows the loop to its end
//
// The parameters must not be spilled there either, since they exist before scratch memory is
// looked up.
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
			if v.Hides() || v.Op == ir.OpParam {
				bounded(v)
			}
			if v.Help != nil || v.Type != ir.Int && (v.Op == ir.OpAdd || v.Op == ir.OpSub) {
				for _, x := range v.Args {
					bounded(x)
				}
			}
		}
		if b.Term == ir.TermBr && leavesLoop(b, dom) {
			bounded(b.Cond)
		}
	}
	// The values from which a tracked number is computed are tracked as well.
	for len(work) > 0 {
		v := work[len(work)-1]
		work = work[:len(work)-1]
		if v.Op == ir.OpPhi || v.Effect() == 0 {
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
