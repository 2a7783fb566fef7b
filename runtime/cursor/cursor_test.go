package cursor

import (
	"encoding/binary"
	"testing"
)

// TestNumbers reads each kind of number and what follows it.
func TestNumbers(t *testing.T) {
	data := []byte{0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88}
	for _, c := range []struct {
		name        string
		read        func(*Cursor) uint64
		little, big uint64
		size        uint64
	}{
		{"u8", (*Cursor).U8, 0x81, 0x81, 1},
		{"u16", (*Cursor).U16, 0x8281, 0x8182, 2},
		{"u24", (*Cursor).U24, 0x838281, 0x818283, 3},
		{"u32", (*Cursor).U32, 0x84838281, 0x81828384, 4},
		{"u64", (*Cursor).U64, 0x8887868584838281, 0x8182838485868788, 8},
		{"byte", func(c *Cursor) uint64 { return uint64(c.Byte()) }, 0x81, 0x81, 1},
		{"offset", func(c *Cursor) uint64 { return c.Offset(false) }, 0x84838281, 0x81828384, 4},
		{"offset64", func(c *Cursor) uint64 { return c.Offset(true) }, 0x8887868584838281, 0x8182838485868788, 8},
		{"s8", func(c *Cursor) uint64 { return uint64(c.Sint(1)) }, 0xffffffffffffff81, 0xffffffffffffff81, 1},
		{"s16", func(c *Cursor) uint64 { return uint64(c.Sint(2)) }, 0xffffffffffff8281, 0xffffffffffff8182, 2},
		{"s64", func(c *Cursor) uint64 { return uint64(c.Sint(8)) }, 0x8887868584838281, 0x8182838485868788, 8},
	} {
		for _, o := range []struct {
			order binary.ByteOrder
			want  uint64
		}{{nil, c.little}, {binary.LittleEndian, c.little}, {binary.BigEndian, c.big}} {
			at := Cursor{Data: data, Order: o.order}
			if got := c.read(&at); got != o.want || at.At != c.size || at.Bad {
				t.Errorf("%s, %v: %#x, then at %d, bad %v; want %#x", c.name, o.order, got, at.At, at.Bad, o.want)
			}
			short := Cursor{Data: data[:c.size-1], Order: o.order}
			if got := c.read(&short); got != 0 || !short.Bad {
				t.Errorf("%s, %v, cut off: %#x, bad %v", c.name, o.order, got, short.Bad)
			}
		}
	}
}

// TestLEB128 reads numbers of all lengths.
func TestLEB128(t *testing.T) {
	for _, c := range []struct {
		data     []byte
		unsigned uint64
		signed   int64
	}{
		{[]byte{0}, 0, 0},
		{[]byte{2}, 2, 2},
		{[]byte{0x7f}, 127, -1},
		{[]byte{0x80, 1}, 128, 128},
		{[]byte{0x80, 0x7f}, 0x3f80, -128},
		{[]byte{0xe5, 0x8e, 0x26}, 624485, 624485},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 1<<64 - 1, -1},
		{[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f}, 1 << 63, -1 << 63},
		{[]byte{0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}, 5, 5}, // longer than needed
	} {
		u, s := Cursor{Data: c.data}, Cursor{Data: c.data}
		if got := u.Uleb(); got != c.unsigned || u.Bad || u.More() {
			t.Errorf("% x: %d, bad %v, want %d", c.data, got, u.Bad, c.unsigned)
		}
		if got := s.Sleb(); got != c.signed || s.Bad || s.More() {
			t.Errorf("% x: %d with a sign, bad %v, want %d", c.data, got, s.Bad, c.signed)
		}
		u = Cursor{Data: c.data[:len(c.data)-1]}
		if u.Uleb(); !u.Bad {
			t.Errorf("% x: cut off, but not bad", u.Data)
		}
	}
}

// TestTexts reads strings and blocks, also such as have no end.
func TestTexts(t *testing.T) {
	c := Cursor{Data: []byte("ab\x00\x02xyz\x00")}
	if s := c.Text(); s != "ab" {
		t.Errorf("text %q", s)
	}
	if b := c.Block(); string(b) != "xy" {
		t.Errorf("block %q", b)
	}
	if at := c.SkipText(); at != 6 || c.At != 8 || c.Bad {
		t.Errorf("skipped a text at %d to %d, bad %v", at, c.At, c.Bad)
	}
	for name, read := range map[string]func(*Cursor){
		"text": func(c *Cursor) { c.Text() }, "skip": func(c *Cursor) { c.SkipText() },
		"block": func(c *Cursor) { c.Block() }, "take": func(c *Cursor) { c.Take(1 << 63) },
	} {
		for _, c := range []Cursor{{Data: []byte("zzz")}, {}, {Data: []byte{0}, At: 1 << 40}} {
			if read(&c); !c.Bad {
				t.Errorf("%s of %q at %d: not bad", name, c.Data, c.At)
			}
		}
	}
}
