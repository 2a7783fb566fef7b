package binary

import (
	"debug/dwarf"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
)

// dwarfType is a type of a traced program.
type dwarfType struct {
	t     *types.Type
	decl  string // in C syntax
	class typeClass
	byRef func() bool // reports whether C++ passes it by reference although it is declared by value
	align int         // in bytes; 0: that of the members
	elem  *dwarfType
	parts *memberList // members of a struct
}

// typeClass is the property of a type, in addition to its size, that determines how it
// is passed.
type typeClass uint8

const (
	classWord   typeClass = iota // an integer or pointer
	classFloat                   // in floating-point or vector registers
	classX87                     // long double
	classStruct                  // depends on the members
	classUnion
	classArray
	classVariant // a Rust enum with data
)

// floatName is the Name of the byte arrays that represent floating-point numbers.
const floatName = "float"

var voidType = &dwarfType{t: types.TVoid, decl: "void"}

// maxTypeDepth is the maximum depth of arrays of arrays and chains of qualifiers.
const maxTypeDepth = 64

// typeOf returns the type that an entry's DW_AT_type refers to, or void if it has
// none.
func (g *DebugInfo) typeOf(e *dwarf.Entry, depth int) *dwarfType {
	at, off, ok := g.refers(e, dwarf.AttrType)
	if !ok || depth > maxTypeDepth {
		return voidType
	}
	return at.typeAt(off, depth)
}

func (g *DebugInfo) typeAt(off dwarf.Offset, depth int) *dwarfType {
	if t := g.types[off]; t != nil {
		return t
	}
	e := g.units.Entry(off)
	if e == nil {
		return voidType
	}
	t := g.convert(e, depth+1)
	g.types[off] = t
	return t
}

//go:noinline
func entrySize(e *dwarf.Entry) int {
	n, _ := attribute(e, dwarf.AttrByteSize).(int64)
	if n < 0 || n > 1<<31 {
		return 0
	}
	return int(n)
}

// convert returns the type that an entry describes. Objects of the type are in user
// memory, and so are the targets of their pointers.
func (g *DebugInfo) convert(e *dwarf.Entry, depth int) *dwarfType {
	if f := e.AttrField(dwarf.AttrSignature); f != nil && depth <= maxTypeDepth {
		if at, off, ok := g.follow(f); ok { // a declaration of the type of another unit
			return at.typeAt(off, depth)
		}
	}
	name := g.name(e)
	switch e.Tag {
	case dwarf.TagBaseType:
		return baseType(e, name)
	case dwarf.TagPointerType, dwarf.TagReferenceType, dwarf.TagRvalueReferenceType:
		return g.pointer(e, name, depth)
	case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType, dwarf.TagInterfaceType:
		return g.composite(e, name)
	case dwarf.TagEnumerationType:
		return g.enum(e, name, depth)
	case dwarf.TagArrayType:
		return g.array(e, depth)
	case dwarf.TagTypedef:
		u := *g.typeOf(e, depth)
		u.decl = name
		if (u.t.Kind == types.Struct || u.t.Kind == types.Enum) && strings.HasSuffix(u.t.Name, anonymousType) {
			named := *u.t
			named.Name = name
			u.t = &named
		}
		return &u
	case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, atomicType, immutableType:
		u := *g.typeOf(e, depth)
		if word := map[dwarf.Tag]string{dwarf.TagConstType: "const ", dwarf.TagVolatileType: "volatile "}[e.Tag]; word != "" {
			u.decl = word + u.decl
		}
		return &u
	case dwarf.TagSubroutineType:
		if entrySize(e) == 8 { // a function as a value of Go, which is a pointer
			return &dwarfType{t: types.NewPointer(types.TVoid, types.User), decl: name, align: 8}
		}
	case dwarf.TagPtrToMemberType:
		n := entrySize(e)
		if n == 16 { // pointer to a member function
			return &dwarfType{t: types.NewArray(types.TUint64, 2).InSpace(types.User), decl: "pointer to member", align: 8, class: classArray}
		}
		return &dwarfType{t: types.TInt64, decl: "pointer to member", align: 8}
	}
	return voidType
}

// Tags without a name in package dwarf.
const (
	atomicType    dwarf.Tag = 0x47
	immutableType dwarf.Tag = 0x4b
	variantPart   dwarf.Tag = 0x33
)

// anonymousType is the suffix of the names of types that have none in the source.
const anonymousType = " (anonymous)"

// DWARF's base type encodings.
const (
	encBoolean      = 0x02
	encComplexFloat = 0x03
	encFloat        = 0x04
	encSigned       = 0x05
	encSignedChar   = 0x06
)

func baseType(e *dwarf.Entry, name string) *dwarfType {
	enc, _ := attribute(e, dwarf.AttrEncoding).(int64)
	n := entrySize(e)
	r := &dwarfType{decl: name, align: n}
	switch {
	case enc == encFloat || enc == encComplexFloat:
		r.class = classFloat
		if n == 16 && enc == encFloat && name != "_Float128" && name != "__float128" {
			r.class = classX87
		}
		if enc == encComplexFloat {
			r.align = n / 2
		}
		a := *types.NewArray(types.TUint8, n)
		a.Name, a.Space = floatName, types.User
		r.t = &a
	case enc == encBoolean && n == 1:
		r.t = types.TBool
	case n == 16:
		r.t = types.NewArray(types.TUint64, 2).InSpace(types.User)
		r.class = classArray
	case n != 1 && n != 2 && n != 4 && n != 8:
		r.t = types.NewArray(types.TUint8, n).InSpace(types.User)
		r.class, r.align = classArray, 1
	default:
		r.t = &types.Type{Kind: types.Int, Name: name, Size: n, Signed: enc == encSigned || enc == encSignedChar}
	}
	return r
}

func (g *DebugInfo) pointer(e *dwarf.Entry, name string, depth int) *dwarfType {
	r := &dwarfType{t: types.NewPointer(types.TVoid, types.User), align: 8}
	mark := "*"
	if e.Tag != dwarf.TagPointerType {
		mark = "&"
	}
	at, to, ok := g.refers(e, dwarf.AttrType)
	if !ok || depth > maxTypeDepth {
		r.decl = "void" + mark
		return r
	}
	g.types[e.Offset] = r // set first: a struct may refer to itself
	elem := at.typeAt(to, depth)
	r.t.Elem = elem.t
	r.decl = elem.decl + mark
	if name != "" { // Go and Rust
		r.decl = name
	}
	return r
}

// Attributes without a name in package dwarf.
const (
	gnuVector     dwarf.Attr = 0x2107
	attrDefaulted dwarf.Attr = 0x8b
)

func (g *DebugInfo) enum(e *dwarf.Entry, name string, depth int) *dwarfType {
	full := "enum " + name
	if name == "" {
		full = fmt.Sprintf("enum %d%s", e.Offset, anonymousType)
	}
	t := &types.Type{Kind: types.Enum, Name: full, Size: entrySize(e), Consts: &types.EnumDef{}}
	if u := g.typeOf(e, depth); u.t.Kind == types.Int {
		t.Signed = u.t.Signed
		if t.Size == 0 {
			t.Size = u.t.Size
		}
	}
	if t.Size != 1 && t.Size != 2 && t.Size != 4 && t.Size != 8 {
		t.Size = 4
	}
	g.units.Children(e, func(c *dwarf.Entry) bool {
		if v, ok := attribute(c, dwarf.AttrConstValue).(int64); ok && c.Tag == dwarf.TagEnumerator {
			t.Consts.Values = append(t.Consts.Values, types.EnumValue{Name: g.name(c), Value: v})
			t.Signed = t.Signed || v < 0
		}
		return true
	})
	return &dwarfType{t: t, decl: strings.TrimSuffix(full, anonymousType), align: t.Size}
}

func (g *DebugInfo) array(e *dwarf.Entry, depth int) *dwarfType {
	elem := g.typeOf(e, depth)
	var dims []int
	g.units.Children(e, func(c *dwarf.Entry) bool {
		if c.Tag != dwarf.TagSubrangeType && c.Tag != dwarf.TagEnumerationType {
			return true
		}
		n := int64(0)
		if v, ok := attribute(c, dwarf.AttrCount).(int64); ok {
			n = v
		} else if v, ok := attribute(c, dwarf.AttrUpperBound).(int64); ok {
			n = v + 1
		}
		if n < 0 || n > 1<<31 {
			n = 0
		}
		dims = append(dims, int(n))
		return true
	})
	r := &dwarfType{t: elem.t, class: classArray, align: elem.align, decl: elem.decl, elem: elem}
	if v, _ := e.Val(gnuVector).(bool); v {
		r.class = classFloat
	}
	for i := len(dims) - 1; i >= 0; i-- {
		n := dims[i]
		switch {
		case r.t.Kind == types.Int && r.t.Name == "char" && n > 0:
			r.t = types.NewChars(n).InSpace(types.User)
		case r.t.Kind == types.Void || uint64(n)*uint64(r.t.Size) > 1<<31:
			r.t = types.NewArray(types.TUint8, 0).InSpace(types.User)
		default:
			r.t = types.NewArray(r.t, n).InSpace(types.User)
		}
	}
	if r.class == classFloat {
		r.align = r.t.Size
	}
	for _, n := range dims {
		r.decl += fmt.Sprintf("[%d]", n)
	}
	return r
}

// Type returns the type with a C name: "struct foo", "enum e", or a typedef. It
// returns nil if there is none.
func (g *DebugInfo) Type(name string) *types.Type {
	if off, ok := g.typeNames()[name]; ok {
		if t := g.typeAt(off, 0); t.t.Kind != types.Void {
			return t.t
		}
		return nil
	}
	if g.skeleton != nil {
		return nil
	}
	for _, u := range g.units.Units() {
		if d, _ := g.split(u); d != nil && d != g {
			if t := d.Type(name); t != nil {
				return t
			}
		}
	}
	if t := g.packedType(name); t != nil {
		return t
	}
	if alt := g.altInfo(); alt != nil {
		return alt.Type(name)
	}
	return nil
}

// typeNames returns an index of the types that units define at their top level or in a
// namespace. If several have the same name, it contains the first one.
func (g *DebugInfo) typeNames() map[string]dwarf.Offset {
	if g.names != nil {
		return g.names
	}
	g.names = map[string]dwarf.Offset{}
	g.units.TopEntries(func(e *dwarf.Entry) {
		switch e.Tag {
		case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType, dwarf.TagEnumerationType, dwarf.TagTypedef, dwarf.TagBaseType:
		default:
			return
		}
		name := g.name(e)
		declared, _ := attribute(e, dwarf.AttrDeclaration).(bool)
		if name != "" && !declared {
			name = cWord(e.Tag) + name
			if _, ok := g.names[name]; !ok {
				g.names[name] = e.Offset
			}
		}
	})
	return g.names
}
