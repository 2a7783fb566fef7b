package binary

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/amd64"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Go's stacks grow by moving. A function first compares the stack pointer with the end
// of the stack. If the stack is too small, the function calls the runtime, which copies
// the stack elsewhere, and then starts again at its first instruction. So a breakpoint
// on the first instruction counts such a call twice. A return address that the kernel
// has replaced, as for uretprobes, crashes the program: the runtime finds an address on
// the stack that is in no function.
//
// Probes of Go functions are therefore placed on the first instruction after the
// comparison, where arguments are still in their places, and on the instructions that
// return.

// readGoRelease returns the number of the Go release that built the file, such as 26
// for Go 1.26, or 0 if it is not known.
func (x *File) readGoRelease() int {
	if !x.golang.Get() {
		return 0
	}
	_, after, ok := strings.Cut(x.goVersion(), "go1.")
	if !ok {
		return 0
	}
	digits := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(after)
	}
	n, _ := strconv.Atoi(after[:digits])
	return n
}

// goVersion returns the version that Go's linker wrote to the file, such as "go1.26.1",
// or "" if there is none. It is in its own section, after a header of 32 bytes: a magic
// string, the size of a pointer, and flags. Before Go 1.18 the header ends with the
// address of a string instead.
//
// Package debug/buildinfo also reads it, but supports four other file formats, which
// takes 120 kB of code.
func (x *File) goVersion() string {
	const (
		magic  = "\xff Go buildinf:"
		header = 32
		inline = 2 // flag: the string follows the header
	)
	for _, s := range x.elf.Sections {
		data := x.bytesOf(s)
		if s.Name != ".go.buildinfo" || len(data) < header || !bytes.HasPrefix(data, []byte(magic)) {
			continue
		}
		if data[len(magic)+1]&inline != 0 {
			n, used := binary.Uvarint(data[header:])
			if text := data[header+max(used, 0):]; used > 0 && n <= uint64(len(text)) {
				return string(text[:n])
			}
			return ""
		}
		if str := x.memory(x.elf.ByteOrder.Uint64(data[16:]), 16); str != nil {
			addr, n := x.elf.ByteOrder.Uint64(str), x.elf.ByteOrder.Uint64(str[8:])
			return string(x.memory(addr, max(n, 1)))
		}
	}
	return ""
}

// IsGo reports whether s is a function of a Go program that was built by Go's compiler
// or assembler, rather than C code linked to it.
func (x *File) IsGo(s Symbol) bool {
	if !x.golang.Get() {
		return false
	}
	if g := x.goTable.Get(); g != nil {
		f, ok := g.function(s.Addr)
		return ok && f.addr == s.Addr
	}
	return strings.Contains(s.Name, ".")
}

// ABI is the way in which a function receives its arguments.
type ABI uint8

const (
	ABIC          ABI = iota // the C convention, or another one according to DWARF
	ABIGo                    // Go's registers
	ABIGoDict                // like ABIGo, with a dictionary of types as the first argument
	ABIGoRecvDict            // like ABIGo, with the dictionary as the second argument
	ABIGoStack               // Go's stack: assembly, and releases before 1.17 (1.18 on arm64)
)

// ABI returns the way in which s receives its arguments.
func (x *File) ABI(s Symbol) ABI {
	if !x.IsGo(s) {
		return ABIC
	}
	first := 17
	if x.Arch() == "arm64" {
		first = 18
	}
	if release := x.goRelease.Get(); strings.HasSuffix(s.Name, ".abi0") || release != 0 && release < first {
		return ABIGoStack
	}
	switch dictionary(s.Name) {
	case 0:
		return ABIGoDict
	case 1:
		return ABIGoRecvDict
	}
	return ABIGo
}

// ArgRegs returns the registers of the integer arguments of an ABI, in order.
//
//go:noinline
func (a *Arch) ArgRegs(abi ABI) []string {
	switch abi {
	case ABIC:
		return a.Args
	case ABIGoStack:
		return nil
	case ABIGoDict:
		return a.GoArgs[1:]
	case ABIGoRecvDict:
		return append([]string{a.GoArgs[0]}, a.GoArgs[2:]...)
	}
	return a.GoArgs
}

// dictionary returns the position among the register arguments at which a generic Go
// function receives the dictionary of its types, or -1. A method receives it after its
// receiver.
func dictionary(name string) int {
	const shape = "[go.shape."
	i := strings.Index(name, shape)
	if i < 0 {
		i = strings.Index(name, "[...]") // in the table of Go's runtime before Go 1.21
	}
	if i < 0 {
		return -1
	}
	// The types may contain brackets themselves.
	depth, end := 0, -1
	for at := i; at < len(name) && end < 0; at++ {
		switch name[at] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				end = at + 1
			}
		}
	}
	if end < 0 {
		return -1
	}
	rest := strings.TrimPrefix(name[end:], ")")
	switch {
	case rest == "":
		return 0
	case strings.Count(rest, ".") == 1 && !isClosure(rest[1:]):
		return 1
	}
	return -1
}

// isClosure reports whether the compiler generated a name, for an anonymous function in
// another function.
func isClosure(name string) bool {
	bare := strings.TrimRight(name, "0123456789")
	made := bare != name && slices.Contains(strings.Fields("func gowrap deferwrap"), bare)
	return made || strings.Contains(name, "-range") || strings.HasSuffix(name, "-fm")
}

// maxPrologue is the maximum number of instructions before the comparison with the end
// of the stack.
const maxPrologue = 12

// insn is the part of a machine instruction that matters here.
type insn struct {
	size   int
	flow   flow
	target uint64 // of a branch or call with a fixed target
}

// flow is where execution continues after an instruction.
type flow = amd64.Flow

const (
	flowNext   = amd64.FlowNext
	flowBranch = amd64.FlowBranch
	flowJump   = amd64.FlowJump
	flowAway   = amd64.FlowAway
	flowCall   = amd64.FlowCall
	flowReturn = amd64.FlowReturn
)

// decode decodes the instruction at the start of code, which is at addr. It reports
// whether that is possible.
func decode(arch string, code []byte, addr uint64) (in insn, ok bool) {
	if arch == "arm64" {
		return decodeARM64(code, addr)
	}
	return decodeAMD64(code, addr)
}

func decodeAMD64(code []byte, addr uint64) (in insn, ok bool) {
	raw, ok := amd64.Decode(code)
	if !ok {
		return in, false
	}
	flow, distance := raw.Flow()
	in = insn{size: raw.Size, flow: flow}
	if flow == flowBranch || flow == flowJump || flow == flowCall {
		in.target = addr + uint64(raw.Size) + uint64(distance)
	}
	return in, true
}

func decodeARM64(code []byte, addr uint64) (in insn, ok bool) {
	if len(code) < 4 {
		return in, false
	}
	in.size = 4
	w := binary.LittleEndian.Uint32(code)
	// field returns the target of a branch that contains a signed number of words in
	// the given bits.
	field := func(shift, bits uint) uint64 { return addr + uint64(int64(int32(w>>shift<<(32-bits)))>>(32-bits)*4) }
	switch {
	case w&0xfffffc1f == 0xd65f0000: // ret
		in.flow = flowReturn
	case w>>26 == 0x05:
		in.flow, in.target = flowJump, field(0, 26)
	case w>>26 == 0x25:
		in.flow, in.target = flowCall, field(0, 26)
	case w>>24 == 0x54 || w>>25&0x3f == 0x1a: // b.cond, cbz, cbnz
		in.flow, in.target = flowBranch, field(5, 19)
	case w>>25&0x3f == 0x1b: // tbz, tbnz
		in.flow, in.target = flowBranch, field(5, 14)
	case w&0xfffffc1f == 0xd61f0000: // br, also through a table
		if w>>5&31 != goTableReg {
			in.flow = flowAway
		}
	}
	return in, true
}

// goTableReg is the register with which code from Go's compiler for arm64 jumps to a
// case of a switch: R27, which is not used to call closures or methods.
const goTableReg = 27

// body returns the code of s.
func (x *File) body(s Symbol) []byte {
	off, ok := x.CodeOffset(s.Addr)
	if !ok || s.Size == 0 || off > uint64(len(x.data)) || s.Size > uint64(len(x.data))-off {
		return nil
	}
	return x.data[off : off+s.Size]
}

// pastStackCheck returns the address of the first instruction of a Go function after
// those that compare the stack pointer with the end of the stack. If there are none, it
// returns that of the function's first instruction.
func (x *File) pastStackCheck(s Symbol) uint64 {
	code, arch := x.body(s), x.Arch()
	found := s.Addr
	for pos, i := 0, 0; i < maxPrologue && pos < len(code); i++ {
		in, ok := decode(arch, code[pos:], s.Addr+uint64(pos))
		if !ok || in.flow != flowNext && in.flow != flowBranch {
			break
		}
		pos += in.size
		if in.flow == flowBranch {
			if !x.growsStack(s, code, in.target) {
				break
			}
			found = s.Addr + uint64(pos)
		}
	}
	return found
}

// growsStack reports whether the code of s at an address calls the runtime to get a
// larger stack.
func (x *File) growsStack(s Symbol, code []byte, addr uint64) bool {
	arch := x.Arch()
	for i := 0; i < 4*maxPrologue; i++ {
		if addr < s.Addr || addr-s.Addr >= uint64(len(code)) {
			return false
		}
		in, ok := decode(arch, code[addr-s.Addr:], addr)
		switch {
		case !ok || in.flow == flowBranch || in.flow == flowReturn || in.flow == flowAway:
			return false
		case in.flow == flowCall:
			callee, ok := x.Covering(in.target)
			return ok && strings.HasPrefix(callee.Name, "runtime.morestack")
		case in.flow == flowJump:
			addr = in.target
		default:
			addr += uint64(in.size)
		}
	}
	return false
}

// Returns describes how a function ends.
type Returns struct {
	At    []uint64 // addresses of the instructions that return
	Jumps []string // names of the functions that it jumps to at its end; "" if one is not known
}

// Returns finds the instructions at which s ends.
func (x *File) Returns(s Symbol) (r Returns, err error) {
	code, arch := x.body(s), x.Arch()
	if code == nil {
		return r, outline.Errorf("the size of %s is not known", s.Name)
	}
	jumped := map[string]bool{}
	for pos := 0; pos < len(code); {
		addr := s.Addr + uint64(pos)
		in, ok := decode(arch, code[pos:], addr)
		if !ok {
			return r, outline.Errorf("the instruction at %s+%d cannot be decoded", s.Name, pos)
		}
		outside := in.target < s.Addr || in.target-s.Addr >= uint64(len(code))
		switch {
		case in.flow == flowReturn:
			r.At = append(r.At, addr)
		case in.flow == flowAway:
			jumped[""] = true
		case outside && (in.flow == flowJump || in.flow == flowBranch):
			to, _ := x.Covering(in.target)
			jumped[to.Name] = true
		}
		pos += in.size
	}
	for name := range jumped {
		r.Jumps = append(r.Jumps, name)
	}
	return r, nil
}

// goidOffset holds the offsets of a goroutine's number in the runtime's struct g, each
// with the first Go release that uses it. It is for programs without debug info.
var goidOffset = []struct{ since, offset int }{{9, 152}, {23, 160}, {25, 152}}

// lastGo is the latest release for which goidOffset is valid.
const lastGo = 26

// Goroutine returns a function that emits code for the address of the number of the
// goroutine that runs s. member is the number's name in the runtime's struct g.
func (x *File) Goroutine(a *Arch, s Symbol, member string) (func(b *ir.Builder, ctx *ir.Value) *ir.Value, error) {
	if abi := x.ABI(s); abi == ABIC || abi == ABIGoStack {
		return nil, outline.Errorf("%s does not keep the goroutine in a register", s.Name)
	}
	off := -1
	if g, err := x.DebugInfo(); err == nil {
		if t := g.Type("struct runtime.g"); t != nil {
			if f, ok := t.Field(member); ok {
				off = f.Off
			}
		}
	}
	release := x.goRelease.Get()
	if off < 0 && release <= lastGo {
		for _, r := range goidOffset {
			if release >= r.since {
				off = r.offset
			}
		}
	}
	if off < 0 {
		return nil, outline.Errorf("where the runtime of Go 1.%d keeps the number of a goroutine is not known, and %s has no debug info", release, x.Label)
	}
	return func(b *ir.Builder, ctx *ir.Value) *ir.Value { return b.AddImm(a.load(b, ctx, a.goG), int64(off)) }, nil
}
