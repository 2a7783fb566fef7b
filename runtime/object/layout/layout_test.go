package layout

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func intType(size int) Type  { return Type{Kind: "int", Size: size} }
func uintType(size int) Type { return Type{Kind: "uint", Size: size} }

func TestDecodeTypes(t *testing.T) {
	point := Type{Kind: "struct", Name: "struct point", Size: 8, Fields: []Field{
		{Name: "x", Type: intType(4)},
		{Name: "low", Type: uintType(4), Off: 4, BitSize: 3},
		{Name: "high", Type: intType(4), Off: 4, BitOff: 3, BitSize: 5},
	}}
	elem := uintType(2)
	for _, c := range []struct {
		t    Type
		data []byte
		want any
	}{
		{intType(1), []byte{0xff}, int64(-1)},
		{uintType(1), []byte{0xff}, uint64(255)},
		{intType(8), []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, int64(-2)},
		{Type{Kind: "bool", Size: 1}, []byte{2}, true},
		{Type{Kind: "pointer", Size: 8}, []byte{1, 0, 0, 0, 0, 0, 0, 0}, uint64(1)},
		{Type{Kind: "enum", Size: 4, Names: map[int64]string{3: "THREE"}}, []byte{3, 0, 0, 0}, "THREE"},
		{Type{Kind: "enum", Size: 4, Names: map[int64]string{3: "THREE"}}, []byte{4, 0, 0, 0}, int64(4)},
		{Type{Kind: "string", Size: 4}, []byte("ab\x00c"), "ab"},
		{Type{Kind: "string", Size: 4}, []byte("abcd"), "abcd"},
		{Type{Kind: "buffer", Size: 8}, []byte{2, 0, 0, 0, 7, 8, 9, 9}, []byte{7, 8}},
		{Type{Kind: "buffer", Size: 8}, []byte{200, 0, 0, 0, 7, 8, 9, 9}, []byte{7, 8, 9, 9}},
		{Type{Kind: "array", Len: 2, Size: 4, Elem: &elem}, []byte{1, 0, 2, 0}, []any{uint64(1), uint64(2)}},
		{Type{Kind: "tuple", Size: 8, Fields: []Field{{Name: "0", Type: intType(1)}, {Name: "1", Type: uintType(4), Off: 4}}},
			[]byte{0x80, 0, 0, 0, 5, 0, 0, 0}, []any{int64(-128), uint64(5)}},
		{point, []byte{0xff, 0xff, 0xff, 0xff, 0xfd, 0, 0, 0}, map[string]any{"x": int64(-1), "low": uint64(5), "high": int64(-1)}},
		{Type{Kind: "other", Name: "ksym", Size: 2}, []byte{1, 2}, []byte{1, 2}},
	} {
		got, err := c.t.Decode(c.data)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v (- want, + got)\n%s", c.t.Kind, err, d)
		}
		if len(c.data) > 0 {
			if v, err := c.t.Decode(c.data[:len(c.data)-1]); err == nil {
				t.Errorf("%s: a value that is cut short decodes as %v", c.t.Kind, v)
			}
		}
	}
}

func record(n, aux uint32, rest ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, n)
	return append(binary.NativeEndian.AppendUint32(b, aux), rest...)
}

func TestDecodeRecord(t *testing.T) {
	l := &Layout{Events: []Event{{Builtin: "exit", Size: 8}, {Builtin: "printf", Size: 20, Args: []Arg{
		{Type: Type{Kind: "string", Size: 64}, Off: 8, Packed: true},
		{Type: uintType(4), Off: 12},
		{Type: Type{Kind: "buffer", Size: 64}, Off: 16, Packed: true},
	}}}}
	ev, err := l.Decode(record(1, 9, 3, 0, 0, 0, 42, 0, 0, 0, 2, 0, 0, 0, 'h', 'i', 0, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]any{"hi", uint64(42), []byte{1, 2}}, ev.Args); d != "" || ev.Builtin != "printf" || ev.Aux != 9 {
		t.Errorf("%s, aux %d:\n%s", ev.Builtin, ev.Aux, d)
	}
	if ev, err := l.Decode(record(0, 3)); err != nil || len(ev.Args) != 0 || ev.Aux != 3 {
		t.Errorf("exit: %+v, %v", ev, err)
	}
	for name, bad := range map[string][]byte{"empty": nil, "header": {0, 0, 0}, "number": record(2, 0), "short": record(1, 0, 1, 2)} {
		if _, err := l.Decode(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzDecode checks that no layout and no record makes the decoder panic.
func FuzzDecode(f *testing.F) {
	elem := uintType(2)
	seed, err := (&Layout{Events: []Event{{Size: 16, Args: []Arg{
		{Type: Type{Kind: "array", Len: 2, Size: 4, Elem: &elem}, Off: 8}, {Type: Type{Kind: "string", Size: 9}, Off: 12, Packed: true},
	}}}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, record(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
	f.Fuzz(func(t *testing.T, section, rec []byte) {
		l, err := Parse(section)
		if err != nil {
			return
		}
		if ev, err := l.Decode(rec); err == nil && len(ev.Args) != len(ev.Event.Args) {
			t.Errorf("%d values for %d arguments", len(ev.Args), len(ev.Event.Args))
		}
	})
}
