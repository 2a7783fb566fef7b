// Package match has the code that compares strings and numbers with patterns and lists
// that are known at compile time.
package match

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
)

// Any computes 1 if one of conds is not 0, else 0. It stops at the first that is not
// 0.
func Any(b *ir.Builder, conds []func() *ir.Value) *ir.Value {
	result := &ir.Var{Name: "any", Type: ir.Int}
	b.Write(result, b.Const(1))
	b.Section(func(done *ir.Block) {
		for _, cond := range conds {
			b.Leave(cond(), done)
		}
		b.Write(result, b.Const(0))
	})
	return b.Read(result)
}

// Equal computes whether the n bytes at p equal text: 0 or 1.
func Equal(b *ir.Builder, p *ir.Value, text []byte) *ir.Value {
	return b.Op(ir.OpEq, Differ(b, p, text), b.Const(0))
}

// Differ computes a value that is not 0 if the bytes at p differ from want. It
// combines the differences of words with or, without a branch.
func Differ(b *ir.Builder, p *ir.Value, want []byte) *ir.Value {
	diff := b.Const(0)
	for off := 0; off < len(want); {
		n := 8
		for n > len(want)-off {
			n /= 2
		}
		var word [8]byte
		copy(word[:], want[off:off+n])
		x := b.Load(p, int64(off), n, false)
		// In little-endian order, the first byte is the lowest.
		diff = b.Op(ir.OpOr, diff, b.Op(ir.OpXor, x, b.Const(int64(binary.LittleEndian.Uint64(word[:])))))
		off += n
	}
	return diff
}

// group is the number of bytes that an automaton reads between two checks whether
// it has settled. Within a group a byte needs no branch.
const group = 8

// Run runs an automaton over the string at p, of size bytes, and computes its result
// word.
func Run(g code.Gen, p *ir.Value, size int, auto *pattern.Automaton) *ir.Value {
	b := g.B()
	// The kernel's verifier knows only how many bits a state and a class have. So enough
	// bytes must follow the start of the table to read any class of a row at the greatest
	// offset, and a result.
	wide := auto.Result > 1<<8
	span := 1<<16 + 1<<8 + 8
	if wide {
		span = 1 << 17
	}
	table := g.Rodata(auto.Table)
	table.Map.Margin = max(table.Map.Margin, span)
	classes := make([]byte, 0, 512)
	for _, c := range auto.Classes {
		if wide {
			classes = binary.LittleEndian.AppendUint16(classes, c)
		} else {
			classes = append(classes, byte(c))
		}
	}
	classTable := g.Rodata(classes)
	state := &ir.Var{Name: "state", Type: ir.Int}
	b.Write(state, b.Const(int64(auto.Start)))
	read := func(p *ir.Value, n int) {
		s := b.Read(state)
		for k := range n {
			c := b.Load(p, int64(k), 1, false)
			var class *ir.Value
			if wide {
				class = b.Load(b.Op(ir.OpAdd, classTable, b.Op(ir.OpShl, c, b.Const(1))), 0, 2, false)
			} else {
				class = b.Load(b.Op(ir.OpAdd, classTable, c), 0, 1, false)
			}
			s = b.Load(b.Op(ir.OpAdd, b.Op(ir.OpAdd, table, class), s), 0, 2, false)
		}
		b.Write(state, s)
	}
	if rest := size % group; rest > 0 && size < group {
		read(p, rest)
	} else {
		b.Count(size/group, func(i *ir.Value, out *ir.Block) {
			read(b.Op(ir.OpAdd, p, b.Op(ir.OpShl, i, b.Const(3))), group)
			b.Leave(b.Op(ir.OpULe, b.Const(int64(auto.Settled)), b.Read(state)), out)
		})
		if rest > 0 {
			read(b.AddImm(p, int64(size-rest)), rest)
		}
	}
	return b.Load(b.Op(ir.OpAdd, table, b.Read(state)), int64(auto.Result), 8, false)
}
