package builtins

import (
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// A wide sum consists of two words: the sum as a 64-bit integer, signed if its terms
// are, and the number of times that it overflowed upwards minus downwards. So the
// second word is written only if the first one overflows, and a reader on another CPU
// hardly ever sees one word from before an addition and the other one from after it.
// The sum is low + high * 2^64.
const (
	wideLow  = 0
	wideHigh = 1
	wideSize = 16
)

// tallyWide adds x to the wide sum at p+off of an aggregation in a map. It does so
// atomically if tally does.
func tallyWide(g Gen, p *ir.Value, off int64, signed bool, x *ir.Value) {
	addWide(g, p, off, signed, contended(g), x, nil)
}

// weighWide is like tallyWide for x times weight. The product may have more than 64 bits.
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

// addWide adds x, and high * 2^64 if high is not nil, to the wide sum at p+off.
func addWide(g Gen, p *ir.Value, off int64, signed, atomic bool, x, high *ir.Value) {
	b := g.B()
	low, up := off+8*wideLow, off+8*wideHigh
	var old *ir.Value
	switch {
	case atomic && g.Kernel().Has(probes.FeatAtomicFetch):
		old = b.FetchAdd(p, low, x)
	case atomic: // a concurrent addition can only hide the overflow
		old = b.Load(p, low, 8, false)
		b.AtomicAdd(p, low, 8, x)
	default:
		old = b.Load(p, low, 8, false)
	}
	sum := b.Op(ir.OpAdd, old, x)
	if !atomic {
		b.Store(p, low, 8, sum)
	}
	add := func(n *ir.Value) {
		if atomic {
			g.B().AtomicAdd(p, up, 8, n)
		} else {
			bump(g.B(), p, up, n)
		}
	}
	over := b.Op(ir.OpULt, sum, x)
	if signed { // the sum's sign is neither that of old nor that of x
		over = b.Op(ir.OpSLt, b.Op(ir.OpAnd, b.Op(ir.OpXor, old, sum), b.Op(ir.OpXor, x, sum)), b.Const(0))
	}
	g.B().If(over, func() {
		b := g.B()
		b.Cur.Unlikely = true
		n := b.Const(1)
		if signed { // 1, or -1 if x is negative
			n = b.Op(ir.OpOr, b.Op(ir.OpSar, x, b.Const(63)), n)
		}
		add(n)
	})
	if high != nil {
		add(high)
	}
}

// copyWide adds the wide sum at p+off to the one at acc+off.
func copyWide(g Gen, acc, p *ir.Value, off int64, signed bool) {
	b := g.B()
	addWide(g, acc, off, signed, false, b.Load(p, off+8*wideLow, 8, false), b.Load(p, off+8*wideHigh, 8, false))
}

// clampWide returns the wide sum at p as a word, or the nearest word if it does not
// fit.
func clampWide(g Gen, p *ir.Value, signed bool) *ir.Value {
	b := g.B()
	high := b.Load(p, 8*wideHigh, 8, false)
	return g.B().IfElse(high, func() *ir.Value {
		b := g.B()
		b.Cur.Unlikely = true
		if !signed {
			return b.Const(-1)
		}
		return b.Op(ir.OpXor, b.Op(ir.OpSar, high, b.Const(63)), b.Const(signBit-1))
	}, func() *ir.Value { return g.B().Load(p, 8*wideLow, 8, false) })
}

// divideWide returns the wide sum at p divided by n, rounded towards zero. The result
// must fit a word, and n must be positive as a signed integer.
func divideWide(g Gen, p *ir.Value, signed bool, n *ir.Value) *ir.Value {
	b := g.B()
	op := ir.OpUDiv // x/0 is 0
	if signed {
		op = ir.OpSDiv
	}
	low, high := b.Load(p, 8*wideLow, 8, false), b.Load(p, 8*wideHigh, 8, false)
	return g.B().IfElse(high, func() *ir.Value {
		b := g.B()
		b.Cur.Unlikely = true
		if !signed {
			return divideLong(b, high, low, n)
		}
		// Make it a number of 128 bits with the sign in the upper ones.
		high := b.Op(ir.OpAdd, high, b.Op(ir.OpSar, low, b.Const(63)))
		neg := b.Op(ir.OpSar, high, b.Const(63)) // all ones if it is negative
		low := b.Op(ir.OpSub, b.Op(ir.OpXor, low, neg), neg)
		// Negation adds one, which carries if the lower bits become 0.
		carry := b.Op(ir.OpAnd, b.Op(ir.OpEq, low, b.Const(0)), neg)
		high = b.Op(ir.OpAdd, b.Op(ir.OpXor, high, neg), carry)
		return b.Op(ir.OpSub, b.Op(ir.OpXor, divideLong(b, high, low, n), neg), neg)
	}, func() *ir.Value { return g.B().Op(op, low, n) })
}

// divideLong returns (high * 2^64 + low) / n, computed bit by bit. It requires that
// high < n < 2^63.
func divideLong(b *ir.Builder, high, low, n *ir.Value) *ir.Value {
	rest := &ir.Var{Name: "rest", Type: ir.Int}
	quot := &ir.Var{Name: "quot", Type: ir.Int}
	b.Write(rest, high)
	b.Write(quot, low)
	b.Count(64, func(*ir.Value, *ir.Block) {
		one := b.Const(1)
		q := b.Read(quot)
		r := b.Op(ir.OpOr, b.Op(ir.OpShl, b.Read(rest), one), b.Op(ir.OpShr, q, b.Const(63)))
		// A comparison would be a branch, and the verifier would follow both paths in
		// each iteration. Compute the borrow of r - n and invert it instead.
		notR := b.Op(ir.OpXor, r, b.Const(-1))
		borrow := b.Op(ir.OpOr, b.Op(ir.OpAnd, notR, n), b.Op(ir.OpAnd, b.Op(ir.OpOr, notR, n), b.Op(ir.OpSub, r, n)))
		fits := b.Op(ir.OpXor, b.Op(ir.OpShr, borrow, b.Const(63)), one)
		b.Write(rest, b.Op(ir.OpSub, r, b.Op(ir.OpAnd, n, b.Op(ir.OpNeg, fits))))
		b.Write(quot, b.Op(ir.OpOr, b.Op(ir.OpShl, q, one), fits))
	})
	return b.Read(quot)
}

// mergeWide adds the wide sum at word i of src to that of dst.
func mergeWide(signed bool, dst, src []byte, i int) {
	low, carry := bits.Add64(word(dst, i+wideLow), word(src, i+wideLow), 0)
	if signed {
		x, old := int64(word(src, i+wideLow)), int64(word(dst, i+wideLow))
		carry = uint64((old^int64(low))&(x^int64(low))>>63&1) * uint64(x>>63|1)
	}
	setWord(dst, i+wideLow, low)
	setWord(dst, i+wideHigh, word(dst, i+wideHigh)+word(src, i+wideHigh)+carry)
}

// mergeSum is the Merge of a wide sum.
func mergeSum(t *types.Type, dst, src []byte) { mergeWide(t.Signed, dst, src, 0) }

// wideSum returns the wide sum at word i of data as a number of 128 bits.
func wideSum(signed bool, data []byte, i int) value.Wide {
	w := value.Wide{Hi: int64(word(data, i+wideHigh)), Lo: word(data, i+wideLow)}
	if signed {
		w.Hi += int64(w.Lo) >> 63
	}
	return w
}

// wideValue returns a wide sum as it is printed: as an integer of its terms' type if it
// fits.
func wideValue(signed bool, w value.Wide) value.Value {
	top := int64(0)
	if signed {
		top = int64(w.Lo) >> 63
	}
	if w.Hi == top {
		return decode.Number(signed, w.Lo)
	}
	return w
}

// wideAverage returns w/n rounded towards zero, or 0 if n is 0.
func wideAverage(w value.Wide, n uint64) uint64 {
	if n == 0 {
		return 0
	}
	hi, lo := uint64(w.Hi), w.Lo
	if w.Hi < 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	q, _ := bits.Div64(hi%n, lo, n)
	if w.Hi < 0 {
		return -q
	}
	return q
}
