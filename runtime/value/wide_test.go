package value

import (
	"math"
	"math/big"
	"testing"
)

// TestWide compares the arithmetic of integers of 128 bits with that of math/big.
func TestWide(t *testing.T) {
	his := []int64{0, 1, 2, 9, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1 << 61, math.MaxInt64, -1, -2, -3, -1 << 62, math.MinInt64 + 1, math.MinInt64}
	los := []uint64{0, 1, 2, 1 << 10, 1 << 11, 1<<11 + 1, 1e18, 1e19 - 1, 1e19, 1e19 + 1, 1 << 63, 1<<63 + 1, math.MaxUint64 - 1, math.MaxUint64}
	for _, hi := range his {
		for _, lo := range los {
			w := Wide{hi, lo}
			n := w.Big()
			if got := string(w.Append(nil)); got != n.String() {
				t.Errorf("%#v is printed as %s, want %v", w, got, n)
			}
			want, acc := n.Float64()
			if got, exact := w.Float64(); got != want || exact != (acc == big.Exact) {
				t.Errorf("%v: %v, exact %v; want %v, %v", n, got, exact, want, acc)
			}
			for _, div := range []int64{1, 2, 3, 10, 1e9, 1 << 62, math.MaxInt64, -1, -2, -7, math.MinInt64} {
				want := new(big.Int).Quo(n, big.NewInt(div))
				if want.BitLen() > 127 && want.Sign() > 0 {
					continue // -1<<127 / -1
				}
				got := w.Quo(div)
				if Text(got, "") != want.String() {
					t.Errorf("%v / %d = %v, want %v", n, div, got, want)
				}
				switch got.(type) {
				case Int:
				case Uint:
					if want.IsInt64() {
						t.Errorf("%v / %d is a %T", n, div, got)
					}
				case Wide:
					if want.IsInt64() || want.IsUint64() {
						t.Errorf("%v / %d is a %T", n, div, got)
					}
				}
			}
		}
	}
}
