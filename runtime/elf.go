package runtime

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/runtime/object"
)

// ObjectFile is a compiled object as a relocatable ELF file, for tools that read
// such files: a section for each program, one with the maps' definitions, and
// relocations where programs refer to maps.
func ObjectFile(obj *object.Object) ([]byte, error) { return elfObject(obj.Spec()) }

// mapDef is a map's definition in the section "maps": struct bpf_map_def.
type mapDef struct{ Type, KeySize, ValueSize, MaxEntries, Flags uint32 }

// relocMap is R_BPF_64_64: a 64-bit load of a map's address.
const relocMap = 1

const (
	symSize    = 24
	relSize    = 16
	headerSize = 64
	sectSize   = 64
)

// elfFile collects the sections of an object.
type elfFile struct {
	sections []elf.Section64
	bodies   [][]byte
	names    []byte
	strings  []byte
	symbols  bytes.Buffer
	nsyms    uint32
}

func (f *elfFile) section(name string, s elf.Section64, body []byte) int {
	s.Name = uint32(len(f.names))
	f.names = append(append(f.names, name...), 0)
	s.Size = uint64(len(body))
	f.sections, f.bodies = append(f.sections, s), append(f.bodies, body)
	return len(f.sections) - 1
}

func (f *elfFile) symbol(name string, info byte, section int, value, size uint64) uint32 {
	s := elf.Sym64{Info: info, Shndx: uint16(section), Value: value, Size: size}
	if name != "" {
		s.Name = uint32(len(f.strings))
		f.strings = append(append(f.strings, name...), 0)
	}
	binary.Write(&f.symbols, binary.LittleEndian, s)
	f.nsyms++
	return f.nsyms - 1
}

func elfObject(spec *ebpf.CollectionSpec) ([]byte, error) {
	f := &elfFile{strings: []byte{0}}
	f.section("", elf.Section64{}, nil)
	f.symbol("", 0, 0, 0, 0)

	global := func(t elf.SymType) byte { return byte(elf.STB_GLOBAL)<<4 | byte(t) }
	mapNames := sortedKeys(spec.Maps)
	mapSyms := map[string]uint32{}
	var defs bytes.Buffer
	for _, name := range mapNames {
		m := spec.Maps[name]
		binary.Write(&defs, binary.LittleEndian, mapDef{uint32(m.Type), m.KeySize, m.ValueSize, m.MaxEntries, m.Flags})
	}
	license := "GPL"
	progNames := sortedKeys(spec.Programs)
	for _, name := range progNames {
		license = spec.Programs[name].License
	}
	f.section("license", elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_WRITE), Addralign: 1}, append([]byte(license), 0))
	maps := f.section("maps", elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_WRITE), Addralign: 4}, defs.Bytes())
	size := uint64(binary.Size(mapDef{}))
	for i, name := range mapNames {
		mapSyms[name] = f.symbol(name, global(elf.STT_OBJECT), maps, uint64(i)*size, size)
	}
	type pending struct {
		section int
		name    string
		rels    []byte
	}
	var relocs []pending
	for _, name := range progNames {
		p := spec.Programs[name]
		insns := slices.Clone(p.Instructions)
		var rels bytes.Buffer
		off := uint64(0)
		for i := range insns {
			ins := &insns[i]
			if sym, ok := mapSyms[ins.Reference()]; ok && ins.IsLoadFromMap() {
				binary.Write(&rels, binary.LittleEndian, elf.Rel64{Off: off, Info: uint64(sym)<<32 | relocMap})
				*ins = asm.Instruction{OpCode: ins.OpCode, Dst: ins.Dst, Src: ins.Src, Constant: ins.Constant}
			}
			off += ins.Size()
		}
		var body bytes.Buffer
		if err := insns.Marshal(&body, binary.LittleEndian); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		n := f.section(sectionName(p), elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_EXECINSTR), Addralign: 8}, body.Bytes())
		f.symbol(name, global(elf.STT_FUNC), n, 0, uint64(body.Len()))
		if rels.Len() > 0 {
			relocs = append(relocs, pending{n, ".rel" + sectionName(p), rels.Bytes()})
		}
	}
	symtab := len(f.sections) + len(relocs)
	for _, r := range relocs {
		f.section(r.name, elf.Section64{Type: uint32(elf.SHT_REL), Link: uint32(symtab), Info: uint32(r.section), Addralign: 8, Entsize: relSize}, r.rels)
	}
	f.section(".symtab", elf.Section64{Type: uint32(elf.SHT_SYMTAB), Link: uint32(symtab + 1), Info: 1, Addralign: 8, Entsize: symSize}, f.symbols.Bytes())
	f.section(".strtab", elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}, f.strings)
	f.section(".shstrtab", elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1}, nil)
	return f.bytes(), nil
}

// sectionName is a program's section: its type, then its name.
func sectionName(p *ebpf.ProgramSpec) string { return fmt.Sprintf("%s/%s", p.Type, p.Name) }

func (f *elfFile) bytes() []byte {
	last := len(f.sections) - 1
	f.bodies[last] = f.names
	f.sections[last].Size = uint64(len(f.names))
	var body bytes.Buffer
	for i := range f.sections {
		for (headerSize+body.Len())%8 != 0 {
			body.WriteByte(0)
		}
		if i > 0 {
			f.sections[i].Off = uint64(headerSize + body.Len())
		}
		body.Write(f.bodies[i])
	}
	for (headerSize+body.Len())%8 != 0 {
		body.WriteByte(0)
	}
	var out bytes.Buffer
	hdr := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_BPF), Version: uint32(elf.EV_CURRENT),
		Shoff: uint64(headerSize + body.Len()), Ehsize: headerSize, Shentsize: sectSize,
		Shnum: uint16(len(f.sections)), Shstrndx: uint16(last),
	}
	copy(hdr.Ident[:], elf.ELFMAG)
	hdr.Ident[elf.EI_CLASS], hdr.Ident[elf.EI_DATA], hdr.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	binary.Write(&out, binary.LittleEndian, hdr)
	out.Write(body.Bytes())
	binary.Write(&out, binary.LittleEndian, f.sections)
	return out.Bytes()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
