package store

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// Words returns the encoded key k of type t as integers. A function that changes
// the map s receives them and rebuilds the key with WordsKey. Words returns nil if there
// would be more than limit integers, or if the store does not support it.
func Words(s Store, t *types.Type, limit int, b *ir.Builder, k Key) []*ir.Value {
	size := KeySize(t)
	if !s.Traits().Words || k.Ptr == nil || size == 3 || size > 8*limit || !hashable(t) {
		return nil
	}
	words := make([]*ir.Value, word(size)/8)
	for i := range words {
		words[i] = b.Load(k.Ptr, int64(8*i), min(size, 8), false)
	}
	return words
}

// WordsKey is the key expression of a key that Words has split.
type WordsKey struct {
	G     Gen
	Words []*ir.Value
}

func (WordsKey) Literal() (string, bool)                   { return "", false }
func (WordsKey) StringSize() int                           { return 0 }
func (WordsKey) InMemory() *ir.Value                       { return nil }
func (WordsKey) Source(Gen) (*ir.Value, types.Space, bool) { return nil, types.NoSpace, false }
func (WordsKey) Object(_ func(*ir.Value), none func())     { none() } // Words splits no sockets
func (k WordsKey) Write(_ *types.Type, p *ir.Value, size int) {
	for i, w := range k.Words {
		k.G.B().Store(p, int64(8*i), min(size, 8), w)
	}
	// In a shared hash map, a key may have more padding than its last word.
	if end := 8 * len(k.Words); end < size {
		k.G.B().Zero(p, int64(end), size-end)
	}
}
