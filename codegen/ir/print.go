package ir

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// The text form, line by line:
//
//	map "@x" hash key 8 value 8 max 4096 flags 0x1
//	map rodata array key 4 value 5 max 1 frozen init "hello"
//	prog p0 kind "kprobe"
//	func main(ctx)
//	b0:
//		v0 = param 0
//		v1 = load32 v0 +16
//		v2 = eq v1 v3
//		br v2 b1 b2
//	b1: unlikely preds b0
//	…
//
// A value's type follows its name (v3:map?) if it is not the usual one of its op. Values
// without a result have no name. If a block has phis, its predecessors are listed in
// the order of the phis' arguments.

var typeNames = [...]string{
	Void: "void", Int: "int", PtrCtx: "ctx", PtrSlot: "slot", PtrMap: "map", PtrMapNil: "map?",
	PtrRec: "rec", PtrRecNil: "rec?", PtrBTF: "btf", MapRef: "mapref", FuncRef: "funcref",
}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type" + strconv.Itoa(int(t))
}

var mapTypeNames = map[MapType]string{
	Hash: "hash", Array: "array", PerCPUHash: "percpu_hash", PerCPUArray: "percpu_array",
	StackTrace: "stack_trace", CgroupArray: "cgroup_array", LRUHash: "lru_hash",
	LRUPerCPU: "lru_percpu_hash", ArrayOfMaps: "array_of_maps", RingBuf: "ringbuf", SkStorage: "sk_storage",
}

func (t MapType) String() string {
	if s, ok := mapTypeNames[t]; ok {
		return s
	}
	return "maptype" + strconv.Itoa(int(t))
}

// TypeNamed returns the type with the given name in the text form.
func TypeNamed(name string) (t Type, ok bool) {
	i := slices.Index(typeNames[:], name)
	return Type(max(i, 0)), i >= 0
}

// MapTypeNamed returns the map type with the given name in the text form, or 0 if there
// is none.
func MapTypeNamed(name string) MapType {
	for t, s := range mapTypeNames {
		if s == name {
			return t
		}
	}
	return 0
}

// quoteName returns name for the text form: quoted, unless it is one word.
func quoteName(name string) string {
	if name == "" {
		return `""`
	}
	for i, c := range []byte(name) {
		word := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9'
		if !word {
			return strconv.Quote(name)
		}
	}
	return name
}

// String returns the text form of the module.
func (m *Module) String() string {
	var b bytes.Buffer
	for _, mp := range m.Maps {
		b.WriteString(mp.String())
		b.WriteByte('\n')
	}
	for i, p := range m.Progs {
		if i > 0 || len(m.Maps) > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

func (m *Map) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "map %s %s key %d value %d max %d", quoteName(m.Name), m.Type, m.KeySize, m.ValueSize, m.MaxEntries)
	if m.Flags != 0 {
		fmt.Fprintf(&b, " flags %#x", m.Flags)
	}
	if m.Inner != 0 {
		fmt.Fprintf(&b, " inner %d", m.Inner)
	}
	if m.Frozen {
		b.WriteString(" frozen")
	}
	if m.Contents != nil {
		b.WriteString(" init")
		writeBytes(&b, m.Contents)
	}
	return b.String()
}

// manyZeros is the minimum length in bytes of a run of zeros that is written as 0*N.
const manyZeros = 8

// writeBytes writes data as quoted strings and runs of zeros: "ab" 0*24 "c".
func writeBytes(b *bytes.Buffer, data []byte) {
	text := func(part []byte) {
		if len(part) > 0 {
			b.WriteByte(' ')
			b.WriteString(strconv.Quote(string(part)))
		}
	}
	from := 0 // of the bytes that are not written yet
	for i := 0; i < len(data); i++ {
		n := 0
		for i+n < len(data) && data[i+n] == 0 {
			n++
		}
		if n >= manyZeros {
			text(data[from:i])
			fmt.Fprintf(b, " 0*%d", n)
			from = i + n
		}
		if n > 0 {
			i += n - 1
		}
	}
	text(data[from:])
	if len(data) == 0 {
		b.WriteString(` ""`)
	}
}

func (p *Prog) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "prog %s kind %s\n", quoteName(p.Name), strconv.Quote(p.Kind))
	for _, f := range p.Funcs() {
		b.WriteString(f.String())
	}
	return b.String()
}

// Funcs returns Main followed by Subs.
//
//go:noinline
func (p *Prog) Funcs() []*Func {
	if p.Main == nil {
		return p.Subs
	}
	return append([]*Func{p.Main}, p.Subs...)
}

func (f *Func) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "func %s(", quoteName(f.Name))
	for i, t := range f.Params {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.String())
	}
	b.WriteByte(')')
	if f.Global {
		b.WriteString(" global")
	}
	if f.Forgets {
		b.WriteString(" forgets")
	}
	if f.OwnFrame {
		b.WriteString(" ownframe")
	}
	b.WriteByte('\n')
	for _, blk := range f.Blocks {
		blk.write(&b)
	}
	return b.String()
}

func (b *Block) String() string { return "b" + strconv.Itoa(b.ID) }

func (b *Block) write(w *bytes.Buffer) {
	fmt.Fprintf(w, "b%d:", b.ID)
	if b.Unlikely {
		w.WriteString(" unlikely")
	}
	if len(b.Values) > 0 && b.Values[0].Op == OpPhi {
		w.WriteString(" preds")
		for _, p := range b.Preds {
			fmt.Fprintf(w, " b%d", p.ID)
		}
	}
	w.WriteByte('\n')
	for _, v := range b.Values {
		w.WriteByte('\t')
		v.write(w)
		w.WriteByte('\n')
	}
	switch b.Term {
	case TermJump:
		fmt.Fprintf(w, "\tjump b%d\n", b.Succs[0].ID)
	case TermBr:
		fmt.Fprintf(w, "\tbr v%d b%d b%d\n", b.Cond.ID, b.Succs[0].ID, b.Succs[1].ID)
	case TermRet:
		fmt.Fprintf(w, "\tret v%d\n", b.Cond.ID)
	}
}

// String returns the value as a line of the text form.
func (v *Value) String() string {
	var b bytes.Buffer
	v.write(&b)
	return b.String()
}

// DefaultType returns the type that a value of the op has unless the text form gives
// another.
func (v *Value) DefaultType() Type {
	switch {
	case v.Help != nil:
		return v.Help.Result
	case v.Op == OpParam && v.Block != nil && v.Block.Func != nil && v.Imm >= 0 && int(v.Imm) < len(v.Block.Func.Params):
		return v.Block.Func.Params[v.Imm]
	case v.Op.Info().FromArg:
		return Int
	}
	return v.Op.Info().Result
}

func (v *Value) write(b *bytes.Buffer) {
	if v.Type != Void {
		fmt.Fprintf(b, "v%d", v.ID)
		if v.Type != v.DefaultType() {
			b.WriteByte(':')
			b.WriteString(v.Type.String())
		}
		b.WriteString(" = ")
	}
	b.WriteString(v.Op.String())
	args := v.Args
	arg := func() {
		if len(args) > 0 {
			fmt.Fprintf(b, " v%d", args[0].ID)
			args = args[1:]
		}
	}
	offset := func() {
		if v.Imm != 0 {
			fmt.Fprintf(b, " %+d", v.Imm)
		}
	}
	info := v.Op.Info()
	switch info.Form {
	case FormImm:
		fmt.Fprintf(b, " %d", v.Imm)
	case FormSlot:
		fmt.Fprintf(b, " %d", v.Imm)
		if v.Imm2 != 8 {
			fmt.Fprintf(b, " align %d", v.Imm2)
		}
	case FormMap:
		fmt.Fprintf(b, " %s", quoteName(v.Map.Name))
	case FormMapOff:
		fmt.Fprintf(b, " %s", quoteName(v.Map.Name))
		offset()
	case FormFunc:
		fmt.Fprintf(b, " %s", quoteName(v.Fn.Name))
	case FormHelper:
		fmt.Fprintf(b, " %s", v.Help.Name)
	case FormKfunc:
		fmt.Fprintf(b, " %s %d", quoteName(v.Name), v.Imm)
	}
	if info.Access != NoAccess {
		arg()
		offset()
	}
	for len(args) > 0 {
		arg()
	}
	if info.Access == Fills || info.Access == Moves {
		fmt.Fprintf(b, " %d", v.Imm2)
	}
}
