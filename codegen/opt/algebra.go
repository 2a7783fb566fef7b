package opt

import (
	"math"
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
)

func powerOfTwo(k uint64) (int, bool) {
	return bits.TrailingZeros64(k), k != 0 && k&(k-1) == 0
}

// inner splits x = a op c, for a constant c.
//
//go:noinline
func inner(x *ir.Value, op ir.Op) (a *ir.Value, c uint64, ok bool) {
	if x.Op == op {
		if c, ok := isConst(x.Args[1]); ok {
			return x.Args[0], c, true
		}
	}
	return nil, 0, false
}

// withConst simplifies v, which computes x op k.
func (d *folder) withConst(v, x *ir.Value, k uint64) *ir.Value {
	switch v.Op {
	case ir.OpAdd:
		if k == 0 && x.Type == v.Type {
			return x
		}
		if a, c, ok := inner(x, ir.OpAdd); ok && (v.Type == ir.Int || int64(c+k) == int64(int32(c+k))) {
			d.become(v, ir.OpAdd, a, d.constant(c+k))
		}
	case ir.OpSub:
		d.become(v, ir.OpAdd, x, d.constant(-k))
	case ir.OpMul:
		return d.multiply(v, x, k)
	case ir.OpUDiv, ir.OpUMod, ir.OpSDiv, ir.OpSMod:
		return d.divide(v, x, k)
	case ir.OpAnd:
		return d.mask(v, x, k)
	case ir.OpOr:
		switch {
		case k == 0:
			return x
		case k == math.MaxUint64:
			return d.constant(k)
		}
		if a, c, ok := inner(x, ir.OpOr); ok {
			d.become(v, ir.OpOr, a, d.constant(c|k))
		}
	case ir.OpXor:
		if k == 0 {
			return x
		}
		if k == 1 && x.Op.IsCompare() {
			d.invert(v, x)
			return nil
		}
		if a, c, ok := inner(x, ir.OpXor); ok {
			d.become(v, ir.OpXor, a, d.constant(c^k))
		}
	case ir.OpShl, ir.OpShr, ir.OpSar:
		return d.shift(v, x, k)
	}
	return nil
}

func (d *folder) multiply(v, x *ir.Value, k uint64) *ir.Value {
	log, pow := powerOfTwo(k)
	switch {
	case k == 0:
		return d.constant(0)
	case k == 1:
		return x
	case k == math.MaxUint64:
		d.become(v, ir.OpNeg, x)
	case pow:
		d.become(v, ir.OpShl, x, d.constant(uint64(log)))
	default:
		if a, c, ok := inner(x, ir.OpMul); ok {
			d.become(v, ir.OpMul, a, d.constant(c*k))
		}
	}
	return nil
}

// divide returns x divided by k, or the remainder, depending on the op of v.
func (d *folder) divide(v, x *ir.Value, k uint64) *ir.Value {
	quotient := v.Op == ir.OpUDiv || v.Op == ir.OpSDiv
	signed := v.Op == ir.OpSDiv || v.Op == ir.OpSMod
	log, pow := powerOfTwo(k)
	switch {
	case k == 0 && quotient, k == 1 && !quotient:
		return d.constant(0)
	case k == 0, k == 1:
		return x
	case k == math.MaxUint64 && v.Op == ir.OpSDiv:
		d.become(v, ir.OpNeg, x)
	case k == math.MaxUint64 && v.Op == ir.OpSMod:
		return d.constant(0)
	case signed && int64(k) > 0 && d.rs.get(x).smin >= 0:
		d.become(v, map[ir.Op]ir.Op{ir.OpSDiv: ir.OpUDiv, ir.OpSMod: ir.OpUMod}[v.Op], x, v.Args[1])
	case !pow || signed && int64(k) < 0:
	case v.Op == ir.OpUDiv:
		d.become(v, ir.OpShr, x, d.constant(uint64(log)))
	case v.Op == ir.OpUMod:
		d.become(v, ir.OpAnd, x, d.constant(k-1))
	default:
		// To round toward zero, k-1 is added to negative dividends first.
		bias := d.make(ir.OpShr, d.make(ir.OpSar, x, d.constant(63)), d.constant(uint64(64-log)))
		sum := d.make(ir.OpAdd, x, bias)
		if quotient {
			d.become(v, ir.OpSar, sum, d.constant(uint64(log)))
		} else {
			d.become(v, ir.OpSub, d.make(ir.OpAnd, sum, d.constant(k-1)), bias)
		}
	}
	return nil
}

// mask returns x & k.
func (d *folder) mask(v, x *ir.Value, k uint64) *ir.Value {
	switch k {
	case 0:
		return d.constant(0)
	case math.MaxUint64:
		return x
	case math.MaxUint8:
		d.become(v, ir.OpZext8, x)
		return nil
	case math.MaxUint16:
		d.become(v, ir.OpZext16, x)
		return nil
	case math.MaxUint32:
		d.become(v, ir.OpZext32, x)
		return nil
	}
	if k&(k+1) == 0 && d.rs.get(x).umax <= k {
		return x
	}
	if a, c, ok := inner(x, ir.OpAnd); ok {
		d.become(v, ir.OpAnd, a, d.constant(c&k))
	} else if y := low(x, bits.Len64(k)); y != x {
		d.become(v, ir.OpAnd, y, v.Args[1])
	}
	return nil
}

// shift returns x shifted by k.
func (d *folder) shift(v, x *ir.Value, k uint64) *ir.Value {
	if k > 63 {
		d.become(v, v.Op, x, d.constant(k&63))
		return nil
	}
	if k == 0 {
		return x
	}
	if a, c, ok := inner(x, v.Op); ok && c <= 63 {
		switch {
		case c+k <= 63:
			d.become(v, v.Op, a, d.constant(c+k))
		case v.Op == ir.OpSar:
			d.become(v, v.Op, a, d.constant(63))
		default:
			return d.constant(0)
		}
		return nil
	}
	if a, c, ok := inner(x, ir.OpShl); ok && c == k && (k == 32 || k == 48 || k == 56) {
		if v.Op == ir.OpShr {
			d.become(v, zextOf(64-int(k)), a)
		} else if v.Op == ir.OpSar {
			d.become(v, sextOf(64-int(k)), a)
		}
		return nil
	}
	if v.Op == ir.OpSar && d.rs.get(x).smin >= 0 {
		d.become(v, ir.OpShr, x, v.Args[1])
	}
	return nil
}

func (d *folder) binary(v, x, y *ir.Value) *ir.Value {
	c, xConst := isConst(x)
	switch v.Op {
	case ir.OpSub:
		if x == y {
			return d.constant(0)
		}
		if xConst && c == 0 {
			d.become(v, ir.OpNeg, y)
		}
	case ir.OpAdd:
		if y.Op == ir.OpNeg && v.Type == ir.Int {
			d.become(v, ir.OpSub, x, y.Args[0])
		}
	case ir.OpAnd, ir.OpOr:
		if x == y {
			return x
		}
	case ir.OpXor:
		if x == y {
			return d.constant(0)
		}
	case ir.OpShl, ir.OpShr, ir.OpUDiv:
		if xConst && c == 0 {
			return x
		}
	case ir.OpSDiv, ir.OpSMod:
		if d.rs.get(x).smin >= 0 && d.rs.get(y).smin >= 0 {
			d.become(v, map[ir.Op]ir.Op{ir.OpSDiv: ir.OpUDiv, ir.OpSMod: ir.OpUMod}[v.Op], x, y)
		}
	}
	return nil
}
