package builtins

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// TestWideSums compares sums and averages with those computed with unlimited integers:
// as printed, as operands, and in sorting order.
func TestWideSums(t *testing.T) {
	const least, most = math.MinInt64, math.MaxInt64
	repeat := func(x int64, n int) (xs []int64) {
		for range n {
			xs = append(xs, x)
		}
		return xs
	}
	cases := [][][]int64{
		{{most, 1}}, {{most}, {1}}, {{least, -1}}, {{least}, {-1}}, {{least, most}}, {{most, 1, -1}},
		{{most, most, most, least, least, least, least}}, {{least, least, most, most, most}},
		{repeat(1.8e18, 20)}, {repeat(1.8e18, 10), repeat(1.8e18, 10)}, {repeat(-1.8e18, 20), {}},
		{repeat(least, 5), repeat(least, 3)}, {repeat(most, 5), repeat(most, 4)}, {repeat(-1, 7)},
		{repeat(most, 3), repeat(least, 3)}, {{-1, 1, -1}, {1, -1, 5}}, {{least, least}}, {{}, {}}, {{0}},
		{repeat(1<<62, 4)}, {repeat(-1<<62, 4), {}}, {{least}, {least}, {least}, {least}},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var c [][]int64
		for range 1 + r.IntN(3) {
			var xs []int64
			for range r.IntN(8) {
				xs = append(xs, int64(r.Uint64()>>r.IntN(3)))
			}
			c = append(c, xs)
		}
		cases = append(cases, c)
	}
	for _, typ := range []*types.Type{types.TInt64, types.TUint64, types.TInt32, types.TUint8} {
		var lastSum, lastAvg []byte
		lastTotal, lastMean := new(big.Int), new(big.Int)
		for i, c := range cases {
			total, n := new(big.Int), int64(0)
			for _, xs := range c {
				for _, x := range xs {
					total.Add(total, exact(narrow(x, typ), typ))
					n++
				}
			}
			mean := new(big.Int)
			if n > 0 {
				mean.Quo(total, big.NewInt(n))
			}
			s := runAggregate(t, sum(), typ, nil, c...)
			a := runAggregate(t, avg(), typ, nil, c...)
			st := runAggregate(t, stats(), typ, nil, c...)
			for _, x := range []struct{ what, got, want string }{
				{"sum", value.Text(sum().Format(nil, s.typ, s.merged), ""), total.String()},
				{"avg", value.Text(avg().Format(nil, a.typ, a.merged), ""), mean.String()},
				{"stats", value.Text(stats().Format(nil, st.typ, st.merged), ""), fmt.Sprintf("{ .count = %d, .average = %s, .total = %s }", n, mean, total)},
				{"sum in an expression", fmt.Sprint(s.scalar), fmt.Sprint(clamped(total, typ))},
				{"avg in an expression", fmt.Sprint(a.scalar), fmt.Sprint(clamped(mean, typ))},
			} {
				if x.got != x.want {
					t.Errorf("%s of %s %v: %s, want %s", x.what, typ, c, x.got, x.want)
				}
			}
			if i > 0 {
				if got := ranked(sum(), s.typ, s.merged, lastSum); got != total.Cmp(lastTotal) {
					t.Errorf("order of sums %s and %s: %d", total, lastTotal, got)
				}
				if got := ranked(avg(), a.typ, a.merged, lastAvg); got != mean.Cmp(lastMean) {
					t.Errorf("order of averages %s and %s: %d", mean, lastMean, got)
				}
			}
			lastSum, lastTotal, lastAvg, lastMean = s.merged, total, a.merged, mean
		}
	}
}

// exact returns the number that x is as a word of type t.
func exact(x int64, t *types.Type) *big.Int {
	if t.Signed {
		return big.NewInt(x)
	}
	return new(big.Int).SetUint64(uint64(x))
}

// clamped returns the word nearest to n.
func clamped(n *big.Int, t *types.Type) uint64 {
	lo, hi := int64(0), int64(-1)
	if t.Signed {
		lo, hi = math.MinInt64, math.MaxInt64
	}
	switch {
	case n.Cmp(exact(lo, t)) < 0:
		return uint64(lo)
	case n.Cmp(exact(hi, t)) > 0:
		return uint64(hi)
	case t.Signed:
		return uint64(n.Int64())
	}
	return n.Uint64()
}

// TestWideSeries does the same for an interval of a time series.
func TestWideSeries(t *testing.T) {
	const least, most = math.MinInt64, math.MaxInt64
	for _, c := range []struct {
		typ  *types.Type
		f    string
		cpus [][]int64
		want string
	}{
		{types.TInt64, "sum", [][]int64{{most, 1}, {most}}, "18446744073709551615"},
		{types.TInt64, "sum", [][]int64{{least, -1}, {}}, "-9223372036854775809"},
		{types.TInt64, "sum", [][]int64{{least, 1}, {-1}}, "-9223372036854775808"},
		{types.TInt64, "avg", [][]int64{{1.8e18, 1.8e18, 1.8e18, 1.8e18}, {1.8e18, 1.8e18}}, "1800000000000000000"},
		{types.TInt64, "avg", [][]int64{{-1.8e18, -1.8e18, -1.8e18, -1.8e18}, {-1.8e18, -1.8e18}}, "-1800000000000000000"},
		{types.TInt64, "avg", [][]int64{{-3}, {-4}}, "-3"},
		{types.TUint64, "sum", [][]int64{{-1, -1}, {-1}}, "55340232221128654845"},
		{types.TUint64, "avg", [][]int64{{-1, -1}, {-1}}, "18446744073709551615"},
		{types.TUint64, "max", [][]int64{{0, -1}, {5}}, "18446744073709551615"},
		{types.TInt64, "max", [][]int64{{-7, -1}, {-5}}, "-1"},
		{types.TUint64, "min", [][]int64{{7, -1}, {5}}, "5"},
		{types.TInt64, "min", [][]int64{{7, -1}, {5}}, "-1"},
		{types.TInt8, "min", [][]int64{{-128}, {127}}, "-128"},
	} {
		more := []Arg{intLit(most), intLit(1), strLit(c.f)}
		a := runAggregate(t, tseries(), c.typ, more, c.cpus...)
		s := tseries().Format(nil, a.typ, a.merged).(value.Series)
		if len(s.Points) != 1 || value.Text(s.Points[0].V, "") != c.want {
			t.Errorf("%s of %s %v: %v, want %s", c.f, c.typ, c.cpus, s.Points, c.want)
		}
	}
}
