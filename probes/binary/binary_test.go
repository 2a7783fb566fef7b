package binary

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestNamed checks names of several functions, and functions that have several names or
// are in two tables.
func TestNamed(t *testing.T) {
	names := "\x00f\x00g\x00"
	entry := func(name uint32, addr uint64) []byte {
		b := binary.LittleEndian.AppendUint32(nil, name)
		b = append(b, byte(elf.STT_FUNC), 0, 1, 0)
		b = binary.LittleEndian.AppendUint64(b, addr)
		return binary.LittleEndian.AppendUint64(b, 8)
	}
	tab := symbolTable{slices.Concat(entry(1, 0x20), entry(3, 0x10), entry(1, 0x10)), []byte(names), binary.LittleEndian}
	dyn := symbolTable{entry(1, 0x20), []byte(names), binary.LittleEndian}
	x := &File{}
	x.tables.New = func() []symbolTable { return []symbolTable{tab, dyn} }
	show := func(list []Symbol) string {
		var out []string
		for _, s := range list {
			out = append(out, fmt.Sprintf("%s#%d@%#x", s.Name, s.Nth, s.Addr))
		}
		return strings.Join(out, " ")
	}
	if got := show(x.Named("f")); got != "f#1@0x10 f#2@0x20" {
		t.Errorf("f is %s", got)
	}
	if got := show(x.Named("h")); got != "" {
		t.Errorf("h is %s", got)
	}
	if got := show(x.Functions(func([]byte) bool { return true })); got != "f#1@0x10 f#2@0x20 g#0@0x10" {
		t.Errorf("all are %s", got)
	}
	if s, ok := x.Symbol("g"); !ok || s.Addr != 0x10 || s.Size != 8 {
		t.Errorf("g is %+v, %v", s, ok)
	}

	exported := func(e []byte) []byte {
		e[4] |= byte(elf.STB_GLOBAL) << 4
		return e
	}
	for _, c := range []struct {
		table []byte
		want  bool
	}{
		{slices.Concat(exported(entry(1, 0x10)), exported(entry(1, 0x20)), entry(3, 0x10)), false},
		{slices.Concat(exported(entry(1, 0x10)), entry(1, 0x20)), true},
		{slices.Concat(entry(1, 0x10), exported(entry(1, 0x20)), exported(entry(1, 0x30))), true},
		{slices.Concat(entry(1, 0x10), entry(1, 0x20)), true},
	} {
		x := &File{}
		x.tables.New = func() []symbolTable { return []symbolTable{{c.table, []byte(names), binary.LittleEndian}} }
		for _, s := range x.Named("f") {
			if s.Static != c.want {
				t.Errorf("%d of %d bytes: static %v, want %v", s.Nth, len(c.table), s.Static, c.want)
			}
		}
	}
}
