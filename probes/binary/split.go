package binary

import (
	"path/filepath"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// splitFiles finds the units that a compiler wrote to separate files (-gsplit-dwarf):
// .dwo files, or a package of them, PROGRAM.dwp.
type splitFiles struct {
	x, src  *File // the program, and the file that contains its skeletons
	pkgDone bool  // the package was searched, found or not
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
	s := f.packed()
	if ix, ok := readIndex(s.CUIndex, s.Order); !ok || !ix.narrow(ix.row(skeleton.DwoID), &s) {
		return nil
	}
	return complete(s, skeleton)
}

// packed returns the sections of the package. They are empty if there is none.
func (f *splitFiles) packed() units.Sections {
	if !f.pkgDone {
		f.pkgDone = true
		f.openPackage()
	}
	return f.pkgAll
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
				f.pkgAll = s
				return
			}
			d.Close()
		}
	}
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
	s := withoutHeaders(u)
	s.Addr = after(g.addrs, skeleton.AddrBase())
	d := newDebugInfo(u.Data(), &s, g.whole)
	d.skeleton = skeleton
	g.splits[u] = d
	return d, u
}

// withoutHeaders returns the sections of a split file that contains a unit. Its location
// lists start after their header, as the unit does not specify where they start.
func withoutHeaders(u *units.Unit) units.Sections {
	s := u.Data().Sections
	if u.Version() >= 5 {
		header := uint64(8)
		if u.Is64() {
			header = 16
		}
		s.Loclists = after(s.Loclists, header+4)
	}
	return s
}

// after returns the part of a section from an offset on.
func after(data []byte, off uint64) []byte { return data[min(off, uint64(len(data))):] }
