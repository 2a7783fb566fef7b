package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"testing"
)

// elfWith returns an ELF file with a segment of code and the given contents of its sections.
func elfWith(symtab, dynsym, strs, notes, link []byte) []byte {
	type section struct {
		name string
		typ  elf.SectionType
		link uint32
		data []byte
	}
	list := []section{
		{}, {".text", elf.SHT_PROGBITS, 0, bytes.Repeat([]byte{0x90}, 256)},
		{".symtab", elf.SHT_SYMTAB, 4, symtab}, {".dynsym", elf.SHT_DYNSYM, 4, dynsym}, {".strtab", elf.SHT_STRTAB, 0, strs},
		{".note.gnu.build-id", elf.SHT_NOTE, 0, notes}, {".gnu_debuglink", elf.SHT_PROGBITS, 0, link}, {".shstrtab", elf.SHT_STRTAB, 0, nil},
	}
	last := &list[len(list)-1]
	at := make([]uint32, len(list))
	for i := range list {
		at[i] = uint32(len(last.data))
		last.data = append(append(last.data, list[i].name...), 0)
	}
	const head, prog, addr = 64, 56, 0x400000
	var body bytes.Buffer
	headers := make([]elf.Section64, len(list))
	for i, s := range list {
		headers[i] = elf.Section64{Name: at[i], Type: uint32(s.typ), Off: uint64(head + prog + body.Len()), Size: uint64(len(s.data)), Link: s.link, Addralign: 1}
		if i == 1 {
			headers[i].Addr, headers[i].Flags = addr, uint64(elf.SHF_ALLOC|elf.SHF_EXECINSTR)
		}
		body.Write(s.data)
	}
	h := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: head, Shoff: uint64(head + prog + body.Len()),
		Ehsize: head, Phentsize: prog, Phnum: 1, Shentsize: 64, Shnum: uint16(len(list)), Shstrndx: uint16(len(list) - 1),
	}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, h)
	binary.Write(&out, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: headers[1].Off, Vaddr: addr, Filesz: 256, Memsz: 256})
	out.Write(body.Bytes())
	binary.Write(&out, binary.LittleEndian, headers)
	return out.Bytes()
}

// syms returns a table of symbols.
func syms(list ...elf.Sym64) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, append([]elf.Sym64{{}}, list...))
	return b.Bytes()
}

const fuzzNames = "\x00first\x00second\x00"

// someSyms are symbols as a linker writes them, and others that it never writes.
func someSyms() [][]byte {
	fun := func(name uint32, addr, size uint64) elf.Sym64 {
		return elf.Sym64{Name: name, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1, Value: addr, Size: size}
	}
	return [][]byte{
		syms(fun(1, 0x400000, 16), fun(7, 0x400010, 16)),
		syms(fun(1, 0x400000, 1<<63), fun(7, 0x400000, 0), fun(1, 0xffffffffffffffff, 1<<63)),
		syms(fun(1, 0x400000, 256), fun(7, 0x400010, 0), fun(7, 0x400010, 8), fun(13, 0x400020, 8), fun(1<<31, 0x400030, 8)),
		{}, {1, 2, 3},
	}
}

// useSymbols calls everything that reads the tables of symbols, notes and links.
func useSymbols(t *testing.T, x *File) {
	x.BuildID()
	x.debugLink()
	x.Mentions("first")
	x.Named("second")
	x.Symbol("first")
	x.Covering(0x400010)
	x.Offset(0x400010)
	x.CodeOffset(0x400010)
	x.Addr(0x80)
	list := x.Functions(func([]byte) bool { return true })
	for i := range min(len(list), 100) {
		s := &list[i]
		for _, addr := range []uint64{s.Addr - 1, s.Addr, s.Addr + s.Size - 1, s.Addr + s.Size} {
			if f, ok := x.At(addr); ok && f.Addr > addr {
				t.Errorf("%#x is in %q at %#x", addr, f.Name, f.Addr)
			}
		}
	}
}

// FuzzSymbols reads files whose tables of symbols, names, notes and links have any contents.
func FuzzSymbols(f *testing.F) {
	note := []byte("\x04\x00\x00\x00\x04\x00\x00\x00\x03\x00\x00\x00GNU\x00\x01\x02\x03\x04")
	link := []byte("p.debug\x00\x01\x02\x03\x04")
	for _, s := range someSyms() {
		f.Add(s, s, []byte(fuzzNames), note, link)
		f.Add(s, []byte{}, []byte("no end"), note[:9], link[:3])
	}
	f.Fuzz(func(t *testing.T, symtab, dynsym, strs, notes, link []byte) {
		x, err := FromMemory(elfWith(symtab, dynsym, strs, notes, link), "fuzz")
		if err != nil {
			t.Fatal(err)
		}
		useSymbols(t, x)
	})
}

// FuzzELF reads any file.
func FuzzELF(f *testing.F) {
	for _, s := range someSyms() {
		f.Add(elfWith(s, s, []byte(fuzzNames), nil, nil))
	}
	if data, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(data)
		f.Add(withoutSections(bytes.Clone(data)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := newFile(data); err == nil {
			useSymbols(t, x)
		}
	})
}

// TestFuzzedSymbols checks that the files of the fuzz targets have the symbols that they
// should have.
func TestFuzzedSymbols(t *testing.T) {
	x, err := FromMemory(elfWith(someSyms()[0], nil, []byte(fuzzNames), nil, nil), "fuzz")
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := x.At(0x400011); !ok || s.Name != "second" || s.Addr != 0x400010 {
		t.Errorf("found %+v, %v", s, ok)
	}
	if list := x.Named("first"); len(list) != 1 || list[0].Size != 16 {
		t.Errorf("found %+v", list)
	}
}

// TestNarrowSymbols converts the symbols of a 32-bit file, in both orders of bytes.
func TestNarrowSymbols(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		narrow := elf.Sym32{Name: 7, Value: 0x8048000, Size: 33, Info: 0x12, Other: 2, Shndx: 5}
		wide := elf.Sym64{Name: 7, Value: 0x8048000, Size: 33, Info: 0x12, Other: 2, Shndx: 5}
		var from, want bytes.Buffer
		for range 2 {
			binary.Write(&from, order, narrow)
			binary.Write(&want, order, wide)
		}
		from.WriteString("rest")
		if got := widen(from.Bytes(), order); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%v: %x, want %x", order, got, want.Bytes())
		}
	}
}
