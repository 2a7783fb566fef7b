package builtins

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// A histogram is one value with a u64 counter for each bucket. With k bits, bucket 0
// counts negative numbers, and bucket 1+n counts the number n if n < 2^k. Above that,
// each power of two is divided into 2^k buckets of equal width:
//
//	s     = floor(log2(n >> k | 1))
//	index = (s << k) + (n >> s) + 1
//
// This holds for small n as well, for which s is 0, and has no branch.
const maxHistBits = 5

// histBuckets returns one more than the highest index that the verifier can prove: it
// knows that s <= 63 and n >> s < 2 << k.
func histBuckets(k int) int { return 65<<k + 1 }

func hist() *Def {
	return &Def{
		Name: "hist",
		Kind: Aggregation,
		Aggregator: Aggregator{
			Weighs:   true,
			Disagree: "Different bits in a single hist unsupported",
			Update: func(g Gen, call *Call, p *ir.Value) {
				n := g.Value(&call.Args[0])
				b := g.B()
				at := histIndex(b, n, call.typeOf(0).Decay(), int(call.Type.Params[0]))
				tally(g, b.Op(ir.OpAdd, p, b.Op(ir.OpShl, at, b.Const(3))), 0, weight(g))
			},
		},
		TypeDef: TypeDef{
			Metric:   value.Histogram,
			TypeName: "hist_t",
			AcceptType: func(t *types.Type) bool {
				return len(t.Params) == 1 && t.Params[0] >= 0 && t.Params[0] <= maxHistBits && t.Size == 8*histBuckets(int(t.Params[0]))
			},
			Merge: mergeSums,
			Format: func(_ Env, t *types.Type, data []byte) value.Value {
				return histogram(data, func(i int) value.Bucket { return histBucket(int(t.Params[0]), i) })
			},
			Rank: rankTotal,
		},
		Params: []Param{{Name: "n"}, {Name: "bits", Optional: true}},
		Doc: Doc{
			Summary:  "A histogram with a bucket for each power of two, or with 2^bits buckets for each (bits 0 to 5).",
			Examples: []string{`tracepoint:syscalls:sys_exit_read { @bytes = hist(args.ret); }`, `tracepoint:syscalls:sys_exit_read { @bytes = hist(args.ret, 3); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantInt(c, call, 0) {
				return types.TInvalid
			}
			k := 0
			if a := call.arg(1); a != nil {
				if a.Lit == nil || a.Lit.IsStr {
					c.Errorf(call.Span, "hist: invalid bits value, must be literal in the range 0..%d", maxHistBits)
					return types.TInvalid
				}
				if a.Lit.Int < 0 || a.Lit.Int > maxHistBits {
					c.Errorf(call.Span, "hist: bits %d must be 0..%d", a.Lit.Int, maxHistBits)
					return types.TInvalid
				}
				k = int(a.Lit.Int)
			}
			return call.Def.AggType(8*histBuckets(k), true, int64(k))
		},
	}
}

// histIndex computes the bucket of n, an integer of type t. If it is unknown whether a
// word is signed, 2^63 and more counts as negative: such a word is more likely a
// negative error number.
func histIndex(b *ir.Builder, n *ir.Value, t *types.Type, k int) *ir.Value {
	width := 8 * t.Size
	s := b.Op(ir.OpOr, b.Op(ir.OpShr, n, b.Const(int64(k))), b.Const(1))
	s = log2(b, s, width)
	sub := b.Op(ir.OpAnd, b.Op(ir.OpShr, n, s), b.Const(2<<k-1))
	at := b.Op(ir.OpAdd, b.Op(ir.OpAdd, b.Op(ir.OpShl, s, b.Const(int64(k))), sub), b.Const(1))
	if t.Signed || t.Word {
		negative := b.Op(ir.OpSar, n, b.Const(63))
		at = b.Op(ir.OpAnd, at, b.Op(ir.OpXor, negative, b.Const(-1)))
	}
	return at
}

// log2 computes floor(log2(x)) for x != 0, by halving the range that contains the
// highest bit. x is below 2^width, or has been sign-extended from such a number. The
// verifier knows which single bit each step can add, so it knows that the result is
// below 64. There are no branches, because the verifier would follow every combination
// of them.
func log2(b *ir.Builder, x *ir.Value, width int) *ir.Value {
	var sum *ir.Value
	add := func(v *ir.Value) {
		if sum == nil {
			sum = v
		} else {
			sum = b.Op(ir.OpAdd, sum, v) // the bits differ; verifiers before Linux 6.10 do not track or
		}
	}
	for _, step := range []int64{32, 16, 8, 4} {
		if int64(width) <= step {
			continue
		}
		// If the high half is not zero, the difference is negative: use its upper bits.
		// In the first step x is used as an unsigned number of 64 bits.
		var over *ir.Value
		if step == 32 {
			over = b.Op(ir.OpNeg, b.Op(ir.OpShr, x, b.Const(step)))
		} else {
			over = b.Op(ir.OpSub, b.Const(1<<step-1), x)
		}
		bit := int64(63 - bits.TrailingZeros64(uint64(step)))
		by := b.Op(ir.OpAnd, b.Op(ir.OpShr, over, b.Const(bit)), b.Const(step))
		x = b.Op(ir.OpShr, x, by)
		add(by)
	}
	// The table has two bits for each number below 16: its log2.
	const table = -0x55b0 // …ffffaa50
	last := b.Op(ir.OpShr, b.Const(table), b.Op(ir.OpShl, x, b.Const(1)))
	add(b.Op(ir.OpAnd, last, b.Const(3)))
	return sum
}

// histBucket returns the bounds of bucket i.
func histBucket(k, i int) value.Bucket {
	if i == 0 {
		return value.Bucket{MinInf: true, Max: -1, Label: "(..., 0)"}
	}
	n := i - 1
	if n < 1<<k {
		return value.Bucket{Min: int64(n), Max: int64(n), Label: "[" + scaled(uint64(n), k) + "]"}
	}
	s := n>>k - 1
	low := uint64(1<<k|n&(1<<k-1)) << s
	if s == 0 {
		return value.Bucket{Min: int64(low), Max: int64(low), Label: "[" + scaled(low, k) + "]"}
	}
	high, end := low+1<<s, "16E" // of the last bucket: 2^64
	if high != 0 {
		end = scaled(high, k)
	}
	return value.Bucket{Min: int64(low), Max: int64(high - 1), Unsigned: true, Label: "[" + scaled(low, k) + ", " + end + ")"}
}

// scaled returns the text of a bound: 1K for 2^10, 1M for 2^20. With k bits it keeps k
// more bits of the number, so that neighbours have different texts.
func scaled(n uint64, k int) string {
	unit := max(bits.Len64(n)-1-k, 0) / 10
	if unit == 0 {
		return strconv.FormatUint(n, 10)
	}
	return strconv.FormatUint(n>>(10*unit), 10) + " KMGTPE"[unit:unit+1]
}

// histogram returns the counters in data from the first to the last one that is not 0.
func histogram(data []byte, bucket func(i int) value.Bucket) value.Hist {
	first, last := -1, -1
	for i := range len(data) / 8 {
		if word(data, i) != 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	var h value.Hist
	if first < 0 {
		return h
	}
	for i := first; i <= last; i++ {
		b := bucket(i)
		b.Count = word(data, i)
		h.Buckets = append(h.Buckets, b)
	}
	return h
}

// rankTotal ranks histograms by the number of their samples.
func rankTotal(_ *types.Type, data []byte) Rank {
	var n uint64
	for ; len(data) >= 8; data = data[8:] {
		n += binary.NativeEndian.Uint64(data)
	}
	return Rank{n}
}
