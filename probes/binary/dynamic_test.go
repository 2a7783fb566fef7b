package binary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// withoutSections removes the section table of an ELF file.
func withoutSections(data []byte) []byte {
	if len(data) >= 64 {
		clear(data[0x28:0x30]) // its offset
		clear(data[0x3c:0x40]) // the number of sections
	}
	return data
}

// TestWithoutSections reads files without a section table. They must have the functions of
// their dynamic symbols, and the same implementations of indirect functions.
func TestWithoutSections(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "p.c")
	text := "int one(int n) { return n; }\nint two(int n) { return n; }\nstatic void *choose(void) { return one; }\n" +
		"int chosen(int) __attribute__((ifunc(\"choose\")));\nint three(int n) { return one(n) + two(n) + chosen(n); }\n"
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, style := range []string{"gnu", "sysv", "both"} {
		out := filepath.Join(dir, style)
		if msg, err := exec.Command("gcc", "-O0", "-shared", "-fPIC", "-Wl,--hash-style="+style, "-o", out, source).CombinedOutput(); err != nil {
			t.Skipf("%v: %s", err, msg)
		}
		files = append(files, out)
	}
	for _, pattern := range []string{"/bin/bash", "/lib/*/libc.so.6", "/lib64/libc.so.6"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := FromMemory(data, name)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := FromMemory(withoutSections(bytes.Clone(data)), name)
		if err != nil {
			t.Fatal(err)
		}
		tables := whole.ownTables()
		want := map[string]int{}
		tables[len(tables)-1].each(func(name []byte, s Symbol) bool {
			want[fmt.Sprintf("%s %#x %d", name, s.Addr, s.Size)]++
			return true
		})
		got := map[string]int{}
		for _, table := range bare.ownTables() {
			table.each(func(name []byte, s Symbol) bool {
				got[fmt.Sprintf("%s %#x %d", name, s.Addr, s.Size)]++
				return true
			})
		}
		if !maps.Equal(got, want) || len(got) == 0 {
			t.Errorf("%s: %d functions, want %d", name, len(got), len(want))
		}
		for _, function := range []string{"chosen", "strlen"} {
			for _, s := range bare.Named(function) {
				if list, _ := bare.Targets(s); len(list) == 0 {
					t.Errorf("%s: no implementation of %s", name, function)
				}
			}
		}
	}
}

// TestHostileDynamic changes each word of the dynamic table and of the hash table of a file
// without a section table.
func TestHostileDynamic(t *testing.T) {
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip(err)
	}
	withoutSections(data)
	x, err := FromMemory(data, "true")
	if err != nil {
		t.Skip(err)
	}
	for _, p := range x.elf.Progs {
		for at := p.Off; at+8 <= min(p.Off+p.Filesz, p.Off+2048, uint64(len(data))); at += 4 {
			for _, v := range []uint64{0, 1, 16, 1 << 31, 1<<32 - 1, 1 << 63, 1<<64 - 1} {
				damaged := bytes.Clone(data)
				binary.LittleEndian.PutUint64(damaged[at:], v)
				if y, err := FromMemory(damaged, "damaged"); err == nil {
					useSymbols(t, y)
				}
			}
		}
	}
}
