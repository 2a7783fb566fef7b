package match

import (
	"encoding/binary"
	"net/netip"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
)

// maxMasked is the maximum number of prefixes that are compared one by one under their
// masks. More prefixes become a table.
const maxMasked = 8

// InPrefixes computes whether the address at p, of 4 bytes or of two words, is in one of
// the prefixes: 0 or 1.
func InPrefixes(g code.Gen, p *ir.Value, list []netip.Prefix, words int) *ir.Value {
	b := g.B()
	if len(list) == 0 {
		return b.Const(0)
	}
	x := []*ir.Value{nil, nil}[:words]
	for w := range x {
		x[w] = b.Load(p, int64(8*w), 8/(3-words), false)
	}
	if len(list) <= maxMasked {
		conds := make([]func() *ir.Value, len(list))
		for i, prefix := range list {
			conds[i] = func() *ir.Value { return underMask(b, x, prefix) }
		}
		return Any(b, conds)
	}
	for w := range x { // the first byte counts most
		if words == 1 {
			x[w] = b.Op(ir.OpBswap32, x[w])
		} else {
			x[w] = b.Op(ir.OpBswap64, x[w])
		}
	}
	var intervals []Interval
	for _, prefix := range list {
		addr := prefix.Addr().AsSlice()
		last := prefix.Addr().AsSlice()
		for i, m := range maskOf(prefix) {
			last[i] |= ^m
		}
		intervals = append(intervals, Interval{bigEndian(addr), bigEndian(last)})
	}
	return InIntervals(g, x, Merged(intervals, words))
}

// underMask computes whether the address in the words x, as it is in memory, is in a
// prefix: 0 or 1.
func underMask(b *ir.Builder, x []*ir.Value, prefix netip.Prefix) *ir.Value {
	addr, mask := prefix.Addr().AsSlice(), maskOf(prefix)
	diff := b.Const(0)
	for w := range x {
		var want, bits [8]byte
		copy(want[:], addr[8*w:])
		copy(bits[:], mask[8*w:])
		d := b.Op(ir.OpAnd, x[w], b.Const(int64(binary.LittleEndian.Uint64(bits[:]))))
		d = b.Op(ir.OpXor, d, b.Const(int64(binary.LittleEndian.Uint64(want[:]))))
		diff = b.Op(ir.OpOr, diff, d)
	}
	return b.Op(ir.OpEq, diff, b.Const(0))
}

// maskOf returns the mask of a prefix.
func maskOf(p netip.Prefix) []byte {
	mask := make([]byte, p.Addr().BitLen()/8)
	for i := range mask {
		mask[i] = byte(0xff << (8 - min(max(p.Bits()-8*i, 0), 8)))
	}
	return mask
}

// bigEndian returns 4 or 16 bytes as a number.
func bigEndian(data []byte) Wide {
	if len(data) == 4 {
		return Wide{0, uint64(binary.BigEndian.Uint32(data))}
	}
	return Wide{binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])}
}
