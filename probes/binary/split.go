package binary

import (
	"encoding/binary"
	"path/filepath"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// splitFiles finds the units that a compiler wrote to separate files (-gsplit-dwarf):
// .dwo files, or a package of them, PROGRAM.dwp.
type splitFiles struct {
	x, src  *File // the program, and the file that contains its skeletons
	pkg     *File // the package, or nil
	pkgDone bool
	pkgAll  units.Sections
}

// find returns the unit that completes a skeleton, or nil.
func (f *splitFiles) find(skeleton *units.Unit) *units.Unit {
	if u := f.inPackage(skeleton); u != nil {
		return u
	}
	name, compDir := skeleton.DwoName()
	if name == "" {
		return nil
	}
	for _, path := range f.paths(name, compDir) {
		d, err := Open(path)
		if err != nil {
			continue
		}
		if u := complete(d.dwarfSections(), skeleton); u != nil {
			return u
		}
		d.Close()
	}
	return nil
}

// paths returns the possible paths of a .dwo file: where the compiler wrote it, next to
// the program, and in the directories that the user specified.
func (f *splitFiles) paths(name, compDir string) []string {
	w := &f.src.Where
	full := name
	if !filepath.IsAbs(full) && compDir != "" {
		full = filepath.Join(compDir, name)
	}
	var out []string
	for _, dir := range w.Dirs {
		out = append(out, filepath.Join(dir, filepath.Base(name)), filepath.Join(dir, full))
	}
	for _, root := range w.roots() {
		if filepath.IsAbs(full) {
			out = append(out, filepath.Join(root, full))
		}
		out = append(out, filepath.Join(root, f.x.dir(), filepath.Base(name)))
	}
	return out
}

// complete returns the unit in a split file's sections that completes a skeleton, or
// nil.
func complete(s units.Sections, skeleton *units.Unit) *units.Unit {
	for _, u := range units.New(s).Units() {
		if u.DwoID == skeleton.DwoID {
			u.Complete(skeleton)
			return u
		}
	}
	return nil
}

// inPackage returns the unit of the package that completes a skeleton, or nil.
func (f *splitFiles) inPackage(skeleton *units.Unit) *units.Unit {
	if !f.pkgDone {
		f.pkgDone = true
		f.openPackage()
	}
	if f.pkg == nil {
		return nil
	}
	s := f.pkgAll
	if !contribution(f.pkgAll.CUIndex, s.Order, skeleton.DwoID, &s) {
		return nil
	}
	return complete(s, skeleton)
}

func (f *splitFiles) openPackage() {
	w := &f.src.Where
	own := f.x.own()
	paths := []string{f.src.Path + ".dwp"}
	for _, dir := range w.Dirs {
		paths = append(paths, filepath.Join(dir, filepath.Base(own)+".dwp"))
	}
	for _, root := range w.roots() {
		paths = append(paths, filepath.Join(root, f.x.dir(), filepath.Base(own)+".dwp"), filepath.Join(root+systemDebugDir, own+".dwp"))
	}
	for _, path := range paths {
		if d, err := Open(path); err == nil {
			if s := d.dwarfSections(); len(s.CUIndex) > 0 {
				f.pkg, f.pkgAll = d, s
				return
			}
			d.Close()
		}
	}
}

// contribution reduces the sections of a package to those of the unit with an ID. The
// index is a hash table of IDs. Each ID has a row of offsets and a row of sizes, with a
// column for each section.
func contribution(index []byte, order binary.ByteOrder, id uint64, s *units.Sections) bool {
	const header = 16
	if len(index) < header {
		return false
	}
	cols, rows, slots := uint64(order.Uint32(index[4:])), uint64(order.Uint32(index[8:])), uint64(order.Uint32(index[12:]))
	size := uint64(len(index))
	if slots == 0 || slots&(slots-1) != 0 || cols > 16 || rows > size || slots > size || header+12*slots+4*cols+8*rows*cols > size {
		return false
	}
	ids, numbers := index[header:], index[header+8*slots:]
	names := numbers[4*slots:]
	offsets := names[4*cols:]
	sizes := offsets[4*rows*cols:]
	mask := slots - 1
	at, step := id&mask, id>>32&mask|1
	row := uint64(0)
	for range slots {
		n := uint64(order.Uint32(numbers[4*at:]))
		if n == 0 {
			return false
		}
		if order.Uint64(ids[8*at:]) == id {
			row = n
			break
		}
		at = (at + step) & mask
	}
	if row == 0 || row > rows {
		return false
	}
	version := order.Uint16(index)
	for c := range cols {
		p := sectionOfColumn(order.Uint32(names[4*c:]), version, s)
		if p == nil {
			continue
		}
		cell := 4 * ((row-1)*cols + c)
		off, n := uint64(order.Uint32(offsets[cell:])), uint64(order.Uint32(sizes[cell:]))
		if off > uint64(len(*p)) || n > uint64(len(*p))-off {
			return false
		}
		*p = (*p)[off : off+n]
	}
	return true
}

// sectionOfColumn returns the section that corresponds to a column of an index, or nil.
// The numbers of version 2 are GNU's.
func sectionOfColumn(number uint32, version uint16, s *units.Sections) *[]byte {
	switch number {
	case 1:
		return &s.Info
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

// split returns the debug information that completes a skeleton. It returns g itself
// for a complete unit, and nil if the completing unit cannot be found.
func (g *DebugInfo) split(skeleton *units.Unit) (*DebugInfo, *units.Unit) {
	u := skeleton.Whole()
	if u == nil || u == skeleton {
		if u == nil {
			return nil, nil
		}
		return g, u
	}
	if d, ok := g.splits[u]; ok {
		return d, u
	}
	// Package dwarf uses 0 for offsets that a unit does not specify, so make the
	// sections start where the unit's parts of them start.
	s := u.Data().Sections
	s.Addr = after(g.addrs, skeleton.AddrBase())
	if u.Version() >= 5 {
		header := uint64(8)
		if u.Is64() {
			header = 16
		}
		s.StrOffsets, s.Rnglists, s.Loclists = after(s.StrOffsets, header), after(s.Rnglists, header+4), after(s.Loclists, header+4)
	} else {
		s.Ranges = after(s.Ranges, u.RangesBase())
	}
	d, err := newDebugInfo(u.Data(), &s)
	if err != nil {
		d = nil
	} else {
		d.skeleton = skeleton
	}
	g.splits[u] = d
	return d, u
}

// after returns the part of a section from an offset on.
func after(data []byte, off uint64) []byte { return data[min(off, uint64(len(data))):] }
