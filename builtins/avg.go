package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// An average is kept as the sum and the number of values.
const (
	avgTotal = 0
	avgCount = 1
	avgSize  = 16
)

func avg() *Def {
	return &Def{
		Name:         "avg",
		Kind:         Aggregation,
		Metric:       value.Gauge,
		TypeName:     "avg_t",
		UnsignedType: "uavg_t",
		Params:       []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "The average of all values, rounded towards zero.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes[comm] = avg(args.ret); }`},
		},
		Check:  func(c Checker, call *Call) *types.Type { return checkAggregate(c, call, avgSize) },
		Update: updateAverage,
		Accum:  avgSize,
		Scalar: func(g Gen, _ *types.Type, acc, p *ir.Value) {
			b := g.B()
			bump(b, acc, 8*avgTotal, b.Load(p, 8*avgTotal, 8, false))
			bump(b, acc, 8*avgCount, b.Load(p, 8*avgCount, 8, false))
		},
		Result: func(g Gen, t *types.Type, acc *ir.Value) *ir.Value {
			b := g.B()
			op := ir.OpUDiv // x/0 is 0
			if t.Signed {
				op = ir.OpSDiv
			}
			return b.Op(op, b.Load(acc, 8*avgTotal, 8, false), b.Load(acc, 8*avgCount, 8, false))
		},
		Merge: mergeSums,
		Format: func(_ Env, t *types.Type, data []byte) value.Value {
			return value.Avg{V: decode.Number(t.Signed, average(t, data))}
		},
		Order: func(t *types.Type, a, b []byte) int {
			return compare(t.Signed, average(t, a), average(t, b))
		},
	}
}

func updateAverage(g Gen, call *Call, p *ir.Value) {
	x := g.Value(&call.Args[0])
	tally(g, p, 8*avgTotal, x)
	tally(g, p, 8*avgCount, g.B().Const(1))
}

func average(t *types.Type, data []byte) uint64 {
	total, n := word(data, avgTotal), word(data, avgCount)
	switch {
	case n == 0:
		return 0
	case t.Signed:
		return uint64(int64(total) / int64(n))
	}
	return total / n
}
