package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
)

// padTail clears the bytes of dst after the first n, if dst is padded.
func padTail(g Gen, dst Dest, n int) {
	if dst.Padded && dst.Size > n {
		g.B().Zero(dst.Ptr, dst.Off+int64(n), dst.Size-n)
	}
}

// storeText fills dst with a string known at compile time.
func storeText(g Gen, text string, dst Dest) {
	data := append([]byte(text), 0)
	if len(data) > dst.Size {
		data = append(data[:dst.Size-1:dst.Size-1], 0)
	}
	g.B().Copy(dst.Ptr, dst.Off, g.Rodata(data), len(data))
	padTail(g, dst, len(data))
}

//go:noinline
func boolLit(yes bool) *Lit {
	l := &Lit{IsBool: true}
	if yes {
		l.Int = 1
	}
	return l
}

// emitLit is the Emit of a builtin that is an integer known at compile time.
func emitLit(g Gen, call *Call) *ir.Value { return g.B().Const(call.Lit.Int) }

func storeLit(g Gen, call *Call, dst Dest) { storeText(g, call.Lit.Str, dst) }

func emitNothing(Gen, *Call) *ir.Value { return nil }

// fewTurns is the maximum number of iterations for which the verifier may distinguish
// the results of a loop.
const fewTurns = 8

// forget hides the value of v, a number that a loop of n iterations found, from the
// verifier. It returns a copy of v. v is -1 or more.
//
// The verifier knows a different value of v for each iteration. If v is later part of
// an address or decides a branch, it follows the rest of the program once for each
// value, and after a second such loop once for each pair of values. It does not track a
// word that was written in parts, unless one of the parts is 0. So forget writes v to
// memory in two parts, neither of which is 0, and reads it back.
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
	return b.Op(ir.OpSub, b.Load(b.Opaque(p), 0, 8, false), b.Const(away))
}

// byteAt loads the byte at p+i.
func byteAt(b *ir.Builder, p, i *ir.Value) *ir.Value {
	return b.Load(b.Op(ir.OpAdd, p, i), 0, 1, false)
}
