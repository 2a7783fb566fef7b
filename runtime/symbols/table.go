package symbols

import (
	"bytes"
	"cmp"
	"debug/elf"
	"debug/gosym"
	"encoding/hex"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// table holds the functions of a file, sorted by their addresses according to the
// file's headers.
type table struct {
	segs    []segment
	secs    []segment // executable sections; a function without a size ends with its section
	syms    []symbol
	strings [][]byte // string tables that contain the names

	size    int64 // size of the file when it was read
	changed time.Time
}

// segment is an executable part of a file: its offset and size in the file, and its
// address.
type segment struct{ off, size, vaddr uint64 }

type symbol struct {
	addr uint64
	size uint32 // in bytes; 0: up to the next function
	name uint32 // offset into its string table, and flags
}

// Flags in symbol.name.
const (
	secondTable = 1 << 31 // the name is in the second string table
	localName   = 1 << 30 // the symbol is local to its file
	nameFlags   = secondTable | localName
)

// name returns a symbol's name.
func (t *table) name(s symbol) []byte {
	strs := t.strings[s.name>>31]
	rest := strs[min(int(s.name&^nameFlags), len(strs)):]
	if n := bytes.IndexByte(rest, 0); n >= 0 {
		rest = rest[:n]
	}
	return rest
}

// better compares two names of one address. The name that callers use sorts first:
// malloc before __libc_malloc and __GI___libc_malloc.
func (t *table) better(a, b symbol) int {
	underscores := func(s symbol) int {
		n := t.name(s)
		return len(n) - len(bytes.TrimLeft(n, "_"))
	}
	return cmp.Or(
		-cmp.Compare(min(a.size, 1), min(b.size, 1)),
		cmp.Compare(a.name&localName, b.name&localName),
		cmp.Compare(underscores(a), underscores(b)),
		cmp.Compare(len(t.name(a)), len(t.name(b))),
	)
}

// nesting is the maximum number of functions that may start within another
// function. If there are more, at does not find the outer function for an address
// after them.
const nesting = 64

// lookup finds the function at an offset of the file. rest is the offset in the
// function.
func (t *table) lookup(off uint64) (name string, rest uint64, ok bool) {
	for _, s := range t.segs {
		if off >= s.off && off < s.off+s.size {
			return t.at(off - s.off + s.vaddr)
		}
	}
	return "", 0, false
}

func (t *table) at(addr uint64) (name string, off uint64, ok bool) {
	i, exact := slices.BinarySearchFunc(t.syms, addr, func(s symbol, a uint64) int { return cmp.Compare(s.addr, a) })
	if !exact {
		i--
	}
	if i < 0 {
		return "", 0, false
	}
	if s := t.syms[i]; s.size == 0 {
		name := t.name(s)
		return string(name), addr - s.addr, len(name) > 0 && t.sameSection(s.addr, addr)
	}
	for last := max(i-nesting, 0); i >= last; i-- {
		if s := t.syms[i]; addr-s.addr < uint64(s.size) {
			name := t.name(s)
			return string(name), addr - s.addr, len(name) > 0
		}
	}
	return "", 0, false
}

// sameSection reports whether two addresses are in the same section. If the file
// has no sections, it returns true.
func (t *table) sameSection(a, b uint64) bool {
	for _, s := range t.secs {
		if a-s.vaddr < s.size {
			return b-s.vaddr < s.size
		}
	}
	return len(t.secs) == 0
}

// openTable reads a file's symbols from its symbol table and its dynamic symbols.
// If the file is stripped, it uses the symbol table of the separate debug file.
func openTable(name string) (*table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readTable(f, filepath.Dir(name), true)
}

func readTable(r io.ReaderAt, dir string, debug bool) (*table, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	t := &table{}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			t.segs = append(t.segs, segment{p.Off, p.Filesz, p.Vaddr})
		}
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 {
			t.secs = append(t.secs, segment{s.Offset, s.Size, s.Addr})
		}
	}
	full := t.add(f, elf.SHT_SYMTAB)
	if !full && debug {
		full = t.addDebugFile(f, dir)
	}
	if !full {
		t.addGo(f)
	}
	t.add(f, elf.SHT_DYNSYM)
	t.sort()
	t.syms = slices.Clip(t.syms)
	return t, nil
}

// sort sorts the functions by address and keeps one name for each address.
func (t *table) sort() {
	slices.SortStableFunc(t.syms, func(a, b symbol) int {
		if a.addr == b.addr {
			return t.better(a, b)
		}
		return cmp.Compare(a.addr, b.addr)
	})
	t.syms = slices.CompactFunc(t.syms, func(a, b symbol) bool { return a.addr == b.addr })
}

// add adds the functions from one of a file's symbol tables. It reports whether the
// file has that table.
func (t *table) add(f *elf.File, kind elf.SectionType) bool {
	sec := f.SectionByType(kind)
	if sec == nil || int(sec.Link) >= len(f.Sections) || len(t.strings) == 2 || f.Class != elf.ELFCLASS64 {
		return false
	}
	data, err := sec.Data()
	if err != nil {
		return false
	}
	strs, err := f.Sections[sec.Link].Data()
	if err != nil {
		return false
	}
	var flag uint32
	if len(t.strings) == 1 {
		flag = secondTable
	}
	const entry = 24
	n := 0
	each := func(visit func(s symbol)) {
		for d := data; len(d) >= entry; d = d[entry:] {
			info, shndx := d[4], f.ByteOrder.Uint16(d[6:])
			switch elf.SymType(info & 15) {
			case elf.STT_FUNC, elf.STT_GNU_IFUNC:
			default:
				continue
			}
			if shndx == uint16(elf.SHN_UNDEF) {
				continue
			}
			s := symbol{
				addr: f.ByteOrder.Uint64(d[8:]),
				size: uint32(min(f.ByteOrder.Uint64(d[16:]), math.MaxUint32)),
				name: f.ByteOrder.Uint32(d)&^nameFlags | flag,
			}
			if elf.SymBind(info>>4) == elf.STB_LOCAL {
				s.name |= localName
			}
			visit(s)
		}
	}
	each(func(symbol) { n++ })
	if n == 0 {
		return false
	}
	t.syms = slices.Grow(t.syms, n)
	each(func(s symbol) { t.syms = append(t.syms, s) })
	t.strings = append(t.strings, strs)
	return true
}

// addGo adds the functions of a Go program from the table that Go's runtime uses to
// unwind stacks. A stripped binary still has it.
func (t *table) addGo(f *elf.File) {
	tab, text := f.Section(".gopclntab"), f.Section(".text")
	if tab == nil || text == nil {
		return
	}
	data, err := tab.Data()
	if err != nil {
		return
	}
	defer func() { recover() }() // gosym panics on malformed tables
	funcs, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return
	}
	var names []byte
	for _, fn := range funcs.Funcs {
		t.syms = append(t.syms, symbol{
			addr: fn.Entry, size: uint32(min(fn.End-fn.Entry, math.MaxUint32)), name: uint32(len(names)),
		})
		names = append(append(names, fn.Name...), 0)
	}
	t.strings = append(t.strings, names)
}

// debugRoot is the directory where distributions install separate debug files.
const debugRoot = "/usr/lib/debug"

func (t *table) addDebugFile(f *elf.File, dir string) bool {
	var names []string
	if id := buildID(f); len(id) > 2 {
		names = append(names, debugRoot+"/.build-id/"+id[:2]+"/"+id[2:]+".debug")
	}
	if s := f.Section(".gnu_debuglink"); s != nil {
		if data, err := s.Data(); err == nil {
			if link, _, ok := bytes.Cut(data, []byte{0}); ok && len(link) > 0 {
				base := filepath.Base(string(link))
				names = append(names, filepath.Join(dir, base), filepath.Join(dir, ".debug", base), filepath.Join(debugRoot, dir, base))
			}
		}
	}
	for _, name := range names {
		r, err := os.Open(name)
		if err != nil {
			continue
		}
		defer r.Close()
		d, err := elf.NewFile(r)
		if err == nil && t.add(d, elf.SHT_SYMTAB) {
			return true
		}
	}
	return false
}

// buildID returns the build ID of a file in hex, or "" if it has none.
func buildID(f *elf.File) string {
	s := f.Section(".note.gnu.build-id")
	if s == nil {
		return ""
	}
	d, err := s.Data()
	if err != nil || len(d) < 16 {
		return ""
	}
	name, desc := f.ByteOrder.Uint32(d), f.ByteOrder.Uint32(d[4:])
	from := 12 + uint64(name+3)&^3
	if from+uint64(desc) > uint64(len(d)) {
		return ""
	}
	return hex.EncodeToString(d[from : from+uint64(desc)])
}

// vdsoTable reads the symbols of the vDSO from this process's memory. The kernel
// maps the same code into every process.
func vdsoTable(proc string) *table {
	self := newProcess(os.Getpid())
	self.read(proc)
	for _, m := range self.current().maps {
		if m.file.path != vdso {
			continue
		}
		mem, err := os.Open(filepath.Join(proc, strconv.Itoa(self.pid), "mem"))
		if err != nil {
			break
		}
		defer mem.Close()
		image := make([]byte, m.end-m.start)
		if _, err := mem.ReadAt(image, int64(m.start)); err != nil {
			break
		}
		if t, err := readTable(bytes.NewReader(image), "", false); err == nil {
			return t
		}
	}
	return &table{}
}
