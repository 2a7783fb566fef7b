package builtins

import (
	"github.com/gotrace/gotrace/builtins/sums"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

func stats() *Def {
	return &Def{
		Name:       "stats",
		Kind:       Aggregation,
		Aggregator: Aggregator{Weighs: true, Update: updateAverage, Accum: avgSize, Scalar: copyAverage},
		TypeDef: TypeDef{
			Metric:       value.Summary,
			TypeName:     "stats_t",
			TypeSize:     avgSize,
			UnsignedType: "ustats_t",
			Whole:        true,
			Merge:        mergeAverage,
			Format: func(_ Env, t *types.Type, data []byte) value.Value {
				return value.Stats{
					Count: int64(word(data, avgCount)),
					Avg:   decode.Number(t.Signed, average(t, data)),
					Total: sums.Value(t.Signed, data[8*avgTotal:]),
				}
			},
			Rank: rankAverage,
		},
		Params: []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "Number, average and sum of all values.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes[comm] = stats(args.ret); }`},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkAggregate(c, call, avgSize) },
	}
}
