package builtins

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// TestQuantile compares quantiles with those of the sorted numbers: they differ by at most
// one percent, and small numbers not at all.
func TestQuantile(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for _, typ := range []*types.Type{types.TInt64, types.TUint64, types.TInt8, types.TUint16} {
		call := checkCall(t, quantile(), []Arg{argOf(typ), intLit(0), intLit(50), strLit("99.9"), intLit(100)}, "")
		p := compile(t, []ir.Type{ir.Int, ir.PtrSlot}, func(g *testGen, in []*ir.Value) *ir.Value {
			g.arg[&call.Args[0]] = in[0]
			var at *ir.Value
			countQuantile(g, call, func(n *ir.Value, use func(p *ir.Value)) { at = n; use(in[1]) })
			return at
		})
		for _, n := range []int{1, 2, 99, 3000} {
			var xs []int64
			data := map[uint64][]byte{}
			for range n {
				x := int64(r.Uint64() >> r.IntN(64))
				x = []int64{x, -x, x & 0x7f, ^(x & 0x3f)}[r.IntN(4)]
				switch typ.Size {
				case 1:
					x = int64(int8(x))
				case 2:
					x = int64(uint16(x))
				}
				xs = append(xs, x)
				part, slot := quantileModel(x, typ.Signed)
				if data[part] == nil {
					data[part] = make([]byte, quantilePart)
				}
				if len(xs) < 40 { // the interpreter is slow
					mem := make([]byte, quantilePart)
					if got := p.run(uint64(x), mem); got != part {
						t.Fatalf("%s %d is in part %d, want %d", typ, x, got, part)
					}
				}
				setWord(data[part], 0, part+1)
				setWord(data[part], slot+1, word(data[part], slot+1)+1)
			}
			var all []byte
			for _, d := range data {
				all = append(all, d...)
			}
			half := slices.Clone(all)
			mergeQuantiles(nil, half, all) // twice as many, at the same places
			if typ.Signed {
				slices.Sort(xs)
			} else {
				slices.SortFunc(xs, func(a, b int64) int { return cmp.Compare(uint64(a), uint64(b)) })
			}
			for _, data := range [][]byte{all, half} {
				q := quantile().Format(nil, call.Type, data).(value.Record)
				if got := value.Text(q[4].V, ""); got != fmt.Sprint(len(xs)*len(data)/len(data)) && got != fmt.Sprint(2*len(xs)) {
					t.Fatalf("count %s of %d", got, len(xs))
				}
				for i, thousandths := range call.Type.Params {
					rank := max((int(thousandths)*len(xs)+wholePercent-1)/wholePercent, 1)
					want := xs[rank-1]
					near(t, typ, q[i], want)
				}
			}
		}
	}
}

// quantileModel returns the part and the slot of x.
func quantileModel(x int64, signed bool) (part uint64, slot int) {
	m, base := uint64(x), uint64(0)
	if signed && x < 0 {
		m, base = ^m, quantileMinus
	}
	s := uint64(0)
	for m>>s >= 2*quantileSlots {
		s++
	}
	return base + s + m>>s>>quantileBits, int(m >> s % quantileSlots)
}

func near(t *testing.T, typ *types.Type, f value.Field, want int64) {
	t.Helper()
	text := value.Text(f.V, "")
	var got, exact float64
	fmt.Sscan(text, &got)
	exact = float64(want)
	if !typ.Signed {
		exact = float64(uint64(want))
	}
	diff := max(got-exact, exact-got)
	if limit := max(exact, -exact) / 100; diff > limit || -128 <= exact && exact <= 127 && diff != 0 {
		t.Errorf("%s of %s is %s, want %g", f.Name, typ, text, exact)
	}
}
