package builtins

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// isAddress reports whether t can only be an internet address.
func isAddress(t *types.Type) bool { return t.Kind == types.Opaque && t.Name == inetType.Name }

// mayBeAddress reports whether t can hold an internet address: it is one, or it has 4
// or 16 bytes.
func mayBeAddress(t *types.Type) bool {
	switch t.Kind {
	case types.Int:
		return t.Size == 4 || t.Size == 8
	case types.Array, types.Struct:
		return t.Size == 4 || t.Size == 16
	}
	return isAddress(t)
}

// parsePrefix parses an address or a prefix. An address is a prefix of all its bits.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is not an internet address or a prefix of addresses, such as 10.0.0.0/8", text)
	}
	return p, nil
}

// holdsAddress reports whether t is an array that is compared with addresses.
func holdsAddress(t *types.Type, after []string) bool {
	for _, text := range after {
		if _, err := parsePrefix(text); err != nil {
			return false
		}
	}
	return t.Kind == types.Array && mayBeAddress(t)
}

// allPrefixes reports whether a value that may be an address is compared only with
// addresses.
func allPrefixes(call *Call) bool {
	for i := 1; i < len(call.Args); i++ {
		text, ok := call.litStr(i)
		if _, err := parsePrefix(text); !ok || err != nil {
			return false
		}
	}
	return mayBeAddress(call.typeOf(0))
}

// prefixes is a list of prefixes of addresses, by family.
type prefixes struct{ v4, v6 []netip.Prefix }

func checkPrefixes(c Checker, call *Call) *types.Type {
	l := &prefixes{}
	size := call.typeOf(0).Size
	if call.typeOf(0).Kind == types.Int {
		size = 4
	}
	for i := 1; i < len(call.Args); i++ {
		a := &call.Args[i]
		text, ok := call.litStr(i)
		if !ok {
			if c.Final() && call.known(i) {
				c.Errorf(a.Span, "in compares an address with literals, such as 10.0.0.0/8 (%s provided)", className(a.Type))
			}
			return types.TInvalid
		}
		p, err := parsePrefix(text)
		if err != nil {
			c.Errorf(a.Span, "%v", err)
			return types.TInvalid
		}
		if a.To != nil {
			c.Errorf(a.Span, "There are no ranges of addresses; write a prefix, such as 10.0.0.0/8")
			return types.TInvalid
		}
		if bytes := p.Addr().BitLen() / 8; !isAddress(call.typeOf(0)) && bytes != size {
			c.Errorf(a.Span, "%s is never equal to an address of %d bytes", text, size)
			return types.TInvalid
		}
		if p.Addr().Is4() {
			l.v4 = append(l.v4, p.Masked())
		} else {
			l.v6 = append(l.v6, p.Masked())
		}
	}
	call.Data = membership(l)
	return types.TBool
}

func (l *prefixes) emit(g Gen, call *Call) *ir.Value {
	a := &call.Args[0]
	switch {
	case isAddress(a.Type):
		p := g.Addr(a)
		family := g.B().Load(p, 0, 8, false)
		addr := g.B().AddImm(p, 8)
		is4 := func() *ir.Value { return inPrefixes(g, addr, l.v4, 1) }
		is6 := func() *ir.Value { return inPrefixes(g, addr, l.v6, 2) }
		return g.B().IfElse(g.B().Op(ir.OpEq, family, g.B().Const(afInet)), is4, func() *ir.Value {
			return g.B().IfElse(g.B().Op(ir.OpEq, family, g.B().Const(afInet6)), is6, func() *ir.Value { return g.B().Const(0) })
		})
	case a.Type.Kind == types.Int:
		p := g.Temp(8)
		g.B().Store(p, 0, 4, g.Value(a))
		return inPrefixes(g, p, l.v4, 1)
	}
	p := g.Temp(a.Type.Size)
	copyObject(g, a, p, 0, a.Type.Size)
	if a.Type.Size == 4 {
		return inPrefixes(g, p, l.v4, 1)
	}
	return inPrefixes(g, p, l.v6, 2)
}

// maxMasked is the maximum number of prefixes that are compared one by one under their
// masks. More prefixes become a table.
const maxMasked = 8

// inPrefixes computes whether the address at p, of 4 bytes or of two words, is in one of
// the prefixes: 0 or 1.
func inPrefixes(g Gen, p *ir.Value, list []netip.Prefix, words int) *ir.Value {
	if len(list) == 0 {
		return g.B().Const(0)
	}
	x := []*ir.Value{nil, nil}[:words]
	for w := range x {
		x[w] = g.B().Load(p, int64(8*w), 8/(3-words), false)
	}
	if len(list) <= maxMasked {
		conds := make([]func() *ir.Value, len(list))
		for i, prefix := range list {
			conds[i] = func() *ir.Value { return underMask(g, x, prefix) }
		}
		return anyOf(g, conds)
	}
	b := g.B()
	for w := range x { // the first byte counts most
		if words == 1 {
			x[w] = b.Op(ir.OpBswap32, x[w])
		} else {
			x[w] = b.Op(ir.OpBswap64, x[w])
		}
	}
	var intervals []interval
	for _, prefix := range list {
		addr := prefix.Addr().AsSlice()
		last := prefix.Addr().AsSlice()
		for i, m := range maskOf(prefix) {
			last[i] |= ^m
		}
		intervals = append(intervals, interval{bigEndian(addr), bigEndian(last)})
	}
	return inIntervals(g, x, merged(intervals, words))
}

// underMask computes whether the address in the words x, as it is in memory, is in a
// prefix: 0 or 1.
func underMask(g Gen, x []*ir.Value, prefix netip.Prefix) *ir.Value {
	b := g.B()
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
func bigEndian(data []byte) wide {
	if len(data) == 4 {
		return wide{0, uint64(binary.BigEndian.Uint32(data))}
	}
	return wide{binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])}
}
