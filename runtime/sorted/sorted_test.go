package sorted

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestBy compares with the standard library: numbers of 64 bits and of few, in order and
// not, in lists that are sorted in either way.
func TestBy(t *testing.T) {
	type element struct {
		number uint64
		place  int
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 100, 255, 256, 257, 5000} {
		for name, number := range map[string]func(i int) uint64{
			"any":        func(int) uint64 { return r.Uint64() },
			"few":        func(int) uint64 { return r.Uint64N(7) },
			"high bits":  func(int) uint64 { return r.Uint64N(3) << 62 },
			"same":       func(int) uint64 { return 1 << 40 },
			"ascending":  func(i int) uint64 { return uint64(i) },
			"descending": func(i int) uint64 { return -uint64(i) },
		} {
			list := make([]element, n)
			for i := range list {
				list[i] = element{number(i), i}
			}
			want := slices.Clone(list)
			slices.SortStableFunc(want, func(a, b element) int { return cmp.Compare(a.number, b.number) })
			By(list, func(e *element) uint64 { return e.number })
			if !slices.Equal(list, want) {
				t.Errorf("%d %s numbers are in another order", n, name)
			}
		}
	}
}
