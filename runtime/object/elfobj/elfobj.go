// Package elfobj writes a compiled object as a relocatable ELF file in the form
// that libbpf, bpftool and cilium/ebpf load.
//
// The file has these sections:
//
//	license         the programs' licence
//	TYPE/TARGET     one section per attach point, named by libbpf's convention;
//	                a program with several attach points has one for each
//	.text           the functions that programs call
//	.maps           the maps, each described by a BTF variable
//	.rodata.NAME    maps of constants
//	.data.NAME      one-element array maps that programs address directly
//	.BTF, .BTF.ext  types, function info and line info
//	.gotrace        the layout of records and map values: see package layout
//
// Instructions that refer to a kernel function or type contain BTF IDs of the kernel
// that the script was compiled for, and structure offsets are those of that kernel.
// Such a file works only on that kernel.
package elfobj

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/gotrace/gotrace/runtime/object/layout"
	"github.com/gotrace/gotrace/runtime/outline"
)

// File is the input of Write.
type File struct {
	License string
	Progs   []Prog
	// Maps are the maps that the programs refer to by name. A map with Contents is
	// an array of one element.
	Maps   []*ebpf.MapSpec
	Layout []byte // contents of section .gotrace; if empty, the file has no such section
}

// Prog is a program for one attach point.
type Prog struct {
	Name    string // name of its symbol, unique in the file
	Section string // "tracepoint/syscalls/sys_enter_read"
	// Insns are the instructions of the program and of the functions that it calls.
	// Each function starts with an instruction that has a symbol. Source
	// information, if present, becomes line info.
	Insns asm.Instructions
}

// Relocation types of BPF.
const (
	relocAddress = 1  // R_BPF_64_64: a 64-bit load of the address of a map, of data or of a function
	relocCall    = 10 // R_BPF_64_32: a call of a function
)

const (
	textSection = ".text"
	progFlags   = elf.SHF_ALLOC | elf.SHF_EXECINSTR
	dataFlags   = elf.SHF_ALLOC | elf.SHF_WRITE
)

// Write returns f encoded as an ELF file.
func Write(f *File) ([]byte, error) {
	w := &writer{image: newImage(), file: f, mapSyms: map[string]uint32{}, data: map[string]int{}}
	w.add("license", elf.SHT_PROGBITS, dataFlags, 1).body = append([]byte(f.License), 0)
	w.maps()
	if err := w.programs(); err != nil {
		return nil, err
	}
	if err := w.btf(); err != nil {
		return nil, err
	}
	if len(f.Layout) > 0 {
		// Loaders silently skip sections of this type.
		w.add(layout.Section, elf.SHT_STRTAB, 0, 1).body = f.Layout
	}
	return w.bytes()
}

type writer struct {
	*image
	file    *File
	types   []btf.Type
	mapSyms map[string]uint32 // symbols of the variables in .maps
	data    map[string]int    // section symbols of maps that programs address directly
	infos   []info
}

// direct returns the maps that the programs address without a lookup.
func (w *writer) direct() map[string]bool {
	out := map[string]bool{}
	for _, p := range w.file.Progs {
		for i := range p.Insns {
			if ins := &p.Insns[i]; ins.IsLoadFromMap() && ins.Src == asm.PseudoMapValue {
				out[ins.Reference()] = true
			}
		}
	}
	return out
}

// maps adds the sections of the maps.
func (w *writer) maps() {
	direct := w.direct()
	var defs *section
	var vars []btf.VarSecinfo
	for _, m := range w.file.Maps {
		if direct[m.Name] || len(m.Contents) > 0 {
			w.dataMap(m)
			continue
		}
		if defs == nil {
			defs = w.add(".maps", elf.SHT_PROGBITS, dataFlags, 8)
		}
		def := mapType(m)
		off := uint64(len(defs.body))
		defs.body = append(defs.body, make([]byte, def.Size)...)
		w.mapSyms[m.Name] = w.symbol(m.Name, elf.STB_GLOBAL, elf.STT_OBJECT, defs, off, uint64(def.Size))
		vars = append(vars, btf.VarSecinfo{Type: &btf.Var{Name: m.Name, Type: def, Linkage: btf.GlobalVar}, Offset: uint32(off), Size: def.Size})
	}
	if defs != nil {
		w.types = append(w.types, &btf.Datasec{Name: ".maps", Size: uint32(len(defs.body)), Vars: vars})
	}
}

// dataMap adds a section that loaders turn into an array map of one element.
func (w *writer) dataMap(m *ebpf.MapSpec) {
	name, flags := ".data."+m.Name, dataFlags
	if m.Flags&rdonlyProg != 0 {
		name, flags = ".rodata."+m.Name, elf.SHF_ALLOC
	}
	s := w.add(name, elf.SHT_PROGBITS, flags, 8)
	s.body = make([]byte, m.ValueSize)
	if len(m.Contents) > 0 {
		if b, ok := m.Contents[0].Value.([]byte); ok {
			copy(s.body, b)
		}
	}
	w.data[m.Name] = s.index
	w.symbol(m.Name, elf.STB_GLOBAL, elf.STT_OBJECT, s, 0, uint64(m.ValueSize))
	w.types = append(w.types, &btf.Datasec{Name: name, Size: m.ValueSize, Vars: []btf.VarSecinfo{{
		Type: &btf.Var{Name: m.Name, Type: byteArray(m.ValueSize), Linkage: btf.GlobalVar}, Size: m.ValueSize,
	}}})
}

// function is one function of a program.
type function struct {
	name  string // its symbol
	local string // name that the program's instructions use
	insns asm.Instructions
	sect  *section
	off   uint64
}

// programs adds the programs and their functions.
func (w *writer) programs() error {
	bySection := map[string]*section{}
	place := func(name string) *section {
		if bySection[name] == nil {
			bySection[name] = w.add(name, elf.SHT_PROGBITS, progFlags, 8)
		}
		return bySection[name]
	}
	var all []*function
	for _, p := range w.file.Progs {
		funcs, err := split(&p)
		if err != nil {
			return err
		}
		addrs := map[string]*function{}
		for i, fn := range funcs {
			fn.sect = place(textSection)
			if i == 0 {
				fn.sect = place(p.Section)
			}
			fn.off = uint64(len(fn.sect.body))
			fn.sect.body = append(fn.sect.body, make([]byte, fn.insns.Size())...)
			addrs[fn.local] = fn
		}
		for _, fn := range funcs {
			if err := w.function(fn, addrs); err != nil {
				return outline.Errorf("%s: %w", fn.name, err)
			}
		}
		all = append(all, funcs...)
	}
	for _, fn := range all {
		bind := elf.STB_GLOBAL
		if fn.sect.name == textSection {
			bind = elf.STB_LOCAL // the verifier checks a local function at each call, with the arguments of that call
		}
		w.symbol(fn.name, bind, elf.STT_FUNC, fn.sect, fn.off, fn.insns.Size())
	}
	return w.describe(all)
}

// split splits a program into its functions, with main first.
func split(p *Prog) ([]*function, error) {
	var out []*function
	for i := range p.Insns {
		name := p.Insns[i].Symbol()
		switch {
		case name != "" || i == 0:
			fn := &function{name: p.Name + "__" + name, local: name}
			if i == 0 {
				fn.name = p.Name
			}
			out = append(out, fn)
		}
		fn := out[len(out)-1]
		fn.insns = append(fn.insns, p.Insns[i])
	}
	if len(out) == 0 {
		return nil, outline.Errorf("program %s has no instructions", p.Name)
	}
	return out, nil
}

// function encodes a function at its offset and adds its relocations.
func (w *writer) function(fn *function, addrs map[string]*function) error {
	insns := slices.Clone(fn.insns)
	off := fn.off
	for i := range insns {
		ins := &insns[i]
		bare := asm.Instruction{OpCode: ins.OpCode, Dst: ins.Dst, Src: ins.Src, Offset: ins.Offset, Constant: ins.Constant}
		switch ref := ins.Reference(); {
		case ref == "":
		case ins.IsLoadFromMap():
			bare.Src = 0
			if section, ok := w.data[ref]; ok {
				bare.Constant = int64(uint64(ins.Constant) >> 32)
				fn.sect.relocate(off, w.sectionSymbol(section), relocAddress)
			} else if sym, ok := w.mapSyms[ref]; ok {
				bare.Constant = 0
				fn.sect.relocate(off, sym, relocAddress)
			} else {
				return outline.Errorf("no map %q", ref)
			}
		case ins.IsFunctionReference():
			target := addrs[ref]
			if target == nil {
				return outline.Errorf("no function %q", ref)
			}
			if ins.OpCode.IsDWordLoad() {
				bare.Constant = int64(target.off)
				fn.sect.relocate(off, w.sectionSymbol(target.sect.index), relocAddress)
			} else {
				bare.Constant = int64(target.off/asm.InstructionSize) - 1
				fn.sect.relocate(off, w.sectionSymbol(target.sect.index), relocCall)
			}
		default:
			return outline.Errorf("instruction %d refers to %q", i, ref)
		}
		*ins = bare
		off += ins.Size()
	}
	var b bytes.Buffer
	if err := insns.Marshal(&b, binary.LittleEndian); err != nil {
		return err
	}
	copy(fn.sect.body[fn.off:], b.Bytes())
	return nil
}
