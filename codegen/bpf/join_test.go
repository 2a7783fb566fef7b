package bpf

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/runtime/object"
)

func TestJoin(t *testing.T) {
	entry := asm.Instructions{
		asm.LoadImm(asm.R0, 1<<40, asm.DWord).WithSymbol("in"), // two words
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	exit := asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return()}
	both, ok := Join(&object.Program{Insns: entry}, &object.Program{Insns: exit}, 4711)
	if !ok || len(both.Insns) != 3+1+3+1+2 {
		t.Fatal(both, ok)
	}
	got := both.Insns
	if got[0].Symbol() != "in" || got[4].Symbol() != "" || got[8].Symbol() != "" {
		t.Errorf("symbols: %v", got)
	}
	if call := got[1]; call.Src != asm.PseudoKfuncCall || call.Constant != 4711 {
		t.Errorf("call: %v", call)
	}
	// After the jump: a move, and the first program of 4 words.
	if got[2].Offset != 5 {
		t.Errorf("the jump goes %d words far", got[2].Offset)
	}
	if entry[0].Symbol() != "in" || exit[0].Symbol() != "out" {
		t.Error("the programs themselves have changed")
	}
	withFunc := append(asm.Instructions{}, exit...)
	withFunc[1] = withFunc[1].WithSymbol("callback")
	if _, ok := Join(&object.Program{Insns: entry}, &object.Program{Insns: withFunc}, 1); ok {
		t.Error("a program with two functions was joined")
	}
}
