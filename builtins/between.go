package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func between() *Def {
	return &Def{
		Name:   "between",
		Kind:   Function,
		Params: []Param{{Name: "s", Chars: true}, {Name: "start"}, {Name: "ends"}, {Name: "most", Kind: Literal, Optional: true}},
		Doc: Doc{
			Summary: "The text in a string between the first occurrence of start and the next one of the characters in ends, or the end of the string; empty if start does not occur. " +
				"start and ends are literals. An empty start is the start of the string. With most, a number, it is cut to that many characters.",
			Examples: []string{`tracepoint:syscalls:sys_enter_write { @[between(str(args.buf), "Host: ", "\r\n", 64)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ok := wantStr(c, call, 0)
			start, isStart := wantString(c, call, 1)
			ends, isEnds := wantString(c, call, 2)
			if !ok || !isStart || !isEnds {
				return types.TInvalid
			}
			switch {
			case len(start) > bitNeedle:
				c.Errorf(call.Args[1].Span, "between() finds texts of at most %d characters", bitNeedle)
				return types.TInvalid
			case len(ends) > maxEnds || ends == "":
				c.Errorf(call.Args[2].Span, "between() needs one to %d characters that end the text", maxEnds)
				return types.TInvalid
			}
			size := call.typeOf(0).Size
			if call.arg(3) != nil {
				limit, ok := wantSize(c, call, 3)
				if !ok {
					return types.TInvalid
				}
				size = min(size, limit+1)
			}
			return types.NewString(size)
		},
		Store: storeBetween,
	}
}

// maxEnds is the maximum number of characters at which between() ends.
const maxEnds = 8

func storeBetween(g Gen, call *Call, dst Dest) {
	size := call.Type.Size
	hay := &call.Args[0]
	p := g.Addr(hay)
	start, ends := call.Args[1].Lit.Str, call.Args[2].Lit.Str
	at := searchText(g, hay, start)
	b := g.B()
	if dst.Padded {
		b.Zero(dst.Ptr, dst.Off, dst.Size)
	} else {
		b.Store(dst.Ptr, dst.Off, 1, b.Const(0))
	}
	used := &ir.Var{Name: "used", Type: ir.Int}
	b.Write(used, b.Const(1))
	// The verifier must know the limits of what is added to an address.
	at = b.Op(ir.OpBarrier, at)
	b.If(b.Op(ir.OpULt, at, b.Const(int64(hay.Type.Size))), func() {
		// The copy ends at the NUL of the string. Each place is written, because forEach
		// reads all of them.
		text := g.Temp(size)
		g.B().Zero(text, 0, size)
		b := g.B()
		g.ReadStr(text, 0, b.Const(int64(size)), size, b.Op(ir.OpAdd, b.AsInt(b.AddImm(p, int64(len(start)))), at), types.Kernel)
		end := &ir.Var{Name: "stop", Type: ir.Int}
		b = g.B()
		b.Write(end, b.Const(0))
		forEach(g, size-1, func(l *loop, i *ir.Value) {
			b := g.B()
			c := byteAt(b, text, i)
			b.Write(end, i)
			left := c
			for j := range len(ends) {
				// The product is 0 if one of the characters ends the text.
				left = b.Op(ir.OpMul, left, b.Op(ir.OpXor, c, b.Const(int64(ends[j]))))
			}
			l.leave(b.Op(ir.OpEq, left, b.Const(0)))
			b = g.B()
			b.Write(end, b.Op(ir.OpAdd, i, b.Const(1)))
		})
		n := forget(g, g.B().Read(end), size)
		b = g.B()
		r := g.ReadStr(dst.Ptr, dst.Off, bounded(g, b.AddImm(n, 1), size), size, text, types.Kernel)
		b = g.B()
		b.Write(used, b.IfElse(b.Op(ir.OpSLt, r, b.Const(1)), func() *ir.Value { return g.B().Const(1) }, func() *ir.Value { return r }))
	})
	if dst.Len != nil {
		b := g.B()
		b.Write(dst.Len, b.Read(used))
	}
}
