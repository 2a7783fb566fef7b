package binary

import (
	"encoding/binary"
	"testing"
)

func TestDictionary(t *testing.T) {
	for name, want := range map[string]int{
		"main.F":               -1,
		"main.(*T).M":          -1,
		"main.F[go.shape.int]": 0,
		"main.F[...]":          0,
		"main.F[go.shape.[]int,go.shape.[4]bool]": 0,
		"main.(*B[go.shape.int]).M":               1,
		"main.B[go.shape.string].M":               1,
		"main.F[go.shape.int].func1":              -1,
		"main.(*B[go.shape.int]).M.func2":         -1,
		"main.F[int]":                             -1,
	} {
		if got := dictionary(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// TestDecode decodes instructions that change where execution continues.
func TestDecode(t *testing.T) {
	const addr = 0x1000
	words := func(w ...uint32) (b []byte) {
		for _, w := range w {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	for _, tt := range []struct {
		name, arch string
		code       []byte
		want       insn
	}{
		{"ret", "amd64", []byte{0xc3}, insn{1, flowReturn, 0}},
		{"rep ret", "amd64", []byte{0xf3, 0xc3}, insn{2, flowReturn, 0}},
		{"ret 8", "amd64", []byte{0xc2, 8, 0}, insn{3, flowReturn, 0}},
		{"jmp short", "amd64", []byte{0xeb, 0xfe}, insn{2, flowJump, 0x1000}},
		{"jmp near", "amd64", []byte{0xe9, 0, 1, 0, 0}, insn{5, flowJump, 0x1105}},
		{"call", "amd64", []byte{0xe8, 0xfb, 0xff, 0xff, 0xff}, insn{5, flowCall, 0x1000}},
		{"jbe short", "amd64", []byte{0x76, 0x10}, insn{2, flowBranch, 0x1012}},
		{"jbe near", "amd64", []byte{0x0f, 0x86, 0, 1, 0, 0}, insn{6, flowBranch, 0x1106}},
		{"jmp rax", "amd64", []byte{0xff, 0xe0}, insn{2, flowAway, 0}},
		{"jmp (rax,rcx,8)", "amd64", []byte{0xff, 0x24, 0xc8}, insn{3, flowNext, 0}},
		{"mov with the byte of ret", "amd64", []byte{0x48, 0x89, 0xc3}, insn{3, flowNext, 0}},
		{"ret", "arm64", words(0xd65f03c0), insn{4, flowReturn, 0}},
		{"b .", "arm64", words(0x14000000), insn{4, flowJump, 0x1000}},
		{"b .-4", "arm64", words(0x17ffffff), insn{4, flowJump, 0xffc}},
		{"bl .+8", "arm64", words(0x94000002), insn{4, flowCall, 0x1008}},
		{"b.ls .+16", "arm64", words(0x54000089), insn{4, flowBranch, 0x1010}},
		{"cbz x0, .+8", "arm64", words(0xb4000040), insn{4, flowBranch, 0x1008}},
		{"tbz x0, #1, .-4", "arm64", words(0x360fffe0), insn{4, flowBranch, 0xffc}},
		{"br x1", "arm64", words(0xd61f0020), insn{4, flowAway, 0}},
		{"br x27", "arm64", words(0xd61f0360), insn{4, flowNext, 0}},
	} {
		if got, ok := decode(tt.arch, tt.code, addr); !ok || got != tt.want {
			t.Errorf("%s %s: %+v, want %+v", tt.arch, tt.name, got, tt.want)
		}
	}
}
