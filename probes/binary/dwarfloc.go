package binary

import (
	"debug/dwarf"
	"encoding/binary"
	"fmt"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/cursor"
)

// Compilers may change how a function receives its parameters if all its callers are in
// one unit. In optimized code, the debug info contains the location of each parameter
// for ranges of addresses. A location at a function's first instruction takes
// precedence over the calling convention. In unoptimized code, the debug info contains
// only the stack slots to which the function copies its parameters, which do not apply
// to the first instruction.

// located is the kind of information in the debug info about a parameter at the first
// instruction of its function.
type located uint8

const (
	byConvention located = iota // none: the calling convention applies
	atPlace                     // its location
	leftOut                     // it has no location
)

// entryPlaces finds the locations of a function's parameters at its first instruction.
// sizes are the parameters' sizes in bytes. places[i] is set if found[i] is atPlace.
// sound reports whether parameters that are byConvention follow the calling convention.
func (g *DebugInfo) entryPlaces(a *Arch, fn Function, params []*dwarf.Entry, sizes []int) (places []*types.Loc, found []located, sound bool) {
	places, found = make([]*types.Loc, len(params)), make([]located, len(params))
	copies := map[dwarf.Offset]*dwarf.Entry{}
	g.units.Children(fn.entry, func(e *dwarf.Entry) bool {
		if e.Tag == dwarf.TagFormalParameter {
			off, ok := attribute(e, dwarf.AttrAbstractOrigin).(dwarf.Offset)
			if !ok {
				off = e.Offset
			}
			copies[off] = e
		}
		return true
	})
	all, _ := fn.entry.Val(attrCallAllCalls).(bool)
	gnu, _ := fn.entry.Val(attrGNUAllCallSites).(bool)
	const nocall = 3 // LLVM: the function does not follow the calling convention
	cc, _ := attribute(fn.entry, dwarf.AttrCalling).(int64)
	sound = cc != nocall
	optimised := all || gnu || !sound
	for i, p := range params {
		e := copies[p.Offset]
		var field *dwarf.Field
		if e != nil {
			field = e.AttrField(dwarf.AttrLocation)
			if v := attribute(e, dwarf.AttrConstValue); v != nil {
				places[i], found[i] = fixedAt(v, sizes[i])
				optimised = true
				continue
			}
		}
		if field == nil {
			found[i] = leftOut
			continue
		}
		expr, isExpr := field.Val.([]byte)
		if !isExpr {
			expr = g.locationAt(fn, field)
		}
		l, how := g.evaluate(a, fn, expr, sizes[i], !isExpr)
		if isExpr && how == leftOut {
			how = byConvention
		}
		optimised = optimised || how == atPlace
		places[i], found[i] = l, how
	}
	for i := range found {
		if found[i] == leftOut && !optimised {
			found[i] = byConvention
		}
	}
	return places, found, sound
}

// Attributes without a name in package dwarf.
const (
	attrCallAllCalls    dwarf.Attr = 0x7a
	attrGNUAllCallSites dwarf.Attr = 0x2117
	attrAddrBase        dwarf.Attr = 0x73
	attrLoclistsBase    dwarf.Attr = 0x8c
)

// locationAt returns the expression in a location list that is valid at the first
// instruction of the function, or nil if there is none.
func (g *DebugInfo) locationAt(fn Function, field *dwarf.Field) []byte {
	pc := fn.addr
	base, _ := attribute(fn.unit, dwarf.AttrLowpc).(uint64)
	if g.skeleton != nil {
		base = g.skeleton.Low()
	}
	var off uint64
	switch v := field.Val.(type) {
	case int64:
		off = uint64(v)
	case uint64: // an index into the unit's table of offsets
		table, _ := fn.unit.Val(attrLoclistsBase).(int64)
		c := cursor.Cursor{Data: g.loclists}
		c.Take(uint64(table) + 4*v)
		if off = uint64(table) + c.U32(); c.Bad {
			return nil
		}
	default:
		return nil
	}
	if g.loclists == nil && g.skeleton != nil {
		return g.gnuLocationAt(fn, off, pc)
	}
	if g.loclists == nil {
		return oldLocationAt(g.loc, off, base, pc)
	}
	c := &cursor.Cursor{Data: g.loclists}
	c.Take(off)
	for !c.Bad {
		var lo, hi uint64
		switch c.Byte() {
		case 0: // end of list
			return nil
		case 1: // base_addressx
			base = g.address(fn, c.Uleb())
			continue
		case 2: // startx_endx
			lo, hi = g.address(fn, c.Uleb()), g.address(fn, c.Uleb())
		case 3: // startx_length
			lo = g.address(fn, c.Uleb())
			hi = lo + c.Uleb()
		case 4: // offset_pair
			lo, hi = base+c.Uleb(), base+c.Uleb()
		case 5: // default_location
			lo, hi = 0, ^uint64(0)
		case 6: // base_address
			base = c.U64()
			continue
		case 7: // start_end
			lo, hi = c.U64(), c.U64()
		case 8: // start_length
			lo = c.U64()
			hi = lo + c.Uleb()
		case 9: // GNU_view_pair
			c.Uleb()
			c.Uleb()
			continue
		default:
			return nil
		}
		expr := c.Block()
		if lo <= pc && pc < hi {
			return expr
		}
	}
	return nil
}

// gnuLocationAt reads .debug_loc.dwo, of GNU's split DWARF 4.
func (g *DebugInfo) gnuLocationAt(fn Function, off, pc uint64) []byte {
	c := &cursor.Cursor{Data: g.loc}
	c.Take(off)
	for !c.Bad {
		var lo, hi uint64
		switch c.Byte() {
		case 2: // start and end
			lo, hi = g.address(fn, c.Uleb()), g.address(fn, c.Uleb())
		case 3: // start and length
			lo = g.address(fn, c.Uleb())
			hi = lo + c.U32()
		default: // end of list, or unknown
			return nil
		}
		expr := c.Take(c.U16())
		if lo <= pc && pc < hi {
			return expr
		}
	}
	return nil
}

// oldLocationAt reads .debug_loc, of DWARF 2 to 4.
func oldLocationAt(section []byte, off, base, pc uint64) []byte {
	c := &cursor.Cursor{Data: section}
	c.Take(off)
	for !c.Bad {
		lo, hi := c.U64(), c.U64()
		switch {
		case lo == 0 && hi == 0:
			return nil
		case lo == ^uint64(0):
			base = hi
			continue
		}
		expr := c.Take(c.U16())
		if base+lo <= pc && pc < base+hi {
			return expr
		}
	}
	return nil
}

// address returns an entry of the unit's table in .debug_addr.
func (g *DebugInfo) address(fn Function, index uint64) uint64 {
	base, _ := fn.unit.Val(attrAddrBase).(int64)
	if index > uint64(len(g.addrs)) {
		return 0
	}
	c := cursor.Cursor{Data: g.addrs}
	c.Take(uint64(base) + 8*index)
	return c.U64()
}

// fixedAt returns the location of a parameter that has the same value in every call.
func fixedAt(v any, size int) (*types.Loc, located) {
	var data []byte
	switch v := v.(type) {
	case int64:
		data = binary.LittleEndian.AppendUint64(nil, uint64(v))
	case []byte:
		data = v
	case string:
		data = append([]byte(v), 0)
	}
	if size <= 0 || size > len(data) {
		return nil, leftOut
	}
	l := &types.Loc{}
	for at := 0; at < size; at += 8 {
		l.Parts = append(l.Parts, fixedPart(at, min(8, size-at), data[at:]))
	}
	return l, atPlace
}

// fixedPart returns a part whose value is the first size bytes of data.
func fixedPart(off, size int, data []byte) types.Part {
	var word [8]byte
	copy(word[:], data[:min(8, len(data))])
	return types.Part{Off: off, Size: size, Fixed: true, Value: binary.LittleEndian.Uint64(word[:])}
}

// constantAt decodes an operation that pushes a constant. If the next operation is not
// one, constantAt does not move c.
func constantAt(c *cursor.Cursor) (value uint64, ok bool) {
	old := *c
	switch op := c.Byte(); {
	case op >= 0x30 && op <= 0x4f: // lit0 …
		value = uint64(op - 0x30)
	case op >= 0x08 && op <= 0x0f: // const1u, const1s, const2u …
		size := uint64(1) << ((op - 0x08) / 2)
		if op%2 == 0 {
			value = c.Uint(size)
		} else {
			value = uint64(c.Sint(size))
		}
	case op == 0x10: // constu
		value = c.Uleb()
	case op == 0x11: // consts
		value = uint64(c.Sleb())
	case op == 0x9e: // implicit_value
		n := c.Uleb()
		if n == 0 || n > 8 {
			*c = old
			return 0, false
		}
		value = c.Uint(n)
		return value, !c.Bad
	default:
		*c = old
		return 0, false
	}
	if c.Byte() != 0x9f || c.Bad { // stack_value: the constant is the value, not its address
		*c = old
		return 0, false
	}
	return value, true
}

// evaluate decodes a location expression of a simple form: a register, memory at a
// register, a constant, or pieces that are registers and constants. size is the size of
// the object in bytes. atEntry is set if the expression applies to the entry of the
// function rather than to all of it. If it applies to all of the function, memory at a
// register is a slot that the function fills later.
func (g *DebugInfo) evaluate(a *Arch, fn Function, expr []byte, size int, atEntry bool) (*types.Loc, located) {
	if expr == nil {
		return nil, leftOut
	}
	c := &cursor.Cursor{Data: expr}
	l := &types.Loc{}
	at := 0 // number of bytes of the object found so far
	for c.More() {
		reg := -1
		fixed, isFixed := constantAt(c)
		var op byte
		if !isFixed {
			op = c.Byte()
		}
		switch {
		case isFixed:
		case op >= 0x50 && op <= 0x6f: // reg0 …
			reg = int(op - 0x50)
		case op == 0x90: // regx
			reg = int(c.Uleb() & 0xffff)
		case op >= 0x70 && op <= 0x8f && at == 0: // breg0 …
			disp := c.Sleb()
			if !atEntry {
				return nil, byConvention
			}
			name, ok := a.dwarfReg(int(op - 0x70))
			if !ok {
				return nil, leftOut
			}
			if c.More() {
				if c.Byte() != 0x9f || c.More() || size > 8 { // stack_value
					return nil, leftOut
				}
				return &types.Loc{Parts: []types.Part{{From: a.regs.Get()[name], Size: size, Value: uint64(disp)}}}, atPlace
			}
			return &types.Loc{Memory: true, Base: a.regs.Get()[name], Disp: disp}, atPlace
		case op == 0x91 && at == 0: // fbreg
			disp := c.Sleb()
			frame, _ := attribute(fn.entry, dwarf.AttrFrameBase).([]byte)
			const callFrameCFA = 0x9c
			if len(frame) == 1 && frame[0] == callFrameCFA && disp >= 0 && !c.More() {
				return &types.Loc{Memory: true, Base: a.regs.Get()[a.sp], Disp: int64(a.stack) + disp}, atPlace
			}
			return nil, byConvention
		default:
			return nil, leftOut
		}
		n := size - at
		if c.More() {
			if c.Byte() != 0x93 { // piece
				return nil, leftOut
			}
			n = int(min(c.Uleb(), uint64(n)))
		}
		if n > 8 || n <= 0 {
			return nil, leftOut
		}
		name, ok := a.dwarfReg(reg)
		if isFixed {
			l.Parts = append(l.Parts, types.Part{Off: at, Size: n, Fixed: true, Value: fixed})
		} else if !ok {
			l.Err = errFloat
		} else {
			l.Parts = append(l.Parts, types.Part{From: a.regs.Get()[name], Off: at, Size: n})
		}
		at += n
	}
	if c.Bad || at < size {
		return nil, leftOut
	}
	return l, atPlace
}

// dwarfReg returns the name of the integer register with a DWARF number.
func (a *Arch) dwarfReg(n int) (string, bool) {
	if n < 0 || n >= len(a.dwarfRegs) {
		return "", false
	}
	return a.dwarfRegs[n], true
}

// errLeftOut returns the reason why a parameter without a location cannot be read.
func errLeftOut(fn string) string {
	return fmt.Sprintf("the compiler removed it from %s, or computes it elsewhere", fn)
}
