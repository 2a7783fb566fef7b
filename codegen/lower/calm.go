package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/store"
)

// The kernel's verifier follows each path through a program. It merges two paths where it
// has the same facts about both. Each branch on a register adds a fact about the
// register's value, so a program with hundreds of branches on a few variables has more
// paths than the verifier can follow, even if the program is short. Such a program keeps
// its variables in a map. The verifier does not track the contents of maps, so the paths
// do not differ. Results about a packet are in the map too.

// A program with at least manyBranches branches keeps its variables in a map. With at
// least fewBranches it does not keep values loaded in one block for use in distant
// blocks, which costs next to nothing.
const (
	fewBranches  = 30
	manyBranches = 120
)

// varsMap is the name of the map for variables.
const varsMap = "vars"

// calmVars describes the variables that a function keeps in a map.
type calmVars struct {
	inMap    func(*check.Var) bool // reports whether a variable is in the map; nil: none is
	mapVars  map[*check.Var]int    // offsets in the map's value
	varsBase *ir.Value             // address of that value
}

// calm determines whether program p keeps variables in a map, and which. An access to
// an entry of a map with keys counts as a branch, since the entry may be missing.
// Variables that a while loop uses are excluded, since the verifier must be able to
// prove that the loop ends. Pointers are excluded, since the verifier would no longer
// accept them as pointers.
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
		case *ast.Field:
			if f.info.Fields[n].Has != 0 {
				branches++
			}
		case *ast.Ident:
			if call := f.info.Calls[n]; call != nil {
				branches += call.Def.Branches
			}
		case *ast.Call:
			if call := f.info.Calls[n]; call != nil {
				branches += call.Def.Branches
			}
		case *ast.While:
			branches++
			return false
		}
		return true
	})
	f.b.Fn.Forgets = branches >= fewBranches
	f.b.Fn.OwnFrame = p.Ctx.NeedsOwnFrame(f.k)
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
			return f.cut != nil // only parts of the program need it
		}
		return v.Type.IsScalar() && v.Type.Kind != types.Pointer && !f.inWhile[v]
	}
}

// startVars looks up the map for variables.
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

// mapOffset returns the offset of a variable in the map's value, or -1 if it is not in
// the map.
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

// Once returns memory that fill writes when the function starts. It is in the map of
// variables if there is one.
func (f *fn) Once(name string, size int, fill func(p *ir.Value)) *ir.Value {
	return f.atStart(name, func() *ir.Value {
		p := f.untracked(size)
		fill(p)
		return p
	})
}

// untracked returns the address of size bytes of unused memory in the map of variables,
// or on the stack if there is no such map.
func (f *fn) untracked(size int) *ir.Value {
	if f.inMap == nil || f.varsMap.ValueSize+size > store.MaxPerCPU {
		return f.b.Slot(size)
	}
	off := f.varsMap.ValueSize
	f.varsMap.ValueSize += types.RoundUp(size, 8)
	var p *ir.Value
	f.prologue(func() { p = f.b.AddImm(f.varsBase, int64(off)) })
	return p
}

// mapVar returns the address of a variable in the map, or nil if it is not in the map.
func (f *fn) mapVar(v *check.Var) *ir.Value {
	off := f.mapOffset(v)
	if off < 0 {
		return nil
	}
	var p *ir.Value
	f.prologue(func() { p = f.b.AddImm(f.varsBase, int64(off)) })
	return p
}
