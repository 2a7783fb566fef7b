package elfobj

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"math"

	"github.com/gotrace/gotrace/runtime/outline"
)

// image collects the sections and symbols of an ELF file.
type image struct {
	sections []*section
	strings  []byte
	locals   []elf.Sym64
	globals  []elf.Sym64
	bySect   map[int]uint32 // section symbols
}

type section struct {
	name   string
	kind   elf.SectionType
	flags  elf.SectionFlag
	align  uint64
	index  int
	body   []byte
	relocs []elf.Rel64 // relocations, with symbol numbers from image.symbol and sectionSymbol
}

// globalSymbol marks the number of a global symbol until all symbols are known.
// Local symbols must come first in the table.
const globalSymbol = 1 << 31

func newImage() *image {
	m := &image{strings: []byte{0}, locals: make([]elf.Sym64, 1), bySect: map[int]uint32{}}
	m.add("", elf.SHT_NULL, 0, 0)
	return m
}

// add appends an empty section.
//
//go:noinline
func (m *image) add(name string, kind elf.SectionType, flags elf.SectionFlag, align uint64) *section {
	s := &section{name: name, kind: kind, flags: flags, align: align, index: len(m.sections)}
	m.sections = append(m.sections, s)
	return s
}

// symbol adds a symbol and returns its number.
func (m *image) symbol(name string, bind elf.SymBind, kind elf.SymType, s *section, value, size uint64) uint32 {
	sym := elf.Sym64{Name: m.str(name), Info: elf.ST_INFO(bind, kind), Shndx: uint16(s.index), Value: value, Size: size}
	if bind == elf.STB_LOCAL {
		m.locals = append(m.locals, sym)
		return uint32(len(m.locals) - 1)
	}
	m.globals = append(m.globals, sym)
	return globalSymbol | uint32(len(m.globals)-1)
}

// sectionSymbol returns the number of a section's own symbol.
//
//go:noinline
func (m *image) sectionSymbol(section int) uint32 {
	n, ok := m.bySect[section]
	if !ok {
		n = uint32(len(m.locals))
		m.bySect[section] = n
		m.locals = append(m.locals, elf.Sym64{Info: elf.ST_INFO(elf.STB_LOCAL, elf.STT_SECTION), Shndx: uint16(section)})
	}
	return n
}

func (m *image) str(s string) uint32 {
	off := uint32(len(m.strings))
	m.strings = append(append(m.strings, s...), 0)
	return off
}

// relocate adds a relocation for the instruction at offset off.
//
//go:noinline
func (s *section) relocate(off uint64, symbol, kind uint32) {
	s.relocs = append(s.relocs, elf.Rel64{Off: off, Info: uint64(symbol)<<32 | uint64(kind)})
}

// Sizes of ELF structures in bytes.
const (
	symSize    = 24
	relSize    = 16
	headerSize = 64
	sectSize   = 64
)

// bytes returns the file: the header, the sections and the section table.
func (m *image) bytes() ([]byte, error) {
	symtab := m.add(".symtab", elf.SHT_SYMTAB, 0, 8)
	var syms bytes.Buffer
	for _, s := range append(m.locals, m.globals...) {
		binary.Write(&syms, binary.LittleEndian, s)
	}
	symtab.body = syms.Bytes()
	infos := map[int][2]uint32{} // link and info of a section's header
	for _, s := range m.sections {
		if len(s.relocs) == 0 {
			continue
		}
		rel := m.add(".rel"+s.name, elf.SHT_REL, 0, 8)
		infos[rel.index] = [2]uint32{uint32(symtab.index), uint32(s.index)}
		var b bytes.Buffer
		for _, r := range s.relocs {
			if sym := uint32(r.Info >> 32); sym&globalSymbol != 0 {
				sym = sym&^globalSymbol + uint32(len(m.locals))
				r.Info = uint64(sym)<<32 | r.Info&math.MaxUint32
			}
			binary.Write(&b, binary.LittleEndian, r)
		}
		rel.body = b.Bytes()
	}
	strtab := m.add(".strtab", elf.SHT_STRTAB, 0, 1)
	infos[symtab.index] = [2]uint32{uint32(strtab.index), uint32(len(m.locals))}
	if len(m.sections) >= int(elf.SHN_LORESERVE) {
		return nil, outline.Errorf("%d sections are more than an ELF file can have", len(m.sections))
	}
	names := make([]uint32, len(m.sections))
	for i, s := range m.sections {
		names[i] = m.str(s.name)
	}
	strtab.body = m.strings

	var body, table bytes.Buffer
	pad := func() {
		for body.Len()%8 != 0 {
			body.WriteByte(0)
		}
	}
	for i, s := range m.sections {
		pad()
		h := elf.Section64{
			Name: names[i], Type: uint32(s.kind), Flags: uint64(s.flags), Size: uint64(len(s.body)),
			Link: infos[i][0], Info: infos[i][1], Addralign: s.align,
		}
		switch s.kind {
		case elf.SHT_SYMTAB:
			h.Entsize = symSize
		case elf.SHT_REL:
			h.Entsize = relSize
		}
		if i > 0 {
			h.Off = uint64(headerSize + body.Len())
		}
		body.Write(s.body)
		binary.Write(&table, binary.LittleEndian, h)
	}
	pad()
	hdr := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_BPF), Version: uint32(elf.EV_CURRENT),
		Shoff: uint64(headerSize + body.Len()), Ehsize: headerSize, Shentsize: sectSize,
		Shnum: uint16(len(m.sections)), Shstrndx: uint16(strtab.index),
	}
	copy(hdr.Ident[:], elf.ELFMAG)
	hdr.Ident[elf.EI_CLASS], hdr.Ident[elf.EI_DATA], hdr.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, hdr)
	out.Write(body.Bytes())
	out.Write(table.Bytes())
	return out.Bytes(), nil
}
