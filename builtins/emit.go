package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

// padTail clears what of dst lies behind its first n bytes, where that matters.
func padTail(g Gen, dst Dest, n int) {
	if dst.Padded && dst.Size > n {
		g.B().Zero(dst.Ptr, dst.Off+int64(n), dst.Size-n)
	}
}

// storeText fills dst with a string known when compiling.
func storeText(g Gen, text string, dst Dest) {
	data := append([]byte(text), 0)
	if len(data) > dst.Size {
		data = append(data[:dst.Size-1:dst.Size-1], 0)
	}
	g.B().Copy(dst.Ptr, dst.Off, g.Rodata(data), len(data))
	padTail(g, dst, len(data))
}

func boolLit(yes bool) *Lit {
	l := &Lit{IsBool: true}
	if yes {
		l.Int = 1
	}
	return l
}

// emitLit is the Emit of what is an integer known when compiling.
func emitLit(g Gen, call *Call) *ir.Value { return g.B().Const(call.Lit.Int) }

func storeLit(g Gen, call *Call, dst Dest) { storeText(g, call.Lit.Str, dst) }

func emitNothing(Gen, *Call) *ir.Value { return nil }

// loop runs body for i = 0 … n-1, a constant, with break_ leaving it. It is
// emitted as a loop, which the kernel's verifier walks n times.
type loop struct {
	g    Gen
	i    *ir.Var
	done *ir.Block
}

// forEach emits body n times in a loop. Within it leave ends the loop where
// cond holds.
func forEach(g Gen, n int, body func(l *loop, i *ir.Value)) {
	b := g.B()
	l := &loop{g: g, i: &ir.Var{Name: "i", Type: ir.Int}, done: b.NewBlock()}
	head, inside := b.NewBlock(), b.NewBlock()
	b.Write(l.i, b.Const(0))
	b.Jump(head)
	b.SetBlock(head)
	i := b.Read(l.i)
	b.Br(b.Op(ir.OpULt, i, b.Const(int64(n))), inside, l.done)
	b.SealSet(inside)
	body(l, i)
	b.Write(l.i, b.Op(ir.OpAdd, i, b.Const(1)))
	b.Jump(head)
	b.Seal(head)
	b.SealSet(l.done)
}

// leave ends the loop where cond is not 0.
func (l *loop) leave(cond *ir.Value) {
	b := l.g.B()
	next := b.NewBlock()
	b.Br(cond, l.done, next)
	b.SealSet(next)
}

// fewTurns is from how many turns of a loop on it matters that the verifier
// knows with which number each turn leaves it.
const fewTurns = 8

// forget is v, a number that a loop of n turns found, without what the kernel's
// verifier knows of it: for each turn another value. Where that one matters
// later, to the address of a table's entry or to a branch, the verifier walks
// the rest of the program once for each, and after a second such loop once for
// each two. It keeps no account of a word that is written in parts, unless one
// of them is 0, of which it wants to know why: neither is. v is -1 or more.
func forget(g Gen, v *ir.Value, n int) *ir.Value {
	if n <= fewTurns {
		return v
	}
	const away = 1<<32 + 2
	p := g.Temp(8)
	b := g.B()
	v = b.Op(ir.OpAdd, v, b.Const(away))
	b.Store(p, 0, 4, v)
	b.Store(p, 4, 4, b.Op(ir.OpShr, v, b.Const(32)))
	return b.Op(ir.OpSub, b.Load(b.Op(ir.OpBarrier, p), 0, 8, false), b.Const(away))
}

// byteAt is the byte at p+i.
func byteAt(b *ir.Builder, p, i *ir.Value) *ir.Value {
	return b.Load(b.Op(ir.OpAdd, p, i), 0, 1, false)
}
