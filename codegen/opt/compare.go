package opt

import (
	"math"

	"github.com/gotrace/gotrace/codegen/ir"
)

var inverse = map[ir.Op]ir.Op{ir.OpEq: ir.OpNe, ir.OpNe: ir.OpEq}

// invert rewrites v into the opposite of comparison c.
func (d *folder) invert(v, c *ir.Value) {
	switch c.Op {
	case ir.OpEq, ir.OpNe:
		d.become(v, inverse[c.Op], c.Args[0], c.Args[1])
	case ir.OpULt:
		d.become(v, ir.OpULe, c.Args[1], c.Args[0])
	case ir.OpULe:
		d.become(v, ir.OpULt, c.Args[1], c.Args[0])
	case ir.OpSLt:
		d.become(v, ir.OpSLe, c.Args[1], c.Args[0])
	case ir.OpSLe:
		d.become(v, ir.OpSLt, c.Args[1], c.Args[0])
	}
}

// decide returns the result of a comparison of values of two ranges, if the ranges
// determine it.
func decide(op ir.Op, x, y interval) (result, ok bool) {
	switch op {
	case ir.OpEq, ir.OpNe:
		if x.umax < y.umin || y.umax < x.umin || x.smax < y.smin || y.smax < x.smin {
			return op == ir.OpNe, true
		}
	case ir.OpULt:
		if x.umax < y.umin {
			return true, true
		}
		return false, x.umin >= y.umax
	case ir.OpULe:
		if x.umax <= y.umin {
			return true, true
		}
		return false, x.umin > y.umax
	case ir.OpSLt:
		if x.smax < y.smin {
			return true, true
		}
		return false, x.smin >= y.smax
	case ir.OpSLe:
		if x.smax <= y.smin {
			return true, true
		}
		return false, x.smin > y.smax
	}
	return false, false
}

func (d *folder) truth(b bool) *ir.Value {
	if b {
		return d.constant(1)
	}
	return d.constant(0)
}

// compare simplifies v, which compares x with y. If yConst, y is k.
func (d *folder) compare(v, x, y *ir.Value, k uint64, yConst bool) *ir.Value {
	if x == y {
		return d.truth(v.Op == ir.OpEq || v.Op == ir.OpULe || v.Op == ir.OpSLe)
	}
	if x.Type != ir.Int || y.Type != ir.Int {
		return nil
	}
	if r, ok := decide(v.Op, d.rs.get(x), d.rs.get(y)); ok {
		return d.truth(r)
	}
	if c, ok := isConst(x); ok {
		// Constants are moved to the right: c < y becomes not (y < c+1).
		switch {
		case v.Op == ir.OpULt && c == 0:
			d.become(v, ir.OpNe, y, x)
		case v.Op == ir.OpULe && c == 1:
			d.become(v, ir.OpNe, y, d.constant(0))
		}
		return nil
	}
	if !yConst {
		return nil
	}
	switch v.Op {
	case ir.OpULe:
		if k != math.MaxUint64 {
			d.become(v, ir.OpULt, x, d.constant(k+1))
		}
	case ir.OpSLe:
		if int64(k) != math.MaxInt64 {
			d.become(v, ir.OpSLt, x, d.constant(k+1))
		}
	case ir.OpULt:
		if k == 1 {
			d.become(v, ir.OpEq, x, d.constant(0))
		}
	case ir.OpEq, ir.OpNe:
		zero := v.Op == ir.OpEq
		r := d.rs.get(x)
		if x.Op.IsCompare() && k <= 1 {
			if zero == (k == 1) {
				return x
			}
			d.invert(v, x)
			return nil
		}
		if r.umax <= 1 && k == 1 { // a truth value: compare with 0
			d.become(v, inverse[v.Op], x, d.constant(0))
			return nil
		}
		if x.Op == ir.OpAnd && k != 0 {
			if c, ok := isConst(x.Args[1]); ok && c == k && k&(k-1) == 0 {
				d.become(v, inverse[v.Op], x, d.constant(0))
			}
			return nil
		}
		if x.Op == ir.OpAdd && x.Type == ir.Int {
			if c, ok := isConst(x.Args[1]); ok {
				d.become(v, v.Op, x.Args[0], d.constant(k-c))
			}
			return nil
		}
		if (x.Op == ir.OpSub || x.Op == ir.OpXor) && k == 0 && x.Args[0].Type == ir.Int && x.Args[1].Type == ir.Int {
			d.become(v, v.Op, x.Args[0], x.Args[1])
			return nil
		}
		if x.Op == ir.OpBswap16 || x.Op == ir.OpBswap32 {
			ext, limit := ir.OpZext16, uint64(math.MaxUint16)
			if x.Op == ir.OpBswap32 {
				ext, limit = ir.OpZext32, math.MaxUint32
			}
			if k > limit { // the other operand has no more bits
				return d.truth(!zero)
			}
			d.become(v, v.Op, d.make(ext, x.Args[0]), d.constant(ir.Eval(x.Op, k, 0)))
		}
	}
	return nil
}
