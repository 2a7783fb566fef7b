package sums

import (
	"encoding/binary"
	"math"
	"math/big"
	"testing"

	"github.com/gotrace/gotrace/runtime/value"
)

// word128 returns the memory of a sum of one term.
func word128(x uint64) []byte {
	return binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, x), 0)
}

// TestMerge compares merged sums, and their text, with unlimited integers.
func TestMerge(t *testing.T) {
	terms := []uint64{0, 1, 2, math.MaxInt64 - 1, math.MaxInt64, 1 << 63, 1<<63 + 1, math.MaxUint64 - 1, math.MaxUint64}
	for _, signed := range []bool{false, true} {
		for n := range len(terms) * len(terms) * len(terms) * len(terms) {
			sum, want := word128(0), new(big.Int)
			for i := n; i > 0; i /= len(terms) {
				x := terms[i%len(terms)]
				Merge(signed, sum, word128(x))
				if signed {
					want.Add(want, big.NewInt(int64(x)))
				} else {
					want.Add(want, new(big.Int).SetUint64(x))
				}
			}
			if got := Read(signed, sum).Big(); got.Cmp(want) != 0 {
				t.Fatalf("signed %t, case %d: %s, want %s", signed, n, got, want)
			}
			if got := value.Text(Value(signed, sum), ""); got != want.String() {
				t.Fatalf("signed %t, case %d: printed as %s, want %s", signed, n, got, want)
			}
		}
	}
}
