package object

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/lang/types"
)

// The encoding of a type contains only what decoding and printing values requires.
// Members and constants of a pointer's target are left out, as an address is
// printed as a number. So a type refers only to earlier types in the table, and the
// table has no cycles.

// typeKey identifies an entry in the table of types: a complete type, or a type as
// the target of a pointer.
type typeKey struct {
	t    *types.Type
	bare bool
}

// typeRef returns the number of a type in the table, from 1; 0 is nil.
func (e *encoder) typeRef(t *types.Type, bare bool) int {
	if t == nil {
		return 0
	}
	key := typeKey{t, bare}
	if n, ok := e.typeIndex[key]; ok {
		return n
	}
	fieldsOf := func(list []types.Field) []byte {
		b := binary.AppendUvarint(nil, uint64(len(list)))
		for i := range list {
			f := &list[i]
			b = appendString(b, f.Name)
			b = binary.AppendUvarint(b, uint64(e.typeRef(f.Type, bare)))
			b = binary.AppendUvarint(b, uint64(f.Off))
			b = binary.AppendUvarint(b, uint64(f.BitOff))
			b = binary.AppendUvarint(b, uint64(f.BitSize))
			b = appendBool(appendBool(b, f.DataLoc), f.RelLoc)
			b = binary.AppendUvarint(b, uint64(f.Copy))
		}
		return b
	}
	b := binary.AppendUvarint(nil, uint64(t.Kind))
	b = appendString(b, t.Name)
	b = binary.AppendUvarint(b, uint64(t.Size))
	b = appendBool(b, t.Signed)
	b = appendBool(b, t.Word)
	b = binary.AppendUvarint(b, uint64(e.typeRef(t.Elem, bare || t.Kind == types.Pointer)))
	b = binary.AppendUvarint(b, uint64(t.Len))
	b = binary.AppendUvarint(b, uint64(t.Space))
	b = binary.AppendUvarint(b, uint64(len(t.Params)))
	for _, p := range t.Params {
		b = binary.AppendVarint(b, p)
	}
	b = append(b, fieldsOf(t.Fields)...)
	comp := t.Comp != nil && !bare
	b = appendBool(b, comp)
	if comp {
		b = appendBool(b, t.Comp.Union)
		b = binary.AppendUvarint(b, uint64(t.Comp.Align))
		b = append(b, fieldsOf(t.Comp.Fields())...)
	}
	consts := t.Consts != nil && !bare
	b = appendBool(b, consts)
	if consts {
		b = binary.AppendUvarint(b, uint64(len(t.Consts.Values)))
		for _, c := range t.Consts.Values {
			b = binary.AppendVarint(appendString(b, c.Name), c.Value)
		}
	}
	e.types = append(e.types, b...)
	e.typeCount++
	e.typeIndex[key] = e.typeCount
	return e.typeCount
}

// Limits of a decoded type. They keep printing a value of it feasible.
const (
	maxTypeSize  = 1 << 28 // bytes of a value
	maxTypeLen   = 1 << 20 // elements of an array
	maxTypeNodes = 1 << 20 // values in one value, counting every element of an array
	maxTypeParts = 1 << 14 // the same, counting an array as one element
	maxTypeDepth = 64
)

// decodedType is a type in the table, its nesting depth, and the number of values
// in one value of it.
type decodedType struct {
	t            *types.Type
	depth, nodes int
	parts        int
}

func (d *decoder) readTypes() {
	for range d.count() {
		if d.err != nil {
			return
		}
		d.types = append(d.types, d.readType())
	}
}

func (d *decoder) typeRef() *types.Type { return d.typeAt().t }

// typeAt reads a reference to an earlier type in the table.
//
//go:noinline
func (d *decoder) typeAt() decodedType {
	n := d.small(len(d.types))
	if n == 0 {
		return decodedType{}
	}
	return d.types[n-1]
}

func (d *decoder) readType() decodedType {
	t := &types.Type{}
	out := decodedType{t: t, nodes: 1, parts: 1}
	contain := func(in decodedType, times int) {
		out.depth = max(out.depth, in.depth+1)
		out.nodes += in.nodes * max(times, 1)
		out.parts += in.parts
		if out.depth > maxTypeDepth || out.nodes > maxTypeNodes || out.parts > maxTypeParts {
			d.fail("a type is too large")
			out.nodes, out.parts = 1, 1
		}
	}
	t.Kind = types.Kind(d.small(int(types.Agg)))
	t.Name, t.Size, t.Signed, t.Word = d.string(), d.small(maxTypeSize), d.bool(), d.bool()
	elem := d.typeAt()
	t.Elem, t.Len, t.Space = elem.t, d.small(maxTypeLen), types.Space(d.small(int(types.User)))
	if elem.t != nil {
		contain(elem, t.Len)
	}
	for range d.count() {
		t.Params = append(t.Params, d.int())
	}
	readFields := func() []types.Field {
		var list []types.Field
		for range d.count() {
			if d.err != nil {
				break
			}
			f := types.Field{Name: d.string()}
			in := d.typeAt()
			f.Type, f.Off, f.BitOff, f.BitSize = in.t, d.small(maxTypeSize), d.small(1<<16), d.small(1<<16)
			f.DataLoc, f.RelLoc, f.Copy = d.bool(), d.bool(), d.small(maxTypeSize)
			if f.Type == nil {
				d.fail("a member has no type")
				break
			}
			contain(in, 1)
			list = append(list, f)
		}
		return list
	}
	t.Fields = readFields()
	if d.bool() {
		union, align := d.bool(), d.small(1<<12)
		members := readFields()
		t.Comp = types.NewComposite(union, func() []types.Field { return members })
		t.Comp.Align = align
	}
	if d.bool() {
		t.Consts = &types.EnumDef{}
		for range d.count() {
			t.Consts.Values = append(t.Consts.Values, types.EnumValue{Name: d.string(), Value: d.int()})
		}
	}
	d.checkType(t)
	return out
}

// checkType refuses a type if printing a value of it would fail.
func (d *decoder) checkType(t *types.Type) {
	switch t.Kind {
	case types.Pointer, types.Array:
		if t.Elem == nil {
			d.fail("a type has no element")
			return
		}
		if t.Kind == types.Array && t.Len*t.Elem.Size > t.Size {
			d.fail("an array is larger than its size")
		}
	case types.Buffer:
		if t.Size < 4 {
			d.fail("a buffer has no length")
		}
	}
	if t.IsInteger() && (t.Size > 16 || t.Size&(t.Size-1) != 0) {
		d.fail("an integer has an odd size")
	}
	for _, f := range t.Fields {
		if f.Off+f.Type.Size > t.Size {
			d.fail("a member lies outside of its object")
		}
	}
}
