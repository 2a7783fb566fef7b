package binary

import (
	"fmt"
	"testing"
)

// TestAliases checks that, if a function has several names, the name that callers use is
// returned, and that a function ends at its own end, or that of its section.
func TestAliases(t *testing.T) {
	var strs []byte
	table := &addrTable{}
	add := func(addr uint64, size uint32, flags uint32, name string) {
		table.syms = append(table.syms, addrSymbol{addr, size, uint32(len(strs)) | flags})
		strs = append(append(strs, name...), 0)
		table.names = [][]byte{strs}
	}
	add(0x100, 0x80, localName, "__GI___libc_malloc")
	add(0x100, 0x80, 0, "__libc_malloc")
	add(0x100, 0x80, 0, "malloc")
	add(0x120, 0x10, localName, "inner")
	add(0x200, 0, localName, "mark")
	add(0x200, 0x10, localName, "_longer")
	add(0x200, 0x10, localName, "_short")
	add(0x300, 0, 0, "unsized")
	add(0x400, 0, 0, "elsewhere")
	table.secs = []segment{{0x100, 0x220}, {0x400, 0x10}}
	table.sort()
	for addr, want := range map[uint64]string{
		0x100: "malloc+0", 0x11f: "malloc+31", 0x120: "inner+0", 0x12f: "inner+15", 0x130: "malloc+48", 0x17f: "malloc+127",
		0x180: "", 0xff: "", 0x200: "_short+0", 0x210: "",
		0x300: "unsized+0", 0x31f: "unsized+31", 0x320: "", 0x3ff: "", 0x40f: "elsewhere+15", 0x410: "",
	} {
		s, ok := table.at(addr)
		if got := fmt.Sprintf("%s+%d", s.Name, addr-s.Addr); ok && got != want || ok == (want == "") || !ok && s != (Symbol{}) {
			t.Errorf("%#x is %s, %v; want %s", addr, got, ok, want)
		}
	}
}
