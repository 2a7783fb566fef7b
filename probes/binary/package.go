package binary

import (
	"debug/dwarf"
	"encoding/binary"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// packageIndex has the parts of a package's sections that belong to each unit. It is a
// hash table of the units' IDs, or of the signatures of types. Each has a row of offsets
// and a row of sizes, with a column for each section.
type packageIndex struct {
	order                               binary.ByteOrder
	version                             uint16
	cols, rows, slots                   uint64
	ids, numbers, names, offsets, sizes []byte
}

// readIndex reads .debug_cu_index or .debug_tu_index.
func readIndex(index []byte, order binary.ByteOrder) (ix packageIndex, ok bool) {
	const header = 16
	if len(index) < header {
		return ix, false
	}
	cols, rows, slots := uint64(order.Uint32(index[4:])), uint64(order.Uint32(index[8:])), uint64(order.Uint32(index[12:]))
	size := uint64(len(index))
	if slots == 0 || slots&(slots-1) != 0 || cols > 16 || rows > size || slots > size || header+12*slots+4*cols+8*rows*cols > size {
		return ix, false
	}
	ix = packageIndex{order: order, version: order.Uint16(index), cols: cols, rows: rows, slots: slots}
	ix.ids, ix.numbers = index[header:], index[header+8*slots:]
	ix.names = ix.numbers[4*slots:]
	ix.offsets = ix.names[4*cols:]
	ix.sizes = ix.offsets[4*rows*cols:]
	return ix, true
}

// row returns the row of an ID, counted from 1, or 0.
func (ix *packageIndex) row(id uint64) uint64 {
	mask := ix.slots - 1
	at, step := id&mask, id>>32&mask|1
	for range ix.slots {
		n := uint64(ix.order.Uint32(ix.numbers[4*at:]))
		if n == 0 || ix.order.Uint64(ix.ids[8*at:]) == id {
			return n
		}
		at = (at + step) & mask
	}
	return 0
}

// each calls f with each ID and its row, until f returns false.
func (ix *packageIndex) each(f func(id, row uint64) bool) {
	for i := range ix.slots {
		if n := uint64(ix.order.Uint32(ix.numbers[4*i:])); n > 0 && !f(ix.order.Uint64(ix.ids[8*i:]), n) {
			return
		}
	}
}

// narrow reduces the sections of a package to those of a row. It returns false if there
// is no such row.
func (ix *packageIndex) narrow(row uint64, s *units.Sections) bool {
	if row == 0 || row > ix.rows {
		return false
	}
	all := *s
	s.Info, s.Types = nil, nil
	for c := range ix.cols {
		number := ix.order.Uint32(ix.names[4*c:])
		from, to := sectionOfColumn(number, ix.version, &all), sectionOfColumn(number, ix.version, s)
		if to == nil {
			continue
		}
		cell := 4 * ((row-1)*ix.cols + c)
		off, n := uint64(ix.order.Uint32(ix.offsets[cell:])), uint64(ix.order.Uint32(ix.sizes[cell:]))
		if off > uint64(len(*from)) || n > uint64(len(*from))-off {
			return false
		}
		*to = (*from)[off : off+n]
	}
	return true
}

// sectionOfColumn returns the section that corresponds to a column of an index, or nil.
// The numbers of version 2 are GNU's.
func sectionOfColumn(number uint32, version uint16, s *units.Sections) *[]byte {
	switch number {
	case 1:
		return &s.Info
	case 2:
		if version == 2 {
			return &s.Types
		}
	case 3:
		return &s.Abbrev
	case 4:
		return &s.Line
	case 5:
		if version == 2 {
			return &s.Loc
		}
		return &s.Loclists
	case 6:
		return &s.StrOffsets
	case 8:
		if version >= 5 {
			return &s.Rnglists
		}
	}
	return nil
}

// signed returns the entry of the type with a signature, and the debug information that
// contains it: g, or that of one of the units of types in the package.
func (g *DebugInfo) signed(sig uint64) (at *DebugInfo, off dwarf.Offset, ok bool) {
	at = g
	n, ok := g.units.Signed(sig)
	if !ok {
		if at = g.whole.unpack(sig); at != nil {
			n, ok = at.units.Signed(sig)
		}
	}
	return at, dwarf.Offset(n), ok
}

// unpack returns the debug information in the package of the type with a signature, or
// nil. g is that of the program.
func (g *DebugInfo) unpack(sig uint64) *DebugInfo {
	if d, ok := g.packed[sig]; ok {
		return d
	}
	g.packed[sig] = nil
	data := g.files.typeUnit(sig)
	if data == nil || len(data.Units()) == 0 {
		return nil
	}
	s := withoutHeaders(data.Units()[0])
	g.packed[sig] = newDebugInfo(data, &s, g)
	return g.packed[sig]
}

// typeUnit returns the unit of the type with a signature in the package, or nil.
func (f *splitFiles) typeUnit(sig uint64) *units.Data {
	if f == nil {
		return nil
	}
	s := f.packed()
	if ix, ok := readIndex(s.TUIndex, s.Order); !ok || !ix.narrow(ix.row(sig), &s) {
		return nil
	}
	return units.New(s)
}

// packedType returns the type with a C name that has a unit in the package, or nil. g is
// the debug information of the program.
func (g *DebugInfo) packedType(name string) *types.Type {
	if g.packedNames == nil {
		g.packedNames = g.files.typeNames()
	}
	if sig, ok := g.packedNames[name]; ok {
		if at, off, ok := g.signed(sig); ok {
			return at.typeAt(off, 0).t
		}
	}
	return nil
}

// typeNames returns an index of the types that have units in the package. If several have
// the same name, it contains one of them.
func (f *splitFiles) typeNames() map[string]uint64 {
	names := map[string]uint64{}
	if f == nil {
		return names
	}
	all := f.packed()
	ix, ok := readIndex(all.TUIndex, all.Order)
	if !ok {
		return names
	}
	ix.each(func(sig, row uint64) bool {
		s := all
		if !ix.narrow(row, &s) {
			return true
		}
		d := units.New(s)
		if off, ok := d.Signed(sig); ok {
			if tag, name := d.TypeNamed(off); name != "" {
				names[cWord(dwarf.Tag(tag))+name] = sig
			}
		}
		return true
	})
	return names
}

// cWord returns the word that precedes the names of types with a tag in C, or "".
func cWord(tag dwarf.Tag) string {
	switch tag {
	case dwarf.TagStructType, dwarf.TagClassType:
		return "struct "
	case dwarf.TagUnionType:
		return "union "
	case dwarf.TagEnumerationType:
		return "enum "
	}
	return ""
}
