package protowire

import (
	"bytes"
	"math"
	"testing"
)

// TestMessage compares every method with the bytes that the specification of the
// encoding gives.
func TestMessage(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(m *Message)
		want  string
	}{
		{"varint", func(m *Message) { m.Varint(1, 150) }, "\x08\x96\x01"},
		{"varint zero", func(m *Message) { m.Varint(1, 0) }, "\x08\x00"},
		{"negative", func(m *Message) { m.Varint(1, ^uint64(1)) }, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"large field", func(m *Message) { m.Varint(16, 1) }, "\x80\x01\x01"},
		{"number", func(m *Message) { m.Number(2, 3) }, "\x10\x03"},
		{"number zero", func(m *Message) { m.Number(2, 0) }, ""},
		{"flag", func(m *Message) { m.Flag(2, true) }, "\x10\x01"},
		{"flag unset", func(m *Message) { m.Flag(2, false) }, ""},
		{"zigzag 1", func(m *Message) { m.Zigzag(1, 1) }, "\x08\x02"},
		{"zigzag -1", func(m *Message) { m.Zigzag(1, -1) }, "\x08\x01"},
		{"zigzag least", func(m *Message) { m.Zigzag(1, math.MinInt64) }, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"fixed64", func(m *Message) { m.Fixed64(1, 0x0102030405060708) }, "\x09\x08\x07\x06\x05\x04\x03\x02\x01"},
		{"double", func(m *Message) { m.Double(1, 1) }, "\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"},
		{"bytes", func(m *Message) { m.Bytes(2, []byte("testing")) }, "\x12\x07testing"},
		{"no bytes", func(m *Message) { m.Bytes(2, nil) }, "\x12\x00"},
		{"string", func(m *Message) { m.String(2, "testing") }, "\x12\x07testing"},
		{"varints", func(m *Message) { m.Varints(4, []uint64{3, 270, 86942}) }, "\x22\x06\x03\x8e\x02\x9e\xa7\x05"},
		{"fixed64s", func(m *Message) { m.Fixed64s(1, []uint64{1}) }, "\x0a\x08\x01\x00\x00\x00\x00\x00\x00\x00"},
		{"doubles", func(m *Message) { m.Doubles(1, []float64{1}) }, "\x0a\x08\x00\x00\x00\x00\x00\x00\xf0\x3f"},
	} {
		m := Message("before")
		c.write(&m)
		if want := "before" + c.want; !bytes.Equal(m, []byte(want)) {
			t.Errorf("%s: %q, want %q", c.name, m, want)
		}
	}
}
