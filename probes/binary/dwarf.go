package binary

import (
	"debug/dwarf"
	"errors"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// DebugInfo is the DWARF of a program or library. Units are read when a script uses a
// function's arguments, a type or a source line, and only those that are needed.
type DebugInfo struct {
	d     *dwarf.Data
	units *units.Data
	types map[dwarf.Offset]*dwarfType
	names map[string]dwarf.Offset // "struct foo" → definition; nil: not read yet

	loclists, loc, addrs []byte // sections that package dwarf does not read

	// splits holds the debug information of units that are in separate files. There,
	// skeleton is the unit of the program that the split unit completes.
	splits   map[*units.Unit]*DebugInfo
	skeleton *units.Unit
}

// ErrNoDebugInfo is the error for a file without DWARF and without a debug file.
var ErrNoDebugInfo = errors.New("no debug info")

// loadDebugInfo reads the file's own DWARF, or that of its debug file.
func (x *File) loadDebugInfo() (*DebugInfo, error) {
	data := x.unitData()
	if data == nil {
		return nil, ErrNoDebugInfo
	}
	return newDebugInfo(data, &data.Sections)
}

// newDebugInfo returns the debug information in the sections of data, or in a subset of
// them.
func newDebugInfo(data *units.Data, s *units.Sections) (*DebugInfo, error) {
	d, err := openDWARF(s)
	if err != nil {
		return nil, err
	}
	return &DebugInfo{
		d: d, units: data, types: map[dwarf.Offset]*dwarfType{}, splits: map[*units.Unit]*DebugInfo{},
		loclists: s.Loclists, loc: s.Loc, addrs: s.Addr,
	}, nil
}

// loadUnits returns the units of the file's own DWARF or of that of its debug file,
// or nil.
func (x *File) loadUnits() *units.Data {
	src := x
	if !src.hasDWARF() {
		if src = x.debugFile(); src == nil || !src.hasDWARF() {
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
	split := &splitFiles{x: x, src: src}
	d.Split = split.find
	return d
}

// entry reads the entry at an offset. It returns nil if there is none.
func (g *DebugInfo) entry(off dwarf.Offset) *dwarf.Entry {
	r := g.d.Reader()
	r.Seek(off)
	e, err := r.Next()
	if err != nil {
		return nil
	}
	return e
}

// children calls f for the direct children of an entry, until f returns false.
func (g *DebugInfo) children(e *dwarf.Entry, f func(*dwarf.Entry) bool) {
	if !e.Children {
		return
	}
	r := g.d.Reader()
	r.Seek(e.Offset)
	if _, err := r.Next(); err != nil {
		return
	}
	for {
		c, err := r.Next()
		if err != nil || c == nil || c.Tag == 0 || !f(c) {
			return
		}
		if c.Children {
			r.SkipChildren()
		}
	}
}

// maxChain is the maximum number of references from entry to entry that are followed.
const maxChain = 64

// value returns an attribute of an entry. If the entry lacks it, value returns that of
// the declaration that the entry defines, or of the original that it is a copy of.
func (g *DebugInfo) value(e *dwarf.Entry, a dwarf.Attr) any {
	for range maxChain {
		if e == nil {
			return nil
		}
		if v := e.Val(a); v != nil {
			return v
		}
		e = g.origin(e)
	}
	return nil
}

func (g *DebugInfo) origin(e *dwarf.Entry) *dwarf.Entry {
	for _, a := range []dwarf.Attr{dwarf.AttrAbstractOrigin, dwarf.AttrSpecification} {
		if off, ok := e.Val(a).(dwarf.Offset); ok {
			return g.entry(off)
		}
	}
	return nil
}

func (g *DebugInfo) name(e *dwarf.Entry) string {
	s, _ := g.value(e, dwarf.AttrName).(string)
	return s
}

// params returns the entries of a function's parameters, in order. If the function is a
// copy made by the optimizer, they are those of the original, because some may be
// missing in the copy.
func (g *DebugInfo) params(fn *dwarf.Entry) []*dwarf.Entry {
	for range maxChain {
		off, ok := fn.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			break
		}
		o := g.entry(off)
		if o == nil {
			break
		}
		fn = o
	}
	var list []*dwarf.Entry
	g.children(fn, func(e *dwarf.Entry) bool {
		if e.Tag == dwarf.TagFormalParameter {
			list = append(list, e)
		}
		return true
	})
	return list
}
