package binary

import (
	"debug/elf"
	"encoding/hex"
	"testing"
)

// TestCallBefore looks for calls before the end of code.
func TestCallBefore(t *testing.T) {
	for _, c := range []struct {
		code   string
		target uint64
		ok     bool
	}{
		{"9090e8fb0f0000", 0x2002, true}, // call rel32
		{"9090e8f9ffffff", 0x1000, true},
		{"90909090 90ffd0", 0, true}, // call *%rax
		{"9090909041ffd7", 0, true},  // call *%r15
		{"90909090 90ff13", 0, true}, // call *(%rbx)
		{"90909090ff1424", 0, true},  // call *(%rsp)
		{"90909090ff5008", 0, true},  // call *8(%rax)
		{"909090ff542408", 0, true},  // call *8(%rsp)
		{"90ff15fa0f0000", 0, true},  // call *sym(%rip)
		{"90ff9080000000", 0, true},  // call *0x80(%rax)
		{"ff942480000000", 0, true},  // call *0x80(%rsp)
		{"90909090909090", 0, false},
		{"9090e9fb0f0000", 0, false}, // jmp
		{"9090909090ffe0", 0, false}, // jmp *%rax
		{"9090909090ff14", 0, false}, // a byte is missing
		{"9090909090ff50", 0, false},
		{"90909090ffd090", 0, false}, // not the last instruction
		{"e8fb0f000090", 0, false},
		{"e8fb0f0000", 0x2000, true}, // nothing before
		{"ffd0", 0, true},
		{"90", 0, false},
	} {
		code := make([]byte, 0, 8)
		for _, b := range []byte(c.code) {
			if b != ' ' {
				code = append(code, b)
			}
		}
		data, err := hex.DecodeString(string(code))
		if err != nil {
			t.Fatal(err)
		}
		x := &File{elf: &elf.File{FileHeader: elf.FileHeader{Machine: elf.EM_X86_64}}, data: data}
		x.elf.Progs = []*elf.Prog{{ProgHeader: elf.ProgHeader{Type: elf.PT_LOAD, Flags: elf.PF_X, Vaddr: 0x1000, Filesz: uint64(len(data))}}}
		target, ok := x.CallBefore(0x1000 + uint64(len(data)))
		if target != c.target || ok != c.ok {
			t.Errorf("%s: %#x, %v; want %#x, %v", c.code, target, ok, c.target, c.ok)
		}
	}
}
