package builtins

import "github.com/gotrace/gotrace/codegen/ir"

// weight returns the number of events that this one counts as: 1, or more in a program
// that runs at a part of the events.
func weight(g Gen) *ir.Value {
	one := g.B().Const(1)
	if s := g.Sampling(); s != nil {
		return g.B().Op(ir.OpShl, one, s)
	}
	return one
}

// weighWide is tallyWide of x times weight. The product may have more than 64 bits.
func weighWide(g Gen, p *ir.Value, off int64, signed bool, x *ir.Value) {
	s := g.Sampling()
	if s == nil {
		tallyWide(g, p, off, signed, x)
		return
	}
	b := g.B()
	low := b.Op(ir.OpShl, x, s)
	// The bits that low lacks. The amount of a shift is at most 63.
	right := ir.OpShr
	if signed {
		right = ir.OpSar
	}
	high := b.Op(right, b.Op(right, x, b.Const(1)), b.Op(ir.OpSub, b.Const(63), s))
	if signed { // low is a signed number, whose sign is worth 2^64 less
		high = b.Op(ir.OpAdd, high, b.Op(ir.OpShr, low, b.Const(63)))
	}
	addWide(g, p, off, signed, contended(g), low, high)
}
