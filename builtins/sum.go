package builtins

import (
	"github.com/gotrace/gotrace/builtins/sums"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/value"
)

func sum() *Def {
	return &Def{
		Name: "sum",
		Kind: Aggregation,
		Aggregator: Aggregator{
			Weighs: true,
			Update: func(g Gen, call *Call, p *ir.Value) {
				sums.Weigh(g.B(), adding(g), p, 0, call.Type.Signed, g.Value(&call.Args[0]), g.Sampling())
			},
			Accum:  sums.Size,
			Scalar: func(g Gen, t *types.Type, acc, p *ir.Value) { sums.Copy(g.B(), acc, p, 0, t.Signed) },
			Result: func(g Gen, t *types.Type, acc *ir.Value) *ir.Value { return sums.Clamp(g.B(), acc, t.Signed) },
		},
		TypeDef: TypeDef{
			Metric:       value.Counter,
			TypeName:     "sum_t",
			TypeSize:     sums.Size,
			UnsignedType: "usum_t",
			Merge:        func(t *types.Type, dst, src []byte) { sums.Merge(t.Signed, dst, src) },
			Format: func(_ Env, t *types.Type, data []byte) value.Value {
				return sums.Value(t.Signed, data)
			},
			Rank: func(t *types.Type, data []byte) Rank {
				w := sums.Read(t.Signed, data)
				return Rank{rankWord(true, uint64(w.Hi)), w.Lo}
			},
		},
		Params: []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "The sum of all values, signed if the argument is. It is exact, even if it exceeds 64 bits; in an expression it is the nearest 64-bit number.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes[comm] = sum(args.ret); }`},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkAggregate(c, call, sums.Size) },
	}
}

// checkAggregate checks an aggregation of integers. Its values take size bytes.
func checkAggregate(c Checker, call *Call, size int) *types.Type {
	if t := call.typeOf(0); !t.IsInteger() && !t.Castable {
		if t.Kind != types.Invalid && c.Final() {
			c.Errorf(call.Span, "%s() only supports integer arguments (%s provided)", call.Def.Name, t)
		}
		return types.TInvalid
	}
	return call.Def.AggType(size, call.typeOf(0).Signed)
}

// adding returns the way in which the program adds to sums of aggregations in maps.
func adding(g Gen) sums.How {
	switch {
	case !contended(g):
		return sums.Plain
	case g.Kernel().Has(probes.FeatAtomicFetch):
		return sums.Fetch
	}
	return sums.Atomic
}
