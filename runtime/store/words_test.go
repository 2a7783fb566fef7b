package store

import (
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// TestWordsKey checks that a key that is rebuilt from words has all bytes defined, with
// its padding: the kernel compares all of them.
func TestWordsKey(t *testing.T) {
	for n := 1; n <= 5; n++ {
		for size := 1; size <= 64; size++ {
			if size < 8*n && (n > 1 || size&(size-1) != 0) {
				continue
			}
			e := &emitter{b: ir.NewFunc("f", ir.Int, ir.Int, ir.Int, ir.Int, ir.Int)}
			k := WordsKey{G: e}
			for i := range n {
				k.Words = append(k.Words, e.b.Param(i))
			}
			k.Write(types.NewString(8*n), e.b.Slot(size), size)
			var defined [80]bool
			for _, v := range e.b.Cur.Values {
				if a := v.Op.Info().Access; a == ir.Stores || a == ir.Fills {
					for i := range v.Width() {
						defined[v.Imm+i] = true
					}
				}
			}
			for i, ok := range defined {
				if ok != (i < size) {
					t.Errorf("%d words in %d bytes: byte %d: defined: %v", n, size, i, ok)
				}
			}
		}
	}
}
