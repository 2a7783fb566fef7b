package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/store"
)

// The kernel's verifier follows each path through a program, and merges two paths if
// they meet with the same knowledge. Each branch on a register tells it something about
// the value there, so a program with hundreds of branches on a few variables has more
// paths than the verifier is willing to follow, even if the program is short. The
// variables of such a program are kept in a map. The verifier knows nothing of what is
// in a map, so all paths are alike.

// manyBranches is the number of branches from which on a program keeps its variables in
// a map. From fewBranches on a program does not carry what it reads from one block to
// others far away, which costs next to nothing.
const (
	fewBranches  = 30
	manyBranches = 120
)

// varsMap is the name of the map.
const varsMap = "vars"

// calm finds out whether program p keeps variables in a map, and which of them. What
// is in a map with keys counts as a branch: it may not be there. Variables that a
// while loop uses are not among them: the verifier has to see that it ends. Nor are
// pointers, which would be no pointers any more.
func (f *fn) calm(p *check.Prog) {
	branches := 0
	ast.Inspect(p.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.If, *ast.Ternary, *ast.For, *ast.Index:
			branches++
		case *ast.Binary:
			if n.Op == "&&" || n.Op == "||" {
				branches++
			}
		case *ast.While:
			branches++
			return false
		}
		return true
	})
	f.b.Fn.Forgets = branches >= fewBranches
	if branches < manyBranches {
		return
	}
	if p.Ctx.Preemptible && f.k.Has(probes.FeatPreempt) {
		return // another task could use the same memory meanwhile
	}
	f.mapVars = map[*check.Var]int{}
	f.inMap = func(v *check.Var) bool {
		switch {
		case v == nil || f.captured[v] || v.AddrTaken:
			return false
		case v.Type.Kind == types.String:
			return f.cut != nil // only parts of a program need it
		}
		return v.Type.IsScalar() && v.Type.Kind != types.Pointer && !f.inWhile[v]
	}
}

// startVars finds the memory of variables.
func (f *fn) startVars() {
	if f.inMap == nil {
		return
	}
	if f.varsMap == nil {
		f.varsMap = f.newMap(ir.Map{Name: varsMap, Type: ir.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	}
	key := f.b.Slot(4)
	f.b.Store(key, 0, 4, f.b.Const(0))
	f.varsBase = f.Surely(f.b.Call(ir.MapLookup, f.b.MapPtr(f.varsMap), key))
}

// mapOffset is where in the map's value a variable is, -1 if it is not there.
func (f *fn) mapOffset(v *check.Var) int {
	if f.inMap == nil || !f.inMap(v) {
		return -1
	}
	off, ok := f.mapVars[v]
	if !ok {
		size := types.RoundUp(max(v.Type.Size, 8), 8)
		if off = f.varsMap.ValueSize; off+size > store.MaxPerCPU {
			return -1
		}
		f.varsMap.ValueSize += size
		f.mapVars[v] = off
	}
	return off
}

// mapVar is the memory of a variable, nil where it has none.
func (f *fn) mapVar(v *check.Var) *ir.Value {
	off := f.mapOffset(v)
	if off < 0 {
		return nil
	}
	var p *ir.Value
	f.prologue(func() { p = f.b.AddImm(f.varsBase, int64(off)) })
	return p
}
