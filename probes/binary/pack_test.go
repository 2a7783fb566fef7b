package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// packRow is a row of a package's index: the parts of the sections that belong to a unit.
type packRow struct {
	id    uint64
	parts map[uint32][2]uint32 // column → offset and size
}

// pack moves the .dwo files of a directory to the package dir/p.dwp. Not every machine has
// a program for that, and dwp of GNU binutils does not know DWARF 5.
func pack(t testing.TB, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.dwo"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no .dwo file: %v", err)
	}
	names := map[uint32]string{1: "info", 2: "types", 3: "abbrev", 4: "line", 5: "loc", 6: "str_offsets", 8: "rnglists"}
	all := map[uint32][]byte{}
	var text []byte
	var compiled, typed []packRow
	version := uint16(2)
	for _, path := range files {
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s := d.dwarfSections()
		le := binary.LittleEndian
		if le.Uint16(s.Info[4:]) == 5 {
			version, names[5] = 5, "loclists"
		}
		shared := map[uint32][2]uint32{}
		for c, data := range map[uint32][]byte{3: s.Abbrev, 4: s.Line, 5: append(s.Loc, s.Loclists...), 6: moved(s.StrOffsets, uint32(len(text)), version), 8: s.Rnglists} {
			shared[c] = [2]uint32{uint32(len(all[c])), uint32(len(data))}
			all[c] = append(all[c], data...)
		}
		text = append(text, s.Str...)
		id := units.New(s).Units()[0].DwoID
		for column, data := range [][]byte{1: s.Info, 2: s.Types} {
			c := uint32(column)
			for len(data) > 0 {
				n := le.Uint32(data) + 4
				r := packRow{id: id, parts: map[uint32][2]uint32{c: {uint32(len(all[c])), n}}}
				for k, v := range shared {
					r.parts[k] = v
				}
				const splitCompile = 5
				switch {
				case c == 2:
					r.id = le.Uint64(data[11:])
					typed = append(typed, r)
				case version == 5 && data[6] != splitCompile:
					r.id = le.Uint64(data[12:])
					typed = append(typed, r)
				default:
					if version == 5 {
						r.id = le.Uint64(data[12:])
					}
					compiled = append(compiled, r)
				}
				all[c] = append(all[c], data[:n]...)
				data = data[n:]
			}
		}
		d.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	sections := map[string][]byte{"str": text, "cu_index": packIndex(version, compiled), "tu_index": packIndex(version, typed)}
	for c, name := range names {
		sections[name] = all[c]
	}
	if err := os.WriteFile(filepath.Join(dir, "p.dwp"), packELF(sections), 0o644); err != nil {
		t.Fatal(err)
	}
}

// moved adds to all offsets in a file's part of .debug_str_offsets.
func moved(data []byte, by uint32, version uint16) []byte {
	out := bytes.Clone(data)
	at := 0
	if version == 5 {
		at = 8
	}
	for le := binary.LittleEndian; at+4 <= len(out); at += 4 {
		le.PutUint32(out[at:], le.Uint32(out[at:])+by)
	}
	return out
}

// packIndex returns the index with the rows.
func packIndex(version uint16, rows []packRow) []byte {
	le := binary.LittleEndian
	columns := []uint32{1, 2, 3, 4, 5, 6, 8}
	slots := uint64(4)
	for slots < 2*uint64(len(rows)) {
		slots *= 2
	}
	out := le.AppendUint16(nil, version)
	out = le.AppendUint16(out, 0)
	for _, n := range []int{len(columns), len(rows), int(slots)} {
		out = le.AppendUint32(out, uint32(n))
	}
	ids, numbers := make([]uint64, slots), make([]uint32, slots)
	for i, r := range rows {
		at := r.id & (slots - 1)
		for numbers[at] != 0 {
			at = (at + (r.id>>32&(slots-1) | 1)) & (slots - 1)
		}
		ids[at], numbers[at] = r.id, uint32(i+1)
	}
	for _, v := range ids {
		out = le.AppendUint64(out, v)
	}
	for _, list := range [][]uint32{numbers, columns} {
		for _, v := range list {
			out = le.AppendUint32(out, v)
		}
	}
	for part := range 2 {
		for _, r := range rows {
			for _, c := range columns {
				out = le.AppendUint32(out, r.parts[c][part])
			}
		}
	}
	return out
}

// packELF returns an ELF file with the sections .debug_NAME.dwo; those of indexes have no
// ending.
func packELF(sections map[string][]byte) []byte {
	body := make([]byte, 64)
	names := []byte("\x00.names\x00")
	headers := []elf.Section64{{}, {Name: 1, Type: uint32(elf.SHT_STRTAB)}}
	for name, data := range sections {
		headers = append(headers, elf.Section64{Name: uint32(len(names)), Type: uint32(elf.SHT_PROGBITS), Off: uint64(len(body)), Size: uint64(len(data)), Addralign: 1})
		body = append(body, data...)
		names = append(names, ".debug_"+name...)
		if name != "cu_index" && name != "tu_index" {
			names = append(names, ".dwo"...)
		}
		names = append(names, 0)
	}
	headers[1].Off, headers[1].Size, headers[1].Addralign = uint64(len(body)), uint64(len(names)), 1
	body = append(body, names...)
	h := elf.Header64{
		Type: uint16(elf.ET_NONE), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shentsize: 64,
		Shoff: uint64(len(body)), Shnum: uint16(len(headers)), Shstrndx: 1,
	}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, h)
	out.Write(body[64:])
	binary.Write(&out, binary.LittleEndian, headers)
	return out.Bytes()
}
