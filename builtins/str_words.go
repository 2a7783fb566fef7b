package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func strWords() *Def {
	return &Def{
		Name:   "str_words",
		Kind:   Function,
		Params: []Param{{Name: "ptr"}, {Name: "length"}},
		Doc: Doc{
			Summary: "The NUL-terminated strings in length bytes of a process's memory, as one string with blanks between them, cut to max_strlen characters. " +
				"The kernel keeps the words of a command line in this form.",
			Examples: []string{`tracepoint:sched:sched_process_exec { print(str_words(curtask.mm.arg_start, curtask.mm.arg_end - curtask.mm.arg_start)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if k := call.typeOf(0).Kind; k != types.Int && k != types.Pointer && k != types.Invalid {
				c.Errorf(call.Span, "str_words() expects an address as first argument (%s provided)", className(call.typeOf(0)))
				return types.TInvalid
			}
			if !wantInt(c, call, 1) {
				return types.TInvalid
			}
			return types.NewString(c.Config().MaxStrlen + 1)
		},
		Store: storeWords,
	}
}

func storeWords(g Gen, call *Call, dst Dest) {
	size := call.Type.Size
	if dst.Padded {
		g.B().Zero(dst.Ptr, dst.Off, dst.Size)
	}
	src, length := g.Value(&call.Args[0]), g.Value(&call.Args[1])
	room := types.RoundUp(size, 8)
	text := g.Temp(room)
	b := g.B()
	b.Zero(text, 0, room)
	end := b.IfElse(b.Op(ir.OpEq, length, b.Const(0)), func() *ir.Value { return g.B().Const(0) }, func() *ir.Value {
		n := bounded(g, length, size)
		b := g.B()
		fault := b.Call(ir.ReadUser, text, n, b.AsInt(src))
		return b.IfElse(b.Op(ir.OpEq, fault, b.Const(0)), func() *ir.Value {
			return g.B().Op(ir.OpSub, n, g.B().Const(1))
		}, func() *ir.Value {
			g.Count(object.ReadFault, call.Span, call.Def.Name)
			return g.B().Const(0)
		})
	})
	blankNULs(g, text, room)
	b = g.B()
	end = b.IfElse(b.Op(ir.OpULt, end, b.Const(int64(size))), func() *ir.Value { return end }, func() *ir.Value { return g.B().Const(0) })
	b = g.B()
	b.Store(b.Op(ir.OpAdd, text, end), 0, 1, b.Const(0))
	SetStrLen(g, dst, g.ReadStr(dst.Ptr, dst.Off, b.Const(int64(size)), size, text, types.Kernel))
}

// blankNULs replaces each NUL in n bytes at p by a blank, eight bytes at a time. n is a
// multiple of 8.
func blankNULs(g Gen, p *ir.Value, n int) {
	const low, high = 0x7f7f7f7f7f7f7f7f, -0x7f7f7f7f7f7f7f80
	g.B().Count(n/8, func(i *ir.Value, _ *ir.Block) {
		b := g.B()
		at := b.Op(ir.OpAdd, p, b.Op(ir.OpShl, i, b.Const(3)))
		x := b.Load(at, 0, 8, false)
		// The sum sets the high bit of each byte whose other bits are not all 0, without
		// a carry to the next byte.
		sum := b.Op(ir.OpAdd, b.Op(ir.OpAnd, x, b.Const(low)), b.Const(low))
		used := b.Op(ir.OpAnd, b.Op(ir.OpOr, sum, x), b.Const(high))
		nul := b.Op(ir.OpXor, used, b.Const(high))
		b.Store(at, 0, 8, b.Op(ir.OpOr, x, b.Op(ir.OpShr, nul, b.Const(2))))
	})
}
