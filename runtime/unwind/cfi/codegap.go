package cfi

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"sort"
	"strings"
)

// This file finds the code of a file that has no rows, and the functions in it.

// endless lists the functions of the C and C++ libraries that do not return.
const endless = `abort exit _exit _Exit quick_exit pthread_exit err errx verr verrx
	longjmp _longjmp siglongjmp __longjmp_chk __stack_chk_fail __chk_fail __fortify_fail __assert_fail
	__libc_start_main _Unwind_Resume __cxa_throw __cxa_rethrow __cxa_bad_cast __cxa_pure_virtual
	__cxa_throw_bad_array_new_length _ZSt9terminatev`

// endingStubs returns the addresses of the stubs with which a file calls functions of
// other files that do not return.
func endingStubs(e *elf.File) map[uint64]bool {
	names, err := e.DynamicSymbols()
	if err != nil {
		return nil
	}
	known := map[string]bool{}
	for _, name := range strings.Fields(endless) {
		known[name] = true
	}
	slots := map[uint64]bool{} // words that contain the address of such a function
	for _, s := range e.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		data, _ := sectionData(s)
		for ; len(data) >= 24; data = data[24:] {
			n := uint64(binary.LittleEndian.Uint32(data[12:]))
			if n == 0 || n > uint64(len(names)) {
				continue
			}
			if name := names[n-1].Name; known[name] || strings.HasPrefix(name, "_ZSt") && strings.Contains(name, "__throw_") {
				slots[binary.LittleEndian.Uint64(data)] = true
			}
		}
	}
	out := map[uint64]bool{}
	for _, s := range e.Sections {
		if !strings.HasPrefix(s.Name, ".plt") || s.Type != elf.SHT_PROGBITS {
			continue
		}
		data, _ := sectionData(s)
		entry := uint64(0)
		for at := uint64(0); at+6 <= uint64(len(data)); at++ {
			if at%8 == 0 && (at%16 == 0 || s.Name == ".plt.got") {
				entry = s.Addr + at
			}
			if data[at] == 0xff && data[at+1] == 0x25 && slots[s.Addr+at+6+uint64(int32(binary.LittleEndian.Uint32(data[at+2:])))] { // jmp *slot(%rip)
				out[entry] = true
			}
		}
	}
	return out
}

// gaps returns the ranges of code without rows.
func (f *File) gaps(e *elf.File) []gap {
	var out []gap
	left := maxCode
	i := 0
	for _, s := range codeParts(e) {
		for at, end := s.addr, s.addr+s.size; at < end; {
			for i < len(f.List) && f.List[i].PC <= at {
				i++
			}
			next := end
			if i < len(f.List) {
				next = min(next, f.List[i].PC)
			}
			if bare := i == 0 || f.Rules[f.List[i-1].Rule].Kind == NoTable; bare && next-at >= minGap && next-at <= uint64(left) {
				data := make([]byte, next-at)
				if n, _ := s.ReadAt(data, int64(at-s.addr)); n == len(data) {
					left -= n
					out = append(out, gap{start: at, data: data, at: make([]uint32, n), of: make([]uint32, n), known: make([]byte, n)})
				}
			}
			at = next
		}
	}
	return out
}

// codePart is a range of code in a file.
type codePart struct {
	addr, size uint64
	io.ReaderAt
}

// codeParts returns the sections with code, by address, without those that fillPLT
// describes. If the file has no table of sections, it returns the segments.
func codeParts(e *elf.File) []codePart {
	var all []codePart
	for _, s := range e.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 && s.Type == elf.SHT_PROGBITS && !strings.HasPrefix(s.Name, ".plt") && s.Name != ".iplt" {
			all = append(all, codePart{s.Addr, s.Size, s})
		}
	}
	if len(e.Sections) == 0 {
		for _, p := range e.Progs {
			if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
				all = append(all, codePart{p.Vaddr, p.Filesz, p})
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].addr < all[j].addr })
	var out []codePart
	for _, c := range all { // without those that overlap
		if n := len(out); c.addr+c.size >= c.addr && (n == 0 || out[n-1].addr+out[n-1].size <= c.addr) {
			out = append(out, c)
		}
	}
	return out
}

// functionsOf returns the addresses of the functions in the tables of symbols.
func functionsOf(e *elf.File) []uint64 {
	var out []uint64
	for _, s := range e.Sections {
		if s.Type != elf.SHT_SYMTAB && s.Type != elf.SHT_DYNSYM {
			continue
		}
		data, err := sectionData(s)
		if err != nil {
			continue
		}
		for ; len(data) >= elf.Sym64Size; data = data[elf.Sym64Size:] {
			if kind := elf.ST_TYPE(data[4]); kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC {
				out = append(out, binary.LittleEndian.Uint64(data[8:]))
			}
		}
	}
	return out
}
