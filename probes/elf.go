package probes

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// executable is an ELF file to be probed. Its headers are read when it is
// opened, its symbols when one is asked for, and then only compared, not copied:
// a binary may have hundreds of thousands.
type executable struct {
	path   string // what to hand to the kernel
	base   uint64 // where the file starts in path: not 0 inside an archive
	label  string // what messages call it
	file   *elf.File
	data   []byte // the mapped file
	debug  string // directory of separate debug files
	tables func() []symbolTable
	golang func() bool

	debugFile func() *executable         // its separate debug file, or nil
	debugInfo func() (*debugInfo, error) // its DWARF
}

// symbolTable is one of a file's symbol sections.
type symbolTable struct {
	entries []byte
	names   []byte
	order   binary.ByteOrder
}

// elfSymbol is a function.
type elfSymbol struct {
	name string
	addr uint64
	size uint64
}

var errNotELF = errors.New("not an ELF file")

// openExecutable maps a file. It stays mapped for as long as the process lives:
// a run opens a handful.
func openExecutable(path string) (*executable, error) {
	label := path
	path, member, archived := splitArchive(path)
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
		return nil, errNotELF
	}
	var data []byte
	var base uint64
	if archived {
		data, base, err = mapArchived(f, st.Size(), member)
	} else {
		var magic [4]byte
		if _, err := io.ReadFull(f, magic[:]); err != nil || string(magic[:]) != elf.ELFMAG {
			return nil, errNotELF
		}
		data, err = unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	}
	if err != nil {
		return nil, err
	}
	ef, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		unix.Munmap(data)
		return nil, fmt.Errorf("%w: %w", errNotELF, err)
	}
	if ef.Class != elf.ELFCLASS64 {
		unix.Munmap(data)
		return nil, fmt.Errorf("%s programs are not supported", ef.Class)
	}
	x := &executable{path: path, base: base, label: label, file: ef, data: data}
	x.tables = sync.OnceValue(x.readTables)
	x.debugFile = sync.OnceValue(x.findDebugFile)
	x.debugInfo = sync.OnceValues(x.loadDebugInfo)
	x.golang = sync.OnceValue(func() bool {
		return ef.Section(".gopclntab") != nil || ef.Section(".go.buildinfo") != nil || ef.Section(".data.rel.ro.gopclntab") != nil
	})
	return x, nil
}

// rawFile stands for a file that is no ELF file: of it nothing is known.
func rawFile(path, label string) *executable {
	return &executable{
		path: path, label: label, tables: func() []symbolTable { return nil }, golang: func() bool { return false },
		debugFile: func() *executable { return nil }, debugInfo: func() (*debugInfo, error) { return nil, errNotELF },
	}
}

// name is the file as messages name it.
func (x *executable) name() string { return x.label }

// close unmaps the file. Nothing of it may be used afterwards.
func (x *executable) close() { unix.Munmap(x.data) }

// bytesOf is a section's content, or nil if it lies outside the file.
func (x *executable) bytesOf(s *elf.Section) []byte {
	if s == nil || s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(x.data)) || s.FileSize > uint64(len(x.data))-s.Offset {
		return nil
	}
	if s.Flags&elf.SHF_COMPRESSED != 0 {
		return nil
	}
	return x.data[s.Offset : s.Offset+s.FileSize]
}

// readTables finds the symbol tables: the file's own, and, where it was
// stripped of its full one, that of its debug file.
func (x *executable) readTables() []symbolTable {
	list := x.ownTables()
	if x.file.SectionByType(elf.SHT_SYMTAB) == nil {
		if d := x.debugFile(); d != nil {
			list = append(list, d.ownTables()...)
		}
	}
	return list
}

func (x *executable) ownTables() []symbolTable {
	var list []symbolTable
	for _, typ := range []elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		for _, s := range x.file.Sections {
			if s.Type != typ || int(s.Link) >= len(x.file.Sections) {
				continue
			}
			t := symbolTable{entries: x.bytesOf(s), names: x.bytesOf(x.file.Sections[s.Link]), order: x.file.ByteOrder}
			if len(t.entries) >= 24 && len(t.names) > 0 && t.names[len(t.names)-1] == 0 {
				list = append(list, t)
			}
		}
	}
	return list
}

const symSize = 24 // of Elf64_Sym

// each calls f with every defined function until it returns false.
func (t *symbolTable) each(f func(name []byte, addr, size uint64) bool) bool {
	for e := t.entries; len(e) >= symSize; e = e[symSize:] {
		off := t.order.Uint32(e)
		typ := elf.SymType(e[4] & 0xf)
		shndx := elf.SectionIndex(t.order.Uint16(e[6:]))
		addr := t.order.Uint64(e[8:])
		if typ != elf.STT_FUNC && typ != elf.STT_GNU_IFUNC || shndx == elf.SHN_UNDEF || addr == 0 || int(off) >= len(t.names) {
			continue
		}
		name := t.names[off:]
		if !f(name[:bytes.IndexByte(name, 0)], addr, t.order.Uint64(e[16:])) {
			return false
		}
	}
	return true
}

// named finds the functions of a name: static functions of several source files
// may share one, and versions of a library's function do.
func (x *executable) named(name string) []elfSymbol {
	var found []elfSymbol
	want := []byte(name)
	for _, t := range x.tables() {
		t.each(func(n []byte, addr, size uint64) bool {
			if bytes.Equal(n, want) && !slices.ContainsFunc(found, func(s elfSymbol) bool { return s.addr == addr }) {
				found = append(found, elfSymbol{name, addr, size})
			}
			return true
		})
	}
	return found
}

// symbol finds a symbol of any kind.
func (x *executable) symbol(name string) (elfSymbol, bool) {
	want := []byte(name)
	for _, t := range x.tables() {
		for e := t.entries; len(e) >= symSize; e = e[symSize:] {
			off, shndx := t.order.Uint32(e), elf.SectionIndex(t.order.Uint16(e[6:]))
			if shndx == elf.SHN_UNDEF || int(off) >= len(t.names) || !bytes.HasPrefix(t.names[off:], want) || t.names[int(off)+len(want)] != 0 {
				continue
			}
			return elfSymbol{name, t.order.Uint64(e[8:]), t.order.Uint64(e[16:])}, true
		}
	}
	return elfSymbol{}, false
}

// functions lists the functions whose names ok accepts, ordered by name and
// address.
func (x *executable) functions(ok func(name []byte) bool) []elfSymbol {
	var list []elfSymbol
	for _, t := range x.tables() {
		t.each(func(n []byte, addr, size uint64) bool {
			if ok(n) {
				list = append(list, elfSymbol{string(n), addr, size})
			}
			return true
		})
	}
	slices.SortStableFunc(list, func(a, b elfSymbol) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.addr, b.addr))
	})
	return slices.CompactFunc(list, func(a, b elfSymbol) bool { return a.name == b.name && a.addr == b.addr })
}

// covering is the function that an address lies in.
func (x *executable) covering(addr uint64) (elfSymbol, bool) {
	var found elfSymbol
	for _, t := range x.tables() {
		if !t.each(func(n []byte, a, size uint64) bool {
			if addr < a || addr >= a+size {
				return true
			}
			found = elfSymbol{string(n), a, size}
			return false
		}) {
			return found, true
		}
	}
	return found, false
}

// fileOffset translates a virtual address into an offset in the file, which is
// what the kernel's uprobes count in.
func (x *executable) fileOffset(addr uint64) (uint64, bool) {
	for _, p := range x.file.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}

// executableOffset is fileOffset for addresses of code.
func (x *executable) executableOffset(addr uint64) (uint64, bool) {
	for _, p := range x.file.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}

// usesGoABI reports whether a function takes its arguments by Go's register
// ABI. Assembly functions (.abi0) and C functions linked in do not.
func (x *executable) usesGoABI(fn string) bool {
	return strings.Contains(fn, ".") && !strings.HasSuffix(fn, ".abi0") && x.golang()
}
