package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// min and max store an unsigned word that only grows, and a word that becomes 1 with
// the first value. The first word is the value with some bits inverted, so that a
// better value is a greater word: max of signed numbers inverts the sign bit, min
// inverts all other bits too. A new map value is zero, which is never better than a
// value, so the first update is not a special case.
const (
	extremeWord = 0
	extremeSet  = 1
	extremeSize = 16
)

func minimum() *Def {
	return extreme("min", "The smallest value.", `tracepoint:syscalls:sys_exit_read { @least = min(args.ret); }`, -1)
}

func maximum() *Def {
	return extreme("max", "The largest value.", `tracepoint:syscalls:sys_exit_read { @most = max(args.ret); }`, 0)
}

// extreme returns min or max. flip is the mask of bits to invert in unsigned values.
func extreme(name, summary, example string, flip int64) *Def {
	read := func(t *types.Type, data []byte) uint64 {
		if word(data, extremeSet) == 0 {
			return 0
		}
		return word(data, extremeWord) ^ uint64(turnMask(t, flip))
	}
	return &Def{
		Name: name,
		Kind: Aggregation,
		TypeDef: TypeDef{
			Metric:       value.Gauge,
			TypeName:     name + "_t",
			TypeSize:     extremeSize,
			UnsignedType: "u" + name + "_t",
			Merge: func(_ *types.Type, dst, src []byte) {
				setWord(dst, extremeWord, max(word(dst, extremeWord), word(src, extremeWord)))
				setWord(dst, extremeSet, word(dst, extremeSet)|word(src, extremeSet))
			},
			Format: func(_ Env, t *types.Type, data []byte) value.Value { return decode.Number(t.Signed, read(t, data)) },
			Rank:   func(t *types.Type, data []byte) Rank { return Rank{rankWord(t.Signed, read(t, data))} },
		},
		Params: []Param{{Name: "n"}},
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check:  func(c Checker, call *Call) *types.Type { return checkAggregate(c, call, extremeSize) },
		Aggregator: Aggregator{
			Update: func(g Gen, call *Call, p *ir.Value) {
				x := g.Value(&call.Args[0])
				growWord(g, p, 8*extremeWord, turn(g.B(), call.Type, flip, x))
				b := g.B()
				b.Store(p, 8*extremeSet, 8, b.Const(1))
			},
			Accum: extremeSize,
			Scalar: func(g Gen, _ *types.Type, acc, p *ir.Value) {
				b := g.B()
				set := b.Op(ir.OpOr, b.Load(acc, 8*extremeSet, 8, false), b.Load(p, 8*extremeSet, 8, false))
				b.Store(acc, 8*extremeSet, 8, set)
				growWord(g, acc, 8*extremeWord, b.Load(p, 8*extremeWord, 8, false))
			},
			Result: func(g Gen, t *types.Type, acc *ir.Value) *ir.Value {
				b := g.B()
				// All ones if there was a value, else zero.
				set := b.Op(ir.OpNeg, b.Load(acc, 8*extremeSet, 8, false))
				return b.Op(ir.OpAnd, turn(b, t, flip, b.Load(acc, 8*extremeWord, 8, false)), set)
			},
		},
	}
}

// turnMask returns the bits to invert in a value of type t, so that a better value is a
// greater unsigned word. flip is -1 if smaller values are better, else 0.
func turnMask(t *types.Type, flip int64) int64 {
	if t.Signed {
		return flip ^ -signBit
	}
	return flip
}

func turn(b *ir.Builder, t *types.Type, flip int64, x *ir.Value) *ir.Value {
	if m := turnMask(t, flip); m != 0 {
		return b.Op(ir.OpXor, x, b.Const(m))
	}
	return x
}

// growWord sets the word at p+off to x if it is less.
func growWord(g Gen, p *ir.Value, off int64, x *ir.Value) {
	b := g.B()
	less := b.Op(ir.OpULt, b.Load(p, off, 8, false), x)
	g.B().If(less, func() { g.B().Store(p, off, 8, x) })
}
