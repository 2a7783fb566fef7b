package binary

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/runtime/amd64"
)

func TestInstructionBoundary(t *testing.T) {
	// endbr64; push %rbp; mov %rsp,%rbp; ret
	code := []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0xc3}
	var starts []int
	for i := range code {
		if atInstruction("amd64", code, uint64(i)) {
			starts = append(starts, i)
		}
	}
	if d := cmp.Diff([]int{0, 4, 5, 8}, starts); d != "" {
		t.Error(d)
	}
	if atInstruction("arm64", make([]byte, 16), 6) || !atInstruction("arm64", make([]byte, 16), 8) {
		t.Error("arm64 instructions are 4 bytes")
	}
}

// FuzzInstruction decodes any bytes, also truncated. The length of an instruction must
// not depend on the bytes that follow it.
func FuzzInstruction(f *testing.F) {
	for _, code := range [][]byte{{0x66, 0x48}, {0x0f, 0x3a}, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, {0xc4, 0xe2, 0x79}, {0xff, 0x94, 0x25, 1, 2, 3, 4}} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		n := insnLen(code)
		if n > min(len(code), amd64.MaxInsn) {
			t.Errorf("% x: %d bytes", code, n)
		}
		for i := range n {
			if got := insnLen(code[:i]); got != 0 {
				t.Errorf("% x: %d bytes, but %d in the first %d", code, n, got, i)
			}
		}
		decodeAMD64(code, 0x1000)
		referencesAMD64(code, 0x1000)
	})
}
