package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// An indirect function (STT_GNU_IFUNC) has several implementations. Its symbol is a
// resolver: the dynamic linker calls it once, and it returns the address of the
// implementation for the processor, which all calls then use. libc has about fifty
// indirect functions (strlen, memcpy, …). Most implementations have no symbol, so
// their addresses are taken from the resolver's code.

// Targets returns the functions that calls of s may execute: s, or, if s is
// indirect, its implementations under the name of s. elsewhere reports whether an
// implementation may be outside of the file, such as in the vDSO.
func (x *File) Targets(s Symbol) (list []Symbol, elsewhere bool) {
	if !s.Indirect {
		return []Symbol{s}, false
	}
	off, ok := x.CodeOffset(s.Addr)
	if !ok || s.Size > uint64(len(x.data)) || off > uint64(len(x.data))-s.Size {
		return nil, false
	}
	code := x.data[off : off+s.Size]
	var addrs []uint64
	switch x.elf.Machine {
	case elf.EM_X86_64:
		addrs, elsewhere = addressesAMD64(code, s.Addr)
	case elf.EM_AARCH64:
		addrs, elsewhere = addressesARM64(code, s.Addr)
	}
	slices.Sort(addrs)
	for _, a := range slices.Compact(addrs) {
		if _, ok := x.CodeOffset(a); !ok || a-s.Addr < s.Size {
			continue // data, or a place in the resolver
		}
		impl := Symbol{Name: s.Name, Addr: a}
		if c, ok := x.Covering(a); ok && c.Addr == a {
			impl.Size = c.Size
		}
		list = append(list, impl)
	}
	return list, elsewhere
}

// addressesAMD64 returns the addresses that the code at pc computes, and whether it
// makes indirect calls.
func addressesAMD64(code []byte, pc uint64) (list []uint64, calls bool) {
	for len(code) > 0 {
		if bytes.HasPrefix(code, endbr64) {
			code, pc = code[len(endbr64):], pc+uint64(len(endbr64))
			continue
		}
		insn, err := x86asm.Decode(code, 64)
		if err != nil || insn.Len <= 0 {
			break
		}
		code, pc = code[insn.Len:], pc+uint64(insn.Len)
		switch src := insn.Args[1].(type) {
		case x86asm.Mem:
			if insn.Op == x86asm.LEA && src.Base == x86asm.RIP {
				list = append(list, pc+uint64(int64(int32(src.Disp))))
			}
		case x86asm.Imm: // an address, in code with a fixed address
			if insn.Op == x86asm.MOV {
				list = append(list, uint64(src))
			}
		}
		if insn.Op == x86asm.CALL {
			if _, direct := insn.Args[0].(x86asm.Rel); !direct {
				calls = true
			}
		}
	}
	return list, calls
}

// addressesARM64 is addressesAMD64 for arm64: adr, and pairs of adrp and add.
func addressesARM64(code []byte, pc uint64) (list []uint64, calls bool) {
	pages := map[uint32]uint64{} // by register
	for ; len(code) >= 4; code, pc = code[4:], pc+4 {
		op := binary.LittleEndian.Uint32(code)
		rd, rn := op&31, op>>5&31
		imm := int64(int32(op<<8)>>13)<<2 | int64(op>>29&3) // of adr and adrp, signed
		switch {
		case op&0x9f000000 == 0x90000000: // adrp
			pages[rd] = pc&^0xfff + uint64(imm<<12)
		case op&0x9f000000 == 0x10000000: // adr
			list = append(list, pc+uint64(imm))
		case op&0xffc00000 == 0x91000000: // add rd, rn, #imm
			if page, ok := pages[rn]; ok {
				list = append(list, page+uint64(op>>10&0xfff))
			}
		case op&0xfffffc1f == 0xd63f0000: // blr
			calls = true
		}
	}
	return list, calls
}
