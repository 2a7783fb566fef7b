package binary

import (
	"debug/elf"
	"encoding/binary"
	"slices"

	"github.com/gotrace/gotrace/runtime/amd64"
)

// An indirect function (STT_GNU_IFUNC) has several implementations. Its symbol is that
// of a resolver: the dynamic linker calls it once, and it returns the address of the
// implementation for the processor, which all calls then use. libc has about fifty
// indirect functions (strlen, memcpy and others). Most implementations have no symbol,
// so their addresses are derived from the resolver: from its code, from a slot that the
// code reads and the dynamic linker fills, or from a function that it calls.

// Targets returns the functions that calls of s may execute. That is s itself or, if s is
// indirect, its implementations under the name of s. elsewhere reports whether there may be
// others: outside of the file, such as in the vDSO, or after an instruction of the resolver
// that cannot be decoded. If the kernel does not know the first instructions of an
// implementation, it is left out, unless all are like that.
func (x *File) Targets(s Symbol) (list []Symbol, elsewhere bool) {
	if !s.Indirect {
		return []Symbol{s}, false
	}
	r := resolver{x: x, seen: map[uint64]bool{}}
	r.follow(s)
	slices.Sort(r.found)
	var known []Symbol
	for _, a := range slices.Compact(r.found) {
		impl := Symbol{Name: s.Name, Addr: a}
		if c, ok := x.Covering(a); ok && c.Addr == a {
			impl.Size = c.Size
		}
		if list = append(list, impl); !x.Unknown(a) {
			known = append(known, impl)
		}
	}
	if len(known) > 0 {
		list = known
	}
	return list, r.elsewhere
}

// resolver collects the possible results of a resolver.
type resolver struct {
	x         *File
	seen      map[uint64]bool // functions, by address
	found     []uint64
	elsewhere bool
}

// references are the addresses in the code of a function.
type references struct {
	addrs  []uint64 // addresses that it computes
	slots  []uint64 // addresses of words that it reads
	calls  []uint64 // functions that it calls
	jumps  []uint64 // addresses that it jumps to
	remote bool     // it calls an address that it has read
	cut    bool     // it contains an instruction that cannot be decoded
}

// maxResolver is the maximum number of functions that follow examines: the resolver and
// the functions that it calls.
const maxResolver = 8

// follow adds the possible results of the function s.
func (r *resolver) follow(s Symbol) {
	if r.seen[s.Addr] || len(r.seen) >= maxResolver {
		return
	}
	r.seen[s.Addr] = true
	code := r.x.codeAt(s.Addr, int(min(s.Size, 1<<16)))
	if uint64(len(code)) < s.Size {
		return
	}
	var refs references
	switch r.x.elf.Machine {
	case elf.EM_X86_64:
		refs = referencesAMD64(code, s.Addr)
	case elf.EM_AARCH64:
		refs = referencesARM64(code, s.Addr)
	}
	r.elsewhere = r.elsewhere || refs.remote || refs.cut
	before := len(r.found)
	for _, a := range refs.addrs {
		if _, ok := r.x.CodeOffset(a); ok && a-s.Addr >= s.Size {
			r.found = append(r.found, a)
		}
	}
	for _, slot := range refs.slots {
		if a, ok := r.x.filledIn(slot); ok {
			if _, ok := r.x.CodeOffset(a); ok {
				r.found = append(r.found, a)
			}
		}
	}
	for _, a := range refs.jumps {
		if f, ok := r.x.Covering(a); ok && f.Addr == a {
			r.follow(f)
		}
	}
	// A function that it calls may only examine the processor, as those of libc do.
	for _, a := range refs.calls {
		if f, ok := r.x.Covering(a); ok && f.Addr == a && len(r.found) == before {
			r.follow(f)
		}
	}
}

// filledIn returns the address in this file that the dynamic linker writes to a word,
// if any.
func (x *File) filledIn(slot uint64) (addr uint64, ok bool) {
	const (
		relaSize     = 24
		symbol       = 1 // of either architecture: the address of a symbol
		globalAMD64  = uint32(elf.R_X86_64_GLOB_DAT)
		globalARM64  = uint32(elf.R_AARCH64_GLOB_DAT)
		moveAMD64    = uint32(elf.R_X86_64_RELATIVE)
		moveARM64    = uint32(elf.R_AARCH64_RELATIVE)
		addressARM64 = uint32(elf.R_AARCH64_ABS64)
	)
	order := x.elf.ByteOrder
	for _, s := range x.elf.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		for e := x.bytesOf(s); len(e) >= relaSize; e = e[relaSize:] {
			if order.Uint64(e) != slot {
				continue
			}
			info, addend := order.Uint64(e[8:]), order.Uint64(e[16:])
			switch uint32(info) {
			case moveAMD64, moveARM64:
				return addend, true
			case symbol, globalAMD64, globalARM64, addressARM64:
				a, ok := x.symbolAt(s.Link, uint32(info>>32))
				return a + addend, ok
			}
			return 0, false
		}
	}
	// In a program with fixed addresses, the linker has set the word.
	if off, ok := x.Offset(slot); ok && x.FixedAddress() && off+8 <= uint64(len(x.data)) {
		return order.Uint64(x.data[off:]), true
	}
	return 0, false
}

// symbolAt returns the address of entry i of the symbol table in section table, if the
// symbol is defined in this file.
func (x *File) symbolAt(table, i uint32) (uint64, bool) {
	if int(table) >= len(x.elf.Sections) {
		return 0, false
	}
	entries := x.bytesOf(x.elf.Sections[table])
	at := uint64(i) * symSize
	if at+symSize > uint64(len(entries)) {
		return 0, false
	}
	e := entries[at:]
	return x.elf.ByteOrder.Uint64(e[8:]), elf.SectionIndex(x.elf.ByteOrder.Uint16(e[6:])) != elf.SHN_UNDEF
}

// referencesAMD64 returns the references in the code at pc.
func referencesAMD64(code []byte, pc uint64) (r references) {
	start, size := pc, uint64(len(code))
	for len(code) > 0 {
		in, ok := amd64.Decode(code)
		if !ok {
			r.cut = true
			break
		}
		code, pc = code[in.Size:], pc+uint64(in.Size)
		if a, ok := in.Address(pc); ok {
			r.addrs = append(r.addrs, a)
		}
		if in.Loads() {
			r.slots = append(r.slots, pc+uint64(int64(in.Disp)))
		}
		r.remote = r.remote || in.CallsIndirectly()
		flow, distance := in.Flow()
		to := pc + uint64(distance)
		switch {
		case flow == flowCall:
			r.calls = append(r.calls, to)
		case (flow == flowJump || flow == flowBranch) && to-start >= size:
			r.jumps = append(r.jumps, to)
		}
	}
	return r
}

// referencesARM64 is referencesAMD64 for arm64: adr, pairs of adrp and add or ldr, and
// branches.
func referencesARM64(code []byte, pc uint64) (r references) {
	start, size := pc, uint64(len(code))
	pages := map[uint32]uint64{} // by register
	for ; len(code) >= 4; code, pc = code[4:], pc+4 {
		op := binary.LittleEndian.Uint32(code)
		rd, rn := op&31, op>>5&31
		imm := int64(int32(op<<8)>>13)<<2 | int64(op>>29&3) // of adr and adrp, signed
		to := pc + uint64(int64(int32(op<<6)>>4))           // of b and bl
		switch {
		case op&0x9f000000 == 0x90000000: // adrp
			pages[rd] = pc&^0xfff + uint64(imm<<12)
		case op&0x9f000000 == 0x10000000: // adr
			r.addrs = append(r.addrs, pc+uint64(imm))
		case op&0xffc00000 == 0x91000000: // add rd, rn, #imm
			if page, ok := pages[rn]; ok {
				r.addrs = append(r.addrs, page+uint64(op>>10&0xfff))
			}
		case op&0xffc00000 == 0xf9400000: // ldr rd, [rn, #imm]
			if page, ok := pages[rn]; ok {
				r.slots = append(r.slots, page+uint64(op>>10&0xfff)*8)
			}
		case op&0xfffffc1f == 0xd63f0000: // blr
			r.remote = true
		case op&0xfc000000 == 0x94000000: // bl
			r.calls = append(r.calls, to)
		case op&0xfc000000 == 0x14000000 && to-start >= size: // b
			r.jumps = append(r.jumps, to)
		}
	}
	return r
}
