package elfobj

import (
	"debug/elf"
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

const rdonlyProg = 1 << 7 // BPF_F_RDONLY_PROG

var (
	intType  = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	byteType = &btf.Int{Name: "unsigned char", Size: 1, Encoding: btf.Unsigned}
)

func byteArray(n uint32) btf.Type { return &btf.Array{Index: intType, Type: byteType, Nelems: n} }

// mapType returns the struct that describes a map. Each member is a pointer to an
// array, and the length of the array is the member's value.
func mapType(m *ebpf.MapSpec) *btf.Struct {
	def := &btf.Struct{}
	for _, f := range []struct {
		name  string
		value uint32
	}{
		{"type", uint32(m.Type)}, {"key_size", m.KeySize}, {"value_size", m.ValueSize},
		{"max_entries", m.MaxEntries}, {"map_flags", m.Flags},
	} {
		if f.value == 0 && f.name != "type" {
			continue
		}
		def.Members = append(def.Members, btf.Member{
			Name: f.name, Offset: btf.Bits(def.Size * 8),
			Type: &btf.Pointer{Target: &btf.Array{Index: intType, Type: intType, Nelems: f.value}},
		})
		def.Size += 8
	}
	if m.InnerMap != nil {
		// The member values is an array without elements. Its type points to the type
		// of the inner maps.
		def.Members = append(def.Members, btf.Member{
			Name: "values", Offset: btf.Bits(def.Size * 8),
			Type: &btf.Array{Index: intType, Type: &btf.Pointer{Target: mapType(m.InnerMap)}},
		})
	}
	return def
}

// info is the function info and line info of one function.
type info struct {
	section string
	off     uint64 // offset of the function in its section, in bytes
	insns   asm.Instructions
}

// describe collects the info of all functions, in the order of their offsets.
func (w *writer) describe(funcs []*function) error {
	for _, s := range w.sections {
		for _, fn := range funcs {
			if fn.sect == s {
				insns := append(asm.Instructions{}, fn.insns...)
				meta := btf.FuncMetadata(&insns[0])
				typ := &btf.Func{Name: fn.name, Type: object.MainProto, Linkage: btf.GlobalFunc}
				if meta != nil {
					typ.Type, typ.ParamTags = meta.Type, meta.ParamTags
				}
				if s.name == textSection {
					typ.Linkage = btf.StaticFunc
					if meta != nil {
						typ.Linkage = meta.Linkage
					}
				}
				insns[0] = btf.WithFuncMetadata(insns[0], typ)
				w.infos = append(w.infos, info{s.name, fn.off, insns})
			}
		}
	}
	return nil
}

// btf adds the sections .BTF and .BTF.ext.
func (w *writer) btf() error {
	b, err := btf.NewBuilder(w.types, nil)
	if err != nil {
		return outline.Errorf("BTF: %w", err)
	}
	var funcs, lines extTable
	for _, in := range w.infos {
		f, l, err := btf.MarshalExtInfos(in.insns, b)
		if err != nil {
			return outline.Errorf("BTF: %w", err)
		}
		name, err := stringOffset(b, in.section)
		if err != nil {
			return outline.Errorf("BTF: %w", err)
		}
		funcs.add(name, f, int(btf.FuncInfoSize), in.off)
		lines.add(name, l, int(btf.LineInfoSize), in.off)
	}
	data, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		return outline.Errorf("BTF: %w", err)
	}
	w.add(".BTF", elf.SHT_PROGBITS, 0, 4).body = data

	fi, li := funcs.encode(btf.FuncInfoSize), lines.encode(btf.LineInfoSize)
	// The fields for CO-RE relocations are present but empty: cilium/ebpf 0.22
	// reads these fields even if the header ends before them.
	ext := binary.LittleEndian.AppendUint16(nil, 0xeb9f)
	ext = append(ext, 1, 0)
	for _, n := range []int{32, 0, len(fi), len(fi), len(li), 0, 0} {
		ext = binary.LittleEndian.AppendUint32(ext, uint32(n))
	}
	w.add(".BTF.ext", elf.SHT_PROGBITS, 0, 4).body = append(append(ext, fi...), li...)
	return nil
}

// stringOffset adds s to the string table of b and returns its offset. Package btf can
// add a string only as a source line.
func stringOffset(b *btf.Builder, s string) (uint32, error) {
	_, line, err := btf.MarshalExtInfos(asm.Instructions{asm.Return().WithSource(asm.Comment(s))}, b)
	if err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint32(line[8:]), nil // bpf_line_info.line_off
}

// extTable is one table of .BTF.ext, with records by section.
type extTable struct {
	sections []extSection
}

type extSection struct {
	name    uint32
	count   int
	records []byte
}

// add appends the records of a function at offset off in a section. It converts
// their first word, the instruction offset, to a byte offset in the section.
func (t *extTable) add(name uint32, records []byte, size int, off uint64) {
	if len(records) == 0 {
		return
	}
	if n := len(t.sections); n == 0 || t.sections[n-1].name != name {
		t.sections = append(t.sections, extSection{name: name})
	}
	s := &t.sections[len(t.sections)-1]
	for ; len(records) >= size; records = records[size:] {
		at := uint64(binary.NativeEndian.Uint32(records))*asm.InstructionSize + off
		s.records = binary.LittleEndian.AppendUint32(s.records, uint32(at))
		s.records = append(s.records, records[4:size]...)
		s.count++
	}
}

func (t *extTable) encode(size uint32) []byte {
	out := binary.LittleEndian.AppendUint32(nil, size)
	for _, s := range t.sections {
		out = binary.LittleEndian.AppendUint32(out, s.name)
		out = binary.LittleEndian.AppendUint32(out, uint32(s.count))
		out = append(out, s.records...)
	}
	return out
}
