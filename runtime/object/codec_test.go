package object

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// filler sets every encoded field to a value. Leaf number odd gets another value.
type filler struct {
	leaf, odd int
	file      *source.File
}

func (f *filler) fill(v reflect.Value) {
	n := int64(1)
	take := func() {
		if f.leaf == f.odd {
			n = 2
		}
		f.leaf++
	}
	switch v.Type() {
	case typeType:
		take()
		v.Set(reflect.ValueOf(types.NewString(int(n))))
		return
	case spanType:
		take()
		v.Set(reflect.ValueOf(source.Span{File: f.file, Start: int(n), End: 3}))
		return
	case insnsType:
		take()
		v.Set(reflect.ValueOf(asm.Instructions{asm.Mov.Imm(asm.R0, int32(n)), asm.Return()}))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		take()
		v.SetBool(n == 2)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		take()
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		take()
		v.SetUint(uint64(n))
	case reflect.String:
		take()
		v.SetString(string(rune('a' + n)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if v.Type() == reflect.TypeFor[*Partner]() {
			v.Interface().(*Partner).Both = &Program{} // a program has a partner, which has a program, and so on
			return
		}
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0))
	case reflect.Interface:
		x := reflect.New(concrete[len(concrete)-1]).Elem()
		f.fill(x)
		v.Set(x)
	case reflect.Struct:
		for _, i := range fields(v.Type()) {
			f.fill(v.Field(i))
		}
	default:
		panic(v.Type().String())
	}
}

func filled(odd int) (*Object, int) {
	o := &Object{}
	f := filler{odd: odd, file: source.NewFile("f", "text")}
	f.fill(reflect.ValueOf(o).Elem())
	return o, f.leaf
}

// TestEveryFieldIsEncoded checks that each field of an object is encoded and
// decoded.
func TestEveryFieldIsEncoded(t *testing.T) {
	base, leaves := filled(-1)
	want := Encode(base)
	seen := map[string]int{string(want): -1}
	for n := range leaves {
		o, _ := filled(n)
		data := Encode(o)
		if before, ok := seen[string(data)]; ok {
			t.Errorf("fields %d and %d of %d have the same encoding", before, n, leaves)
		}
		seen[string(data)] = n
		d := &decoder{data: data[len(magic)+1+8:], fields: fieldLists{}}
		for range d.count() {
			d.files = append(d.files, source.NewFile(d.string(), d.string()))
		}
		d.readTypes()
		again := &Object{}
		d.value(reflect.ValueOf(again).Elem())
		if d.err != nil || len(d.data) > 0 {
			t.Fatalf("field %d: %v, %d bytes left", n, d.err, len(d.data))
		}
		if !bytes.Equal(Encode(again), data) {
			t.Errorf("field %d does not come back", n)
		}
	}
}

// TestTypesAreEncoded checks that a decoded type can decode values: its members are
// kept, but of a pointer's target only the name.
func TestTypesAreEncoded(t *testing.T) {
	node := &types.Type{Kind: types.Struct, Name: "struct node", Size: 16}
	node.Comp = types.NewComposite(false, func() []types.Field {
		return []types.Field{
			{Name: "next", Type: types.NewPointer(node, types.Kernel)},
			{Name: "flags", Type: types.TUint32, Off: 8, BitOff: 3, BitSize: 5},
			{Name: "kind", Type: &types.Type{Kind: types.Enum, Name: "enum k", Size: 4, Consts: &types.EnumDef{Values: []types.EnumValue{{Name: "K", Value: -1}}}}, Off: 12},
		}
	})
	tuple := types.NewTuple(node, types.NewArray(types.TInt8, 3), types.NewBuffer(7))
	o := &Object{Maps: []Map{{Name: "@", Key: tuple, Value: &types.Type{Kind: types.Agg, Name: "hist_t", Size: 8, Params: []int64{-1, 5}}}}}
	again, err := Decode(Encode(o))
	if err != nil {
		t.Fatal(err)
	}
	key, val := again.Maps[0].Key, again.Maps[0].Value
	if !types.Equal(key, tuple) || !types.Equal(val, o.Maps[0].Value) {
		t.Errorf("%s and %s became %s and %s", tuple, o.Maps[0].Value, key, val)
	}
	members := key.Fields[0].Type.Members()
	if len(members) != 3 || members[1] != (types.Field{Name: "flags", Type: members[1].Type, Off: 8, BitOff: 3, BitSize: 5}) {
		t.Fatalf("members %v", members)
	}
	if members[2].Type.Consts.Name(-1) != "K" {
		t.Error("the enum has lost its constant")
	}
	if to := members[0].Type.Elem; to.Name != "struct node" || to.Comp != nil {
		t.Errorf("the pointer points to %+v", to)
	}
}

func TestDecodeOtherVersion(t *testing.T) {
	data := Encode(&Object{})
	other := bytes.Clone(data)
	other[len(magic)] = Version + 1
	if _, err := Decode(other); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	binary.BigEndian.PutUint64(data[len(magic)+1:], schema.Get()+1)
	if _, err := Decode(data); !errors.Is(err, ErrVersion) {
		t.Errorf("other fields: %v", err)
	}
	for _, text := range []string{"", "gotrace", "#!/bin/sh\n", magic} {
		if _, err := Decode([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// nested returns an encoded table of n types, each made of two values of the
// previous one: few bytes, but 2^n values.
func nested(n int) []byte {
	b := append([]byte(magic), Version)
	b = binary.BigEndian.AppendUint64(b, schema.Get())
	b = append(b, 0, byte(n))
	for i := range n {
		size := binary.AppendUvarint(nil, 1<<min(i, 27))
		b = append(b, byte(types.Tuple), 0)
		b = append(b, size...)
		b = append(b, 0, 0, 0, 0, 0, 0) // unsigned, no word, no element, no length, no space, no parameters
		if i == 0 {
			b = append(b, 0, 0, 0) // no members
			continue
		}
		b = append(b, 2)
		for range 2 {
			b = append(b, 0, byte(i), 0, 0, 0, 0, 0, 0)
		}
		b = append(b, 0, 0)
	}
	return b
}

// TestDecodeLargeType checks that a type is refused if printing a value of it would
// take too long.
func TestDecodeLargeType(t *testing.T) {
	if _, err := Decode(nested(40)); !errors.Is(err, ErrFormat) || err.Error() != ErrFormat.Error()+": a type is too large" {
		t.Error(err)
	}
}
