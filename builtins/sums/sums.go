// Package sums has sums of more than 64 bits: the code that adds to them, and the
// functions that merge and read them in user space.
//
// A sum consists of two words: the sum as a 64-bit integer, signed if its terms are, and
// the number of times that it overflowed upwards minus downwards. So the second word is
// written only if the first one overflows, and a reader on another CPU hardly ever sees
// one word from before an addition and the other one from after it. The sum is
// low + high * 2^64.
package sums

import (
	"encoding/binary"
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// Offsets of the words of a sum, and its size, in bytes.
const (
	low  = 0
	high = 8
	Size = 16
)

// How is the way in which a program adds to a sum.
type How int

const (
	// Plain is for memory that nothing else writes at the same time.
	Plain How = iota
	// Atomic is for memory that others write too. An addition at the same time can hide
	// an overflow.
	Atomic
	// Fetch is Atomic for kernels with an instruction that adds and returns the old
	// number. No overflow is hidden.
	Fetch
)

// Weigh emits code that adds x, times 2 to the power of exp, to the sum at p+off. The
// product may have more than 64 bits. If exp is nil, it adds x.
func Weigh(b *ir.Builder, how How, p *ir.Value, off int64, signed bool, x, exp *ir.Value) {
	if exp == nil {
		add(b, how, p, off, signed, x, nil)
		return
	}
	lo := b.Op(ir.OpShl, x, exp)
	// The bits that lo lacks. The amount of a shift is at most 63.
	right := ir.OpShr
	if signed {
		right = ir.OpSar
	}
	hi := b.Op(right, b.Op(right, x, b.Const(1)), b.Op(ir.OpSub, b.Const(63), exp))
	if signed { // lo is a signed number, whose sign is worth 2^64 less
		hi = b.Op(ir.OpAdd, hi, b.Op(ir.OpShr, lo, b.Const(63)))
	}
	add(b, how, p, off, signed, lo, hi)
}

// add adds x, and hi * 2^64 if hi is not nil, to the sum at p+off.
func add(b *ir.Builder, how How, p *ir.Value, off int64, signed bool, x, hi *ir.Value) {
	var old *ir.Value
	switch how {
	case Fetch:
		old = b.FetchAdd(p, off+low, x)
	case Atomic:
		old = b.Load(p, off+low, 8, false)
		b.AtomicAdd(p, off+low, 8, x)
	default:
		old = b.Load(p, off+low, 8, false)
	}
	sum := b.Op(ir.OpAdd, old, x)
	if how == Plain {
		b.Store(p, off+low, 8, sum)
	}
	carry := func(n *ir.Value) {
		if how == Plain {
			b.Store(p, off+high, 8, b.Op(ir.OpAdd, b.Load(p, off+high, 8, false), n))
		} else {
			b.AtomicAdd(p, off+high, 8, n)
		}
	}
	over := b.Op(ir.OpULt, sum, x)
	if signed { // the sum's sign is neither that of old nor that of x
		over = b.Op(ir.OpSLt, b.Op(ir.OpAnd, b.Op(ir.OpXor, old, sum), b.Op(ir.OpXor, x, sum)), b.Const(0))
	}
	b.If(over, func() {
		b.Cur.Unlikely = true
		n := b.Const(1)
		if signed { // 1, or -1 if x is negative
			n = b.Op(ir.OpOr, b.Op(ir.OpSar, x, b.Const(63)), n)
		}
		carry(n)
	})
	if hi != nil {
		carry(hi)
	}
}

// Copy emits code that adds the sum at p+off to the one at acc+off.
func Copy(b *ir.Builder, acc, p *ir.Value, off int64, signed bool) {
	add(b, Plain, acc, off, signed, b.Load(p, off+low, 8, false), b.Load(p, off+high, 8, false))
}

// Clamp emits code that returns the sum at p as a word, or the nearest word if it does
// not fit.
func Clamp(b *ir.Builder, p *ir.Value, signed bool) *ir.Value {
	hi := b.Load(p, high, 8, false)
	return b.IfElse(hi, func() *ir.Value {
		b.Cur.Unlikely = true
		if !signed {
			return b.Const(-1)
		}
		return b.Op(ir.OpXor, b.Op(ir.OpSar, hi, b.Const(63)), b.Const(1<<63-1))
	}, func() *ir.Value { return b.Load(p, low, 8, false) })
}

// Divide emits code that returns the sum at p divided by n, rounded towards zero. The
// result must fit a word, and n must be positive as a signed integer.
func Divide(b *ir.Builder, p *ir.Value, signed bool, n *ir.Value) *ir.Value {
	op := ir.OpUDiv // x/0 is 0
	if signed {
		op = ir.OpSDiv
	}
	lo, hi := b.Load(p, low, 8, false), b.Load(p, high, 8, false)
	return b.IfElse(hi, func() *ir.Value {
		b.Cur.Unlikely = true
		if !signed {
			return divideLong(b, hi, lo, n)
		}
		// Make it a number of 128 bits with the sign in the upper ones.
		hi := b.Op(ir.OpAdd, hi, b.Op(ir.OpSar, lo, b.Const(63)))
		neg := b.Op(ir.OpSar, hi, b.Const(63)) // all ones if it is negative
		lo := b.Op(ir.OpSub, b.Op(ir.OpXor, lo, neg), neg)
		// Negation adds one, which carries if the lower bits become 0.
		carry := b.Op(ir.OpAnd, b.Op(ir.OpEq, lo, b.Const(0)), neg)
		hi = b.Op(ir.OpAdd, b.Op(ir.OpXor, hi, neg), carry)
		return b.Op(ir.OpSub, b.Op(ir.OpXor, divideLong(b, hi, lo, n), neg), neg)
	}, func() *ir.Value { return b.Op(op, lo, n) })
}

// divideLong returns (hi * 2^64 + lo) / n, computed bit by bit. It requires that
// hi < n < 2^63.
func divideLong(b *ir.Builder, hi, lo, n *ir.Value) *ir.Value {
	rest := &ir.Var{Name: "rest", Type: ir.Int}
	quot := &ir.Var{Name: "quot", Type: ir.Int}
	b.Write(rest, hi)
	b.Write(quot, lo)
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

// Merge adds the sum at the start of src to that of dst.
func Merge(signed bool, dst, src []byte) {
	x, old := word(src[low:]), word(dst[low:])
	lo, carry := bits.Add64(old, x, 0)
	if signed {
		carry = ((old ^ lo) & (x ^ lo)) >> 63 * uint64(int64(x)>>63|1)
	}
	binary.NativeEndian.PutUint64(dst[low:], lo)
	binary.NativeEndian.PutUint64(dst[high:], word(dst[high:])+word(src[high:])+carry)
}

//go:noinline
func word(data []byte) uint64 { return binary.NativeEndian.Uint64(data) }

// Read returns the sum at the start of data as a number of 128 bits.
func Read(signed bool, data []byte) value.Wide {
	w := value.Wide{Hi: int64(word(data[high:])), Lo: word(data[low:])}
	if signed {
		w.Hi += int64(w.Lo) >> 63
	}
	return w
}

// Value returns the sum at the start of data as it is printed: as an integer of its
// terms' type if it fits.
func Value(signed bool, data []byte) value.Value {
	w := Read(signed, data)
	top := int64(0)
	if signed {
		top = int64(w.Lo) >> 63
	}
	if w.Hi == top {
		return decode.Number(signed, w.Lo)
	}
	return w
}
