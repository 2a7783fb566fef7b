package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// Sampling returns the binary logarithm of the number of events for which this one
// stands, or nil if the program is not sampled.
func (f *fn) Sampling() *ir.Value {
	n, ok := f.p.Sampled[f.prog]
	if !ok {
		return nil
	}
	return f.atStart("sampling", func() *ir.Value {
		m := f.array(&f.sample, object.SampleMap)
		m.ValueSize = 8 * len(f.p.Sampled)
		// The bound is for the verifier.
		return f.b.Op(ir.OpAnd, f.b.Load(f.b.MapValue(m, int64(8*n)), 0, 8, false), f.b.Const(object.MaxSampling))
	})
}

// startSampling emits the decision whether the program runs at this event.
func (f *fn) startSampling() {
	s := f.Sampling()
	if s == nil {
		return
	}
	f.onlyIf(f.b.IfElse(s, func() *ir.Value {
		b := f.b
		b.Cur.Unlikely = true
		random := b.Call(ir.PrandomU32)
		mask := b.Op(ir.OpSub, b.Op(ir.OpShl, b.Const(1), s), b.Const(1))
		return b.Op(ir.OpEq, b.Op(ir.OpAnd, random, mask), b.Const(0))
	}, func() *ir.Value { return f.b.Const(1) }))
}
