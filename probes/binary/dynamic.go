package binary

import "debug/elf"

// dynamicSections returns sections for the data that the dynamic linker uses of a file
// without a section table: the symbols, their names and the relocations.
func (x *File) dynamicSections() []*elf.Section {
	table := map[elf.DynTag]uint64{}
	for _, p := range x.elf.Progs {
		if p.Type != elf.PT_DYNAMIC || x.narrow() {
			continue
		}
		for e := x.bytesAt(p.Off, p.Filesz); len(e) >= 16; e = e[16:] {
			if tag := elf.DynTag(x.elf.ByteOrder.Uint64(e)); tag != elf.DT_NULL {
				table[tag] = x.elf.ByteOrder.Uint64(e[8:])
				continue
			}
			break
		}
	}
	count := x.countDynamic(table[elf.DT_HASH], table[elf.DT_GNU_HASH])
	if count == 0 {
		return nil
	}
	out := []*elf.Section{{}}
	add := func(typ elf.SectionType, link uint32, addr, size uint64) {
		if off, ok := x.Offset(addr); ok && size > 0 {
			out = append(out, &elf.Section{SectionHeader: elf.SectionHeader{Type: typ, Link: link, Addr: addr, Offset: off, Size: size, FileSize: size}})
		}
	}
	if add(elf.SHT_STRTAB, 0, table[elf.DT_STRTAB], table[elf.DT_STRSZ]); len(out) < 2 {
		return nil
	}
	if add(elf.SHT_DYNSYM, 1, table[elf.DT_SYMTAB], count*symSize); len(out) == 3 {
		add(elf.SHT_RELA, 2, table[elf.DT_RELA], table[elf.DT_RELASZ])
		add(elf.SHT_RELA, 2, table[elf.DT_JMPREL], table[elf.DT_PLTRELSZ])
	}
	return out
}

// countDynamic returns the number of dynamic symbols according to the hash tables at the
// addresses, the older and the newer one.
func (x *File) countDynamic(old, gnu uint64) uint64 {
	order := x.elf.ByteOrder
	words := func(addr uint64) []byte {
		off, ok := x.Offset(addr)
		if !ok || off > uint64(len(x.data)) {
			return nil
		}
		return x.data[off:]
	}
	if t := words(old); old != 0 && len(t) >= 8 {
		return uint64(order.Uint32(t[4:]))
	}
	t := words(gnu)
	if gnu == 0 || len(t) < 16 {
		return 0
	}
	buckets, first, bloom := uint64(order.Uint32(t)), uint64(order.Uint32(t[4:])), uint64(order.Uint32(t[8:]))
	at := 16 + 8*bloom
	chains := at + 4*buckets
	if chains > uint64(len(t)) {
		return 0
	}
	last := uint64(0) // the symbol with the greatest number at the start of a chain
	for ; at < chains; at += 4 {
		last = max(last, uint64(order.Uint32(t[at:])))
	}
	if last < first {
		return first
	}
	for at = chains + 4*(last-first); at+4 <= uint64(len(t)); at += 4 {
		if last++; order.Uint32(t[at:])&1 != 0 { // the end of a chain
			return last
		}
	}
	return 0
}

// bytesAt returns a part of the file, or nil if it lies outside.
func (x *File) bytesAt(off, size uint64) []byte {
	if off > uint64(len(x.data)) || size > uint64(len(x.data))-off {
		return nil
	}
	return x.data[off : off+size]
}
