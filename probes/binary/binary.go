// Package binary reads the programs and libraries in which probes are placed: ELF files
// and archives of them, symbols, DWARF (types, functions, source lines), static probes,
// instruction boundaries, and the calling conventions, which determine where a
// function's arguments are.
//
// The files may be damaged or hostile. Readers bound every offset, count and
// recursion, and return an error or nothing instead of panicking.
package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// File is an ELF file, mapped into memory. Open reads its headers. Symbols are read
// when one is looked up. They are compared in place instead of copied, because a file
// may have hundreds of thousands of them.
type File struct {
	Path  string // path that the kernel opens
	Base  uint64 // offset in Path where the file starts: not 0 inside an archive
	Label string // name in messages
	Where Where  // where its separate debug files may be

	elf       *elf.File
	data      []byte
	mapped    bool              // data is a mapping of the file
	loaded    map[string]uint64 // addresses of the sections of a relocatable file; nil: the file has fixed addresses
	tables    lazy.Value[[]symbolTable]
	byAddr    lazy.Value[*addrTable]
	golang    lazy.Value[bool]
	goTable   lazy.Value[*goTable] // nil: it has none
	goRelease lazy.Value[int]
	debugFile lazy.Value[*File] // its separate debug file, or nil
	miniDebug lazy.Value[*File] // its MiniDebugInfo, or nil
	unitData  lazy.Value[*units.Data]
	split     *splitFiles // set by unitData
	debugInfo lazy.Result[*DebugInfo]
}

// symbolTable is one of a file's symbol sections.
type symbolTable struct {
	entries []byte
	names   []byte
	order   binary.ByteOrder
}

// Symbol is a symbol of a file. Addr is a virtual address according to the file's
// headers, Size is in bytes.
type Symbol struct {
	Name string
	Addr uint64
	Size uint64

	Indirect bool // the function has several implementations: see Targets
	// Static is set if the function, or another one of its name that Named or Functions
	// returns, is static. Without one, they are the versions of a function that a library
	// exports.
	Static bool
	// Nth distinguishes the functions of one name that Named or Functions returns: it
	// counts them from 1, in the order of their addresses. It is 0 for a single function.
	Nth uint32
}

// ErrNotELF is wrapped by the error that Open returns for a file of another format.
var ErrNotELF = errors.New("not an ELF file")

var errNarrow = errors.New("it is a 32-bit program, which is not supported")

// Open maps a file, or a member of a zip archive: archive!/member. The file stays
// mapped until Close.
func Open(path string) (*File, error) {
	x, err := OpenNames(path)
	if err == nil && x.narrow() {
		x.Close()
		return nil, errNarrow
	}
	return x, err
}

// OpenNames is like Open, but also opens 32-bit files. Only the symbols of a 32-bit file
// are read.
func OpenNames(path string) (*File, error) {
	label := path
	path, member, archived := SplitArchive(path)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, ErrNotELF
	}
	var data []byte
	var base uint64
	if archived {
		data, base, err = mapArchived(f, st.Size(), member)
	} else {
		var magic [4]byte
		if _, err := io.ReadFull(f, magic[:]); err != nil || string(magic[:]) != elf.ELFMAG {
			return nil, ErrNotELF
		}
		data, err = unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, mapKind)
	}
	if err != nil {
		return nil, err
	}
	x, err := newFile(data)
	if err != nil {
		unix.Munmap(data)
		return nil, err
	}
	x.Path, x.Base, x.Label, x.mapped = path, base, label, true
	return x, nil
}

// FromMemory returns a File for the content of an ELF file.
func FromMemory(data []byte, label string) (*File, error) {
	x, err := newFile(data)
	if err == nil && x.narrow() {
		return nil, errNarrow
	}
	if err != nil {
		return nil, err
	}
	x.Label = label
	return x, nil
}

// narrow reports whether the file is a 32-bit one.
func (x *File) narrow() bool { return x.elf.Class != elf.ELFCLASS64 }

// mapKind is the flag with which files are mapped. The kernel inserts breakpoints of
// uprobes, also of other sessions, into private mappings, even if they are not
// executable.
const mapKind = unix.MAP_SHARED

func newFile(data []byte) (*File, error) {
	ef, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, outline.Errorf("%w: %w", ErrNotELF, err)
	}
	x := &File{elf: ef, data: data}
	if len(ef.Sections) == 0 {
		ef.Sections = x.dynamicSections()
	}
	x.tables.New = x.readTables
	x.byAddr.New = x.sortSymbols
	x.debugFile.New = x.findDebugFile
	x.miniDebug.New = x.readMiniDebug
	x.goTable.New = x.readGoTable
	x.goRelease.New = x.readGoRelease
	x.unitData.New = x.loadUnits
	x.debugInfo.New = x.loadDebugInfo
	x.golang.New = func() bool {
		return ef.Section(".gopclntab") != nil || ef.Section(".go.buildinfo") != nil || ef.Section(".data.rel.ro.gopclntab") != nil
	}
	return x, nil
}

// Raw returns a File for a file that is not ELF. It has no symbols and no debug
// info.
func Raw(path, label string) *File {
	x := &File{Path: path, Label: label}
	x.byAddr.New = func() *addrTable { return &addrTable{} }
	x.debugInfo.New = func() (*DebugInfo, error) { return nil, ErrNotELF }
	return x
}

// Close unmaps the file. Strings and sections of the file must not be used after
// it.
//
//go:noinline
func (x *File) Close() {
	if x.mapped {
		unix.Munmap(x.data)
	}
}

// DebugInfo returns the file's DWARF, from itself or from its debug file.
func (x *File) DebugInfo() (*DebugInfo, error) { return x.debugInfo.Get() }

// FixedAddress reports whether the file is loaded at the addresses in its headers, rather
// than at addresses that the kernel chooses.
func (x *File) FixedAddress() bool { return x.elf != nil && x.elf.Type == elf.ET_EXEC }

// Arch returns the file's architecture, as in GOARCH if Go supports it.
func (x *File) Arch() string {
	switch m := x.elf.Machine; m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	default:
		return m.String()
	}
}

// section returns a section by its name, or nil.
//
//go:noinline
func (x *File) section(name string) *elf.Section { return x.elf.Section(name) }

// bytesOf returns a section's content, or nil if it lies outside the file.
//
//go:noinline
func (x *File) bytesOf(s *elf.Section) []byte {
	if s == nil || s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(x.data)) || s.FileSize > uint64(len(x.data))-s.Offset {
		return nil
	}
	if s.Flags&elf.SHF_COMPRESSED != 0 {
		return nil
	}
	return x.data[s.Offset : s.Offset+s.FileSize]
}

// readTables returns the symbol tables: the file's own and, if its full one was
// stripped, that of its debug file, of its MiniDebugInfo or of Go's runtime.
func (x *File) readTables() []symbolTable {
	list := x.ownTables()
	if x.narrow() || !x.Stripped() {
		return list
	}
	if d := x.debugFile.Get(); d != nil {
		if more := d.ownTables(); len(more) > 0 {
			return append(list, more...)
		}
	}
	if m := x.miniDebug.Get(); m != nil {
		list = append(list, m.ownTables()...)
	} else if g := x.goTable.Get(); g != nil {
		list = append(list, g.symbols())
	}
	return list
}

// Stripped reports whether the file has no full symbol table.
func (x *File) Stripped() bool { return x.elf.SectionByType(elf.SHT_SYMTAB) == nil }

func (x *File) ownTables() []symbolTable {
	var list []symbolTable
	for _, typ := range []elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		for _, s := range x.elf.Sections {
			if s.Type != typ || int(s.Link) >= len(x.elf.Sections) {
				continue
			}
			entries := x.bytesOf(s)
			if x.narrow() {
				entries = widen(entries, x.elf.ByteOrder)
			}
			t := symbolTable{entries: entries, names: x.bytesOf(x.elf.Sections[s.Link]), order: x.elf.ByteOrder}
			if len(t.entries) >= 24 && len(t.names) > 0 && t.names[len(t.names)-1] == 0 {
				list = append(list, t)
			}
		}
	}
	return list
}

const symSize = 24 // of Elf64_Sym

// widen converts symbols of a 32-bit file to Elf64_Sym.
func widen(narrow []byte, order binary.ByteOrder) []byte {
	wide := make([]byte, len(narrow)/elf.Sym32Size*symSize)
	for to := wide; len(to) >= symSize; to, narrow = to[symSize:], narrow[elf.Sym32Size:] {
		copy(to, narrow[:4])                                       // name
		copy(to[4:], narrow[12:16])                                // info, other, section
		order.PutUint64(to[8:], uint64(order.Uint32(narrow[4:])))  // value
		order.PutUint64(to[16:], uint64(order.Uint32(narrow[8:]))) // size
	}
	return wide
}

// each calls f for every defined function until f returns false. The name is passed
// separately and s.Name is empty.
func (t *symbolTable) each(f func(name []byte, s Symbol) bool) bool {
	for e := t.entries; len(e) >= symSize; e = e[symSize:] {
		off := t.order.Uint32(e)
		typ := elf.SymType(e[4] & 0xf)
		shndx := elf.SectionIndex(t.order.Uint16(e[6:]))
		addr := t.order.Uint64(e[8:])
		if typ != elf.STT_FUNC && typ != elf.STT_GNU_IFUNC || shndx == elf.SHN_UNDEF || addr == 0 || int(off) >= len(t.names) {
			continue
		}
		name := t.names[off:]
		s := Symbol{Addr: addr, Size: t.order.Uint64(e[16:]), Indirect: typ == elf.STT_GNU_IFUNC, Static: e[4]>>4 == byte(elf.STB_LOCAL)}
		if !f(name[:bytes.IndexByte(name, 0)], s) {
			return false
		}
	}
	return true
}

// Mentions reports whether the file may have a function with a name. It is faster than
// Named, and does not look for debug files.
func (x *File) Mentions(name string) bool {
	tables := x.ownTables()
	if x.golang.Get() && x.Stripped() {
		tables = x.tables.Get()
	}
	return slices.ContainsFunc(tables, func(t symbolTable) bool { return bytes.Contains(t.names, []byte(name+"\x00")) })
}

// Named returns the functions with a name, sorted by address. Static functions of
// different source files may have the same name, and so may the versions of a library's
// function.
func (x *File) Named(name string) []Symbol {
	want := []byte(name)
	return x.Functions(func(n []byte) bool { return bytes.Equal(n, want) })
}

// SourceFile returns the base name of the source file of a static function, or "" if the
// symbols do not have it. The symbols of a file follow the symbol for the file.
func (x *File) SourceFile(s Symbol) string {
	for _, t := range x.tables.Get() {
		file := uint32(0)
		for e := t.entries; len(e) >= symSize; e = e[symSize:] {
			off := t.order.Uint32(e)
			if typ := elf.SymType(e[4]); typ == elf.STT_FILE { // it is local
				file = off
			} else if typ == elf.STT_FUNC && t.order.Uint64(e[8:]) == s.Addr && t.name(off) == s.Name {
				return strings.TrimPrefix(filepath.Base(t.name(file)), ".")
			}
		}
	}
	return ""
}

// name returns the name at an offset.
func (t *symbolTable) name(off uint32) string {
	name := t.names[min(int(off), len(t.names)-1):]
	return string(name[:bytes.IndexByte(name, 0)])
}

// Symbol returns the symbol of any kind with a name.
func (x *File) Symbol(name string) (Symbol, bool) {
	want := []byte(name)
	for _, t := range x.tables.Get() {
		for e := t.entries; len(e) >= symSize; e = e[symSize:] {
			off, shndx := t.order.Uint32(e), elf.SectionIndex(t.order.Uint16(e[6:]))
			if shndx == elf.SHN_UNDEF || int(off) >= len(t.names) || !bytes.HasPrefix(t.names[off:], want) || t.names[int(off)+len(want)] != 0 {
				continue
			}
			return Symbol{Name: name, Addr: t.order.Uint64(e[8:]), Size: t.order.Uint64(e[16:])}, true
		}
	}
	return Symbol{}, false
}

// Functions returns the functions for whose names ok returns true, sorted by name and
// address.
func (x *File) Functions(ok func(name []byte) bool) []Symbol {
	var list []Symbol
	for _, t := range x.tables.Get() {
		t.each(func(n []byte, s Symbol) bool {
			if ok(n) {
				s.Name = string(n)
				list = append(list, s)
			}
			return true
		})
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		return a.Name < b.Name || a.Name == b.Name && a.Addr < b.Addr
	})
	kept := 0
	for i := range list {
		s := &list[i]
		if kept > 0 && list[kept-1].Name == s.Name {
			last := &list[kept-1]
			if last.Addr == s.Addr {
				continue
			}
			last.Nth = max(last.Nth, 1)
			s.Nth, s.Static = last.Nth+1, s.Static || last.Static
		}
		list[kept] = *s
		kept++
	}
	list = list[:kept]
	for i := kept - 1; i > 0; i-- { // the last one of a name knows about the others
		if list[i].Nth > 1 {
			list[i-1].Static = list[i].Static
		}
	}
	return list
}

// Covering returns the function that contains an address, if the function's size is
// known.
func (x *File) Covering(addr uint64) (Symbol, bool) {
	s, ok := x.byAddr.Get().at(addr)
	if !ok || s.Size == 0 {
		return Symbol{}, false
	}
	return s, true
}

// Offset converts a virtual address to an offset in the file, by which the kernel
// identifies the location of a uprobe.
//
//go:noinline
func (x *File) Offset(addr uint64) (uint64, bool) {
	for _, p := range x.elf.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}

// CodeOffset is like Offset, but only for addresses of code.
//
//go:noinline
func (x *File) CodeOffset(addr uint64) (uint64, bool) {
	for _, p := range x.elf.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}
