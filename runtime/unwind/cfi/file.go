package cfi

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/gotrace/gotrace/runtime/cursor"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Span is an executable range of a file.
type Span struct {
	Off, Addr, Size uint64
}

// File is the call frame information of a program or library. Its addresses are those in
// the file's headers.
type File struct {
	Rows
	Code []Span
	Go   bool // Go's linker wrote it: its functions keep the frame pointer
}

// ErrArch is wrapped by the error for a file of an unsupported machine.
var ErrArch = errors.New("frames of this machine are not supported")

// maxSection is the maximum number of bytes that are read of a section.
const maxSection = 512 << 20

// ReadFile reads the call frame information of an ELF file from .eh_frame, and from
// .debug_frame for functions that .eh_frame lacks. It adds rows for code that linkers
// and C libraries may leave undescribed: the procedure linkage table, and the
// instructions that a signal handler returns to, and those that start a program.
//
// A file without any information has no rows. If part of the information is malformed,
// the result contains the rest.
//
// If the file has much code without information, which takes long to follow, ReadFile
// first calls own with the rows that the file contains. own and golang may be nil.
func ReadFile(r io.ReaderAt, own func(*File), golang GoFunctions) (*File, error) {
	e, err := elf.NewFile(r)
	if err != nil {
		return nil, badf("%v", err)
	}
	if e.Machine != elf.EM_X86_64 || e.Class != elf.ELFCLASS64 || e.ByteOrder != binary.LittleEndian {
		return nil, outline.Errorf("%w: %v", ErrArch, e.Machine)
	}
	arch := AMD64
	f := &File{Go: isGo(e)}
	f.rule(Rule{})
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			f.Code = append(f.Code, Span{p.Off, p.Vaddr, p.Filesz})
		}
	}
	errEH := f.readEH(e, arch)
	if golang != nil && f.Go {
		f.fillGo(r, e, arch, golang)
	}
	errDebug := f.readDebug(e, arch)
	f.fillPLT(e, arch)
	f.fillSigreturn(r, arch)
	if !f.Go { // Go's functions have frame pointers, and switch stacks
		gaps := f.gaps(e)
		if own != nil && len(f.List) > 0 && sizeOf(gaps) > longCode {
			first := &File{Rows: f.Rows.clone(), Code: f.Code}
			first.fillEntry(e.Entry)
			own(first)
		}
		f.fillCode(e, gaps, arch)
	}
	f.fillEntry(e.Entry)
	return f, errors.Join(errEH, errDebug)
}

// isGo reports whether Go's linker wrote an ELF file.
func isGo(e *elf.File) bool {
	return e.Section(".gopclntab") != nil || e.Section(".data.rel.ro.gopclntab") != nil || e.Section(".go.buildinfo") != nil
}

func (f *File) readEH(e *elf.File, arch *Arch) error {
	s, err := ehFrame(e)
	if err != nil || s == nil {
		return err
	}
	s.Arch = arch
	if text := e.Section(".text"); text != nil {
		s.Text = text.Addr
	}
	return f.Read(*s)
}

// ehFrame returns the section .eh_frame, or nil. If the file has no section table,
// .eh_frame_hdr contains its address.
func ehFrame(e *elf.File) (*Section, error) {
	base := uint64(0)
	var header *elf.Prog
	for _, p := range e.Progs {
		if p.Type == elf.PT_GNU_EH_FRAME {
			header, base = p, p.Vaddr
		}
	}
	if s := e.Section(".eh_frame"); s != nil {
		if s.Type == elf.SHT_NOBITS { // a file with debug information only
			return nil, nil
		}
		data, err := sectionData(s)
		if err != nil {
			return nil, err
		}
		return &Section{Data: data, Addr: s.Addr, Base: base}, nil
	}
	if header == nil || header.Filesz == 0 {
		return nil, nil
	}
	head := make([]byte, min(header.Filesz, 16))
	if _, err := header.ReadAt(head, 0); err != nil || len(head) < 8 || head[0] != 1 {
		return nil, badf(".eh_frame_hdr")
	}
	r := cursor.Cursor{Data: head, At: 4}
	hdr := Section{Addr: base, Base: base}
	addr := hdr.pointer(&r, head[1], 8)
	if r.Bad {
		return nil, badf(".eh_frame_hdr")
	}
	for _, p := range e.Progs {
		if p.Type != elf.PT_LOAD || addr < p.Vaddr || addr-p.Vaddr >= p.Filesz {
			continue
		}
		// The contents end with a record of size 0, before the end of the segment.
		data, err := readAll(io.NewSectionReader(p, int64(addr-p.Vaddr), int64(p.Filesz-(addr-p.Vaddr))))
		return &Section{Data: data, Addr: addr, Base: base}, err
	}
	return nil, badf(".eh_frame_hdr refers to %#x, which is not in the file", addr)
}

func (f *File) readDebug(e *elf.File, arch *Arch) error {
	s := e.Section(".debug_frame")
	if s == nil || s.Type == elf.SHT_NOBITS {
		return nil
	}
	data, err := sectionData(s)
	if err != nil {
		return err
	}
	var more Rows
	err = more.Read(Section{Data: data, Debug: true, Arch: arch})
	if f.Go {
		more.saveGoFP(arch)
	}
	f.Fill(&more)
	return err
}

func sectionData(s *elf.Section) ([]byte, error) {
	r := s.Open()
	return readAll(r)
}

// readAll reads at most maxSection bytes. It allocates memory only for the bytes read.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSection))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, badf("%v", err)
	}
	return data, nil
}

// fillPLT adds rows for procedure linkage tables that the linker left undescribed.
func (f *File) fillPLT(e *elf.File, arch *Arch) {
	const entry = 16
	sp := uint8(arch.SP)
	call := Rule{Kind: Register, Reg: sp, CFA: 8, RA: -8}
	for _, s := range e.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 || s.Size == 0 || s.Type == elf.SHT_NOBITS {
			continue
		}
		var more Rows
		switch s.Name {
		case ".plt.sec", ".plt.got":
			more.add(s.Addr, more.rule(call))
		case ".plt", ".iplt":
			// An entry jumps to the function. The first time, it pushes its number and
			// jumps to the first entry, which pushes another word.
			head := make([]byte, 2*entry)
			if n, _ := s.ReadAt(head, 0); n < len(head) {
				continue
			}
			pushed := int16(11)
			if bytes.HasPrefix(head[entry:], []byte{0xf3, 0x0f, 0x1e, 0xfa}) { // endbr64
				pushed = 9
			}
			more.add(s.Addr, more.rule(Rule{Kind: Register, Reg: sp, CFA: 16, RA: -8}))
			more.add(s.Addr+6, more.rule(Rule{Kind: Register, Reg: sp, CFA: 24, RA: -8}))
			more.add(s.Addr+entry, more.rule(Rule{Kind: PLT, Reg: sp, CFA: 8, Add: pushed, RA: -8}))
		default:
			continue
		}
		more.add(s.Addr+s.Size, more.rule(Rule{}))
		f.Fill(&more)
	}
}

// maxEntry is the maximum size in bytes of the code that starts a program. It may be more
// than one function.
const maxEntry = 256

// fillEntry adds rows for the code that starts a program, which has no caller.
func (f *File) fillEntry(entry uint64) {
	if len(f.List) == 0 || f.At(entry).Kind != NoTable || !slices.ContainsFunc(f.Code, func(c Span) bool { return entry-c.Addr < c.Size }) {
		return
	}
	end := entry + maxEntry
	for _, r := range f.List {
		if entry < r.PC && r.PC < end {
			end = r.PC
		}
	}
	var more Rows
	more.add(entry, more.rule(Rule{Kind: End}))
	more.add(end, more.rule(Rule{}))
	f.Fill(&more)
}

// fillSigreturn adds rows for the instructions that a signal handler returns to.
func (f *File) fillSigreturn(r io.ReaderAt, arch *Arch) {
	const part, overlap = 1 << 20, 16
	buf := make([]byte, part+overlap)
	for _, c := range f.Code {
		for off := uint64(0); off < c.Size; off += part {
			n, _ := r.ReadAt(buf[:min(part+overlap, c.Size-off)], int64(c.Off+off))
			for _, insns := range arch.Sigreturn {
				for at := 0; ; at += len(insns) {
					i := bytes.Index(buf[at:n], insns)
					if i < 0 {
						break
					}
					at += i
					pc := c.Addr + off + uint64(at)
					if f.At(pc).Kind != NoTable {
						continue
					}
					var more Rows
					// A return address is looked up at the byte before it, so the row
					// starts before the first instruction.
					more.add(pc-1, more.rule(arch.SignalFrame))
					more.add(pc+uint64(len(insns)), more.rule(Rule{}))
					f.Fill(&more)
				}
			}
		}
	}
}
