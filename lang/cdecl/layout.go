package cdecl

import "github.com/gotrace/gotrace/lang/types"

// lay sets the members of t, their offsets and its size by the System V rules: every
// member is at its alignment. A bitfield is in a storage unit of its declared type and
// does not cross the end of the unit. packed removes all alignment.
func lay(t *types.Type, union bool, members []member, a attrs) {
	var fields []types.Field
	bit, size, align := 0, 0, 1 // bit: next free bit of a struct
	for _, m := range members {
		ma := alignOf(m.t)
		if a.packed || m.pack {
			ma = 1
		}
		ma = max(ma, m.align)
		if union {
			bit = 0
		}
		unit := m.t.Size * 8
		f := types.Field{Name: m.name, Type: m.t}
		switch {
		case m.bits == 0: // ends the unit
			bit = types.RoundUp(bit, unit)
			continue
		case m.bits > 0:
			if !a.packed && !m.pack && bit/unit != (bit+m.bits-1)/unit {
				bit = types.RoundUp(bit, unit)
			}
			if m.align > 0 {
				bit = types.RoundUp(bit, m.align*8)
			}
			start := bit / unit * unit
			if bit+m.bits > start+unit { // packed, and it crosses the end of a unit: it starts at the next byte
				start = bit / 8 * 8
			}
			f.Off, f.BitOff, f.BitSize = start/8, bit-start, m.bits
			bit += m.bits
			if m.name != "" {
				align = max(align, ma)
			}
		default:
			bit = types.RoundUp(bit, ma*8)
			f.Off = bit / 8
			bit += unit
			align = max(align, ma)
		}
		size = max(size, (bit+7)/8)
		if m.name != "" || m.t.Kind == types.Struct && m.bits < 0 {
			fields = append(fields, f)
		}
	}
	align = max(align, a.align)
	t.Comp = types.NewComposite(union, func() []types.Field { return fields })
	t.Comp.Align = align
	t.Size = types.RoundUp(size, align)
}

// alignOf returns the alignment of a type in C, in bytes.
func alignOf(t *types.Type) int {
	switch t.Kind {
	case types.Struct:
		if t.Comp != nil && t.Comp.Align > 0 {
			return t.Comp.Align
		}
		a := 1
		for _, f := range t.Members() { // a type from BTF, which has no alignment: use that of its members
			a = max(a, alignOf(f.Type))
		}
		return a
	case types.Array:
		if t.Name == "float" {
			return t.Size
		}
		return alignOf(t.Elem)
	case types.String:
		return 1
	}
	return max(1, min(t.Size, 8))
}
