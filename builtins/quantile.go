package builtins

import (
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// Quantiles are computed from a histogram that divides each power of two into 2^6 buckets
// of equal width. The middle of a bucket differs from each number in it by at most 1/128
// of the number; numbers up to 127 have buckets of their own. A negative number is counted
// as the number with all its bits inverted, in parts of its own.
//
// The histogram consists of parts, one for each power of two, because most values use few
// of them. A part has its number plus one and then its counters. The type's parameters are
// the percentages in thousandths.
const (
	quantileBits  = 6
	quantileSlots = 1 << quantileBits
	quantilePart  = 8 * (1 + quantileSlots)
	quantileMinus = 64 // the number of the first part of negative numbers
	quantileParts = 2 * quantileMinus
	maxQuantiles  = 16
	wholePercent  = 100 * 1000
)

func quantile() *Def {
	return &Def{
		Name: "quantile",
		Kind: Aggregation,
		TypeDef: TypeDef{
			Metric:   value.Quantiles,
			TypeName: "quantile_t",
			TypeSize: quantileParts * quantilePart,
			AcceptType: func(t *types.Type) bool {
				return len(t.Params) > 0 && len(t.Params) <= maxQuantiles && t.Size == quantileParts*quantilePart &&
					!slices.ContainsFunc(t.Params, func(p int64) bool { return p < 0 || p > wholePercent })
			},
			Merge: mergeQuantiles,
			Format: func(_ Env, t *types.Type, data []byte) value.Value {
				q := quantilesOf(data)
				var r value.Record
				for _, p := range t.Params {
					r = append(r, value.Field{Name: "p" + percentText(p), V: q.at(p)})
				}
				return append(r, value.Field{Name: "count", V: decode.Number(false, q.total)})
			},
			Rank: func(t *types.Type, data []byte) Rank {
				// By the last percentage, then by the number of all.
				q := quantilesOf(data)
				r := q.bucket(t.Params[len(t.Params)-1]).rank()
				r[2] = q.total
				return r
			},
		},
		Aggregator: Aggregator{
			Disagree: "Different percentages in a single quantile map unsupported",
			Update: func(g Gen, call *Call, p *ir.Value) {
				countQuantile(g, call, func(n *ir.Value, use func(p *ir.Value)) {
					b := g.B()
					n = b.Op(ir.OpAnd, b.Opaque(n), b.Const(quantileParts-1))
					use(b.Op(ir.OpAdd, p, b.Op(ir.OpMul, n, b.Const(quantilePart))))
				})
			},
			UpdatePart: countQuantile,
			PartSize:   quantilePart,
		},
		Params: []Param{{Name: "n"}, {Name: "percent", Variadic: true}},
		Doc: Doc{
			Summary: "The values below which the given percentages of all numbers lie, and the count of all numbers: quantile(x, 50, 99, \"99.9\"). Each is wrong by at most 1 % (numbers from -128 to 127 are exact). " +
				"It is stored in parts of 520 bytes per CPU, one for each power of two. Without keys there is room for all parts, with keys for max_map_keys parts.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; }
tracepoint:syscalls:sys_exit_read /@start[tid]/ { @ns[comm] = quantile(nsecs - @start[tid], 50, 99, "99.9"); delete(@start, tid); }`,
			},
		},
		Check: checkQuantile,
	}
}

func checkQuantile(c Checker, call *Call) *types.Type {
	if !wantInt(c, call, 0) {
		return types.TInvalid
	}
	params := call.Args[min(1, len(call.Args)):]
	if len(params) == 0 || len(params) > maxQuantiles {
		c.Errorf(call.Span, "quantile() needs 1 to %d percentages, as in quantile(x, 50, 99)", maxQuantiles)
		return types.TInvalid
	}
	var list []int64
	for i := range params {
		p, ok := percentage(params[i].Lit)
		if !ok {
			c.ErrorHint(params[i].Span, `write a fraction as a string, with up to three decimals: "99.9"`, "quantile: invalid percentage (must be a literal from 0 to 100)")
			return types.TInvalid
		}
		if slices.Contains(list, p) {
			c.Errorf(params[i].Span, "quantile: the percentage %s is there twice", percentText(p))
			return types.TInvalid
		}
		list = append(list, p)
	}
	return call.Def.AggType(quantileParts*quantilePart, true, list...)
}

// percentage returns a literal percentage in thousandths.
func percentage(l *Lit) (int64, bool) {
	switch {
	case l == nil || l.IsBool:
		return 0, false
	case l.IsStr:
		whole, part, _ := strings.Cut(l.Str, ".")
		if len(part) > 3 || whole == "" {
			return 0, false // it would be rounded to another percentage
		}
		n, err := strconv.ParseUint(whole+part+"000"[len(part):], 10, 32)
		return int64(n), err == nil && n <= wholePercent
	}
	return l.Int * 1000, !l.Unsigned && l.Int >= 0 && l.Int <= 100
}

// percentText returns the text of a percentage in thousandths.
func percentText(p int64) string { return strconv.FormatFloat(float64(p)/1000, 'f', -1, 64) }

// countQuantile adds one to the counter for call's number.
func countQuantile(g Gen, call *Call, part func(n *ir.Value, use func(p *ir.Value))) {
	x := g.Value(&call.Args[0])
	t := call.typeOf(0).Decay()
	b := g.B()
	var minus *ir.Value
	if t.Signed || t.Word {
		minus = b.Op(ir.OpSar, x, b.Const(63))
		x = b.Op(ir.OpXor, x, minus)
	}
	s := log2(b, b.Op(ir.OpOr, b.Op(ir.OpShr, x, b.Const(quantileBits)), b.Const(1)), 8*t.Size)
	top := b.Op(ir.OpShr, x, s) // below 2 * quantileSlots
	n := b.Op(ir.OpAdd, s, b.Op(ir.OpShr, top, b.Const(quantileBits)))
	if minus != nil {
		n = b.Op(ir.OpAdd, n, b.Op(ir.OpAnd, minus, b.Const(quantileMinus)))
	}
	part(n, func(p *ir.Value) {
		b := g.B()
		b.Store(p, 0, 8, b.Op(ir.OpAdd, n, b.Const(1)))
		slot := b.Op(ir.OpAnd, b.Opaque(top), b.Const(quantileSlots-1))
		tally(g, b.Op(ir.OpAdd, p, b.Op(ir.OpShl, slot, b.Const(3))), 8, b.Const(1))
	})
}

// mergeQuantiles adds the counters of each part of src to those of dst.
func mergeQuantiles(_ *types.Type, dst, src []byte) {
	for off := 0; off+quantilePart <= min(len(dst), len(src)); off += quantilePart {
		d, s := dst[off:off+quantilePart], src[off:off+quantilePart]
		if word(s, 0) == 0 {
			continue
		}
		setWord(d, 0, word(s, 0))
		for i := 1; i <= quantileSlots; i++ {
			setWord(d, i, word(d, i)+word(s, i))
		}
	}
}

// quantiles holds the buckets with numbers, in the order of the numbers.
type quantiles struct {
	buckets []quantileBucket
	total   uint64
}

// quantileBucket counts numbers that are near to mid, or near to ^mid if minus is set.
type quantileBucket struct {
	minus      bool
	mid, count uint64
}

// rank ranks buckets by the numbers in them.
func (b quantileBucket) rank() Rank {
	if b.minus {
		return Rank{0, ^b.mid}
	}
	return Rank{1, b.mid}
}

// quantilesOf reads the parts in data, which may be in any order.
func quantilesOf(data []byte) quantiles {
	var q quantiles
	for ; len(data) >= quantilePart; data = data[quantilePart:] {
		n := word(data, 0) - 1
		if n >= quantileParts {
			continue // not used
		}
		for i := range uint64(quantileSlots) {
			count := word(data, int(i)+1)
			if count == 0 {
				continue
			}
			b := quantileBucket{minus: n >= quantileMinus, mid: i, count: count}
			if o := n % quantileMinus; o > 0 { // from top << s up to the next
				s := o - 1
				b.mid = (i+quantileSlots)<<s + 1<<s/2
				if s == 0 {
					b.mid = i + quantileSlots
				}
			}
			q.buckets = append(q.buckets, b)
			q.total += count
		}
	}
	sort.Slice(q.buckets, func(i, j int) bool {
		x, y := q.buckets[i].rank(), q.buckets[j].rank()
		return slices.Compare(x[:], y[:]) < 0
	})
	return q
}

// bucket returns the bucket of the least number that is not less than a percentage of all.
func (q *quantiles) bucket(p int64) quantileBucket {
	// The rank is the total * p / wholePercent, rounded up, and at least 1.
	hi, lo := bits.Mul64(q.total, uint64(p))
	lo, carry := bits.Add64(lo, wholePercent-1, 0)
	rank, _ := bits.Div64(hi+carry, lo, wholePercent)
	rank = max(rank, 1)
	for _, b := range q.buckets {
		if b.count >= rank {
			return b
		}
		rank -= b.count
	}
	return quantileBucket{}
}

func (q *quantiles) at(p int64) value.Value {
	b := q.bucket(p)
	if b.minus {
		return decode.Number(true, ^b.mid)
	}
	return decode.Number(false, b.mid)
}
