package bpf

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/runtime/object"
)

// TestCheckSize checks that instructions are counted as the kernel does, which counts one
// with a 64-bit constant twice.
func TestCheckSize(t *testing.T) {
	p := &object.Program{Name: "p", Insns: asm.Instructions{asm.LoadImm(asm.R1, 1, asm.DWord), asm.Mov.Imm(asm.R0, 0), asm.Return()}}
	if err := checkSize(p, 4); err != nil {
		t.Error(err)
	}
	if err, want := checkSize(p, 3), "bpf: p: p: it has 4 instructions, and may have 3"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
