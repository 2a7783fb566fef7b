package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func strlen() *Def {
	return &Def{
		Name:   "strlen",
		Kind:   Function,
		Params: []Param{{Name: "s", Chars: true}},
		Doc: Doc{
			Summary:  "Number of characters of a string.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @ = hist(strlen(str(args.filename))); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantStr(c, call, 0) {
				return types.TInvalid
			}
			if s, ok := call.litStr(0); ok {
				call.Lit = &Lit{Int: int64(len(s))}
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			return emitStrlen(g, &call.Args[0])
		},
	}
}

// emitStrlen searches for the NUL in words of eight bytes. It subtracts 1 from each
// byte of a word, which sets the high bit of the lowest byte that is zero.
func emitStrlen(g Gen, a *Arg) *ir.Value {
	p := g.Addr(a)
	b := g.B()
	words, rest := a.Type.Size/8, a.Type.Size%8
	n := &ir.Var{Name: "strlen", Type: ir.Int}
	b.Write(n, b.Const(int64(a.Type.Size)))
	look := func(off, at *ir.Value, size int, found *ir.Block) {
		const (
			ones  = 0x0101010101010101
			highs = ones<<7 - 1<<64
		)
		x := b.Load(at, 0, size, false)
		if size < 8 { // bytes past the end must not be zero
			x = b.Op(ir.OpOr, x, b.Const(-1<<(8*size)))
		}
		zero := b.Op(ir.OpAnd, b.Op(ir.OpSub, x, b.Const(ones)), b.Op(ir.OpXor, x, b.Const(-1)))
		zero = b.Op(ir.OpAnd, zero, b.Const(highs))
		b.If(zero, func() {
			// Count the bytes below the lowest high bit that is set by adding their
			// lowest bits.
			low := b.Op(ir.OpSub, b.Op(ir.OpAnd, zero, b.Op(ir.OpNeg, zero)), b.Const(1))
			count := b.Op(ir.OpShr, b.Op(ir.OpMul, b.Op(ir.OpAnd, low, b.Const(ones)), b.Const(ones)), b.Const(56))
			b.Write(n, b.Op(ir.OpSub, b.Op(ir.OpAdd, off, count), b.Const(1)))
			b.Jump(found)
		})
	}
	b.Section(func(found *ir.Block) {
		b.Count(words, func(i *ir.Value, _ *ir.Block) {
			off := b.Op(ir.OpShl, i, b.Const(3))
			look(off, b.Op(ir.OpAdd, p, off), 8, found)
		})
		for off := words * 8; rest > 0; {
			size := 4
			for size > rest {
				size /= 2
			}
			look(b.Const(int64(off)), b.AddImm(p, int64(off)), size, found)
			off, rest = off+size, rest-size
		}
	})
	return forget(g, b.Read(n), words)
}
