package binary

import (
	"debug/dwarf"
	"errors"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// DebugInfo is the DWARF of a program or library. Units are read when a script uses a
// function's arguments, a type or a source line, and only those that are needed.
type DebugInfo struct {
	units *units.Data
	types map[dwarf.Offset]*dwarfType
	names map[string]dwarf.Offset // "struct foo" → definition; nil: not read yet

	loclists, loc, addrs []byte

	// splits holds the debug information of units that are in separate files. There,
	// skeleton is the unit of the program that the split unit completes.
	splits   map[*units.Unit]*DebugInfo
	skeleton *units.Unit

	// whole is the debug information of the program. It contains the units of types in
	// the program's package: the units that were read, by signature (nil if a unit cannot
	// be read), and the signatures of all types by name (nil if they were not read yet).
	whole       *DebugInfo
	files       *splitFiles
	packed      map[uint64]*DebugInfo
	packedNames map[string]uint64

	alt     *DebugInfo // see altInfo
	altDone bool
}

// ErrNoDebugInfo is the error for a file without DWARF and without a debug file.
var ErrNoDebugInfo = errors.New("no debug info")

// loadDebugInfo reads the file's own DWARF, or that of its debug file.
func (x *File) loadDebugInfo() (*DebugInfo, error) {
	data := x.unitData.Get()
	if data == nil {
		return nil, ErrNoDebugInfo
	}
	g := newDebugInfo(data, &data.Sections, nil)
	g.files = x.split
	return g, nil
}

// newDebugInfo returns the debug information in the sections of data, or in a subset of
// them. whole is the debug information of the program that they are a part of, or nil.
func newDebugInfo(data *units.Data, s *units.Sections, whole *DebugInfo) *DebugInfo {
	g := &DebugInfo{
		units: data, types: map[dwarf.Offset]*dwarfType{}, splits: map[*units.Unit]*DebugInfo{},
		loclists: s.Loclists, loc: s.Loc, addrs: s.Addr, whole: whole,
	}
	if whole == nil {
		g.whole, g.packed = g, map[uint64]*DebugInfo{}
	}
	return g
}

// loadUnits returns the units of the file's own DWARF or of that of its debug file,
// or nil.
func (x *File) loadUnits() *units.Data {
	src := x
	if !src.hasDWARF() {
		if src = x.debugFile.Get(); src == nil || !src.hasDWARF() {
			return nil
		}
	}
	d := units.New(src.dwarfSections())
	if len(d.Info) == 0 {
		return nil
	}
	d.Alt = func() *units.Data {
		if alt := src.findAltFile(); alt != nil {
			return units.New(alt.dwarfSections())
		}
		return nil
	}
	x.split = &splitFiles{x: x, src: src}
	d.Split = x.split.find
	return d
}

// maxChain is the maximum number of references from entry to entry that are followed.
const maxChain = 64

// field returns an attribute of an entry, or nil. If the entry lacks it, field returns
// that of the declaration that the entry defines, or of the original that it is a copy
// of. at is the debug information that contains the attribute.
func (g *DebugInfo) field(e *dwarf.Entry, a dwarf.Attr) (at *DebugInfo, f *dwarf.Field) {
	for range maxChain {
		if e == nil {
			return nil, nil
		}
		if f := e.AttrField(a); f != nil {
			return g, f
		}
		g, e = g.origin(e)
	}
	return nil, nil
}

// attribute returns the value of an entry's own attribute, or nil.
//
//go:noinline
func attribute(e *dwarf.Entry, a dwarf.Attr) any { return e.Val(a) }

// value returns the value of an attribute of an entry, or nil. It finds the attribute as
// field does.
func (g *DebugInfo) value(e *dwarf.Entry, a dwarf.Attr) any {
	if _, f := g.field(e, a); f != nil {
		return f.Val
	}
	return nil
}

func (g *DebugInfo) origin(e *dwarf.Entry) (*DebugInfo, *dwarf.Entry) {
	for _, a := range []dwarf.Attr{dwarf.AttrAbstractOrigin, dwarf.AttrSpecification} {
		if f := e.AttrField(a); f != nil {
			if at, off, ok := g.follow(f); ok {
				return at, at.units.Entry(off)
			}
		}
	}
	return nil, nil
}

// follow returns the entry that an attribute refers to and the debug information that
// contains it. This may be different from g: that of a unit of a type, or of the file
// with data that several files share.
func (g *DebugInfo) follow(f *dwarf.Field) (at *DebugInfo, off dwarf.Offset, ok bool) {
	switch f.Class {
	case dwarf.ClassReference:
		off, ok = f.Val.(dwarf.Offset)
		return g, off, ok
	case dwarf.ClassReferenceSig:
		sig, _ := f.Val.(uint64)
		return g.signed(sig)
	case dwarf.ClassReferenceAlt:
		off, _ = f.Val.(dwarf.Offset)
		at = g.altInfo()
		return at, off, at != nil
	}
	return nil, 0, false
}

// refers returns the entry that an attribute of an entry refers to, as follow does.
func (g *DebugInfo) refers(e *dwarf.Entry, a dwarf.Attr) (at *DebugInfo, off dwarf.Offset, ok bool) {
	at, f := g.field(e, a)
	if f == nil {
		return nil, 0, false
	}
	return at.follow(f)
}

// altInfo returns the debug information that several files share, or nil.
func (g *DebugInfo) altInfo() *DebugInfo {
	if !g.altDone {
		g.altDone = true
		if data := g.units.AltData(); data != nil {
			g.alt = newDebugInfo(data, &data.Sections, nil)
		}
	}
	return g.alt
}

// name returns the name of an entry, or "".
func (g *DebugInfo) name(e *dwarf.Entry) string {
	s, _ := g.value(e, dwarf.AttrName).(string)
	return s
}

// params returns the entries of a function's parameters, in order. If the function is a
// copy made by the optimizer, params returns the parameters of the original, because some
// may be missing in the copy.
func (g *DebugInfo) params(fn *dwarf.Entry) []*dwarf.Entry {
	for range maxChain {
		off, ok := attribute(fn, dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			break
		}
		o := g.units.Entry(off)
		if o == nil {
			break
		}
		fn = o
	}
	var list []*dwarf.Entry
	g.units.Children(fn, func(e *dwarf.Entry) bool {
		if e.Tag == dwarf.TagFormalParameter {
			list = append(list, e)
		}
		return true
	})
	return list
}
