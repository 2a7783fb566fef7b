package builtins

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// edges are numbers at which bucket borders and signs change.
func edges() []int64 {
	list := []int64{0, 1, 2, 3, math.MaxInt64, math.MinInt64, math.MinInt64 + 1}
	for s := range 63 {
		for d := int64(-2); d <= 2; d++ {
			list = append(list, 1<<s+d, -(1<<s)+d, 3<<s+d)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		list = append(list, int64(r.Uint64()>>r.IntN(64)))
	}
	return list
}

// referenceIndex is histIndex as its comment defines it.
func referenceIndex(n int64, k int) int {
	if n < 0 {
		return 0
	}
	return unsignedIndex(n, k)
}

// unsignedIndex is referenceIndex of the bits of a uint64.
func unsignedIndex(n int64, k int) int {
	s := bits.Len64(uint64(n)>>k|1) - 1
	return s<<k + int(uint64(n)>>s) + 1
}

// narrow returns n as a register contains it if its type is t.
func narrow(n int64, t *types.Type) int64 {
	up := 64 - 8*t.Size
	if t.Signed {
		return n << up >> up
	}
	return int64(uint64(n) << up >> up)
}

func TestHistIndex(t *testing.T) {
	for _, typ := range []*types.Type{types.TInt64, types.TUint64, types.TWord, types.TInt32, types.TUint32, types.TInt16, types.TUint16, types.TInt8, types.TUint8, types.TBool} {
		for k := 0; k <= maxHistBits; k++ {
			p := compile(t, []ir.Type{ir.Int}, func(g *testGen, in []*ir.Value) *ir.Value { return histIndex(g.b, in[0], typ, k) })
			for _, n := range edges() {
				n := narrow(n, typ)
				got := int(p.run(uint64(n)))
				want := referenceIndex(n, k)
				if typ == types.TUint64 {
					want = unsignedIndex(n, k)
				}
				if got != want {
					t.Fatalf("%s, k=%d: bucket of %d is %d, want %d", typ, k, n, got, want)
				}
				if got >= histBuckets(k) {
					t.Fatalf("%s, k=%d: bucket %d of %d is outside the value", typ, k, got, n)
				}
			}
		}
	}
}

// TestHistBucketHolds checks that every number is within the range of its bucket's
// label.
func TestHistBucketHolds(t *testing.T) {
	for k := 0; k <= maxHistBits; k++ {
		for _, n := range edges() {
			b := histBucket(k, referenceIndex(n, k))
			if !b.MinInf && n < b.Min || n > b.Max {
				t.Fatalf("k=%d: %d is in the bucket %s, %d to %d", k, n, b.Label, b.Min, b.Max)
			}
		}
		last := histBucket(k, 0)
		for i := 1; i <= referenceIndex(math.MaxInt64, k); i++ {
			b := histBucket(k, i)
			if b.Min != last.Max+1 {
				t.Fatalf("k=%d: bucket %d begins at %d, the one before ends at %d", k, i, b.Min, last.Max)
			}
			last = b
		}
		if last.Max != math.MaxInt64 {
			t.Fatalf("k=%d: the last bucket ends at %d", k, last.Max)
		}
	}
}

func TestHistLabels(t *testing.T) {
	for _, c := range []struct {
		n    int64
		k    int
		want string
	}{
		{-1, 0, "(..., 0)"}, {0, 0, "[0]"}, {1, 0, "[1]"}, {2, 0, "[2, 4)"}, {3, 0, "[2, 4)"}, {4, 0, "[4, 8)"},
		{1023, 0, "[512, 1K)"}, {1024, 0, "[1K, 2K)"}, {1 << 20, 0, "[1M, 2M)"}, {1 << 39, 0, "[512G, 1T)"},
		{1 << 49, 0, "[512T, 1P)"}, {1 << 60, 0, "[1E, 2E)"}, {math.MaxInt64, 0, "[4E, 8E)"},
		{5, 2, "[5]"}, {8, 2, "[8, 10)"}, {100, 2, "[96, 112)"},
		{3, 1, "[3]"}, {4, 1, "[4, 6)"}, {1000, 1, "[768, 1024)"}, {1024, 1, "[1024, 1536)"}, {1536, 1, "[1536, 2K)"},
		{1 << 40, 1, "[1024G, 1536G)"},
		{31, 5, "[31]"}, {63, 5, "[63]"}, {64, 5, "[64, 66)"}, {30000, 5, "[29696, 30208)"}, {33 << 10, 5, "[33K, 34K)"},
	} {
		if got := histBucket(c.k, referenceIndex(c.n, c.k)).Label; got != c.want {
			t.Errorf("hist(%d, %d): %s, want %s", c.n, c.k, got, c.want)
		}
	}
}

func TestLhist(t *testing.T) {
	for _, p := range [][]int64{
		{0, 100, 10}, {0, 10, 3}, {1000, 5000, 1000}, {0, 1000, 1}, {5, 6, 1}, {0, 8192, 2048}, {7, 1007, 13},
		{0, math.MaxInt64, math.MaxInt64 / 3}, {100, 1 << 40, 1234567891}, {0, 1000000007, 1000003}, {0, 1 << 62, 7 << 54},
	} {
		steps := (p[1] - p[0]) / p[2]
		prog := compile(t, []ir.Type{ir.Int}, func(g *testGen, in []*ir.Value) *ir.Value { return lhistIndex(g, in[0], types.TInt64, p) })
		check := func(n int64) {
			want := int64(0)
			switch {
			case n < p[0]:
			case n-p[0] >= steps*p[2]:
				want = steps + 1
			default:
				want = (n-p[0])/p[2] + 1
			}
			if got := int64(prog.run(uint64(n))); got != want {
				t.Fatalf("lhist(%d, %v): bucket %d, want %d", n, p, got, want)
			}
			b := lhistBucket(p, int(want))
			if !b.MinInf && n < b.Min || !b.MaxInf && n > b.Max {
				t.Fatalf("lhist(%d, %v): bucket %s, %d to %d", n, p, b.Label, b.Min, b.Max)
			}
		}
		for _, n := range edges() {
			check(n)
		}
		for i := int64(0); i <= steps; i++ {
			for d := int64(-1); d <= 1; d++ {
				check(p[0] + i*p[2] + d)
			}
		}
	}
	for i, want := range []string{"(..., 0)", "[0, 2K)", "[2K, 4K)", "[4K, 6K)", "[6K, 8K)", "[8K, ...)"} {
		if got := lhistBucket([]int64{0, 8192, 2048}, i).Label; got != want {
			t.Errorf("bucket %d: %s, want %s", i, got, want)
		}
	}
	if got := lhistBucket([]int64{1000, 5000, 1000}, 1).Label; got != "[1000, 2000)" {
		t.Errorf("bounds that are not multiples of 1024: %s", got)
	}
	if got := lhistBucket([]int64{0, 5, 1}, 2).Label; got != "[1]" {
		t.Errorf("a bucket of one number: %s", got)
	}
}

// aggregate runs an aggregation on one slice of numbers per CPU, merges the results and
// formats them.
type aggregate struct {
	typ    *types.Type
	merged []byte
	scalar uint64
	has    bool
}

func runAggregate(t *testing.T, d *Def, arg *types.Type, more []Arg, cpus ...[]int64) aggregate {
	t.Helper()
	call := &Call{Def: d, Args: append([]Arg{argOf(arg)}, more...)}
	if len(d.Params) == 0 {
		call.Args = nil
	}
	c := newTestChecker()
	if !d.CheckArity(c, call) || !d.CheckParams(c, call) {
		t.Fatal(c.messages())
	}
	call.Type = d.Check(c, call)
	if c.diags.HasErrors() {
		t.Fatal(c.messages())
	}
	update := compile(t, []ir.Type{ir.Int, ir.PtrMap}, func(g *testGen, in []*ir.Value) *ir.Value {
		if len(call.Args) > 0 {
			g.arg[&call.Args[0]] = in[0]
		}
		d.Update(g, call, in[1])
		return nil
	})
	a := aggregate{typ: call.Type, merged: make([]byte, call.Type.Size)}
	acc := make([]byte, d.Accum)
	for _, numbers := range cpus {
		v := make([]byte, call.Type.Size)
		for _, n := range numbers {
			update.run(uint64(narrow(n, arg)), v)
		}
		if d.Scalar != nil {
			compile(t, []ir.Type{ir.PtrSlot, ir.PtrMap}, func(g *testGen, in []*ir.Value) *ir.Value {
				d.Scalar(g, call.Type, in[0], in[1])
				return nil
			}).run(acc, v)
		}
		d.Merge(call.Type, a.merged, v)
	}
	if d.Result != nil {
		a.has = true
		a.scalar = compile(t, []ir.Type{ir.PtrSlot}, func(g *testGen, in []*ir.Value) *ir.Value {
			return d.Result(g, call.Type, in[0])
		}).run(acc)
	}
	return a
}

func TestAggregates(t *testing.T) {
	const least, most = math.MinInt64, math.MaxInt64
	i64, u64, i8, u8 := types.TInt64, types.TUint64, types.TInt8, types.TUint8
	for _, c := range []struct {
		def  *Def
		arg  *types.Type
		cpus [][]int64
		want value.Value
	}{
		{count(), i64, [][]int64{{7, 7, 7}, {}, {1}}, value.Uint(4)},
		{sum(), i64, [][]int64{{1, -5}, {3}}, value.Int(-1)},
		{sum(), u64, [][]int64{{-1}, {}}, value.Uint(math.MaxUint64)},
		{sum(), i8, [][]int64{{-100}, {-100}}, value.Int(-200)},
		{sum(), u8, [][]int64{{255, 255}, {255}}, value.Uint(765)},
		{avg(), i64, [][]int64{{-3}, {-4}}, value.Avg{V: value.Int(-3)}},
		{avg(), i64, [][]int64{{1, 1, 1, 1}, {100}}, value.Avg{V: value.Int(20)}},
		{avg(), u64, [][]int64{{-1}}, value.Avg{V: value.Uint(math.MaxUint64)}},
		{avg(), i64, [][]int64{{}, {}}, value.Avg{V: value.Int(0)}},
		{minimum(), i64, [][]int64{{5, 3}, {}, {4}}, value.Int(3)},
		{minimum(), i64, [][]int64{{5}, {-1}}, value.Int(-1)},
		{minimum(), i64, [][]int64{{most}, {}}, value.Int(most)},
		{minimum(), i64, [][]int64{{least}, {0}}, value.Int(least)},
		{minimum(), u64, [][]int64{{-1}, {}}, value.Uint(math.MaxUint64)},
		{minimum(), u64, [][]int64{{0}, {-1}}, value.Uint(0)},
		{minimum(), u8, [][]int64{{200}, {100}}, value.Uint(100)},
		{minimum(), i64, [][]int64{{}, {}}, value.Int(0)},
		{maximum(), i64, [][]int64{{-5}, {}, {-9}}, value.Int(-5)},
		{maximum(), i64, [][]int64{{least}, {}}, value.Int(least)},
		{maximum(), i64, [][]int64{{most, 1}, {2}}, value.Int(most)},
		{maximum(), i8, [][]int64{{-128}, {-127}}, value.Int(-127)},
		{maximum(), u64, [][]int64{{1}, {-1}}, value.Uint(math.MaxUint64)},
		{maximum(), u64, [][]int64{{0}, {}}, value.Uint(0)},
		{maximum(), u64, [][]int64{{}}, value.Uint(0)},
		{stats(), i64, [][]int64{{3}, {-8}}, value.Stats{Count: 2, Avg: value.Int(-2), Total: value.Int(-5)}},
		{stats(), u8, [][]int64{{200, 200}, {203}}, value.Stats{Count: 3, Avg: value.Uint(201), Total: value.Uint(603)}},
		{stats(), i64, [][]int64{{}}, value.Stats{Count: 0, Avg: value.Int(0), Total: value.Int(0)}},
	} {
		a := runAggregate(t, c.def, c.arg, nil, c.cpus...)
		got := c.def.Format(nil, a.typ, a.merged)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s of %s %v = %#v, want %#v", c.def.Name, c.arg, c.cpus, got, c.want)
		}
		if !a.has {
			continue
		}
		var want uint64
		switch v := got.(type) {
		case value.Int:
			want = uint64(v)
		case value.Uint:
			want = uint64(v)
		case value.Avg:
			want = reflect.ValueOf(v.V).Convert(reflect.TypeFor[uint64]()).Uint()
		}
		if a.scalar != want {
			t.Errorf("%s of %s %v in an expression = %d, printed %#v", c.def.Name, c.arg, c.cpus, int64(a.scalar), got)
		}
	}
}

func TestHistMerged(t *testing.T) {
	a := runAggregate(t, hist(), types.TInt64, nil, []int64{-5, 0, 9}, []int64{0, 10})
	got := hist().Format(nil, a.typ, a.merged).(value.Hist)
	var rows []string
	for _, b := range got.Buckets {
		rows = append(rows, fmt.Sprint(b.Label, b.Count))
	}
	if want := "[(..., 0)1 [0]2 [1]0 [2, 4)0 [4, 8)0 [8, 16)2]"; fmt.Sprint(rows) != want {
		t.Errorf("%v, want %s", rows, want)
	}
	if empty := hist().Format(nil, a.typ, make([]byte, a.typ.Size)).(value.Hist); len(empty.Buckets) != 0 {
		t.Errorf("an empty histogram has buckets: %v", empty)
	}
	a = runAggregate(t, lhist(), types.TInt64, []Arg{intLit(0), intLit(10), intLit(3)}, []int64{7, 8, 9}, []int64{-1, 13})
	rows = nil
	for _, b := range lhist().Format(nil, a.typ, a.merged).(value.Hist).Buckets {
		rows = append(rows, fmt.Sprint(b.Label, b.Count))
	}
	if want := "[(..., 0)1 [0, 3)0 [3, 6)0 [6, 9)2 [9, ...)2]"; fmt.Sprint(rows) != want {
		t.Errorf("%v, want %s", rows, want)
	}
}

func TestRank(t *testing.T) {
	w := func(words ...int64) []byte {
		var b []byte
		for _, x := range words {
			b = binary.NativeEndian.AppendUint64(b, uint64(x))
		}
		return b
	}
	signed := &types.Type{Signed: true}
	unsigned := &types.Type{}
	for _, c := range []struct {
		def  *Def
		t    *types.Type
		a, b []byte
		want int
	}{
		{count(), unsigned, w(1), w(2), -1},
		{sum(), signed, w(-1, 0), w(1, 0), -1},
		{sum(), signed, w(-1, 1), w(1, 0), 1},
		{sum(), signed, w(1, -1), w(-1, 0), -1},
		{sum(), unsigned, w(-1, 0), w(1, 0), 1},
		{sum(), unsigned, w(-1, 0), w(1, 1), -1},
		{avg(), signed, w(10, 0, 10), w(4, 0, 2), -1},
		{stats(), signed, w(103, 0, 4), w(55, 0, 2), -1},
		{stats(), signed, w(-40, 0, 1), w(10, 0, 1), -1},
		{minimum(), signed, w(turned(5, true, -1), 1), w(turned(-5, true, -1), 1), 1},
		{maximum(), signed, w(turned(5, true, 0), 1), w(turned(-5, true, 0), 1), 1},
		{hist(), signed, w(1, 1, 0), w(0, 3, 0), -1},
		{lhist(), signed, w(1, 1, 0), w(0, 2, 0), 0},
	} {
		if got := ranked(c.def, c.t, c.a, c.b); got != c.want {
			t.Errorf("%s: order %d, want %d", c.def.Name, got, c.want)
		}
	}
}

// ranked compares the ranks of two values.
func ranked(d *Def, t *types.Type, a, b []byte) int {
	x, y := d.Rank(t, a), d.Rank(t, b)
	return slices.Compare(x[:], y[:])
}

func turned(n int64, signed bool, flip int64) int64 {
	return n ^ turnMask(&types.Type{Signed: signed}, flip)
}

func TestSeries(t *testing.T) {
	for _, c := range []struct {
		f    int64
		a, b [][4]uint64 // slots of two CPUs
		want string
	}{
		{0, [][4]uint64{{}, {6, 7, 100}, {}}, [][4]uint64{{}, {6, 9, 200}, {}}, "5:9"},
		{4, [][4]uint64{{5, 3, 0}, {6, 7, 0}, {}}, [][4]uint64{{8, 1, 0}, {6, 9, 0}, {4, 1, 0}}, "5:16 6:- 7:1"},
		{1, [][4]uint64{{}, {6, 9, 0, 2}, {}}, [][4]uint64{{}, {6, 9, 0, 1}, {7, 4, 0, 2}}, "5:6 6:2"},
	} {
		typ := tseries().AggType(3*8*slotWords, true, 1e9, 3, c.f)
		encode := func(slots [][4]uint64) []byte {
			var out []byte
			// Slot i of the value holds intervals i, i+3 and so on. Its mark is the
			// number of the interval plus 1.
			value := make([][4]uint64, 3)
			for _, s := range slots {
				if s[0] != 0 {
					value[(s[0]-1)%3] = s
				}
			}
			for _, s := range value {
				for _, w := range s {
					out = binary.NativeEndian.AppendUint64(out, w)
				}
			}
			return out
		}
		dst := encode(c.a)
		mergeSeries(typ, dst, encode(c.b))
		s := formatSeries(nil, typ, dst).(value.Series)
		got := ""
		for i, p := range s.Points {
			if i > 0 {
				got += " "
			}
			sec := (p.Start + taiMinusWall()) / 1e9
			if p.Set {
				got += fmt.Sprintf("%d:%v", sec, p.V)
			} else {
				got += fmt.Sprintf("%d:-", sec)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", seriesFuncs[c.f], got, c.want)
		}
	}
}

// TestLhistLabels checks which bounds are abbreviated.
func TestLhistLabels(t *testing.T) {
	for _, tt := range []struct {
		low, high, step int64
		want            string // of the buckets at either end and those next to them
	}{
		{0, 4096, 512, "(..., 0) [0, 512) [3584, 4096) [4096, ...)"},
		{0, 4096, 1024, "(..., 0) [0, 1K) [3K, 4K) [4K, ...)"},
		{2048, 4096, 512, "(..., 2048) [2048, 2560) [3584, 4096) [4096, ...)"},
		{1 << 20, 1<<20 + 4096, 1024, "(..., 1M) [1M, 1025K) [1027K, 1028K) [1028K, ...)"},
		{0, 1 << 30, 1 << 28, "(..., 0) [0, 256M) [768M, 1024M) [1024M, ...)"},
		{0, 1 << 40, 1 << 38, "(..., 0) [0, 256G) [768G, 1024G) [1024G, ...)"},
		{1000, 3000, 500, "(..., 1000) [1000, 1500) [2500, 3000) [3000, ...)"},
		{1023, 1025, 1, "(..., 1023) [1023] [1024] [1025, ...)"},
	} {
		last := int((tt.high - tt.low) / tt.step)
		var got []string
		for _, i := range []int{0, 1, last, last + 1} {
			got = append(got, lhistBucket([]int64{tt.low, tt.high, tt.step}, i).Label)
		}
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("%d to %d by %d: %s, want %s", tt.low, tt.high, tt.step, g, tt.want)
		}
	}
}
