package binary

import (
	"debug/elf"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// maxSection is the maximum size of a decompressed section, and of all sections with one
// name, in bytes.
const maxSection = 1 << 30

// debugSection returns the uncompressed content of the section of debug information
// .debug_NAME. Older compilers name compressed sections .zdebug_NAME, and files of split
// DWARF use the ending .dwo. An object file may contain both (-gsplit-dwarf=single): then
// the split part counts, not what remains for the program. In a .dwo file, which no linker
// has processed, each type has a separate section, all with the same name. Then debugSection
// returns them one after the other. It returns nil if there is no such section or it is
// damaged.
func (x *File) debugSection(name string) []byte {
	var found [][]byte
	total := 0
	split := x.section(".debug_info.dwo") != nil && !strings.HasSuffix(name, "_index")
	for _, s := range x.elf.Sections {
		base := strings.TrimSuffix(s.Name, ".dwo")
		old := base == ".zdebug_"+name
		if !old && base != ".debug_"+name || split && base == s.Name {
			continue
		}
		data := x.uncompressed(s, old)
		if x.loaded != nil {
			data = x.relocated(s, data)
		}
		if total += len(data); data == nil || total > maxSection && len(found) > 0 {
			return nil
		}
		found = append(found, data)
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	return slices.Concat(found...)
}

// uncompressed returns the content of a section, or nil if it is damaged. old is set if
// the name of the section tells whether it is compressed.
func (x *File) uncompressed(s *elf.Section, old bool) []byte {
	if !old && s.Flags&elf.SHF_COMPRESSED == 0 {
		return x.bytesOf(s)
	}
	if s.Size > maxSection {
		return nil
	}
	data, err := s.Data()
	if err != nil {
		return nil
	}
	return data
}

// dwarfSections returns the sections of a file that contain DWARF.
func (x *File) dwarfSections() units.Sections {
	s := units.Sections{Order: x.elf.ByteOrder}
	for name, to := range map[string]*[]byte{
		"info": &s.Info, "abbrev": &s.Abbrev, "str": &s.Str, "line_str": &s.LineStr, "line": &s.Line,
		"addr": &s.Addr, "str_offsets": &s.StrOffsets, "rnglists": &s.Rnglists, "ranges": &s.Ranges,
		"loc": &s.Loc, "loclists": &s.Loclists, "types": &s.Types,
		"cu_index": &s.CUIndex, "tu_index": &s.TUIndex,
	} {
		*to = x.debugSection(name)
	}
	return s
}

// hasDWARF reports whether the file itself contains debug information.
func (x *File) hasDWARF() bool {
	return x.elf != nil && (x.section(".debug_info") != nil || x.section(".zdebug_info") != nil)
}
