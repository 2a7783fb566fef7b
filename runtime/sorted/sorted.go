// Package sorted sorts long lists by numbers.
//
// It sorts small entries without pointers instead of the lists' elements. This is faster,
// and the binary has one sorting function instead of one for each type of element.
package sorted

import (
	"cmp"
	"slices"
)

// An Entry stands for the element of a list at an index, and holds its number.
type Entry struct {
	Word  uint64
	Index int32
}

// By sorts list by the numbers of its elements. Elements with the same number keep their
// order.
func By[E any](list []E, number func(*E) uint64) {
	entries := make([]Entry, len(list))
	if inOrder(entries, func(i int) uint64 { return number(&list[i]) }) {
		return
	}
	old := slices.Clone(list)
	for i, e := range entries {
		list[i] = old[e.Index]
	}
}

// inOrder fills entries from a list and sorts them. It reports whether the list was
// already in order.
func inOrder(entries []Entry, number func(i int) uint64) bool {
	ordered := true
	differ := uint64(0)
	for i := range entries {
		entries[i] = Entry{number(i), int32(i)}
		if i > 0 {
			ordered = ordered && entries[i-1].Word <= entries[i].Word
			differ |= entries[i].Word ^ entries[0].Word
		}
	}
	if !ordered {
		Words(entries, make([]Entry, len(entries)), differ)
	}
	return ordered
}

// Words sorts entries by their words, which differ only in the given bits. Entries with
// the same word are sorted by index if they were so before. It uses the memory of spare,
// which is at least as long. Long lists are sorted byte by byte, from the lowest one,
// which takes time linear in their length.
func Words(list, spare []Entry, differ uint64) {
	if len(list) < 256 {
		slices.SortFunc(list, func(x, y Entry) int {
			return cmp.Or(cmp.Compare(x.Word, y.Word), cmp.Compare(x.Index, y.Index))
		})
		return
	}
	from, to := list, spare[:len(list)]
	for shift := 0; shift < 64; shift += 8 {
		if differ>>shift&0xff == 0 {
			continue
		}
		var at [256]int // where the next entry with a byte goes
		for i := range from {
			at[byte(from[i].Word>>shift)]++
		}
		sum := 0
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for i := range from {
			b := byte(from[i].Word >> shift)
			to[at[b]] = from[i]
			at[b]++
		}
		from, to = to, from
	}
	copy(list, from)
}
