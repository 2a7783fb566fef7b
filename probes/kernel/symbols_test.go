package kernel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSymbolAddresses looks up names by searching the text and in the index. Both must
// return the first symbol with exactly that name.
func TestSymbolAddresses(t *testing.T) {
	var text strings.Builder
	want, all, inModule := map[string]uint64{}, map[string][]uint64{}, map[string]int{}
	add := func(addr uint64, name, module string) {
		fmt.Fprintf(&text, "%016x t %s%s\n", addr, name, module)
		if _, twice := want[name]; !twice {
			want[name] = addr
		}
		if addr != 0 {
			all[name] = append(all[name], addr)
			slices.Sort(all[name])
		}
		if module != "" {
			inModule[name]++
		}
	}
	for i := range uint64(3000) {
		add(0xffffffff81000000+16*i, fmt.Sprint("f", i), "")
		add(0xffffffff82000000+16*i, fmt.Sprint("f", i, ".cold"), "")
		add(0xffffffff83000000+16*i, fmt.Sprint("twice", i%1000), "")
		add(0xffffffffc0000000+16*i, fmt.Sprint("f", 2*i), "\t[m]")
	}
	add(0, "hidden", "")
	text.WriteString("broken\nffffffff84000000 T last")
	want["last"], all["last"] = 0xffffffff84000000, []uint64{0xffffffff84000000}
	for _, missing := range []string{"f", "cold", "f1.", "[m]", "m", "t", "broken", "", "f1 ", "twice1000"} {
		want[missing] = 0
	}
	searched, indexed := newSymbolTable([]byte(text.String())), newSymbolTable([]byte(text.String()))
	indexed.lookups.Store(searches)
	for name, addr := range want {
		searched.lookups.Store(0)
		for how, table := range map[string]*symbolTable{"searched": searched, "indexed": indexed} {
			if got, ok := table.address(name); got != addr || ok != (addr != 0) {
				t.Errorf("%s, %s: %#x, %v; want %#x", name, how, got, ok, addr)
			}
			if addr%0x300 != 0 {
				continue // all names would take minutes
			}
			for module, n := range map[string]int{"": len(all[name]), "vmlinux": len(all[name]) - inModule[name], "m": inModule[name]} {
				if how == "searched" {
					table.lookups.Store(0)
				}
				if got := table.functions(module, name); len(got) != n || module == "" && !slices.Equal(got, all[name]) {
					t.Errorf("%s, %s: in module %q are %#x; want %d of %#x", name, how, module, got, n, all[name])
				}
			}
		}
	}
}
