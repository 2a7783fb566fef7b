package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

// A member may be absent, for example in a header that a packet does not have. A
// comparison that reads it is false, and a statement that reads it outside of a
// comparison does nothing.

// absence is the destination of the jump out of an expression that reads an absent
// member.
type absence struct{ block *ir.Block } // nil: not made yet

// mustHave continues only if has is not 0. Otherwise it leaves the innermost comparison
// or statement.
func (f *fn) mustHave(has *ir.Value) {
	if f.absent.block == nil {
		f.absent.block = f.b.NewBlock()
	}
	f.b.Need(has, f.absent.block)
}

// absentTo runs emit with a as the destination for absent members.
//
//go:noinline
func (f *fn) absentTo(a *absence, emit func()) {
	old := f.absent
	f.absent = a
	emit()
	f.absent = old
}

// mayBeLeft emits a statement, which ends early if it reads an absent member.
func (f *fn) mayBeLeft(emit func()) {
	a := &absence{}
	f.absentTo(a, emit)
	if a.block == nil {
		return
	}
	f.b.Join(a.block)
}

// branchOn branches on a condition, which counts as false if it reads an absent member.
func (f *fn) branchOn(cond func() *ir.Value, then, els *ir.Block) {
	var x *ir.Value
	f.absentTo(&absence{els}, func() { x = cond() })
	f.b.Br(x, then, els)
}

// whole returns the value of a comparison, or 0 if it reads an absent member.
func (f *fn) whole(compare func() *ir.Value) *ir.Value {
	a := &absence{}
	var x *ir.Value
	f.absentTo(a, func() { x = compare() })
	if a.block == nil {
		return x
	}
	join := f.b.NewBlock()
	f.b.Jump(join)
	f.b.SealSet(a.block)
	zero := f.b.Const(0)
	f.b.Join(join)
	return f.b.Merge([]*ir.Value{x, zero})
}

// atStart returns the value that build emits, whose code runs once, when the function
// starts.
func (f *fn) atStart(name string, build func() *ir.Value) *ir.Value {
	v, ok := f.once[name]
	if !ok {
		f.prologue(func() { v = build() })
		if f.once == nil {
			f.once = map[string]*ir.Value{}
		}
		f.once[name] = v
	}
	return v
}
