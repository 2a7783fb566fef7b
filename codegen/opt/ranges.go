package opt

import (
	"math"
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
)

// interval bounds an integer, both as a signed and as an unsigned number.
type interval struct {
	umin, umax uint64
	smin, smax int64
}

var anything = interval{0, math.MaxUint64, math.MinInt64, math.MaxInt64}

func unsigned(lo, hi uint64) interval {
	if hi <= math.MaxInt64 {
		return interval{lo, hi, int64(lo), int64(hi)}
	}
	if lo > math.MaxInt64 {
		return interval{lo, hi, int64(lo), int64(hi)}
	}
	return interval{lo, hi, math.MinInt64, math.MaxInt64}
}

func signed(lo, hi int64) interval {
	if lo >= 0 || hi < 0 {
		return interval{uint64(lo), uint64(hi), lo, hi}
	}
	return interval{0, math.MaxUint64, lo, hi}
}

func (r interval) constant() (uint64, bool) { return r.umin, r.umin == r.umax }

// ranges holds the range of every value of a function, computed from those of earlier
// values. Values of later blocks (around loops) count as unknown. A range must not be
// narrower than the one that the kernel's verifier derives, which may need a bounds
// check that would otherwise be superfluous. So quotients, byte swaps and shifts by a
// variable are unknown, as in the verifier.
type ranges struct {
	of    []interval
	known []bool
}

//go:noinline
func (rs *ranges) get(v *ir.Value) interval {
	if v.Op == ir.OpConst {
		return unsigned(uint64(v.Imm), uint64(v.Imm))
	}
	if v.ID < len(rs.of) && rs.known[v.ID] {
		return rs.of[v.ID]
	}
	return anything
}

func (rs *ranges) set(v *ir.Value) {
	for v.ID >= len(rs.of) {
		rs.of = append(rs.of, anything)
		rs.known = append(rs.known, false)
	}
	rs.of[v.ID], rs.known[v.ID] = rs.compute(v), true
}

func (rs *ranges) compute(v *ir.Value) interval {
	if v.Type != ir.Int {
		return anything
	}
	arg := func(i int) interval { return rs.get(v.Args[i]) }
	switch v.Op {
	case ir.OpLoad8, ir.OpZext8:
		return rs.zext(v, math.MaxUint8)
	case ir.OpLoad16, ir.OpZext16:
		return rs.zext(v, math.MaxUint16)
	case ir.OpLoad32, ir.OpZext32:
		return rs.zext(v, math.MaxUint32)
	case ir.OpSext8:
		return rs.sext(v, math.MinInt8, math.MaxInt8)
	case ir.OpSext16:
		return rs.sext(v, math.MinInt16, math.MaxInt16)
	case ir.OpSext32:
		return rs.sext(v, math.MinInt32, math.MaxInt32)
	case ir.OpEq, ir.OpNe, ir.OpULt, ir.OpULe, ir.OpSLt, ir.OpSLe:
		return unsigned(0, 1)
	case ir.OpAnd:
		return unsigned(0, min(arg(0).umax, arg(1).umax))
	case ir.OpOr, ir.OpXor:
		if top := bits.Len64(arg(0).umax | arg(1).umax); top < 64 {
			return unsigned(0, 1<<top-1)
		}
	case ir.OpAdd:
		x, y := arg(0), arg(1)
		if hi, carry := bits.Add64(x.umax, y.umax, 0); carry == 0 {
			r := unsigned(x.umin+y.umin, hi)
			if r.smax >= 0 {
				return r
			}
		}
		if lo, hi := x.smin+y.smin, x.smax+y.smax; !addOverflows(x.smin, y.smin) && !addOverflows(x.smax, y.smax) {
			return signed(lo, hi)
		}
	case ir.OpSub:
		x, y := arg(0), arg(1)
		if x.umin >= y.umax {
			return unsigned(x.umin-y.umax, x.umax-y.umin)
		}
	case ir.OpMul:
		x, y := arg(0), arg(1)
		if x.umax <= math.MaxUint32 && y.umax <= math.MaxUint32 {
			return unsigned(x.umin*y.umin, x.umax*y.umax)
		}
	case ir.OpShl:
		if n, ok := arg(1).constant(); ok && bits.LeadingZeros64(arg(0).umax) >= int(n&63) {
			return unsigned(arg(0).umin<<(n&63), arg(0).umax<<(n&63))
		}
	case ir.OpShr:
		if n, ok := arg(1).constant(); ok {
			return unsigned(arg(0).umin>>(n&63), arg(0).umax>>(n&63))
		}
	case ir.OpSar:
		if n, ok := arg(1).constant(); ok {
			return signed(arg(0).smin>>(n&63), arg(0).smax>>(n&63))
		}
	case ir.OpPhi:
		r := interval{math.MaxUint64, 0, math.MaxInt64, math.MinInt64}
		for _, x := range v.Args {
			if x == v {
				continue
			}
			a := rs.get(x)
			r = interval{min(r.umin, a.umin), max(r.umax, a.umax), min(r.smin, a.smin), max(r.smax, a.smax)}
		}
		return r
	}
	return anything
}

func addOverflows(a, b int64) bool {
	c := a + b
	return (a >= 0) == (b >= 0) && (c >= 0) != (a >= 0)
}

// zext returns the range of v, whose maximum is limit: the range of its operand if that
// is not larger.
func (rs *ranges) zext(v *ir.Value, limit uint64) interval {
	if v.Op == ir.OpZext8 || v.Op == ir.OpZext16 || v.Op == ir.OpZext32 {
		if a := rs.get(v.Args[0]); a.umax <= limit {
			return a
		}
	}
	return unsigned(0, limit)
}

func (rs *ranges) sext(v *ir.Value, lo, hi int64) interval {
	if a := rs.get(v.Args[0]); a.smin >= lo && a.smax <= hi {
		return a
	}
	return signed(lo, hi)
}
