package builtins

import (
	"github.com/gotrace/gotrace/builtins/sums"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// An average is stored as the sum and the number of values.
const (
	avgTotal = 0 // two words
	avgCount = 2
	avgSize  = 24
)

func avg() *Def {
	return &Def{
		Name: "avg",
		Kind: Aggregation,
		Aggregator: Aggregator{
			Weighs: true,
			Update: updateAverage,
			Accum:  avgSize,
			Scalar: copyAverage,
			Result: func(g Gen, t *types.Type, acc *ir.Value) *ir.Value {
				return sums.Divide(g.B(), acc, t.Signed, g.B().Load(acc, 8*avgCount, 8, false))
			},
		},
		TypeDef: TypeDef{
			Metric:       value.Gauge,
			TypeName:     "avg_t",
			TypeSize:     avgSize,
			UnsignedType: "uavg_t",
			Merge:        mergeAverage,
			Format: func(_ Env, t *types.Type, data []byte) value.Value {
				return value.Avg{V: decode.Number(t.Signed, average(t, data))}
			},
			Rank: rankAverage,
		},
		Params: []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "The average of all values, rounded towards zero.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes[comm] = avg(args.ret); }`},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkAggregate(c, call, avgSize) },
	}
}

func updateAverage(g Gen, call *Call, p *ir.Value) {
	x := g.Value(&call.Args[0])
	sums.Weigh(g.B(), adding(g), p, 8*avgTotal, call.Type.Signed, x, g.Sampling())
	tally(g, p, 8*avgCount, weight(g))
}

// copyAverage adds the sum and the number of values at p to those at acc.
func copyAverage(g Gen, t *types.Type, acc, p *ir.Value) {
	sums.Copy(g.B(), acc, p, 8*avgTotal, t.Signed)
	b := g.B()
	bump(b, acc, 8*avgCount, b.Load(p, 8*avgCount, 8, false))
}

func average(t *types.Type, data []byte) uint64 {
	return sums.Read(t.Signed, data[8*avgTotal:]).Average(word(data, avgCount))
}

func rankAverage(t *types.Type, data []byte) Rank {
	return Rank{rankWord(t.Signed, average(t, data))}
}

func mergeAverage(t *types.Type, dst, src []byte) {
	sums.Merge(t.Signed, dst[8*avgTotal:], src[8*avgTotal:])
	setWord(dst, avgCount, word(dst, avgCount)+word(src, avgCount))
}
