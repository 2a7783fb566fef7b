package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/value"
)

func count() *Def {
	return &Def{
		Name: "count",
		Kind: Aggregation,
		Aggregator: Aggregator{
			Weighs: true,
			Update: func(g Gen, _ *Call, p *ir.Value) {
				tally(g, p, 0, weight(g))
			},
			Accum:  8,
			Scalar: func(g Gen, _ *types.Type, acc, p *ir.Value) { bump(g.B(), acc, 0, g.B().Load(p, 0, 8, false)) },
			Result: func(g Gen, _ *types.Type, acc *ir.Value) *ir.Value { return g.B().Load(acc, 0, 8, false) },
		},
		TypeDef: TypeDef{
			Metric:   value.Counter,
			TypeName: "count_t",
			Unsigned: true,
			Merge:    mergeSums,
			Format:   func(_ Env, _ *types.Type, data []byte) value.Value { return value.Uint(word(data, 0)) },
			Rank:     func(_ *types.Type, data []byte) Rank { return Rank{word(data, 0)} },
		},
		Doc: Doc{
			Summary:  "The number of calls.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[comm] = count(); }`},
		},
		Check: func(_ Checker, call *Call) *types.Type { return call.Def.AggType(8, false) },
	}
}

// bump adds x to the u64 at p+off.
func bump(b *ir.Builder, p *ir.Value, off int64, x *ir.Value) {
	b.Store(p, off, 8, b.Op(ir.OpAdd, b.Load(p, off, 8, false), x))
}

// tally adds x to the u64 at p+off of an aggregation in a map. The value belongs to
// this CPU, so tally uses a plain addition unless another task can preempt the program.
func tally(g Gen, p *ir.Value, off int64, x *ir.Value) {
	if contended(g) {
		g.B().AtomicAdd(p, off, 8, x)
		return
	}
	bump(g.B(), p, off, x)
}

// contended reports whether another task can preempt the program during an update of
// this CPU's values, and update them as well.
func contended(g Gen) bool {
	c := g.Context()
	return (c == nil || c.Preemptible) && g.Kernel().Has(probes.FeatPreempt)
}

// weight returns how many events this one stands for: 1, or more in a sampled program.
func weight(g Gen) *ir.Value {
	one := g.B().Const(1)
	if s := g.Sampling(); s != nil {
		return g.B().Op(ir.OpShl, one, s)
	}
	return one
}

// word returns the i-th u64 of data.
//
//go:noinline
func word(data []byte, i int) uint64 { return binary.NativeEndian.Uint64(data[8*i:]) }

//go:noinline
func setWord(data []byte, i int, x uint64) { binary.NativeEndian.PutUint64(data[8*i:], x) }

// mergeSums adds src to dst, word by word.
func mergeSums(_ *types.Type, dst, src []byte) {
	for ; len(dst) >= 8; dst, src = dst[8:], src[8:] {
		binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(dst)+binary.NativeEndian.Uint64(src))
	}
}

// rankWord converts a signed or unsigned word to an unsigned one that compares in the
// same order.
func rankWord(signed bool, x uint64) uint64 {
	if signed {
		return x ^ signBit
	}
	return x
}

const signBit = 1 << 63
