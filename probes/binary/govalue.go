package binary

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An interface of Go has two words: the address of the description of the value's type,
// and the address of the value or, for pointers, the pointer itself. The program contains
// the descriptions, each a struct abi.Type; their names and types refer to each other by
// offsets. The layout is that of Go 1.18 to 1.26.

// GoValue is the part of the value in an interface that a probe copied.
type GoValue struct {
	Type  uint64    // address of the description of its type
	Null  bool      // the second word of the interface is 0
	Words []byte    // the first bytes of the value or, for a pointer, of the object that it points to
	Texts [2]string // the strings whose address and length are the first and the second pair of words
	Known [2]bool   // whether these bytes could be read
}

// The kinds of abi.Kind that are of interest.
const (
	goBool       = 1
	goInt        = 2
	goInt64      = 6
	goUint       = 7
	goUint64     = 11
	goUintptr    = 12
	goFloat32    = 13
	goFloat64    = 14
	goPointer    = 22
	goString     = 24
	goStruct     = 25
	goKindMask   = 31
	goExtraStar  = 1 << 1 // TFlag: the name has a * that is not part of it
	goDirect     = 1 << 5 // TFlag, before Go 1.26 Kind_: the interface has the value itself, which is a pointer
	goTypeSize   = 48
	goFieldSize  = 24
	maxGoFields  = 32
	maxGoName    = 1 << 10
	goStructHead = goTypeSize + 8 // the package's name precedes the list of fields
)

// goType is a description of a type.
type goType struct {
	x    *File
	addr uint64
	name string
	kind byte
	size uint64

	direct bool // the interface has the value itself, which is a pointer

	read    bool // members and pointed are set
	members []goField
	pointed *goType // of a pointer, if known
}

type goField struct {
	name string
	off  uint64
	t    *goType
}

// maxGoTypes is the maximum number of descriptions that are cached.
const maxGoTypes = 4096

// goTypeAt returns the description at an address of the file, or nil.
func (x *File) goTypeAt(addr uint64) *goType {
	g := x.goTable.Get()
	if g == nil || addr < g.types || addr >= g.etypes {
		return nil
	}
	t, ok := g.known[addr]
	if !ok {
		if len(g.known) >= maxGoTypes || g.known == nil {
			g.known = map[uint64]*goType{}
		}
		t = x.readGoType(g, addr)
		g.known[addr] = t
	}
	return t
}

func (x *File) readGoType(g *goTable, addr uint64) *goType {
	data := x.memory(addr, goTypeSize)
	if data == nil {
		return nil
	}
	order := x.elf.ByteOrder
	name, ok := x.goName(g.types + uint64(int64(int32(order.Uint32(data[40:])))))
	if !ok || name == "" {
		return nil
	}
	if data[20]&goExtraStar != 0 {
		name = strings.TrimPrefix(name, "*")
	}
	return &goType{x: x, addr: addr, name: name, kind: data[23] & goKindMask, size: order.Uint64(data),
		direct: (data[20]|data[23])&goDirect != 0}
}

// goName reads the name at an address: flags, a length and characters.
func (x *File) goName(addr uint64) (string, bool) {
	head := x.memory(addr, 1+binary.MaxVarintLen16)
	if head == nil {
		return "", false
	}
	n, used := binary.Uvarint(head[1:])
	if used <= 0 || n > maxGoName {
		return "", false
	}
	if n == 0 {
		return "", true
	}
	text := x.memory(addr+1+uint64(used), n)
	return string(text), text != nil
}

// parts reads the members of a struct, up to the first that cannot be read, or the type
// that a pointer points to.
func (t *goType) parts() {
	if t.read {
		return
	}
	t.read = true
	switch t.kind {
	case goPointer:
		t.pointed = t.x.goTypeAt(t.word(goTypeSize))
	case goStruct:
		at, n := t.word(goStructHead), t.word(goStructHead+8)
		for i := range min(n, maxGoFields) {
			field := goType{x: t.x, addr: at + goFieldSize*i}
			name, ok := t.x.goName(field.word(0))
			of := t.x.goTypeAt(field.word(8))
			if !ok || of == nil {
				break
			}
			t.members = append(t.members, goField{name, field.word(16), of})
		}
	}
}

// word returns the word at an offset in the description, as it is when the program runs.
func (t *goType) word(off uint64) uint64 {
	data := t.x.relocate(t.x.memory(t.addr+off, 8), t.addr+off)
	if data == nil {
		return 0
	}
	return t.x.elf.ByteOrder.Uint64(data)
}

// plainErrors are the types of errors of Go's library whose text is their first member.
var plainErrors = []string{"*errors.errorString", "*fmt.wrapError", "*fmt.wrapErrors"}

// GoText returns the text of the value in an interface. v.Type is an address of the file.
// ok is false if the file describes no type there.
func (x *File) GoText(v *GoValue) (text string, ok bool) {
	t := x.goTypeAt(v.Type)
	switch {
	case t == nil:
		return "", false
	case t.direct && t.kind == goPointer:
		t.parts()
		switch {
		case v.Null:
			return "(" + t.name + ")(nil)", true
		case slices.Contains(plainErrors, t.name):
			return v.string(0, func(s string) string { return s }), true
		case t.pointed != nil:
			if s, ok := v.text(t.pointed, 0, true); ok {
				return "&" + s, true
			}
		}
		return t.name, true
	case t.direct:
		return t.name, true
	case t.name == "string":
		return v.string(0, func(s string) string { return s }), true
	}
	s, ok := v.text(t, 0, true)
	switch {
	case !ok:
		return t.name, true
	case t.kind == goStruct || !strings.Contains(t.name, "."):
		return s, true
	}
	return t.name + "(" + s + ")", true
}

// unread is the text for data that was not in memory.
const unread = "…"

// string returns the text of a string that was copied.
func (v *GoValue) string(i int, text func(string) string) string {
	if !v.Known[i] {
		return unread
	}
	return text(v.Texts[i])
}

// text returns the text of the object of type t at an offset. Those of structs have their
// members if deep is set.
func (v *GoValue) text(t *goType, off uint64, deep bool) (string, bool) {
	switch {
	case t.kind == goStruct && deep:
		text := t.name + "{"
		t.parts()
		for i, f := range t.members {
			if i > 0 {
				text += ", "
			}
			s, ok := v.text(f.t, off+f.off, false)
			if !ok {
				s = unread
			}
			text += f.name + ": " + s
		}
		return text + "}", true
	case t.kind == goString:
		if off == 0 || off == 16 {
			return v.string(int(off/16), strconv.Quote), true
		}
		return "", false
	}
	if t.size == 0 || t.size > 8 || off > uint64(len(v.Words)) || t.size > uint64(len(v.Words))-off {
		return "", false
	}
	var word [8]byte
	copy(word[:], v.Words[off:off+t.size])
	n := t.x.elf.ByteOrder.Uint64(word[:])
	switch {
	case t.kind == goBool:
		return strconv.FormatBool(n != 0), true
	case t.kind >= goInt && t.kind <= goInt64:
		shift := 64 - 8*t.size
		return strconv.FormatInt(int64(n<<shift)>>shift, 10), true
	case t.kind >= goUint && t.kind <= goUintptr:
		return strconv.FormatUint(n, 10), true
	case t.kind == goFloat32:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(n))), 'g', -1, 32), true
	case t.kind == goFloat64:
		return strconv.FormatFloat(math.Float64frombits(n), 'g', -1, 64), true
	case t.kind == goPointer && n == 0:
		return "nil", true
	case t.kind == goPointer:
		return "0x" + strconv.FormatUint(n, 16), true
	}
	return "", false
}
