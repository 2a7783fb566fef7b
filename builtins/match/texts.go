package match

import (
	"encoding/binary"
	"slices"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// MaxHashed is the maximum size in bytes of a string in a table.
const MaxHashed = 128

// InTexts computes whether the string at p, of size bytes, is in list: 0 or 1. It
// compares the string with the row of a table that a hash of the string selects, and
// which is different for each text of the list.
func InTexts(g code.Gen, p *ir.Value, size int, list []string) *ir.Value {
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
		hash = b.Op(ir.OpMul, b.Op(ir.OpXor, hash, v), b.Const(HashFactor))
		hash = b.Op(ir.OpXor, hash, b.Op(ir.OpShr, hash, b.Const(32)))
	}
	moves := g.Rodata(h.moves)
	move := b.Load(b.Op(ir.OpAdd, moves, b.Op(ir.OpShl, b.Op(ir.OpAnd, hash, b.Const(int64(len(h.moves)/4-1))), b.Const(2))), 0, 4, false)
	slot := b.Op(ir.OpMul, b.Op(ir.OpXor, hash, move), b.Const(HashFactor))
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

// HashFactor is an odd number with well-mixed bits: 2^64 divided by the golden ratio,
// as a signed number.
const HashFactor = -7046029254386353131

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
			hash = (hash ^ binary.NativeEndian.Uint64(row[8*w:])) * (HashFactor + 1<<64)
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
		binary.NativeEndian.PutUint64(h.rows[8*i*words:], 1<<63)
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
			slots[j] = (hashes[i] ^ uint64(move)) * (HashFactor + 1<<64) >> (64 - h.slotBits)
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
