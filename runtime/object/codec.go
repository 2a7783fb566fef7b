package object

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// The encoded form of an object is
//
//	magic    8 bytes
//	version  uvarint
//	schema   8 bytes, a hash of the names and kinds of all fields
//	files    the source files that spans refer to: name and text of each
//	types    the types that values have, each after those it is made of
//	object   the fields of Object, depth first
//
// The same object always has the same bytes. Integers are varints, signed ones in
// zigzag form. A string is preceded by its length, a slice by its length plus 1, or
// 0 for nil. A pointer is preceded by 1, or is 0 for nil. Types, files and
// instructions have their own forms (see codectype.go and below). Fields with the
// tag object:"-" are left out.
//
// Version changes when the meaning of a field changes. The schema changes when a
// field is added, removed or changes its type, so that only programs with the same
// Object can decode an object.
const (
	magic   = "gotrace\x01"
	Version = 1
)

// concrete lists the types that an interface's value may have. A type is encoded as
// its place in the list, from 1; 0 is nil.
var concrete = []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int64](), reflect.TypeFor[*Message]()}

var (
	typeType  = reflect.TypeFor[*types.Type]()
	spanType  = reflect.TypeFor[source.Span]()
	insnsType = reflect.TypeFor[asm.Instructions]()
	bytesType = reflect.TypeFor[[]byte]()
)

// schema is the hash of the fields that an encoded object has.
var schema = lazy.Value[uint64]{New: hashSchema}

func hashSchema() uint64 {
	var b bytes.Buffer
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		switch t {
		case typeType, spanType, insnsType, bytesType:
			b.WriteString(t.String())
			return
		}
		b.WriteString(t.Kind().String())
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(t.Elem())
		case reflect.Array:
			fmt.Fprint(&b, t.Len())
			walk(t.Elem())
		case reflect.Interface:
			for _, c := range concrete {
				walk(c)
			}
		case reflect.Struct:
			b.WriteString(t.Name())
			if seen[t] {
				return
			}
			seen[t] = true
			for _, f := range fields(t) {
				b.WriteString("." + t.Field(f).Name + " ")
				walk(t.Field(f).Type)
			}
		}
	}
	walk(reflect.TypeFor[Object]())
	h := fnv.New64a()
	h.Write(b.Bytes())
	return h.Sum64()
}

// fields returns the indices of a struct's fields that are encoded.
func fields(t reflect.Type) []int {
	var list []int
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("object") != "-" {
			list = append(list, i)
		}
	}
	return list
}

// fieldLists caches the results of fields by type.
type fieldLists map[reflect.Type][]int

func (l fieldLists) of(t reflect.Type) []int {
	list, ok := l[t]
	if !ok {
		list = fields(t)
		l[t] = list
	}
	return list
}

// encoder collects an object's tables while its fields are written.
type encoder struct {
	buf       []byte
	files     []*source.File
	fileIndex map[*source.File]int
	types     []byte
	typeCount int
	typeIndex map[typeKey]int
	fields    fieldLists
}

// Encode returns the encoded form of an object. The same object always has the same
// encoding.
func Encode(o *Object) []byte {
	e := &encoder{fileIndex: map[*source.File]int{}, typeIndex: map[typeKey]int{}, fields: fieldLists{}}
	e.value(reflect.ValueOf(o).Elem())
	out := append([]byte(nil), magic...)
	out = binary.AppendUvarint(out, Version)
	out = binary.BigEndian.AppendUint64(out, schema.Get())
	out = binary.AppendUvarint(out, uint64(len(e.files)))
	for _, f := range e.files {
		out = appendString(appendString(out, f.Name), f.Text)
	}
	out = binary.AppendUvarint(out, uint64(e.typeCount))
	out = append(out, e.types...)
	return append(out, e.buf...)
}

//go:noinline
func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

//go:noinline
func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func (e *encoder) value(v reflect.Value) {
	switch v.Type() {
	case typeType:
		e.buf = binary.AppendUvarint(e.buf, uint64(e.typeRef(v.Interface().(*types.Type), false)))
		return
	case spanType:
		e.span(v.Interface().(source.Span))
		return
	case insnsType:
		e.insns(v.Interface().(asm.Instructions))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		e.buf = appendBool(e.buf, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf = binary.AppendVarint(e.buf, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.buf = binary.AppendUvarint(e.buf, v.Uint())
	case reflect.String:
		e.buf = appendString(e.buf, v.String())
	case reflect.Pointer:
		e.buf = appendBool(e.buf, !v.IsNil())
		if !v.IsNil() {
			e.value(v.Elem())
		}
	case reflect.Interface:
		e.dynamic(v)
	case reflect.Array:
		for i := range v.Len() {
			e.value(v.Index(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			e.buf = append(e.buf, 0)
			return
		}
		e.buf = binary.AppendUvarint(e.buf, uint64(v.Len())+1)
		if v.Type() == bytesType {
			e.buf = append(e.buf, v.Bytes()...)
			return
		}
		for i := range v.Len() {
			e.value(v.Index(i))
		}
	case reflect.Struct:
		for _, i := range e.fields.of(v.Type()) {
			e.value(v.Field(i))
		}
	default:
		panic("object: no encoding for " + v.Type().String()) // a test encodes every field
	}
}

// dynamic writes the value of an interface.
func (e *encoder) dynamic(v reflect.Value) {
	if v.IsNil() {
		e.buf = append(e.buf, 0)
		return
	}
	for i, t := range concrete {
		if v.Elem().Type() == t {
			e.buf = append(e.buf, byte(i+1))
			e.value(v.Elem())
			return
		}
	}
	panic("object: no encoding for " + v.Elem().Type().String())
}

// span writes a file number, from 1, the start and the length.
func (e *encoder) span(s source.Span) {
	if s.File == nil {
		e.buf = append(e.buf, 0)
		return
	}
	n, ok := e.fileIndex[s.File]
	if !ok {
		e.files = append(e.files, s.File)
		n = len(e.files)
		e.fileIndex[s.File] = n
	}
	e.buf = binary.AppendUvarint(e.buf, uint64(n))
	e.buf = binary.AppendUvarint(e.buf, uint64(s.Start))
	e.buf = binary.AppendUvarint(e.buf, uint64(s.End-s.Start))
}

// insns writes instructions: opcode, registers, offset, constant, the name that the
// instruction refers to and the name of the symbol at it.
func (e *encoder) insns(list asm.Instructions) {
	e.buf = binary.AppendUvarint(e.buf, uint64(len(list)))
	for i := range list {
		in := &list[i]
		e.buf = binary.AppendUvarint(e.buf, uint64(in.OpCode))
		e.buf = append(e.buf, byte(in.Dst)<<4|byte(in.Src)&15)
		e.buf = binary.AppendVarint(e.buf, int64(in.Offset))
		e.buf = binary.AppendVarint(e.buf, in.Constant)
		e.buf = appendString(appendString(e.buf, in.Reference()), in.Symbol())
	}
}

// ErrFormat is wrapped by the errors of Decode about data that is not an object.
var ErrFormat = errors.New("not a compiled script")

// ErrVersion is wrapped by the error of Decode about an object that another version
// of this package encoded.
var ErrVersion = errors.New("compiled by another version")

// decoder reads an object. After an error it reads only zeros.
type decoder struct {
	data   []byte
	err    error
	files  []*source.File
	types  []decodedType
	fields fieldLists
}

// Decode decodes an object. For any data, its time and memory are proportional to the
// length of the data. If there is no error, the object is safe to print and to load: the
// kernel's verifier checks the programs as always, and store.Check checks the locations
// of maps.
func Decode(data []byte) (*Object, error) {
	rest, ok := strings.CutPrefix(string(data[:min(len(data), len(magic))]), magic)
	if !ok || rest != "" {
		return nil, ErrFormat
	}
	d := &decoder{data: data[len(magic):], fields: fieldLists{}}
	if v := d.uint(); d.err == nil && v != Version {
		return nil, outline.Errorf("%w (%d instead of %d)", ErrVersion, v, Version)
	}
	if hash := d.bytes(8); d.err == nil && binary.BigEndian.Uint64(hash) != schema.Get() {
		return nil, ErrVersion
	}
	for range d.count() {
		name, text := d.string(), d.string()
		d.files = append(d.files, source.NewFile(name, text))
	}
	d.readTypes()
	o := &Object{}
	d.value(reflect.ValueOf(o).Elem())
	if d.err == nil && len(d.data) > 0 {
		d.fail("bytes are left over")
	}
	if d.err == nil {
		d.err = o.check()
	}
	if d.err != nil {
		return nil, d.err
	}
	return o, nil
}

// fail records the first error and ends the data.
//
//go:noinline
func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = outline.Errorf("%w: %s", ErrFormat, what)
	}
	d.data = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.data = d.data[n:]
	return v
}

// int reads a number with the zigzag encoding of binary.AppendVarint.
func (d *decoder) int() int64 {
	v := d.uint()
	return int64(v>>1) ^ -int64(v&1)
}

// small reads an integer from 0 to most.
func (d *decoder) small(most int) int {
	v := d.uint()
	if v > uint64(most) {
		d.fail("a number is out of range")
		return 0
	}
	return int(v)
}

// count reads the number of items that follow. Each item takes at least one byte.
//
//go:noinline
func (d *decoder) count() int { return d.small(len(d.data)) }

//go:noinline
func (d *decoder) bool() bool { return d.small(1) == 1 }

func (d *decoder) bytes(n int) []byte {
	if n > len(d.data) {
		d.fail("it is cut off")
		return make([]byte, min(n, 8))
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b
}

func (d *decoder) string() string { return string(d.bytes(d.count())) }

func (d *decoder) value(v reflect.Value) {
	if d.err != nil {
		return
	}
	switch v.Type() {
	case typeType:
		v.Set(reflect.ValueOf(d.typeRef()))
		return
	case spanType:
		v.Set(reflect.ValueOf(d.span()))
		return
	case insnsType:
		v.Set(reflect.ValueOf(d.insns()))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(d.bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := d.int(); v.OverflowInt(n) {
			d.fail("a number is out of range")
		} else {
			v.SetInt(n)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n := d.uint(); v.OverflowUint(n) {
			d.fail("a number is out of range")
		} else {
			v.SetUint(n)
		}
	case reflect.String:
		v.SetString(d.string())
	case reflect.Pointer:
		if d.bool() {
			p := reflect.New(v.Type().Elem())
			d.value(p.Elem())
			v.Set(p)
		}
	case reflect.Interface:
		if n := d.small(len(concrete)); n > 0 && concrete[n-1].AssignableTo(v.Type()) {
			x := reflect.New(concrete[n-1]).Elem()
			d.value(x)
			v.Set(x)
		} else if n > 0 {
			d.fail("a value has the wrong type")
		}
	case reflect.Array:
		for i := range v.Len() {
			d.value(v.Index(i))
		}
	case reflect.Slice:
		d.slice(v)
	case reflect.Struct:
		for _, i := range d.fields.of(v.Type()) {
			d.value(v.Field(i))
		}
	default:
		panic("object: no decoding for " + v.Type().String())
	}
}

// slice reads a slice. It grows the slice as elements are read, as the encoded
// length may be wrong.
func (d *decoder) slice(v reflect.Value) {
	n := d.small(len(d.data)) - 1
	if n < 0 {
		return
	}
	if v.Type() == bytesType {
		v.SetBytes(append([]byte{}, d.bytes(n)...))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, min(n, 16)))
	for i := 0; i < n && d.err == nil; i++ {
		if v.Len() == v.Cap() {
			v.Grow(min(v.Cap(), n-i))
		}
		v.SetLen(i + 1)
		v.Index(i).SetZero()
		d.value(v.Index(i))
	}
}

func (d *decoder) span() source.Span {
	n := d.small(len(d.files))
	if n == 0 {
		return source.Span{}
	}
	f := d.files[n-1]
	start := d.small(len(f.Text))
	return source.Span{File: f, Start: start, End: start + d.small(len(f.Text)-start)}
}

func (d *decoder) insns() asm.Instructions {
	var list asm.Instructions
	for range d.count() {
		if d.err != nil {
			break
		}
		var in asm.Instruction
		in.OpCode = asm.OpCode(d.small(1<<16 - 1))
		regs := d.bytes(1)[0]
		in.Dst, in.Src = asm.Register(regs>>4), asm.Register(regs&15)
		off := d.int()
		if off != int64(int16(off)) {
			d.fail("an instruction's offset is out of range")
		}
		in.Offset, in.Constant = int16(off), d.int()
		if ref := d.string(); ref != "" {
			in = in.WithReference(ref)
		}
		if sym := d.string(); sym != "" {
			in = in.WithSymbol(sym)
		}
		list = append(list, in)
	}
	return list
}
