package binary

import (
	"bytes"
	"debug/elf"
)

// Load sets the addresses of the sections of a relocatable file, such as a kernel module.
// If it is called before the file's debug information is read, the latter has the
// addresses in memory.
func (x *File) Load(sections map[string]uint64) { x.loaded = sections }

// relocated returns the content of a section of a relocatable file with the values of the
// symbols that it refers to.
func (x *File) relocated(s *elf.Section, data []byte) []byte {
	order := x.elf.ByteOrder
	out := data
	for _, r := range x.elf.Sections {
		if r.Type != elf.SHT_RELA || int(r.Info) >= len(x.elf.Sections) || x.elf.Sections[r.Info] != s || int(r.Link) >= len(x.elf.Sections) {
			continue
		}
		syms := x.bytesOf(x.elf.Sections[r.Link])
		out = bytes.Clone(data)
		const size = 24 // of Elf64_Rela
		for e := x.uncompressed(r, false); len(e) >= size; e = e[size:] {
			off, sym, kind := order.Uint64(e), uint64(order.Uint32(e[12:])), order.Uint32(e[8:])
			if off > uint64(len(out)) || (sym+1)*symSize > uint64(len(syms)) {
				continue
			}
			y, to := syms[sym*symSize:], out[off:]
			v := order.Uint64(y[8:]) + order.Uint64(e[16:])
			if n := int(order.Uint16(y[6:])); n < len(x.elf.Sections) {
				v += x.loaded[x.elf.Sections[n].Name]
			}
			switch wide := kind == uint32(elf.R_X86_64_64) || kind == uint32(elf.R_AARCH64_ABS64); {
			case wide && len(to) >= 8:
				order.PutUint64(to, v)
			case !wide && len(to) >= 4 && (kind == uint32(elf.R_X86_64_32) || kind == uint32(elf.R_AARCH64_ABS32)):
				order.PutUint32(to, uint32(v))
			}
		}
	}
	return out
}
