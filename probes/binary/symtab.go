package binary

import (
	"bytes"
	"cmp"
	"debug/elf"
	"math"
	"slices"
	"sort"

	"github.com/gotrace/gotrace/runtime/sorted"
)

// addrTable holds the functions of a file, sorted by address. Each takes 16 bytes. The
// names stay in the file.
type addrTable struct {
	secs  []segment // executable sections; a function without a size ends with its section
	syms  []addrSymbol
	names [][]byte // string tables
}

// segment is an executable part of a file: its address and size.
type segment struct{ addr, size uint64 }

type addrSymbol struct {
	addr uint64
	size uint32 // in bytes; 0: up to the next function
	name uint32 // offset in its string table, and flags
}

// Parts of addrSymbol.name.
const (
	localName  = 1 << 31 // the symbol is local to its file
	tableShift = 29      // two bits: the number of the string table
	maxNames   = 4
	nameMask   = 1<<tableShift - 1
)

// name returns a symbol's name.
func (t *addrTable) name(s addrSymbol) []byte {
	strs := t.names[s.name>>tableShift&(maxNames-1)]
	rest := strs[min(int(s.name&nameMask), len(strs)):]
	if n := bytes.IndexByte(rest, 0); n >= 0 {
		rest = rest[:n]
	}
	return rest
}

// better compares two names of one address. The name that callers use sorts first:
// malloc precedes __libc_malloc and __GI___libc_malloc.
func (t *addrTable) better(a, b addrSymbol) int {
	underscores := func(s addrSymbol) int {
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

// nesting is the maximum number of functions that may start within another function. If
// there are more, at does not find the outer function for an address after them.
const nesting = 64

// at finds the function that contains an address.
func (t *addrTable) at(addr uint64) (Symbol, bool) {
	i := sort.Search(len(t.syms), func(i int) bool { return t.syms[i].addr >= addr })
	if i == len(t.syms) || t.syms[i].addr != addr {
		i--
	}
	if i < 0 {
		return Symbol{}, false
	}
	symbol := func(s addrSymbol) (Symbol, bool) {
		name := t.name(s)
		return Symbol{Name: string(name), Addr: s.addr, Size: uint64(s.size)}, len(name) > 0
	}
	if s := t.syms[i]; s.size == 0 {
		if !t.sameSection(s.addr, addr) {
			return Symbol{}, false
		}
		return symbol(s)
	}
	for last := max(i-nesting, 0); i >= last; i-- {
		if s := t.syms[i]; addr-s.addr < uint64(s.size) {
			return symbol(s)
		}
	}
	return Symbol{}, false
}

// sameSection reports whether two addresses are in the same section. If the file has
// no sections, it returns true.
func (t *addrTable) sameSection(a, b uint64) bool {
	for _, s := range t.secs {
		if a-s.addr < s.size {
			return b-s.addr < s.size
		}
	}
	return len(t.secs) == 0
}

// sortSymbols builds the table of the file's functions by address.
func (x *File) sortSymbols() *addrTable {
	t := &addrTable{}
	for _, s := range x.elf.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 {
			t.secs = append(t.secs, segment{s.Addr, s.Size})
		}
	}
	for i, from := range x.tables.Get() {
		if i >= maxNames {
			break
		}
		t.names = append(t.names, from.names)
		t.add(&from, uint32(i)<<tableShift)
	}
	t.sort()
	return t
}

// sort sorts the functions by address and keeps one name for each address.
func (t *addrTable) sort() {
	sorted.By(t.syms, func(s *addrSymbol) uint64 { return s.addr })
	kept := t.syms[:0]
	for _, s := range t.syms {
		switch last := len(kept) - 1; {
		case last < 0 || kept[last].addr != s.addr:
			kept = append(kept, s)
		case t.better(s, kept[last]) < 0:
			kept[last] = s
		}
	}
	t.syms = slices.Clip(kept)
}

// stubSize is the size of the code by which a program calls a function of a library. If the
// program uses the function's address, it uses that of this code, and the symbol of the
// function has it as its value though it is undefined.
const stubSize = 16

// add adds the functions of a symbol table, with the given flags in their names.
func (t *addrTable) add(from *symbolTable, flags uint32) {
	each := func(visit func(s addrSymbol)) {
		for e := from.entries; len(e) >= symSize; e = e[symSize:] {
			typ, bind := elf.SymType(e[4]&0xf), elf.SymBind(e[4]>>4)
			if typ != elf.STT_FUNC && typ != elf.STT_GNU_IFUNC {
				continue
			}
			s := addrSymbol{
				addr: from.order.Uint64(e[8:]),
				size: uint32(min(from.order.Uint64(e[16:]), math.MaxUint32)),
				name: from.order.Uint32(e)&nameMask | flags,
			}
			if elf.SectionIndex(from.order.Uint16(e[6:])) == elf.SHN_UNDEF {
				if s.addr == 0 {
					continue
				}
				s.size = stubSize
			}
			if bind == elf.STB_LOCAL {
				s.name |= localName
			}
			visit(s)
		}
	}
	n := 0
	each(func(addrSymbol) { n++ })
	t.syms = slices.Grow(t.syms, n)
	each(func(s addrSymbol) { t.syms = append(t.syms, s) })
}

// At finds the function that contains an address. Addresses are those in the file's
// headers.
func (x *File) At(addr uint64) (Symbol, bool) { return x.byAddr.Get().at(addr) }

// Addr converts an offset in the file to a virtual address of its code.
func (x *File) Addr(off uint64) (uint64, bool) {
	if x.elf == nil {
		return 0, false
	}
	for _, p := range x.elf.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && off >= p.Off && off-p.Off < p.Filesz {
			return off - p.Off + p.Vaddr, true
		}
	}
	return 0, false
}

// Frame is a function at an address: the one that contains the code, or one that was
// inlined there.
type Frame struct {
	Name    string // "" if it is not known; mangled like the symbol
	File    string // "" if it is not known
	Line    int
	Inlined bool
}

// Frames returns the functions at an address according to the debug information, the
// innermost first. The last one is the function that contains the code.
func (x *File) Frames(addr uint64) []Frame {
	if x.elf != nil && x.narrow() {
		return nil
	}
	if g := x.goTable.Get(); g != nil {
		if f := g.frames(addr); f != nil {
			return f
		}
	}
	d := x.unitData.Get()
	if d == nil {
		return nil
	}
	var out []Frame
	for _, f := range d.Frames(addr) {
		out = append(out, Frame{Name: f.Name, File: f.File, Line: f.Line, Inlined: f.Inlined})
	}
	return out
}
