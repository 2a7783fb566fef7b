package match

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
)

// Wide is an unsigned number of two words, the higher one first. Numbers of one word have
// 0 as the first.
type Wide [2]uint64

// Compare returns a negative number, 0 or a positive number if a is less than b, equal
// or greater.
//
//go:noinline
func (a Wide) Compare(b Wide) int {
	return slices.Compare(a[:], b[:])
}

// next returns a+1, and false if that does not fit in the number of words.
func (a Wide) next(words int) (Wide, bool) {
	lo, carry := bits.Add64(a[1], 1, 0)
	if words == 1 {
		return Wide{0, lo}, carry == 0
	}
	hi, carry := bits.Add64(a[0], 0, carry)
	return Wide{hi, lo}, carry == 0
}

// Interval is the set of numbers from Lo to Hi.
type Interval struct{ Lo, Hi Wide }

// Merged returns the intervals sorted, with adjacent ones joined.
func Merged(list []Interval, words int) []Interval {
	list = slices.Clone(list)
	sort.Slice(list, func(i, j int) bool { return list[i].Lo.Compare(list[j].Lo) < 0 })
	var out []Interval
	for _, v := range list {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if after, ok := last.Hi.next(words); !ok || v.Lo.Compare(after) <= 0 {
				if v.Hi.Compare(last.Hi) > 0 {
					last.Hi = v.Hi
				}
				continue
			}
		}
		out = append(out, v)
	}
	return out
}

// InIntervals computes whether the number in the words x, the highest first, is in one of
// the intervals, which are sorted and apart: 0 or 1. It is a binary search in a table
// without branches, each of which the kernel's verifier would follow both ways.
func InIntervals(g code.Gen, x []*ir.Value, list []Interval) *ir.Value {
	words := len(x)
	size := 1
	for size < len(list) {
		size *= 2
	}
	row := 16 * words
	table := make([]byte, 0, row*size)
	for i := range size {
		v := list[min(i, len(list)-1)] // the last one again to fill the table
		for _, n := range []Wide{v.Lo, v.Hi} {
			for _, word := range n[2-words:] {
				table = binary.LittleEndian.AppendUint64(table, word)
			}
		}
	}
	t := g.Rodata(table)
	b := g.B()
	load := func(at *ir.Value, off int) []*ir.Value {
		p := b.Op(ir.OpAdd, t, at)
		list := make([]*ir.Value, words)
		for w := range list {
			list[w] = b.Load(p, int64(off+8*w), 8, false)
		}
		return list
	}
	at := b.Const(0) // offset of the row, the last one found that does not start after x
	for step := size / 2; step > 0; step /= 2 {
		less := borrow(b, x, load(b.Op(ir.OpAdd, at, b.Const(int64(step*row))), 0))
		up := b.Op(ir.OpMul, b.Op(ir.OpXor, less, b.Const(1)), b.Const(int64(step*row)))
		at = b.Op(ir.OpAdd, at, up)
	}
	outside := b.Op(ir.OpOr, borrow(b, x, load(at, 0)), borrow(b, load(at, row/2), x))
	return b.Op(ir.OpXor, outside, b.Const(1))
}

// borrow computes whether x < y, both with the highest word first: 0 or 1, without a
// branch.
func borrow(b *ir.Builder, x, y []*ir.Value) *ir.Value {
	var from *ir.Value
	for w := len(x) - 1; w >= 0; w-- {
		diff := b.Op(ir.OpSub, x[w], y[w])
		if from != nil {
			diff = b.Op(ir.OpSub, diff, from)
		}
		not := b.Op(ir.OpXor, x[w], b.Const(-1))
		carry := b.Op(ir.OpOr, b.Op(ir.OpAnd, not, y[w]), b.Op(ir.OpAnd, b.Op(ir.OpOr, not, y[w]), diff))
		from = b.Op(ir.OpShr, carry, b.Const(63))
	}
	return from
}
