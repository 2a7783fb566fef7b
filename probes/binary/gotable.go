package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"sort"

	"github.com/gotrace/gotrace/runtime/cursor"
)

// goTable is the table in which Go's runtime looks up the function, the line and the
// inlined functions of an address. Every Go program contains it, even a stripped one.
//
// The layout is that of the runtime of Go 1.16 to 1.26: a header, then names of
// functions, lists of files, names of files, tables of values by address, and the
// functions in order of their addresses.
type goTable struct {
	order   binary.ByteOrder
	version goVersion
	text    uint64 // address that functions' offsets are relative to
	n       int    // number of functions
	minInst uint64
	names   []byte
	cus     []byte
	files   []byte
	values  []byte
	funcs   []byte // the index, with n entries and an end, followed by the functions
	inline  []byte // data about inlined calls, to which functions refer by offset; nil: not found
	// The descriptions of types, and their names, are from types on. etypes is the end of
	// the descriptions. Both are 0 if they are not known.
	types, etypes uint64
	known         map[uint64]*goType // descriptions that were read, by address; nil: there is none
	mem           func(addr uint64, n uint64) []byte
}

// goVersion is the release in which a layout appeared.
type goVersion int

const (
	go116 goVersion = 16
	go118 goVersion = 18
	go120 goVersion = 20
)

// goMagic maps the first word of the table to its layout.
var goMagic = map[uint32]goVersion{0xfffffffa: go116, 0xfffffff0: go118, 0xfffffff1: go120}

const (
	goHeaderSize = 8
	maxGoInlined = 64 // calls that are inlined into each other
	inlTreeIndex = 2  // PCDATA_InlTreeIndex
	inlTreeData  = 3  // FUNCDATA_InlTree
)

// readGoTable finds the table of a Go program. It returns nil if there is none.
func (x *File) readGoTable() *goTable {
	if x.elf == nil || !x.golang.Get() {
		return nil
	}
	for _, s := range x.elf.Sections {
		data := x.bytesOf(s)
		switch s.Name {
		case ".gopclntab", ".data.rel.ro.gopclntab":
			if g := x.goTableAt(data, s.Addr); g != nil {
				return g
			}
		case ".data.rel.ro": // where the system's linker puts it in a PIE
			for at := 0; at+goHeaderSize <= len(data); at += 8 {
				if _, ok := goMagic[x.elf.ByteOrder.Uint32(data[at:])]; ok {
					if g := x.goTableAt(data[at:], s.Addr+uint64(at)); g != nil {
						return g
					}
				}
			}
		}
	}
	return nil
}

// goTableAt reads the header of a table that is at an address.
func (x *File) goTableAt(data []byte, addr uint64) *goTable {
	g := &goTable{order: x.elf.ByteOrder, mem: x.memory}
	if len(data) < goHeaderSize || data[4] != 0 || data[5] != 0 || data[7] != 8 {
		return nil
	}
	g.version = goMagic[g.order.Uint32(data)]
	g.minInst = uint64(data[6])
	if g.version == 0 || g.minInst == 0 {
		return nil
	}
	if g.version == go116 {
		data = x.relocate(data, addr) // it contains addresses
	}
	fields := 7
	if g.version >= go118 {
		fields = 8
	}
	if len(data) < goHeaderSize+8*fields {
		return nil
	}
	word := func(i int) uint64 { return g.order.Uint64(data[goHeaderSize+8*i:]) }
	parts := make([][]byte, 5)
	for i := range parts {
		off := word(fields - 5 + i)
		if off > uint64(len(data)) {
			return nil
		}
		parts[i] = data[off:]
	}
	g.names, g.cus, g.files, g.values, g.funcs = parts[0], parts[1], parts[2], parts[3], parts[4]
	n := word(0)
	if n == 0 || n > uint64(len(g.funcs))/g.indexSize()-1 {
		return nil
	}
	g.n = int(n)
	g.place(x, addr, word(2))
	return g
}

// place finds the start of the code and the data about inlined calls in the runtime's
// description of the program: see struct moduledata of package runtime.
func (g *goTable) place(x *File, addr, textStart uint64) {
	const (
		textWord = 22
		words    = 41
	)
	goFunc := 38
	if g.version >= go120 {
		goFunc = 40
	}
	if s := x.section(".text"); s != nil {
		g.text = s.Addr
	}
	if g.version >= go118 && textStart != 0 && x.FixedAddress() {
		g.text = textStart
	}
	for _, at := range x.pointersTo(addr) {
		data := x.memory(at, 8*words)
		if data == nil {
			continue
		}
		data = x.relocate(data, at)
		word := func(i int) uint64 { return g.order.Uint64(data[8*i:]) }
		// Words 20 to 23 are the lowest and highest address of a function, and the
		// start and end of the code.
		if word(20) < word(textWord) || word(20) >= word(21) || word(21) > word(23) {
			continue
		}
		if g.version >= go118 {
			g.text = word(textWord)
			g.types, g.etypes = word(goFunc-3), word(goFunc-2)
			if base := word(goFunc); base != 0 {
				g.inline = x.memory(base, 0)
			}
		}
		return
	}
}

// pointersTo returns the addresses of words in the file's data that have the given
// value when the program runs.
func (x *File) pointersTo(addr uint64) (out []uint64) {
	want := make([]byte, 8)
	x.elf.ByteOrder.PutUint64(want, addr)
	for _, s := range x.elf.Sections {
		if s.Flags&elf.SHF_WRITE == 0 || s.Type != elf.SHT_PROGBITS {
			continue
		}
		data := x.bytesOf(s)
		for at := 0; ; {
			i := bytes.Index(data[at:], want)
			if i < 0 {
				break
			}
			if at += i; (s.Addr+uint64(at))%8 == 0 {
				out = append(out, s.Addr+uint64(at))
			}
			at++
		}
	}
	x.relocations(func(off, value uint64) {
		if value == addr {
			out = append(out, off)
		}
	})
	return out
}

// relocations calls f with the address and the value of each word that the loader
// sets to an address of the program itself.
func (x *File) relocations(f func(off, value uint64)) {
	const (
		size            = 24 // of Elf64_Rela
		relativeX86     = 8
		relativeAArch64 = 1027
	)
	for _, s := range x.elf.Sections {
		if s.Type != elf.SHT_RELA || s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		for e := x.bytesOf(s); len(e) >= size; e = e[size:] {
			switch uint32(x.elf.ByteOrder.Uint64(e[8:])) {
			case relativeX86, relativeAArch64:
				f(x.elf.ByteOrder.Uint64(e), x.elf.ByteOrder.Uint64(e[16:]))
			}
		}
	}
}

// relocate returns data, which is at an address, with the values that it has when the
// program runs.
func (x *File) relocate(data []byte, addr uint64) []byte {
	if x.FixedAddress() || len(data) < 8 {
		return data
	}
	out := bytes.Clone(data)
	x.relocations(func(off, value uint64) {
		if off >= addr && off-addr <= uint64(len(out)-8) {
			x.elf.ByteOrder.PutUint64(out[off-addr:], value)
		}
	})
	return out
}

// memory returns n bytes of the file at an address, or all following bytes if n is 0. It
// returns nil if there are fewer.
func (x *File) memory(addr, n uint64) []byte {
	for _, p := range x.elf.Progs {
		if p.Type != elf.PT_LOAD || addr < p.Vaddr || addr-p.Vaddr >= p.Filesz {
			continue
		}
		if p.Off > uint64(len(x.data)) || p.Filesz > uint64(len(x.data))-p.Off {
			return nil
		}
		data := x.data[p.Off+addr-p.Vaddr : p.Off+p.Filesz]
		if n > uint64(len(data)) {
			return nil
		}
		if n > 0 {
			data = data[:n]
		}
		return data
	}
	return nil
}

// indexSize returns the size of an entry of the index. An entry consists of the address
// of a function and the offset of the function's data.
func (g *goTable) indexSize() uint64 {
	if g.version == go116 {
		return 16
	}
	return 8
}

// entry returns the address and the offset of function i. The end of the index has only
// the address.
func (g *goTable) entry(i int) (addr, off uint64) {
	e := g.funcs[uint64(i)*g.indexSize():]
	if g.version == go116 {
		addr = g.order.Uint64(e)
		if len(e) >= 16 {
			off = g.order.Uint64(e[8:])
		}
		return addr, off
	}
	addr = g.text + uint64(g.order.Uint32(e))
	if len(e) >= 8 {
		off = uint64(g.order.Uint32(e[4:]))
	}
	return addr, off
}

// goFunc is a function of the table.
type goFunc struct {
	addr, end  uint64
	data       []byte // its fields
	fields     int    // size of the fields that all functions have
	wide       int    // size of the address at the start of the fields
	npcdata    uint64
	nfuncdata  uint64
	name       string
	file, line uint32 // offsets of its tables of values
	cu         uint64
}

// function finds the function that contains an address.
func (g *goTable) function(addr uint64) (f goFunc, ok bool) {
	i := sort.Search(g.n, func(i int) bool {
		a, _ := g.entry(i)
		return a > addr
	}) - 1
	if i < 0 {
		return f, false
	}
	var off uint64
	f.addr, off = g.entry(i)
	f.end, _ = g.entry(i + 1)
	if addr >= f.end || off > uint64(len(g.funcs)) {
		return f, false
	}
	f.data = g.funcs[off:]
	f.fields, f.wide = 40, 4
	switch g.version {
	case go116:
		f.fields, f.wide = 44, 8
	case go120:
		f.fields = 44
	}
	if len(f.data) < f.fields {
		return f, false
	}
	u32 := func(i int) uint32 { return g.order.Uint32(f.data[f.wide+4*i:]) }
	f.name = textAt(g.names, uint64(u32(0)))
	f.file, f.line = u32(4), u32(5)
	f.npcdata, f.cu = uint64(u32(6)), uint64(u32(7))
	f.nfuncdata = uint64(f.data[f.fields-1])
	return f, f.name != ""
}

// textAt returns the string that starts at an offset and ends with a NUL.
func textAt(data []byte, off uint64) string {
	if off >= uint64(len(data)) {
		return ""
	}
	data = data[off:]
	n := bytes.IndexByte(data, 0)
	if n < 0 {
		return ""
	}
	return string(data[:n])
}

// symbols returns the functions as a symbol table.
func (g *goTable) symbols() symbolTable {
	t := symbolTable{names: g.names[:bytes.LastIndexByte(g.names, 0)+1], order: g.order}
	for i := range g.n {
		addr, _ := g.entry(i)
		f, ok := g.function(addr)
		if !ok || f.addr != addr {
			continue
		}
		e := make([]byte, symSize)
		g.order.PutUint32(e, g.order.Uint32(f.data[f.wide:]))
		e[4] = byte(elf.STT_FUNC)
		g.order.PutUint16(e[6:], 1) // defined in some section
		g.order.PutUint64(e[8:], f.addr)
		g.order.PutUint64(e[16:], f.end-f.addr)
		t.entries = append(t.entries, e...)
	}
	return t
}

// ranges calls yield with the values in a table for a function's addresses, each with the
// address at which its range ends, until yield returns false. The table is a list of
// changes: of the value, and of that address.
func (g *goTable) ranges(f *goFunc, table uint32, yield func(end uint64, v int32) bool) {
	if table == 0 || uint64(table) >= uint64(len(g.values)) {
		return
	}
	c := cursor.Cursor{Data: g.values[table:]}
	pc, v := f.addr, int32(-1)
	for first := true; !c.Bad && pc < f.end; first = false {
		change := uint32(c.Uleb())
		if change == 0 && !first {
			return
		}
		v += int32(change>>1) ^ -int32(change&1)
		if pc += uint64(uint32(c.Uleb())) * g.minInst; !yield(pc, v) {
			return
		}
	}
}

// value returns the value in a table for an address of a function, or -1.
func (g *goTable) value(f *goFunc, table uint32, addr uint64) int32 {
	found := int32(-1)
	g.ranges(f, table, func(end uint64, v int32) bool {
		if addr < end {
			found = v
			return false
		}
		return true
	})
	return found
}

// source returns the source line of an address.
func (g *goTable) source(f *goFunc, addr uint64) (file string, line int) {
	n := g.value(f, f.file, addr)
	if n < 0 {
		return "", 0
	}
	// The list of the offsets of a unit's files precedes the names.
	if at := 4 * (f.cu + uint64(n)); at+4 <= uint64(len(g.cus)) {
		file = textAt(g.files, uint64(g.order.Uint32(g.cus[at:])))
	}
	if line = int(g.value(f, f.line, addr)); line < 0 {
		return "", 0
	}
	return file, line
}

// inlineTree returns the table of calls that were inlined into a function, and the
// number of the table that maps addresses to these calls.
func (g *goTable) inlineTree(f *goFunc) (tree []byte, values uint32) {
	if f.npcdata <= inlTreeIndex || f.nfuncdata <= inlTreeData {
		return nil, 0
	}
	rest := f.data[f.fields:]
	if f.npcdata > uint64(len(rest))/4 {
		return nil, 0
	}
	values = g.order.Uint32(rest[4*inlTreeIndex:])
	at := 4 * f.npcdata
	if g.version == go116 { // an address, aligned to its size
		start := uint64(len(g.funcs) - len(f.data) + f.fields)
		at = (start+at+7)&^7 - start + 8*inlTreeData
		if at+8 > uint64(len(rest)) {
			return nil, 0
		}
		if addr := g.order.Uint64(rest[at:]); addr != 0 {
			tree = g.mem(addr, 0)
		}
		return tree, values
	}
	at += 4 * inlTreeData
	if at+4 > uint64(len(rest)) {
		return nil, 0
	}
	if off := g.order.Uint32(rest[at:]); uint64(off) < uint64(len(g.inline)) {
		tree = g.inline[off:]
	}
	return tree, values
}

// frames returns the functions at an address, the innermost first, or nil.
func (g *goTable) frames(addr uint64) []Frame {
	f, ok := g.function(addr)
	if !ok {
		return nil
	}
	// An inlined call consists of its function's name and the address of an instruction
	// whose line is that of the call.
	size, nameAt, parentAt := 16, 4, 8
	if g.version < go120 {
		size, nameAt, parentAt = 20, 12, 16
	}
	var out []Frame
	tree, values := g.inlineTree(&f)
	for len(out) < maxGoInlined && tree != nil {
		i := int(g.value(&f, values, addr))
		if i < 0 || i > len(tree)/size-1 {
			break
		}
		call := tree[i*size:]
		file, line := g.source(&f, addr)
		name := textAt(g.names, uint64(g.order.Uint32(call[nameAt:])))
		if name == "" {
			break
		}
		out = append(out, Frame{Name: name, File: file, Line: line, Inlined: true})
		parent := f.addr + uint64(int32(g.order.Uint32(call[parentAt:])))
		if parent < f.addr || parent >= f.end {
			break
		}
		addr = parent
	}
	file, line := g.source(&f, addr)
	return append(out, Frame{Name: f.name, File: file, Line: line})
}
