package builtins

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// A linear histogram is one value of u64 counters: one for numbers below min, one for
// each step, and one for numbers above the last whole step. The type's parameters are
// min, max and step.
const maxLinear = 1000

func lhist() *Def {
	return &Def{
		Name: "lhist",
		Kind: Aggregation,
		Aggregator: Aggregator{
			Weighs:   true,
			Disagree: "Different lhist bounds in a single map unsupported",
			Update: func(g Gen, call *Call, p *ir.Value) {
				n := g.Value(&call.Args[0])
				at := lhistIndex(g, n, call.typeOf(0).Decay(), call.Type.Params)
				b := g.B()
				// The verifier cannot track a division. The barrier makes it use the
				// comparison instead.
				at = b.Opaque(at)
				g.B().If(b.Op(ir.OpULt, at, b.Const(int64(call.Type.Size/8))), func() {
					b := g.B()
					tally(g, b.Op(ir.OpAdd, p, b.Op(ir.OpShl, at, b.Const(3))), 0, weight(g))
				})
			},
		},
		TypeDef: TypeDef{
			Metric:   value.Histogram,
			TypeName: "lhist_t",
			AcceptType: func(t *types.Type) bool {
				if len(t.Params) != 3 {
					return false
				}
				low, high, step := t.Params[0], t.Params[1], t.Params[2]
				return low >= 0 && high >= low && step > 0 && (high-low)/step <= maxLinear && t.Size == lhistSize(low, high, step)
			},
			Merge: mergeSums,
			Format: func(_ Env, t *types.Type, data []byte) value.Value {
				h := histogram(data, func(i int) value.Bucket { return lhistBucket(t.Params, i) })
				h.Linear = true
				return h
			},
			Rank: rankTotal,
		},
		Params: []Param{{Name: "n"}, {Name: "min"}, {Name: "max"}, {Name: "step"}},
		Doc: Doc{
			Summary:  "A histogram with buckets of equal width from min to max, and one more on either side.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read { @bytes = lhist(args.ret, 0, 4096, 256); }`},
		},
		Check: checkLhist,
	}
}

// lhistSize returns the size in bytes of a histogram.
func lhistSize(low, high, step int64) int { return int(8 * ((high-low)/step + 2)) }

func checkLhist(c Checker, call *Call) *types.Type {
	if !wantInt(c, call, 0) {
		return types.TInvalid
	}
	var p [3]int64
	for i := range p {
		a := call.arg(i + 1)
		if a == nil {
			return types.TInvalid
		}
		if a.Lit == nil || a.Lit.IsStr || a.Lit.Int < 0 || a.Lit.Unsigned {
			c.Errorf(call.Span, "lhist: invalid %s value (must be non-negative literal)", call.Def.Params[i+1].Name)
			return types.TInvalid
		}
		p[i] = a.Lit.Int
	}
	low, high, step := p[0], p[1], p[2]
	switch {
	case step <= 0:
		c.Errorf(call.Span, "lhist() step must be >= 1 (%d provided)", step)
	case low > high:
		c.Errorf(call.Span, "lhist() min must be less than max (provided min %d and max %d)", low, high)
	case high-low < step:
		c.Errorf(call.Span, "lhist() step is too large for the given range (provided step %d for range %d)", step, high-low)
	case (high-low)/step > maxLinear:
		c.Errorf(call.Span, "lhist() too many buckets, must be <= %d (would need %d)", maxLinear, (high-low)/step)
	default:
		return call.Def.AggType(lhistSize(low, high, step), true, p[:]...)
	}
	return types.TInvalid
}

// lhistIndex computes the bucket of n, an integer of type t.
func lhistIndex(g Gen, n *ir.Value, t *types.Type, params []int64) *ir.Value {
	b := g.B()
	// The verifier takes the result of an XOR for another number. Otherwise it would divide
	// the range of n by the bounds of each lhist, and follow the rest of the program for each
	// part of the range.
	n = b.Op(ir.OpXor, b.Opaque(b.Op(ir.OpXor, n, b.Const(-1))), b.Const(-1))
	low, step := params[0], params[2]
	steps := (params[1] - low) / step
	d := n
	if low != 0 {
		d = b.Op(ir.OpSub, n, b.Const(low))
	}
	// One comparison checks both bounds: below min, the unsigned d is huge.
	inside := b.Op(ir.OpULt, d, b.Const(steps*step))
	return g.B().IfElse(inside, func() *ir.Value {
		b := g.B()
		return b.Op(ir.OpAdd, divide(b, d, step, uint64(steps*step)), b.Const(1))
	}, func() *ir.Value {
		b := g.B()
		var below *ir.Value // all ones if n is less than min
		switch signed := t.Signed || t.Word; {
		case low == 0 && signed:
			below = b.Op(ir.OpSar, n, b.Const(63))
		case low == 0:
			below = b.Const(0)
		case signed:
			below = b.Op(ir.OpNeg, b.Op(ir.OpSLt, n, b.Const(low)))
		default:
			below = b.Op(ir.OpNeg, b.Op(ir.OpULt, n, b.Const(low)))
		}
		return b.Op(ir.OpAnd, b.Op(ir.OpXor, below, b.Const(-1)), b.Const(steps+1))
	})
}

// divide computes x / by for x < limit. Instead of a division, which takes tens of
// cycles, it uses a shift, or a multiplication by the reciprocal if that is exact for
// all such x.
func divide(b *ir.Builder, x *ir.Value, by int64, limit uint64) *ir.Value {
	d := uint64(by)
	if d&(d-1) == 0 {
		return b.Op(ir.OpShr, x, b.Const(int64(bits.TrailingZeros64(d))))
	}
	// With m = ceil(2^p / d) and m*d = 2^p + e, floor(x*m / 2^p) is exact for all
	// x with x*e < 2^p (Granlund, Montgomery); x*m must not overflow.
	for p := 1; p < 63; p++ {
		m := (uint64(1)<<p + d - 1) / d
		e := m*d - 1<<p
		hi, xe := bits.Mul64(limit-1, e)
		if over, _ := bits.Mul64(limit-1, m); over != 0 {
			break
		}
		if hi == 0 && xe < 1<<p {
			return b.Op(ir.OpShr, b.Op(ir.OpMul, x, b.Const(int64(m))), b.Const(int64(p)))
		}
	}
	return b.Op(ir.OpUDiv, x, b.Const(by))
}

// lhistBucket returns the bounds of bucket i.
func lhistBucket(params []int64, i int) value.Bucket {
	low, step := params[0], params[2]
	steps := (params[1] - low) / step
	from := low + int64(i-1)*step
	switch {
	case i == 0:
		return value.Bucket{MinInf: true, Max: low - 1, Label: "(..., " + rounded(low, step) + ")"}
	case int64(i) > steps:
		return value.Bucket{Min: from, MaxInf: true, Label: "[" + rounded(from, step) + ", ...)"}
	case step == 1:
		return value.Bucket{Min: from, Max: from, Label: "[" + rounded(from, step) + "]"}
	}
	return value.Bucket{Min: from, Max: from + step - 1, Label: "[" + rounded(from, step) + ", " + rounded(from+step, step) + ")"}
}

// rounded returns the text of a bound in Ki, Mi or a larger unit if both the step and
// the bound are whole numbers of it. Otherwise it returns the plain number, as it does
// for the neighbours of the bound.
func rounded(n, step int64) string {
	limit := 0
	if step%1024 == 0 {
		limit = max(2, bits.TrailingZeros64(uint64(step))/10)
	}
	unit := 0
	for n != 0 && n%1024 == 0 && unit < limit {
		n /= 1024
		unit++
	}
	return strings.TrimRight(strconv.FormatInt(n, 10)+" KMGTPE"[unit:unit+1], " ")
}
