package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

func sum() *Def {
	return &Def{
		Name:         "sum",
		Kind:         Aggregation,
		Metric:       value.Counter,
		TypeName:     "sum_t",
		UnsignedType: "usum_t",
		Params:       []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "The sum of all values, signed if the argument is.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes[comm] = sum(args.ret); }`},
		},
		Check:  func(c Checker, call *Call) *types.Type { return checkAggregate(c, call, 8) },
		Update: func(g Gen, call *Call, p *ir.Value) { tally(g, p, 0, g.Value(&call.Args[0])) },
		Accum:  8,
		Scalar: func(g Gen, _ *types.Type, acc, p *ir.Value) { bump(g.B(), acc, 0, g.B().Load(p, 0, 8, false)) },
		Result: func(g Gen, _ *types.Type, acc *ir.Value) *ir.Value { return g.B().Load(acc, 0, 8, false) },
		Merge:  mergeSums,
		Format: func(_ Env, t *types.Type, data []byte) value.Value { return decode.Number(t.Signed, word(data, 0)) },
		Order:  func(t *types.Type, a, b []byte) int { return compare(t.Signed, word(a, 0), word(b, 0)) },
	}
}

// checkAggregate is the type rule of an aggregation of integers whose values
// have size bytes.
func checkAggregate(c Checker, call *Call, size int) *types.Type {
	if t := call.typeOf(0); !t.IsInteger() && !t.Castable {
		if t.Kind != types.Invalid && c.Final() {
			c.Errorf(call.Span, "%s() only supports integer arguments (%s provided)", call.Def.Name, t)
		}
		return types.TInvalid
	}
	return call.Def.AggType(size, call.typeOf(0).Signed)
}
