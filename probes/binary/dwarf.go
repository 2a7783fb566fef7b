package binary

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DebugInfo is the DWARF of a program or library. Units are read when a script
// uses the arguments of a function, a type or a source line, and only those that
// are needed.
type DebugInfo struct {
	d     *dwarf.Data
	types map[dwarf.Offset]*dwarfType
	names map[string]dwarf.Offset // "struct foo" → definition; nil: not read yet

	loclists, loc, addrs []byte // sections that package dwarf does not read
}

// ErrNoDebugInfo is the error for a file without DWARF and without a debug file.
var ErrNoDebugInfo = errors.New("no debug info")

// maxSection is the maximum size of a decompressed section in bytes.
const maxSection = 4 << 30

// loadDebugInfo reads the DWARF of the file or of its debug file.
func (x *File) loadDebugInfo() (*DebugInfo, error) {
	src := x
	if src.elf.Section(".debug_info") == nil && src.elf.Section(".zdebug_info") == nil {
		src = x.debugFile()
		if src == nil {
			return nil, ErrNoDebugInfo
		}
	}
	sections := map[string][]byte{}
	for _, s := range src.elf.Sections {
		name, ok := strings.CutPrefix(s.Name, ".debug_")
		if !ok {
			if name, ok = strings.CutPrefix(s.Name, ".zdebug_"); !ok {
				continue
			}
		}
		data := src.bytesOf(s)
		if s.Flags&elf.SHF_COMPRESSED != 0 || strings.HasPrefix(s.Name, ".z") {
			if s.Size > maxSection {
				return nil, fmt.Errorf("section %s is too large: %d bytes", s.Name, s.Size)
			}
			var err error
			if data, err = s.Data(); err != nil {
				return nil, fmt.Errorf("section %s: %w", s.Name, err)
			}
		}
		sections[name] = data
	}
	if len(sections["info"]) == 0 {
		return nil, ErrNoDebugInfo
	}
	d, err := dwarf.New(sections["abbrev"], nil, nil, sections["info"], sections["line"], nil, sections["ranges"], sections["str"])
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"addr", "line_str", "str_offsets", "rnglists", "types"} {
		data := sections[name]
		if data == nil {
			continue
		}
		if name == "types" {
			err = d.AddTypes(name, data)
		} else {
			err = d.AddSection(".debug_"+name, data)
		}
		if err != nil {
			return nil, fmt.Errorf("section .debug_%s: %w", name, err)
		}
	}
	return &DebugInfo{
		d: d, types: map[dwarf.Offset]*dwarfType{},
		loclists: sections["loclists"], loc: sections["loc"], addrs: sections["addr"],
	}, nil
}

// systemDebugDir is the directory in which distributions install debug files.
const systemDebugDir = "/usr/lib/debug"

// findDebugFile opens the separate file with a binary's debug info and symbols. It
// finds the file by its build ID, or by the name and checksum that the binary has
// of it. If there is none, it returns nil.
func (x *File) findDebugFile() *File {
	given := filepath.SplitList(x.DebugDirs)
	dirs := append(slices.Clone(given), systemDebugDir)
	if id := x.BuildID(); len(id) > 2 {
		for _, dir := range dirs {
			if d, err := Open(filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug")); err == nil {
				return d
			}
		}
	}
	name, sum, ok := x.debugLink()
	if !ok {
		return nil
	}
	at := filepath.Dir(x.Path)
	if real, err := filepath.EvalSymlinks(x.Path); err == nil {
		at = filepath.Dir(real)
	}
	var paths []string
	for _, dir := range given {
		paths = append(paths, filepath.Join(dir, name))
	}
	paths = append(paths, filepath.Join(at, name), filepath.Join(at, ".debug", name))
	for _, dir := range dirs {
		paths = append(paths, filepath.Join(dir, at, name))
	}
	for _, path := range paths {
		if path != x.Path && fileSum(path) == sum {
			if d, err := Open(path); err == nil {
				return d
			}
		}
	}
	return nil
}

// BuildID returns the build ID in hexadecimal, or "" if the file has none.
func (x *File) BuildID() string {
	note := x.bytesOf(x.elf.Section(".note.gnu.build-id"))
	const header = 16 // sizes, type, "GNU"
	if len(note) < header || string(note[12:header]) != "GNU\x00" {
		return ""
	}
	n := int(x.elf.ByteOrder.Uint32(note[4:]))
	if n < 0 || n > len(note)-header {
		return ""
	}
	return fmt.Sprintf("%x", note[header:header+n])
}

// debugLink reads .gnu_debuglink: a file name, padding to a multiple of four bytes,
// and the CRC-32 of that file.
func (x *File) debugLink() (name string, sum uint32, ok bool) {
	data := x.bytesOf(x.elf.Section(".gnu_debuglink"))
	n := bytes.IndexByte(data, 0)
	at := (n + 4) &^ 3
	if n <= 0 || at+4 > len(data) || strings.ContainsRune(string(data[:n]), '/') {
		return "", 0, false
	}
	return string(data[:n]), x.elf.ByteOrder.Uint32(data[at:]), true
}

func fileSum(path string) uint32 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, f); err != nil {
		return 0
	}
	return h.Sum32()
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

// children calls f with the direct children of an entry.
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

// maxChain is the maximum number of references from entry to entry that are
// followed.
const maxChain = 64

// value returns an attribute of an entry. If the entry does not have it, value
// returns that of the declaration it defines or of the original it is a copy of.
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

// params returns the entries of a function's parameters, in order. If the function
// is a copy made by the optimiser, they are those of the original, because the copy
// may lack some.
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
