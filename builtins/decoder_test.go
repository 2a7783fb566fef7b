package builtins

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/gotrace/gotrace/builtins/stacks"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

func structType(name string, union bool, size int, fields ...types.Field) *types.Type {
	return &types.Type{Kind: types.Struct, Name: name, Size: size, Comp: types.NewComposite(union, func() []types.Field { return fields })}
}

func decodeCases() []struct {
	name string
	t    *types.Type
	data []byte
	want value.Value
} {
	char := &types.Type{Kind: types.Int, Size: 1, Signed: true, Name: "char"}
	color := &types.Type{Kind: types.Enum, Size: 4, Consts: &types.EnumDef{Values: []types.EnumValue{{Name: "RED", Value: 3}}}}
	bitsType := structType("struct bits", false, 8,
		types.Field{Name: "a", Type: types.TUint32, BitOff: 0, BitSize: 3},
		types.Field{Name: "b", Type: types.TInt32, BitOff: 3, BitSize: 5},
		types.Field{Name: "c", Type: types.TUint8, Off: 4, BitOff: 7, BitSize: 1},
		types.Field{Name: "d", Type: types.TUint16, Off: 6})
	inner := structType("", true, 4,
		types.Field{Name: "whole", Type: types.TUint32},
		types.Field{Name: "parts", Type: types.NewArray(types.TUint16, 2)})
	outer := structType("struct outer", false, 16,
		types.Field{Name: "x", Type: types.TInt64},
		types.Field{Type: inner, Off: 8},
		types.Field{Name: "name", Type: types.NewArray(char, 4), Off: 12})
	tuple := types.NewTuple(types.TInt8, types.NewString(4), types.TUint64)
	record := types.NewRecord([]string{"x", "y"}, []*types.Type{types.TInt32, types.TBool})
	return []struct {
		name string
		t    *types.Type
		data []byte
		want value.Value
	}{
		{"bool", types.TBool, []byte{1}, value.Bool(true)},
		{"int8", types.TInt8, []byte{0xff}, value.Int(-1)},
		{"uint8", types.TUint8, []byte{0xff}, value.Uint(255)},
		{"int16", types.TInt16, []byte{0, 0x80}, value.Int(-32768)},
		{"uint32", types.TUint32, []byte{1, 2, 3, 4}, value.Uint(0x04030201)},
		{"int64", types.TInt64, scalar(types.TInt64, -2), value.Int(-2)},
		{"enum", color, []byte{3, 0, 0, 0}, value.Enum{Name: "RED", V: 3}},
		{"enum without a name", color, []byte{4, 0, 0, 0}, value.Enum{V: 4}},
		{"pointer", types.NewPointer(types.TInt8, types.User), scalar(types.TUint64, 0x1000), value.Ptr(0x1000)},
		{"string", types.NewString(6), []byte("ab\x00xyz"), value.Str{S: "ab"}},
		{"string without NUL", types.NewString(3), []byte("abc"), value.Str{S: "abc"}},
		{"buffer", types.NewBuffer(4), []byte("\x02\x00\x00\x00a\x00zz"), value.Bytes("a\x00")},
		{"buffer with a wrong length", types.NewBuffer(2), []byte("\xff\xff\xff\xffab"), value.Bytes("ab")},
		{"array", types.NewArray(types.TInt16, 2), []byte{1, 0, 0xff, 0xff}, value.Array{value.Int(1), value.Int(-1)}},
		{"empty array", types.NewArray(types.TInt16, 0), nil, value.Array{}},
		{"char array", types.NewArray(char, 4), []byte("ab\x00c"), value.Str{S: "ab"}},
		{"int8 array", types.NewArray(types.TInt8, 2), []byte("ab"), value.Array{value.Int('a'), value.Int('b')}},
		{"tuple", tuple, append([]byte("\xff123\x00\x00\x00\x00"), scalar(types.TUint64, 9)...), value.Tuple{value.Int(-1), value.Str{S: "123"}, value.Uint(9)}},
		{"record", record, []byte{5, 0, 0, 0, 1, 0, 0, 0}, value.Record{{Name: "x", V: value.Int(5)}, {Name: "y", V: value.Bool(true)}}},
		{"bitfields", bitsType, []byte{0xf5, 0, 0, 0, 0x80, 0, 2, 0}, value.Record{
			{Name: "a", V: value.Uint(5)}, {Name: "b", V: value.Int(-2)}, {Name: "c", V: value.Uint(1)}, {Name: "d", V: value.Uint(2)}}},
		{"anonymous union", outer, append(scalar(types.TInt64, -1), 1, 0, 2, 0, 'h', 'i', 0, 0), value.Record{
			{Name: "x", V: value.Int(-1)}, {Name: "whole", V: value.Uint(0x20001)},
			{Name: "parts", V: value.Array{value.Uint(1), value.Uint(2)}}, {Name: "name", V: value.Str{S: "hi"}}}},
		{"too short", types.TInt64, []byte{1, 2}, value.Null{}},
		{"no type", nil, []byte{1, 2}, value.Null{}},
		{"void", types.TVoid, nil, value.Null{}},
		{"ksym", ksymType, scalar(types.TUint64, 0x10), value.Str{S: "k10"}},
		{"usym", usymType, append(scalar(types.TUint64, 0x10), scalar(types.TUint64, 7)...), value.Str{S: "u7:10"}},
		{"inet4", inetType, append(scalar(types.TUint64, afInet), 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), value.Str{S: "127.0.0.1"}},
		{"inet6", inetType, append(scalar(types.TUint64, afInet6), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), value.Str{S: "::1"}},
		{"inet of another family", inetType, make([]byte, inetSize), value.Str{}},
		{"macaddr", macType, []byte{1, 2, 0xab, 4, 5, 6, 0, 0}, value.Str{S: "01:02:AB:04:05:06"}},
		{"username", &types.Type{Kind: types.Opaque, Name: "username_t", Size: 8}, scalar(types.TUint64, 5), value.Str{S: "user5"}},
		{"cgroup path", &types.Type{Kind: types.Opaque, Name: "cgroup_path_t", Size: 8, Params: packText("a long filter")}, scalar(types.TUint64, 5), value.Str{S: "a long filter/5"}},
		{"kstack", &types.Type{Kind: types.Opaque, Name: kstackName, Size: 8, Params: []int64{1, 5}}, scalar(types.TUint64, 3), value.Stack{Frames: []value.Frame{{Name: "0 [3 5]perf"}}, Mode: "perf", Kernel: true}},
		{"ustack", &types.Type{Kind: types.Opaque, Name: ustackName, Size: 8, Params: []int64{0, 5}}, scalar(types.TUint64, 77<<32|3), value.Stack{Frames: []value.Frame{{Name: "77 [3 5]bpftrace"}}, Mode: "bpftrace"}},
		{"no stack", &types.Type{Kind: types.Opaque, Name: kstackName, Size: 8, Params: []int64{2, 5}}, scalar(types.TUint64, stacks.None), value.Stack{Mode: "raw", Kernel: true}},
		{"unknown opaque", &types.Type{Kind: types.Opaque, Name: "what", Size: 1}, []byte{1}, value.Null{}},
	}
}

func TestDecode(t *testing.T) {
	env := newTestEnv()
	for _, c := range decodeCases() {
		if got := env.Decode(c.t, c.data); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v, want %#v", c.name, got, c.want)
		}
	}
}

// TestDecodeAnything decodes any bytes of any length. The result is a value that can be
// shown, never nil or a panic.
func TestDecodeAnything(t *testing.T) {
	env := newTestEnv()
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range decodeCases() {
		for n := range len(c.data) + 2 {
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			if v := env.Decode(c.t, data); v == nil {
				t.Errorf("%s: %d bytes decode to nil: %x", c.name, n, data)
			}
		}
	}
}

func TestDecodeTruncated(t *testing.T) {
	env := newTestEnv()
	env.cfg.MaxStrlen = 4
	for _, c := range []struct {
		in   string
		size int
		want bool
	}{{"abcd", 5, true}, {"abc", 5, false}, {"abcd", 6, false}, {"abc", 4, false}} {
		got := env.Decode(types.NewString(c.size), str0(c.in, c.size)).(value.Str)
		if got.S != c.in || got.Truncated != c.want {
			t.Errorf("%q in %d bytes: %#v", c.in, c.size, got)
		}
	}
}

func TestPackText(t *testing.T) {
	for _, s := range []string{"", "a", "12345678", "123456789", "%H:%M:%S and more"} {
		if got := unpackText(packText(s)); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}
