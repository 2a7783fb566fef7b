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
			return partOf(c, call, 3)
		},
		Store: storeBetween,
	}
}

// partOf returns the type of a part of the text that is the first argument. Argument most, if
// there is one, is the largest number of its characters.
func partOf(c Checker, call *Call, most int) *types.Type {
	size := call.typeOf(0).Size
	if call.arg(most) != nil {
		limit, ok := wantSize(c, call, most)
		if !ok {
			return types.TInvalid
		}
		size = min(size, limit+1)
	}
	return types.NewString(size)
}

// maxEnds is the maximum number of characters at which between() ends.
const maxEnds = 8

func storeBetween(g Gen, call *Call, dst Dest) {
	start, ends := call.Args[1].Lit.Str, call.Args[2].Lit.Str
	at := searchText(g, &call.Args[0], start)
	storePart(g, call, dst, piece{at: at, skip: len(start), ends: ends})
}

// piece is a part of a string that ends before a character of ends. It starts skip
// characters after at, which is notFound if there is no such part. If trim is set, blanks
// around it are removed.
type piece struct {
	at   *ir.Value
	skip int
	ends string
	trim bool
}

// maxBlanks is the maximum number of blanks before a part.
const maxBlanks = 63

// storePart stores a part of the string that is the first argument of a call.
func storePart(g Gen, call *Call, dst Dest, x piece) {
	hay := &call.Args[0]
	p := g.Addr(hay)
	b := g.B()
	if dst.Padded {
		b.Zero(dst.Ptr, dst.Off, dst.Size)
	} else {
		b.Store(dst.Ptr, dst.Off, 1, b.Const(0))
	}
	used := &ir.Var{Name: "used", Type: ir.Int}
	b.Write(used, b.Const(1))
	// The verifier must know the limits of a number that is added to an address.
	at := b.Opaque(x.at)
	b.If(b.Op(ir.OpULt, at, b.Const(int64(hay.Type.Size))), func() {
		size := call.Type.Size
		window := size
		if x.trim {
			window += maxBlanks
		}
		// The copy ends at the NUL of the string. Each place is written, because forEach
		// reads all of them.
		text := g.Temp(window)
		g.B().Zero(text, 0, window)
		b := g.B()
		g.ReadStr(text, 0, b.Const(int64(window)), window, b.Op(ir.OpAdd, b.AsInt(b.AddImm(p, int64(x.skip))), at), types.Kernel)
		from, n := placeOf(g, text, window, &x)
		b = g.B()
		src := text
		if from != nil {
			src = b.Op(ir.OpAdd, b.AsInt(text), from)
		}
		r := g.ReadStr(dst.Ptr, dst.Off, bounded(g, b.AddImm(n, 1), size), size, src, types.Kernel)
		b = g.B()
		b.Write(used, b.IfElse(b.Op(ir.OpSLt, r, b.Const(1)), func() *ir.Value { return g.B().Const(1) }, func() *ir.Value { return r }))
	})
	if dst.Len != nil {
		b := g.B()
		b.Write(dst.Len, b.Read(used))
	}
}

// placeOf computes the offset of the part in the size bytes at text, and its length in
// bytes. from is nil if it starts at the first byte.
func placeOf(g Gen, text *ir.Value, size int, x *piece) (from, n *ir.Value) {
	b := g.B()
	end, first, begun := &ir.Var{Name: "stop", Type: ir.Int}, &ir.Var{Name: "first", Type: ir.Int}, &ir.Var{Name: "begun", Type: ir.Int}
	for _, v := range []*ir.Var{end, first, begun} {
		b.Write(v, b.Const(0))
	}
	b.Count(size-1, func(i *ir.Value, out *ir.Block) {
		b := g.B()
		c := byteAt(b, text, i)
		if !x.trim {
			b.Write(end, i)
		}
		left := c
		for j := range len(x.ends) {
			// The product is 0 if one of the characters ends the text.
			left = b.Op(ir.OpMul, left, b.Op(ir.OpXor, c, b.Const(int64(x.ends[j]))))
		}
		b.Leave(b.Op(ir.OpEq, left, b.Const(0)), out)
		b = g.B()
		next := b.Op(ir.OpAdd, i, b.Const(1))
		if !x.trim {
			b.Write(end, next)
			return
		}
		// The product is 0 for a blank.
		visible := b.Op(ir.OpMul, b.Op(ir.OpXor, c, b.Const(' ')), b.Op(ir.OpXor, c, b.Const('\t')))
		visible = b.Op(ir.OpShr, b.Op(ir.OpNeg, visible), b.Const(63))
		b.Write(begun, b.Op(ir.OpOr, b.Read(begun), visible))
		b.Write(first, b.Op(ir.OpAdd, b.Read(first), b.Op(ir.OpXor, b.Read(begun), b.Const(1))))
		// The part ends after the last character that is not a blank.
		more := b.Op(ir.OpMul, b.Op(ir.OpSub, next, b.Read(end)), visible)
		b.Write(end, b.Op(ir.OpAdd, b.Read(end), more))
	})
	n = forget(g, g.B().Read(end), size)
	if !x.trim {
		return nil, n
	}
	from = forget(g, g.B().Read(first), size)
	b = g.B()
	from = b.Op(ir.OpAnd, from, b.Const(1<<16-1)) // for the verifier
	// Without a character, the end is 0 and so is the length.
	return from, b.IfElse(n, func() *ir.Value { return g.B().Op(ir.OpSub, n, from) }, func() *ir.Value { return g.B().Const(0) })
}
