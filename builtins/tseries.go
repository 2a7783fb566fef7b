package builtins

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/builtins/sums"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/value"
)

// A time series is a ring of slots, one for each interval. A slot consists of the
// interval's number plus one (0 if the slot was never used), a value, and further words
// for the function. Interval e is in slot e modulo the number of slots. Intervals are
// counted from the TAI epoch. The type's parameters are the interval in ns, the number
// of slots and the function, an index into seriesFuncs.
const (
	slotEpoch = 0
	slotValue = 1 // inverted as in extreme for min and max
	slotMore  = 2 // last: when it was set; avg and sum: the second word of the sum
	slotCount = 3 // avg: number of values
	slotWords = 4

	maxIntervals = 1000000
	partSlots    = 64 // slots in a part of a series that is too long for one value
)

var seriesFuncs = []string{"last", "avg", "max", "min", "sum"}

func tseries() *Def {
	return &Def{
		Name: "tseries",
		Aggregator: Aggregator{
			Disagree:   "Different tseries bounds in a single map unsupported",
			Update:     updateSeries,
			UpdatePart: updateSeriesPart,
			PartSize:   partSlots * slotWords * 8,
		},
		Kind:   Aggregation,
		Traits: Traits{Unstable: true},
		TypeDef: TypeDef{
			Metric:   value.TimeLine,
			TypeName: "tseries_t",
			AcceptType: func(t *types.Type) bool {
				p := t.Params
				return len(p) == 3 && p[0] > 0 && p[1] > 0 && p[1] <= maxIntervals && p[2] >= 0 && p[2] < int64(len(seriesFuncs)) &&
					t.Size == int(p[1])*slotWords*8
			},
			Merge:  mergeSeries,
			Format: formatSeries,
			Rank:   func(_ *types.Type, data []byte) Rank { return Rank{latest(data)} },
		},
		Params: []Param{{Name: "n"}, {Name: "interval_ns"}, {Name: "num_intervals"}, {Name: "function", Optional: true}},
		Doc: Doc{
			Summary:  `A value for each of the latest num_intervals intervals: the last one set, or the "avg", "max", "min" or "sum" of all. More than 1024 intervals are stored in parts of 64 intervals, which take 2 KiB per CPU. Without keys there is room for all parts (32 MB per CPU for the maximum of 1,000,000 intervals), with keys for max_map_keys parts.`,
			Examples: []string{`tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes = tseries(args.ret, 100ms, 20, "sum"); }`},
		},
		Check: checkSeries,
	}
}

func checkSeries(c Checker, call *Call) *types.Type {
	if !wantInt(c, call, 0) || len(call.Args) < 3 {
		return types.TInvalid
	}
	var p [3]int64
	for i := range 2 {
		a := call.Args[i+1]
		name := call.Def.Params[i+1].Name
		switch {
		case a.Lit == nil || a.Lit.IsStr || a.Lit.Int < 0 || a.Lit.Unsigned:
			c.Errorf(call.Span, "tseries: invalid %s value (must be non-negative literal)", name)
			return types.TInvalid
		case a.Lit.Int == 0:
			c.Errorf(call.Span, "tseries() %s must be >= 1 (0 provided)", name)
			return types.TInvalid
		}
		p[i] = a.Lit.Int
	}
	if p[1] > maxIntervals {
		c.Errorf(call.Span, "tseries() num_intervals must be <= %d (%d provided)", maxIntervals, p[1])
		return types.TInvalid
	}
	size := int(p[1]) * slotWords * 8
	if call.arg(3) != nil {
		name, ok := wantString(c, call, 3)
		if !ok {
			return types.TInvalid
		}
		f := slices.Index(seriesFuncs[1:], name)
		if f < 0 {
			c.Errorf(call.Span, "tseries() expects one of the following aggregation functions: avg, max, min, sum (\"%s\" provided)", name)
			return types.TInvalid
		}
		p[2] = int64(f + 1)
	}
	return call.Def.AggType(size, call.typeOf(0).Signed, p[:]...)
}

// updateSeries adds call's value to a series that is one value.
func updateSeries(g Gen, call *Call, p *ir.Value) {
	n := call.Type.Params[1]
	foldSeries(g, call, func(at *ir.Value, use func(q *ir.Value)) {
		b := g.B()
		at = b.Opaque(at) // the verifier cannot track the division
		g.B().If(b.Op(ir.OpULt, at, b.Const(n)), func() { use(slotAt(g.B(), p, at)) })
	})
}

// updateSeriesPart adds call's value to a series in parts.
func updateSeriesPart(g Gen, call *Call, part func(n *ir.Value, use func(p *ir.Value))) {
	foldSeries(g, call, func(at *ir.Value, use func(q *ir.Value)) {
		b := g.B()
		part(b.Op(ir.OpUDiv, at, b.Const(partSlots)), func(p *ir.Value) {
			b := g.B()
			use(slotAt(b, p, b.Op(ir.OpAnd, b.Opaque(at), b.Const(partSlots-1))))
		})
	})
}

func slotAt(b *ir.Builder, p, at *ir.Value) *ir.Value {
	return b.Op(ir.OpAdd, p, b.Op(ir.OpMul, at, b.Const(slotWords*8)))
}

// foldSeries adds call's value to the slot of the current interval. slot calls use with a
// slot if there is room for it.
func foldSeries(g Gen, call *Call, slot func(at *ir.Value, use func(q *ir.Value))) {
	t := call.Type
	x := g.Value(&call.Args[0])
	b := g.B()
	now := b.Op(ir.OpAdd, b.Call(ir.KtimeBootNs), code.SessionWord(g, object.SessionTAI))
	epoch := b.Op(ir.OpUDiv, now, b.Const(t.Params[0]))
	mark := b.Op(ir.OpAdd, epoch, b.Const(1))
	slot(b.Op(ir.OpUMod, epoch, b.Const(t.Params[1])), func(q *ir.Value) {
		b := g.B()
		g.B().If(b.Op(ir.OpNe, b.Load(q, 8*slotEpoch, 8, false), mark), func() {
			b := g.B()
			b.Store(q, 8*slotEpoch, 8, mark)
			b.Store(q, 8*slotValue, 8, b.Const(0))
			b.Store(q, 8*slotMore, 8, b.Const(0))
			b.Store(q, 8*slotCount, 8, b.Const(0))
		})
		b = g.B()
		switch seriesFuncs[t.Params[2]] {
		case "last":
			b.Store(q, 8*slotValue, 8, x)
			b.Store(q, 8*slotMore, 8, now)
		case "avg":
			tally(g, q, 8*slotCount, b.Const(1))
			sums.Weigh(b, adding(g), q, 8*slotValue, t.Signed, x, nil)
		case "sum":
			sums.Weigh(b, adding(g), q, 8*slotValue, t.Signed, x, nil)
		case "max":
			growWord(g, q, 8*slotValue, turn(b, t, 0, x))
		case "min":
			growWord(g, q, 8*slotValue, turn(b, t, -1, x))
		}
	})
}

//go:noinline
func slots(data []byte, yield func(slot []byte)) {
	for ; len(data) >= slotWords*8; data = data[slotWords*8:] {
		yield(data[:slotWords*8])
	}
}

func mergeSeries(t *types.Type, dst, src []byte) {
	for off := 0; off+slotWords*8 <= min(len(dst), len(src)); off += slotWords * 8 {
		d, s := dst[off:off+slotWords*8], src[off:off+slotWords*8]
		switch {
		case word(s, slotEpoch) > word(d, slotEpoch):
			copy(d, s)
			continue
		case word(s, slotEpoch) < word(d, slotEpoch) || word(s, slotEpoch) == 0:
			continue
		}
		switch seriesFuncs[t.Params[2]] {
		case "last":
			if word(s, slotMore) > word(d, slotMore) {
				copy(d, s)
			}
		case "max", "min":
			setWord(d, slotValue, max(word(d, slotValue), word(s, slotValue)))
		default:
			sums.Merge(t.Signed, d[8*slotValue:], s[8*slotValue:])
			setWord(d, slotCount, word(d, slotCount)+word(s, slotCount))
		}
	}
}

// latest returns the number plus one of the newest interval, or 0 if there is none.
func latest(data []byte) uint64 {
	var newest uint64
	slots(data, func(slot []byte) { newest = max(newest, word(slot, slotEpoch)) })
	return newest
}

// formatSeries formats a series. The slots may be in any order. For a series in parts,
// data has only the used parts.
func formatSeries(_ Env, t *types.Type, data []byte) value.Value {
	interval, n := t.Params[0], uint64(t.Params[1])
	series := value.Series{Interval: interval}
	newest := latest(data)
	if newest == 0 {
		return series
	}
	oldest := newest
	used := map[uint64][]byte{}
	slots(data, func(slot []byte) {
		if e := word(slot, slotEpoch); e != 0 && newest-e < n {
			used[e] = slot
			oldest = min(oldest, e)
		}
	})
	tai := taiMinusWall()
	for i := range newest - oldest + 1 {
		e := oldest + i
		p := value.Point{Start: int64(e-1)*interval - tai}
		if slot := used[e]; slot != nil {
			p.Set = true
			p.V = seriesValue(t, slot)
		}
		series.Points = append(series.Points, p)
	}
	return series
}

func seriesValue(t *types.Type, slot []byte) value.Value {
	v := word(slot, slotValue)
	switch seriesFuncs[t.Params[2]] {
	case "sum":
		return sums.Value(t.Signed, slot[8*slotValue:])
	case "avg":
		v = sums.Read(t.Signed, slot[8*slotValue:]).Average(word(slot, slotCount))
	case "max":
		v ^= uint64(turnMask(t, 0))
	case "min":
		v ^= uint64(turnMask(t, -1))
	}
	return decode.Number(t.Signed, v)
}

// taiMinusWall returns the time in ns by which the kernel's TAI clock is ahead of the
// wall clock. It is a number of whole seconds, and 0 if it was never set.
func taiMinusWall() int64 {
	var wall, tai unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &wall) != nil || unix.ClockGettime(unix.CLOCK_TAI, &tai) != nil {
		return 0
	}
	const second = 1e9
	return (tai.Nano() - wall.Nano() + second/2) / second * second
}
