package binary

import (
	"debug/dwarf"
	"fmt"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
)

// TestConstantPlaces evaluates locations that are constants, whole or in pieces.
func TestConstantPlaces(t *testing.T) {
	di := AMD64.regs.Get()["di"]
	for _, c := range []struct {
		name string
		expr []byte
		size int
		want string // value or register of each part; "": none
	}{
		{"lit5", []byte{0x35, 0x9f}, 4, "[0+4=5]"},
		{"const1u", []byte{0x08, 0xff, 0x9f}, 4, "[0+4=255]"},
		{"const1s", []byte{0x09, 0xff, 0x9f}, 8, "[0+8=-1]"},
		{"const2u", []byte{0x0a, 0x34, 0x12, 0x9f}, 2, "[0+2=4660]"},
		{"const2s", []byte{0x0b, 0xfe, 0xff, 0x9f}, 2, "[0+2=-2]"},
		{"const4u", []byte{0x0c, 0xff, 0xff, 0xff, 0xff, 0x9f}, 8, "[0+8=4294967295]"},
		{"const4s", []byte{0x0d, 0xff, 0xff, 0xff, 0xff, 0x9f}, 8, "[0+8=-1]"},
		{"const8u", []byte{0x0e, 1, 0, 0, 0, 0, 0, 0, 0, 0x9f}, 8, "[0+8=1]"},
		{"constu", []byte{0x10, 0x80, 0x01, 0x9f}, 4, "[0+4=128]"},
		{"consts", []byte{0x11, 0x7b, 0x9f}, 4, "[0+4=-5]"},
		{"implicit_value", []byte{0x9e, 2, 7, 1}, 2, "[0+2=263]"},
		{"an address", []byte{0x35}, 4, ""},
		{"cut short", []byte{0x0c, 1, 2}, 4, ""},
		{"empty", nil, 4, ""},
		{"register and constant", []byte{0x55, 0x93, 4, 0x31, 0x9f, 0x93, 4}, 8, "[0+4@di 4+4=1]"},
		{"constant and register", []byte{0x31, 0x9f, 0x93, 4, 0x55, 0x93, 4}, 8, "[0+4=1 4+4@di]"},
		{"half of it", []byte{0x31, 0x9f, 0x93, 4}, 8, ""},
	} {
		l, how := (&DebugInfo{}).evaluate(AMD64, Function{entry: &dwarf.Entry{}}, c.expr, c.size, true)
		if got := showParts(l, di); got != c.want || (how == atPlace) != (c.want != "") {
			t.Errorf("%s: %s, %d; want %s", c.name, got, how, c.want)
		}
	}
	for _, c := range []struct {
		value any
		size  int
		want  string
	}{
		{int64(-5), 4, "[0+4=-5]"},
		{int64(7), 1, "[0+1=7]"},
		{int64(7), 16, ""},
		{int64(7), 0, ""},
		{[]byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0}, 10, "[0+8=1 8+2=2]"},
		{[]byte{1}, 2, ""},
		{"a", 2, "[0+2=97]"},
		{nil, 4, ""},
	} {
		l, how := fixedAt(c.value, c.size)
		if got := showParts(l, di); got != c.want || (how == atPlace) != (c.want != "") {
			t.Errorf("%v in %d bytes: %s, %d; want %s", c.value, c.size, got, how, c.want)
		}
	}
}

func showParts(l *types.Loc, di int) string {
	if l == nil {
		return ""
	}
	var parts []string
	for _, p := range l.Parts {
		what := fmt.Sprintf("=%d", int64(p.Value))
		if !p.Fixed {
			what = "@?"
			if p.From == di {
				what = "@di"
			}
		}
		parts = append(parts, fmt.Sprintf("%d+%d%s", p.Off, p.Size, what))
	}
	return fmt.Sprint(parts)
}
