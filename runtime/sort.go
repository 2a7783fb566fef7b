package runtime

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/sorted"
	"github.com/gotrace/gotrace/runtime/store"
)

// sorting sorts entries of a map by index. Entries are compared by words: numbers for
// the value, then the first bytes of the key in a form in which they compare as numbers.
// Entries whose words are all equal are compared by key. The words are computed when
// they are needed, as most entries differ in the first one.
type sorting struct {
	m     *object.Map
	pairs []store.Entry
	rank  func(t *types.Type, data []byte) builtins.Rank // of values; nil: entries are sorted by key only
	spare []sorted.Entry                                 // for sorted.Words
}

// The words of an entry come from its value or its key.
type part uint8

const (
	byValue part = iota
	byKey
	byWholeKey // no words: the keys themselves are compared
)

const rankWords = len(builtins.Rank{})

// sorted returns the indices of the last n entries in order: by value, ascending, if
// values are integers or aggregations, and otherwise by key. Equal values are sorted by
// key, so that the same data always prints the same text.
func (s *Instance) sorted(m *object.Map, pairs []store.Entry, n int) []int32 {
	o := sorting{m: m, pairs: pairs}
	switch m.Value.Kind {
	case types.Int, types.Enum:
		o.rank = rankOf
	case types.Agg:
		o.rank = s.defs.ForType(m.Value.Name).Rank
	}
	list := make([]sorted.Entry, len(pairs))
	for i := range list {
		list[i].Index = int32(i)
	}
	n = min(n, len(list))
	if len(list) > 1 {
		o.spare = make([]sorted.Entry, len(list))
		o.sort(list, byValue, 0, len(list)-n)
	}
	out := make([]int32, n)
	for i, r := range list[len(list)-n:] {
		out[i] = r.Index
	}
	return out
}

// words returns the words of an entry's value or key.
func (o *sorting) words(e *store.Entry, p part) builtins.Rank {
	switch {
	case p == byValue && o.rank != nil:
		return o.rank(o.m.Value, e.Value)
	case p == byKey && o.m.Key != nil:
		return rankOf(o.m.Key, e.Key)
	}
	return builtins.Rank{}
}

// sort sorts entries that differ only in words of p from number n on, or in later parts.
// The entries before list[first] may remain in any order.
func (o *sorting) sort(list []sorted.Entry, p part, n, first int) {
	if p == byWholeKey {
		if o.m.Key != nil {
			slices.SortFunc(list, func(x, y sorted.Entry) int {
				return compareValues(o.m.Key, o.pairs[x.Index].Key, o.pairs[y.Index].Key)
			})
		}
		return
	}
	var same builtins.Rank
	var differ builtins.Rank // bits in which the words of some entries differ
	for i := range list {
		w := o.words(&o.pairs[list[i].Index], p)
		if i == 0 {
			same = w
		}
		for j := n; j < rankWords; j++ {
			differ[j] |= w[j] ^ same[j]
		}
		list[i].Word = w[n]
	}
	if differ[n] != 0 {
		sorted.Words(list, o.spare, differ[n])
	}
	// Sort entries with the same word by the next word in which any of them differ.
	next := n + 1
	for next < rankWords && differ[next] == 0 {
		next++
	}
	if next == rankWords {
		p, next = p+1, 0
	}
	for start, end := 0, 0; start < len(list); start = end {
		for end = start + 1; end < len(list) && list[end].Word == list[start].Word; end++ {
		}
		if end-start > 1 && end > first {
			o.sort(list[start:end], p, next, first-start)
		}
	}
}

// rankOf returns numbers that compare as data of type t does. They are the first bytes
// that compareValues compares, most significant first. If they are equal, the rest of
// data may differ.
func rankOf(t *types.Type, data []byte) (words builtins.Rank) {
	var buf [8 * rankWords]byte
	appendRank(buf[:0], t, data)
	for i := range words {
		words[i] = binary.BigEndian.Uint64(buf[8*i:])
	}
	return words
}

// appendRank appends to b, within its capacity, bytes that compare as data does. The
// spare capacity of b must hold zeros. It returns false if later bytes must not be
// appended, as they would not compare in order.
func appendRank(b []byte, t *types.Type, data []byte) ([]byte, bool) {
	switch room := cap(b) - len(b); t.Kind {
	case types.Int, types.Enum, types.Bool, types.Pointer:
		return appendWord(b, t, data)
	case types.String:
		text := cString(data)
		n := copy(b[len(b):cap(b)], text)
		if t.Size <= room {
			return b[:len(b)+t.Size], true
		}
		return b[:len(b)+n], false
	case types.Tuple, types.Record:
		for _, f := range t.Fields {
			var more bool
			if b, more = appendRank(b, f.Type, data[f.Off:f.Off+f.Type.Size]); !more {
				return b, false
			}
		}
		return b, true
	case types.Opaque:
		if t.IsScalar() {
			return appendWord(b, types.NewInt(t.Size, false), data)
		}
	}
	return b, false
}

// appendWord appends as many bytes of an integer as fit, the most significant first.
func appendWord(b []byte, t *types.Type, data []byte) ([]byte, bool) {
	n := native.Uint(data[:t.Size]) << (64 - 8*t.Size)
	if t.Signed {
		n ^= 1 << 63
	}
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], n)
	used := copy(b[len(b):cap(b)], word[:t.Size])
	return b[:len(b)+used], used == t.Size
}

// compareValues compares two encoded values of type t.
func compareValues(t *types.Type, a, b []byte) int {
	switch t.Kind {
	case types.Int, types.Enum, types.Bool, types.Pointer:
		if t.Signed {
			return cmp.Compare(native.Int(a[:t.Size]), native.Int(b[:t.Size]))
		}
		return cmp.Compare(native.Uint(a[:t.Size]), native.Uint(b[:t.Size]))
	case types.String:
		return bytes.Compare(cString(a), cString(b))
	case types.Tuple, types.Record:
		for _, f := range t.Fields {
			end := f.Off + f.Type.Size
			if c := compareValues(f.Type, a[f.Off:end], b[f.Off:end]); c != 0 {
				return c
			}
		}
		return 0
	case types.Array:
		if t.Elem == nil || t.Elem.Size == 0 {
			return 0
		}
		for i := range t.Len {
			lo, hi := i*t.Elem.Size, (i+1)*t.Elem.Size
			if c := compareValues(t.Elem, a[lo:hi], b[lo:hi]); c != 0 {
				return c
			}
		}
		return 0
	case types.Opaque:
		if t.IsScalar() {
			return cmp.Compare(native.Uint(a[:t.Size]), native.Uint(b[:t.Size]))
		}
	}
	return bytes.Compare(a, b)
}

//go:noinline
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
