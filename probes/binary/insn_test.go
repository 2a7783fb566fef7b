package binary

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
