package cost

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// jump returns an instruction that jumps by off instructions if r6 has the value n.
func jump(n int32, off int16) asm.Instruction {
	in := asm.JEq.Imm(asm.R6, n, "")
	in.Offset = off
	return in.WithReference("")
}

// always returns an instruction that always jumps by off instructions.
func always(off int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: off}
}

// The letters of a case name the unit of each instruction. A capital one is rare.
func TestEstimate(t *testing.T) {
	add := asm.Add.Imm(asm.R6, 1)
	end := asm.Return()
	for _, c := range []struct {
		name        string
		code        asm.Instructions
		units       string
		turns       map[byte]int
		least, most float64
		always      string
		loops       string
		open        bool
	}{
		{"straight", asm.Instructions{add, add, end}, "aab", nil, 3, 3, "ab", "", false},
		{"predicate", asm.Instructions{jump(1, 2), add, add, end}, "abbc", nil, 2, 4, "ac", "", false},
		{"two arms", asm.Instructions{jump(1, 2), add, always(2), add, add, end}, "abbccd", nil, 4, 4, "ad", "", false},
		{"rare arm", asm.Instructions{jump(1, 2), add, end, add, always(-3)}, "aabAA", nil, 3, 3, "ab", "", false},
		{"early end", asm.Instructions{jump(1, 1), end, add, end}, "abcd", nil, 2, 3, "a", "", false},
		{"loop of known turns", asm.Instructions{add, jump(9, 2), add, always(-3), add, end}, "abbbcd", map[byte]int{'b': 10}, 4, 33, "acd", "b", false},
		{"loop of unknown turns", asm.Instructions{add, jump(9, 2), add, always(-3), add, end}, "abbbcd", map[byte]int{'b': 0}, 4, 6, "acd", "b", true},
		{"condition in a loop", asm.Instructions{add, jump(9, 3), jump(3, -2), add, always(-4), add, end}, "abbbbcd", map[byte]int{'b': 0}, 4, 7, "acd", "b", true},
		{"loop in a loop", asm.Instructions{jump(9, 4), jump(3, 2), add, always(-3), always(-5), end}, "aabbac", map[byte]int{'a': 2, 'b': 6}, 2, 19, "c", "ab", false},
		{"loop that ends with one", asm.Instructions{jump(9, 3), add, jump(3, -3), always(-3), add, end}, "abbbcd", map[byte]int{'a': 0, 'b': 0}, 3, 6, "cd", "ab", true},
		{"calls", asm.Instructions{asm.FnJiffies64.Call(), asm.FnTailCall.Call(), end}, "abc", nil, 1 + 100 + unknownNs, 1 + 100 + unknownNs, "abc", "", false},
	} {
		m := &Model{costs: map[key]float64{Insn: 1, Atomic: 10, {helper: asm.FnJiffies64}: 100}}
		f := source.NewFile("f", "abcdefgh")
		var units []Unit
		for i := range f.Text {
			n := 1
			if got, ok := c.turns[f.Text[i]]; ok {
				n = got
			}
			units = append(units, Unit{Span: source.Span{File: f, Start: i, End: i + 1}, Turns: n})
		}
		units = append(units, Unit{Turns: 1})
		p := &object.Program{Insns: c.code, Funcs: []object.Func{{Name: "main"}}}
		for _, u := range []byte(c.units) {
			p.Rare = append(p.Rare, u < 'a')
			at := int(u|0x20) - 'a'
			p.Lines = append(p.Lines, source.Span{File: f, Start: at, End: at + 1})
		}
		got := Estimate(p, nil, units, m)
		gotAlways, gotLoops := "", ""
		for _, part := range got.Parts {
			if part.Loop {
				gotLoops += part.Unit.Span.Text()
			} else if part.Always {
				gotAlways += part.Unit.Span.Text()
			}
		}
		if got.Least != c.least || got.Most != c.most || gotAlways != c.always || gotLoops != c.loops || got.Open != c.open {
			t.Errorf("%s: %v to %v ns, open %v, always %q, loops %q; want %v to %v, %v, %q, %q", c.name,
				got.Least, got.Most, got.Open, gotAlways, gotLoops, c.least, c.most, c.open, c.always, c.loops)
		}
	}
}

// TestHelperFunctions checks that a helper which is called through a function that does
// nothing else counts where that function is called.
func TestHelperFunctions(t *testing.T) {
	m := &Model{costs: map[key]float64{Insn: 1, {helper: asm.FnJiffies64}: 100}}
	f := source.NewFile("f", "ab")
	at := func(i int) source.Span { return source.Span{File: f, Start: i, End: i + 1} }
	units := []Unit{{Span: at(0), Turns: 1}, {Span: at(1), Turns: 1}, {Turns: 1}}
	call := asm.Call.Label("jiffies64")
	p := &object.Program{
		Insns: asm.Instructions{call, call, call, asm.Return(), asm.FnJiffies64.Call().WithSymbol("jiffies64"), asm.Return()},
		Funcs: []object.Func{{Name: "main"}, {Name: "jiffies64", First: 4}},
		Lines: []source.Span{at(0), at(1), at(1), at(1), {}, {}},
		Rare:  make([]bool, 6),
	}
	got := Estimate(p, nil, units, m)
	for i, want := range []Code{{Insns: 1, Ns: 102}, {Insns: 3, Ns: 205}} {
		usual := got.Parts[i].Usual
		if usual.Insns != want.Insns || usual.Ns != want.Ns || len(usual.Calls) != 1 || usual.Calls[0] != (Call{"jiffies64", i + 1}) {
			t.Errorf("part %d is %+v, want %d instructions that take %v ns", i, usual, want.Insns, want.Ns)
		}
	}
	if got.Least != 307 || got.Most != 307 || len(got.Unknown) > 0 {
		t.Errorf("%v to %v ns, unknown %v, want 307", got.Least, got.Most, got.Unknown)
	}
}
