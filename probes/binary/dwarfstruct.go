package binary

import (
	"debug/dwarf"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// composite returns the type of a struct, class or union. If the entry is only a
// declaration, it uses the definition with the same name.
func (g *DebugInfo) composite(e *dwarf.Entry, name string) *dwarfType {
	word := "struct "
	if e.Tag == dwarf.TagUnionType {
		word = "union "
	}
	full := word + name
	if name == "" {
		full = fmt.Sprintf("%s%d%s", word, e.Offset, anonymousType)
	}
	if declared, _ := attribute(e, dwarf.AttrDeclaration).(bool); declared && name != "" {
		if def, ok := g.typeNames()[full]; ok && def != e.Offset {
			return g.typeAt(def, 0)
		}
	}
	r := &dwarfType{decl: strings.TrimSuffix(full, anonymousType), class: classStruct}
	if e.Tag == dwarf.TagClassType {
		r.decl = name
	}
	if e.Tag == dwarf.TagUnionType {
		r.class = classUnion
	}
	r.parts = &memberList{}
	r.parts.New = func() []dwarfMember {
		r.parts.reading = true
		list := g.members(e, r)
		r.parts.reading = false
		return list
	}
	g.units.Children(e, func(c *dwarf.Entry) bool {
		if c.Tag == variantPart {
			r.class = classVariant
		}
		return c.Tag != variantPart
	})
	asked, byRef := false, false
	r.byRef = func() bool {
		if !asked {
			asked = true // set first: damaged debug info may have cycles
			byRef = g.passedByReference(e, name, r)
		}
		return byRef
	}
	r.t = &types.Type{Kind: types.Struct, Name: full, Size: entrySize(e), Space: types.User}
	r.t.Comp = types.NewComposite(e.Tag == dwarf.TagUnionType, func() []types.Field {
		var fields []types.Field
		for _, m := range r.parts.Get() {
			fields = append(fields, m.Field)
		}
		return fields
	})
	r.t.Comp.Counted = g.counted(e, name)
	r.t.Comp.Dynamic = name == "runtime.iface" || name == "runtime.eface"
	return r
}

// attrGoKind is the reflect.Kind of a Go type.
const attrGoKind dwarf.Attr = 0x2900

// counted returns whether a struct is a string or a slice of Go or Rust.
func (g *DebugInfo) counted(e *dwarf.Entry, name string) types.Counted {
	const slice, text = 23, 24
	switch kind, _ := e.Val(attrGoKind).(int64); {
	case kind == text || name == "&str":
		return types.CountedText
	case kind == slice || strings.HasPrefix(name, "&[") || strings.HasPrefix(name, "&mut ["):
		return types.CountedItems
	}
	return types.NotCounted
}

// passedByReference reports whether an object of a C++ class must not be copied byte by
// byte. That is so if the class or one of its members has virtual functions, or a destructor
// or copy constructor that is not defaulted. Clang records this fact. For other compilers it is
// derived from the functions of the class.
func (g *DebugInfo) passedByReference(e *dwarf.Entry, name string, r *dwarfType) bool {
	const passByValue, passByReference = 5, 4
	switch cc, _ := attribute(e, dwarf.AttrCalling).(int64); cc {
	case passByReference:
		return true
	case passByValue:
		return false
	}
	bare, _, _ := strings.Cut(name, "<")
	found := false
	g.units.Children(e, func(c *dwarf.Entry) bool {
		if c.Tag != dwarf.TagSubprogram {
			return true
		}
		if v, _ := attribute(c, dwarf.AttrVirtuality).(int64); v != 0 {
			found = true
		}
		fn := g.name(c)
		if defaulted, _ := c.Val(attrDefaulted).(int64); defaulted == 0 {
			found = found || strings.HasPrefix(fn, "~") || fn == bare && bare != "" && g.copies(c, e.Offset)
		}
		return !found
	})
	if found {
		return true
	}
	for _, m := range r.parts.Get() {
		of := m.of
		for n := 0; of.elem != nil && n < maxChain; n++ {
			of = of.elem
		}
		if of.byRef != nil && of.byRef() {
			return true
		}
	}
	return false
}

// copies reports whether the only parameter of a constructor, except this, is a
// reference to an object of its class.
func (g *DebugInfo) copies(ctor *dwarf.Entry, class dwarf.Offset) bool {
	params := g.params(ctor)
	if len(params) != 2 {
		return false
	}
	at, off, ok := g.refers(params[1], dwarf.AttrType)
	if !ok {
		return false
	}
	ref := at.units.Entry(off)
	if ref == nil || ref.Tag != dwarf.TagReferenceType && ref.Tag != dwarf.TagRvalueReferenceType {
		return false
	}
	for range maxChain {
		if at, off, ok = at.refers(ref, dwarf.AttrType); !ok {
			return false
		}
		if at == g && off == class {
			return true
		}
		if ref = at.units.Entry(off); ref == nil || ref.Tag != dwarf.TagConstType && ref.Tag != dwarf.TagTypedef {
			return false
		}
	}
	return false
}

// dwarfMember is a member of a struct, with the information about its type that calling
// conventions need.
type dwarfMember struct {
	types.Field
	of *dwarfType
}

// memberList holds the members of a struct.
type memberList struct {
	lazy.Value[[]dwarfMember]
	reading bool // New is running
}

// contains reports whether objects of a type can be inside of a struct. In damaged debug
// information, a struct may be inside of itself, directly or in others of the same size.
func (t *dwarfType) contains(of *dwarfType) bool {
	for n := 0; of.elem != nil && n < maxChain; n++ {
		of = of.elem
	}
	if of.parts == nil {
		return true
	}
	if of.parts.reading || of.t.Size > t.t.Size {
		return false
	}
	if of.t.Size == t.t.Size {
		of.parts.Get() // leaves out t, whose members are being read
	}
	return true
}

// members reads the members of a struct. A base class becomes an anonymous member.
func (g *DebugInfo) members(e *dwarf.Entry, r *dwarfType) []dwarfMember {
	var list []dwarfMember
	g.units.Children(e, func(c *dwarf.Entry) bool {
		if c.Tag != dwarf.TagMember && c.Tag != dwarf.TagInheritance {
			return true
		}
		if static, _ := attribute(c, dwarf.AttrExternal).(bool); static {
			return true
		}
		of := g.typeOf(c, 0)
		if !r.contains(of) {
			return true
		}
		m := dwarfMember{of: of}
		m.Type, m.Off = of.t, memberOffset(c)
		if c.Tag == dwarf.TagMember {
			m.Name = g.name(c)
		}
		if bits, ok := attribute(c, dwarf.AttrBitSize).(int64); ok && bits > 0 && bits <= 64 && of.t.Size > 0 && of.t.Size <= 8 {
			m.BitSize = int(bits)
			m.bitfield(c)
		}
		list = append(list, m)
		return true
	})
	return list
}

// memberOffset returns a member's offset in bytes. Old compilers write it as an
// expression that adds a constant.
func memberOffset(e *dwarf.Entry) int {
	const plusUconst = 0x23
	switch v := attribute(e, dwarf.AttrDataMemberLoc).(type) {
	case int64:
		if v >= 0 && v <= 1<<31 {
			return int(v)
		}
	case []byte:
		n := 0
		if len(v) > 1 && len(v) < 6 && v[0] == plusUconst {
			for i, b := range v[1:] {
				n |= int(b&0x7f) << (7 * i)
			}
		}
		return n
	}
	return 0
}

// bitfield sets the position of a bitfield in its storage unit, which has the size of
// its type. If the bitfield crosses two units, as is possible in a packed struct, the
// position is relative to its first byte.
func (m *dwarfMember) bitfield(e *dwarf.Entry) {
	size := m.Type.Size
	at, ok := attribute(e, dwarf.AttrDataBitOffset).(int64)
	if !ok {
		// DWARF 2 counts from the highest bit of the storage unit.
		high, _ := attribute(e, dwarf.AttrBitOffset).(int64)
		storage := int64(size)
		if n := entrySize(e); n > 0 {
			storage = int64(n)
		}
		at = 8*int64(m.Off) + 8*storage - high - int64(m.BitSize)
	}
	if at < 0 {
		at = 0
	}
	bit := int(at)
	m.Off = bit / 8 / size * size
	if m.BitOff = bit - 8*m.Off; m.BitOff+m.BitSize > 8*size {
		m.Off, m.BitOff = bit/8, bit%8
	}
}
