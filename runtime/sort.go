package runtime

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// ranked is an entry to be sorted: its index, a number for its value, and the first
// bytes of its key in a form in which they compare as numbers. Most keys differ in
// these bytes. It holds no pointers: sorting the entries themselves takes ten times as
// long.
type ranked struct {
	value uint64
	key   [rankWords]uint64
	index int32
}

const rankWords = 3

// sorted returns the last n entries in order: by value, ascending, if values are
// integers or aggregations, and otherwise by key. Equal values are sorted by key, so
// that the same data always prints the same text.
func (s *Session) sorted(m *object.Map, pairs []store.Entry, n int) []store.Entry {
	if len(pairs) < 2 {
		return pairs
	}
	list, byValue := s.ranks(m, pairs)
	order := func(x, y ranked) int {
		if x.value != y.value {
			return cmp.Compare(x.value, y.value)
		}
		a, b := &pairs[x.index], &pairs[y.index]
		if byValue != nil {
			if c := byValue(m.Value, a.Value, b.Value); c != 0 {
				return c
			}
		}
		for i := range rankWords {
			if x.key[i] != y.key[i] {
				return cmp.Compare(x.key[i], y.key[i])
			}
		}
		return compareValues(m.Key, a.Key, b.Key)
	}
	list = greatest(list, n, order)
	slices.SortFunc(list, order)
	out := make([]store.Entry, len(list))
	for i, r := range list {
		out[i] = pairs[r.index]
	}
	return out
}

// greatest returns the n greatest elements of list in any order. It rearranges list.
func greatest[T any](list []T, n int, order func(x, y T) int) []T {
	if n >= len(list) {
		return list
	}
	// Each round divides the part in which the least of them is.
	part, first := list, len(list)-n
	for rounds := 2 * bits.Len(uint(len(list))); len(part) > 12; rounds-- {
		if rounds == 0 { // the pivots are bad
			break
		}
		less, equal := divide(part, order)
		switch {
		case first < less:
			part = part[:less]
		case first < less+equal:
			return list[len(list)-n:]
		default:
			part, first = part[less+equal:], first-less-equal
		}
	}
	slices.SortFunc(part, order)
	return list[len(list)-n:]
}

// divide rearranges list: first the elements that are less than one of them, then those
// that are equal to it, then the others. It returns the number of the first and of the
// second.
func divide[T any](list []T, order func(x, y T) int) (less, equal int) {
	a, b, c := list[len(list)/4], list[len(list)/2], list[len(list)*3/4]
	if order(a, b) > 0 {
		a, b = b, a
	}
	pivot := b
	if order(c, a) < 0 {
		pivot = a
	} else if order(c, b) < 0 {
		pivot = c
	}
	end := len(list) // where the others begin
	for i := 0; i < end; {
		switch c := order(list[i], pivot); {
		case c < 0:
			list[less], list[i] = list[i], list[less]
			less++
			i++
		case c > 0:
			end--
			list[i], list[end] = list[end], list[i]
		default:
			i++
		}
	}
	return less, end - less
}

// ranks returns the entries of m to be sorted, and a function that compares values with
// equal numbers. The function is nil if such values are equal.
func (s *Session) ranks(m *object.Map, pairs []store.Entry) ([]ranked, func(t *types.Type, a, b []byte) int) {
	var rank func(t *types.Type, data []byte) (uint64, bool)
	var byValue func(t *types.Type, a, b []byte) int
	switch m.Value.Kind {
	case types.Int, types.Enum:
		rank = func(t *types.Type, data []byte) (uint64, bool) { return rankOf(t, data)[0], true }
	case types.Agg:
		byValue = compareAggBytes
		if d := s.defs.ForType(m.Value.Name); d != nil && d.Order != nil {
			byValue, rank = d.Order, d.Rank
		}
	}
	list := make([]ranked, len(pairs))
	for i, p := range pairs {
		list[i].index = int32(i)
		if m.Key != nil {
			list[i].key = rankOf(m.Key, p.Key)
		}
	}
	if rank == nil {
		return list, byValue
	}
	for i, p := range pairs {
		n, ok := rank(m.Value, p.Value)
		if !ok {
			for j := range list[:i] {
				list[j].value = 0
			}
			return list, byValue
		}
		list[i].value = n
	}
	return list, nil
}

// rankOf returns numbers that compare as data of type t does. They are the first bytes
// that compareValues compares, most significant first. If they are equal, the rest of
// data may differ.
func rankOf(t *types.Type, data []byte) (words [rankWords]uint64) {
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

// compareAggBytes compares aggregations without an order of their own by their
// first word.
func compareAggBytes(t *types.Type, a, b []byte) int {
	return compareValues(types.NewInt(min(t.Size, 8), t.Signed), a, b)
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

func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
