package irgen

import (
	"encoding/binary"
	"math/rand"
)

// Contexts returns n random contexts of CtxWords words each, which include small, large
// and negative numbers.
func Contexts(seed int64, n int) [][]byte {
	r := rand.New(rand.NewSource(seed))
	ctxs := make([][]byte, n)
	for i := range ctxs {
		for range CtxWords {
			x := r.Uint64() >> r.Intn(64)
			if r.Intn(3) == 0 {
				x = -x
			}
			ctxs[i] = binary.LittleEndian.AppendUint64(ctxs[i], x)
		}
	}
	return ctxs
}
