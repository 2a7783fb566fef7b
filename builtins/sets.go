package builtins

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// maxCompared is the maximum number of literals that are compared one by one. More
// literals become a table.
const maxCompared = 16

// wide is an unsigned number of two words, the higher one first. Numbers of one word have
// 0 as the first.
type wide [2]uint64

//go:noinline
func (a wide) compare(b wide) int {
	return slices.Compare(a[:], b[:])
}

// next returns a+1, and false if that does not fit in the number of words.
func (a wide) next(words int) (wide, bool) {
	lo, carry := bits.Add64(a[1], 1, 0)
	if words == 1 {
		return wide{0, lo}, carry == 0
	}
	hi, carry := bits.Add64(a[0], 0, carry)
	return wide{hi, lo}, carry == 0
}

// interval is the set of numbers from lo to hi.
type interval struct{ lo, hi wide }

// merged returns the intervals sorted, with adjacent ones joined.
func merged(list []interval, words int) []interval {
	list = slices.Clone(list)
	sort.Slice(list, func(i, j int) bool { return list[i].lo.compare(list[j].lo) < 0 })
	var out []interval
	for _, v := range list {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if after, ok := last.hi.next(words); !ok || v.lo.compare(after) <= 0 {
				if v.hi.compare(last.hi) > 0 {
					last.hi = v.hi
				}
				continue
			}
		}
		out = append(out, v)
	}
	return out
}

// numbers is a list of integers. The literals are intervals, ordered as in the type of
// the first operand. If that is signed, the highest bit is inverted.
type numbers struct {
	literals []interval
	others   []*Arg // not known at compile time
	flip     int64
}

func checkNumbers(c Checker, call *Call) *types.Type {
	n := &numbers{}
	if call.typeOf(0).Signed {
		n.flip = -1 << 63
	}
	for i := 1; i < len(call.Args); i++ {
		a := &call.Args[i]
		for _, end := range []*Arg{a, a.To} {
			if end == nil {
				continue
			}
			if end.Type.Kind != types.Invalid && !end.Type.IsInteger() && !end.Type.Castable {
				if c.Final() {
					c.Errorf(end.Span, "in compares an integer with each element of the list (%s provided)", className(end.Type))
				}
				return types.TInvalid
			}
		}
		if a.Lit == nil || a.To != nil && a.To.Lit == nil {
			n.others = append(n.others, a)
			continue
		}
		lo := uint64(a.Lit.Int) ^ uint64(n.flip)
		hi := lo
		if a.To != nil {
			if hi = uint64(a.To.Lit.Int) ^ uint64(n.flip); hi < lo {
				c.Errorf(a.Span, "The range is empty: its end is less than its start")
				return types.TInvalid
			}
		}
		n.literals = append(n.literals, interval{wide{0, lo}, wide{0, hi}})
	}
	n.literals = merged(n.literals, 1)
	call.Data = membership(n)
	if l := call.Args[0].Lit; l != nil && len(n.others) == 0 {
		x := wide{0, uint64(l.Int) ^ uint64(n.flip)}
		call.Lit = boolLit(slices.ContainsFunc(n.literals, func(v interval) bool { return v.lo.compare(x) <= 0 && x.compare(v.hi) <= 0 }))
	}
	return types.TBool
}

func (n *numbers) emit(g Gen, call *Call) *ir.Value {
	x := g.Value(&call.Args[0])
	var conds []func() *ir.Value
	flipped := func(x *ir.Value) *ir.Value {
		if n.flip == 0 {
			return x
		}
		return g.B().Op(ir.OpXor, x, g.B().Const(n.flip))
	}
	if len(n.literals) <= maxCompared {
		for _, v := range n.literals {
			conds = append(conds, func() *ir.Value {
				b := g.B()
				if v.lo == v.hi {
					return b.Op(ir.OpEq, x, b.Const(int64(v.lo[1])^n.flip))
				}
				above := b.Op(ir.OpSub, flipped(x), b.Const(int64(v.lo[1])))
				return b.Op(ir.OpULe, above, b.Const(int64(v.hi[1]-v.lo[1])))
			})
		}
	} else {
		conds = append(conds, func() *ir.Value { return inIntervals(g, []*ir.Value{flipped(x)}, n.literals) })
	}
	for _, a := range n.others {
		conds = append(conds, func() *ir.Value {
			lo := g.Value(a)
			if a.To == nil {
				return g.B().Op(ir.OpEq, x, lo)
			}
			lo, hi := flipped(lo), flipped(g.Value(a.To))
			b := g.B()
			return b.Op(ir.OpAnd, b.Op(ir.OpULe, lo, flipped(x)), b.Op(ir.OpULe, flipped(x), hi))
		})
	}
	return anyOf(g, conds)
}

// inIntervals computes whether the number in the words x, the highest first, is in one of
// the intervals, which are sorted and apart: 0 or 1. It is a binary search in a table
// without branches, each of which the kernel's verifier would follow both ways.
func inIntervals(g Gen, x []*ir.Value, list []interval) *ir.Value {
	words := len(x)
	size := 1
	for size < len(list) {
		size *= 2
	}
	row := 16 * words
	table := make([]byte, 0, row*size)
	for i := range size {
		v := list[min(i, len(list)-1)] // the last one again to fill the table
		for _, n := range []wide{v.lo, v.hi} {
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

// textList is a list of strings.
type textList struct {
	literals []string
	others   []*Arg
}

func checkWords(c Checker, call *Call) *types.Type {
	w := &textList{}
	seen := map[string]bool{}
	for i := 1; i < len(call.Args); i++ {
		a := &call.Args[i]
		switch lit, known := call.litStr(i); {
		case a.To != nil:
			c.Errorf(a.Span, "There are no ranges of strings")
			return types.TInvalid
		case known && !seen[lit]:
			seen[lit] = true
			w.literals = append(w.literals, lit)
		case known, a.Type.Kind == types.Invalid:
		case a.Type.Kind == types.String, decode.IsText(a.Type):
			w.others = append(w.others, a)
		default:
			if c.Final() {
				c.Errorf(a.Span, "in compares a string with each element of the list (%s provided)", className(a.Type))
			}
			return types.TInvalid
		}
	}
	call.Data = membership(w)
	if x, known := call.litStr(0); known && len(w.others) == 0 {
		call.Lit = boolLit(seen[x])
	}
	return types.TBool
}

// maxHashed is the maximum size in bytes of a string in a table.
const maxHashed = 128

func (w *textList) emit(g Gen, call *Call) *ir.Value {
	a := &call.Args[0]
	p := g.Addr(a)
	var conds []func() *ir.Value
	var hashed []string
	for _, lit := range w.literals {
		switch {
		case len(lit) >= a.Type.Size: // cannot be equal
		case len(lit) < maxHashed && len(w.literals) > maxCompared:
			hashed = append(hashed, lit)
		default:
			conds = append(conds, func() *ir.Value { return equalsText(g, p, append([]byte(lit), 0)) })
		}
	}
	if len(hashed) > 0 {
		conds = append(conds, func() *ir.Value { return inTexts(g, p, a.Type.Size, hashed) })
	}
	for _, o := range w.others {
		conds = append(conds, func() *ir.Value {
			n := min(a.Type.Size, o.Type.Size)
			return g.B().Op(ir.OpEq, stringsDiffer(g, a, o, n), g.B().Const(0))
		})
	}
	return anyOf(g, conds)
}

// inTexts computes whether the string at p, of size bytes, is in list: 0 or 1. It
// compares the string with the row of a table that a hash of the string selects, and
// which is different for each text of the list.
func inTexts(g Gen, p *ir.Value, size int, list []string) *ir.Value {
	longest := 0
	for _, s := range list {
		longest = max(longest, len(s)+1)
	}
	n := (longest + 7) / 8
	h := newTextHash(list, n)
	b := g.B()
	x := make([]*ir.Value, n)
	hash := b.Const(int64(h.seed))
	var seen *ir.Value // not 0 if a NUL has been seen
	for i := range x {
		v := loadUpTo(b, p, 8*i, size)
		// As in equalText of the compiler: the bytes after the first NUL do not count.
		nul := b.Op(ir.OpAnd, b.Op(ir.OpAnd, b.Op(ir.OpSub, v, b.Const(lowBits)), b.Op(ir.OpXor, v, b.Const(-1))), b.Const(highBits))
		v = b.Op(ir.OpAnd, v, b.Op(ir.OpXor, nul, b.Op(ir.OpSub, nul, b.Const(1))))
		if seen != nil {
			// All ones if there was none before.
			some := b.Op(ir.OpSar, b.Op(ir.OpOr, seen, b.Op(ir.OpNeg, seen)), b.Const(63))
			v = b.Op(ir.OpAnd, v, b.Op(ir.OpXor, some, b.Const(-1)))
			nul = b.Op(ir.OpOr, nul, seen)
		}
		seen = nul
		x[i] = v
		hash = b.Op(ir.OpMul, b.Op(ir.OpXor, hash, v), b.Const(hashFactor))
		hash = b.Op(ir.OpXor, hash, b.Op(ir.OpShr, hash, b.Const(32)))
	}
	moves := g.Rodata(h.moves)
	move := b.Load(b.Op(ir.OpAdd, moves, b.Op(ir.OpShl, b.Op(ir.OpAnd, hash, b.Const(int64(len(h.moves)/4-1))), b.Const(2))), 0, 4, false)
	slot := b.Op(ir.OpMul, b.Op(ir.OpXor, hash, move), b.Const(hashFactor))
	slot = b.Op(ir.OpShr, slot, b.Const(int64(64-h.slotBits)))
	if h.slotBits == 0 {
		slot = b.Const(0)
	}
	row := b.Op(ir.OpAdd, g.Rodata(h.rows), b.Op(ir.OpMul, slot, b.Const(int64(8*n))))
	var diff *ir.Value
	for i := range x {
		d := b.Op(ir.OpXor, x[i], b.Load(row, int64(8*i), 8, false))
		if diff != nil {
			d = b.Op(ir.OpOr, diff, d)
		}
		diff = d
	}
	return b.Op(ir.OpEq, diff, b.Const(0))
}

const (
	lowBits  = 0x0101010101010101
	highBits = lowBits<<7 - 1<<64
)

// loadUpTo loads the word at p+off of memory with size bytes. Bytes beyond the end
// count as 0.
func loadUpTo(b *ir.Builder, p *ir.Value, off, size int) *ir.Value {
	if off+8 <= size {
		return b.Load(p, int64(off), 8, false)
	}
	x := b.Const(0)
	for done := 0; off+done < size; {
		n := 4
		for n > size-off-done {
			n /= 2
		}
		part := b.Load(p, int64(off+done), n, false)
		x = b.Op(ir.OpOr, x, b.Op(ir.OpShl, part, b.Const(int64(8*done))))
		done += n
	}
	return x
}

// hashFactor is an odd number with well-mixed bits: 2^64 divided by the golden ratio,
// as a signed number.
const hashFactor = -7046029254386353131

// textHash assigns each text of a list a separate row in a table. A text's hash selects a
// move; the hash and the move select the row.
type textHash struct {
	seed     uint64
	moves    []byte // 32 bits each
	rows     []byte
	slotBits int
}

// newTextHash returns the table for a list of different texts, each of which has fewer
// than 8*words bytes.
func newTextHash(list []string, words int) *textHash {
	h := &textHash{}
	for 1<<h.slotBits < len(list)+len(list)/4 {
		h.slotBits++
	}
	buckets := 1
	for buckets < (len(list)+1)/2 {
		buckets *= 2
	}
	for ; ; h.seed++ {
		if h.place(list, words, buckets) {
			return h
		}
		if h.seed%8 == 7 {
			h.slotBits++
		}
	}
}

// place tries to assign each text a row. The texts with the same move are placed
// together, the largest groups first, with the first move for which all their rows are
// free.
func (h *textHash) place(list []string, words, buckets int) bool {
	hashes := make([]uint64, len(list))
	groups := make([][]int, buckets)
	for i, s := range list {
		hash := h.seed
		row := make([]byte, 8*words)
		copy(row, s)
		for w := range words {
			hash = (hash ^ word(row, w)) * (hashFactor + 1<<64)
			hash ^= hash >> 32
		}
		hashes[i] = hash
		groups[hash&uint64(buckets-1)] = append(groups[hash&uint64(buckets-1)], i)
	}
	order := make([]int, buckets)
	for i := range order {
		order[i] = i
	}
	sorted.By(order, func(i *int) uint64 { return uint64(len(list) - len(groups[*i])) })
	used := make([]bool, 1<<h.slotBits)
	h.moves = make([]byte, 4*buckets)
	h.rows = make([]byte, 8*words<<h.slotBits)
	// An empty row must not look like the empty string.
	for i := range used {
		setWord(h.rows, i*words, 1<<63)
	}
	for _, id := range order {
		if !h.placeGroup(list, hashes, groups[id], id, words, used) {
			return false
		}
	}
	return true
}

func (h *textHash) placeGroup(list []string, hashes []uint64, group []int, id, words int, used []bool) bool {
	slots := make([]uint64, len(group))
	for move := range uint32(1 << 14) {
		ok := true
		for j, i := range group {
			slots[j] = (hashes[i] ^ uint64(move)) * (hashFactor + 1<<64) >> (64 - h.slotBits)
			ok = ok && !used[slots[j]] && !slices.Contains(slots[:j], slots[j])
		}
		if !ok {
			continue
		}
		binary.LittleEndian.PutUint32(h.moves[4*id:], move)
		for j, i := range group {
			used[slots[j]] = true
			row := h.rows[8*words*int(slots[j]):][:8*words]
			clear(row)
			copy(row, list[i])
		}
		return true
	}
	return false
}
