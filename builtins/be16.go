package builtins

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func be16() *Def { return byteReader("be16", 2, true) }

// byteReader returns the builtin that reads a number of width bytes from the fields of a
// protocol. big is set if its first byte is the most significant one.
func byteReader(name string, width int, big bool) *Def {
	order := "least"
	if big {
		order = "most"
	}
	return &Def{
		Name:   name,
		Kind:   Function,
		Params: []Param{{Name: "data"}, {Name: "offset", Optional: true}},
		Doc: Doc{
			Summary: fmt.Sprintf("The number in %d bytes of a buffer, a string or memory, at an offset or at its start, the %s significant byte first. "+
				"It is 0 if the buffer is too short.", width, order),
			Examples: []string{fmt.Sprintf(`tracepoint:syscalls:sys_enter_write { @[%s(buf(args.buf, args.count, 16), 2)] = count(); }`, name)},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkBytes(c, call, width) },
		Emit: func(g Gen, call *Call) *ir.Value {
			n := readNumber(g, call, width)
			if !big {
				return n
			}
			return g.B().Op(map[int]ir.Op{2: ir.OpBswap16, 4: ir.OpBswap32, 8: ir.OpBswap64}[width], n)
		},
	}
}

func checkBytes(c Checker, call *Call, width int) *types.Type {
	t := call.typeOf(0)
	known := -1 // the size, if it is known
	switch {
	case t.Kind == types.Buffer:
		known = t.Len
	case t.Kind == types.String:
		known = t.Size
	case t.Kind == types.Array && t.Elem.Size == 1:
		known = t.Len
	case t.Kind == types.Int, t.Kind == types.Pointer, t.Kind == types.Invalid:
	default:
		c.Errorf(call.Span, "%s() expects bytes: a buffer, a string, an array of bytes or an address (%s provided)", call.Def.Name, className(t))
		return types.TInvalid
	}
	a := call.arg(1)
	if a != nil && !wantInt(c, call, 1) {
		return types.TInvalid
	}
	if a != nil && a.Lit == nil || known < 0 || !c.Final() {
		return types.NewInt(width, false)
	}
	off := int64(0)
	if a != nil {
		off = a.Lit.Int
	}
	if off < 0 || off+int64(width) > int64(known) {
		c.Errorf(call.Span, "%s() at offset %d is outside of the %d bytes", call.Def.Name, off, known)
		return types.TInvalid
	}
	return types.NewInt(width, false)
}

// readNumber returns width bytes at the offset of a call, the least significant first, or
// 0 if the data is too short.
func readNumber(g Gen, call *Call, width int) *ir.Value {
	data := &call.Args[0]
	var lit *Lit
	off := g.B().Const(0)
	switch {
	case len(call.Args) < 2:
		lit = &Lit{}
	case call.Args[1].Lit != nil:
		lit = call.Args[1].Lit
		off = g.B().Const(lit.Int)
	default:
		off = g.Value(&call.Args[1])
	}
	switch data.Type.Kind {
	case types.Buffer, types.String, types.Array:
	default:
		src, space := stringSource(g, data)
		b := g.B()
		p := g.Temp(8)
		g.Read(p, 0, width, b.Op(ir.OpAdd, b.AsInt(src), off), space, call.Def.Name)
		return g.B().Load(p, 0, width, false)
	}
	p := g.Addr(data)
	b := g.B()
	size, start := b.Const(int64(data.Type.Len)), int64(0)
	switch data.Type.Kind {
	case types.Buffer:
		size, start = b.Load(p, 0, 4, false), 4
	case types.String:
		size = b.Const(int64(data.Type.Size))
	}
	none := func() *ir.Value { return g.B().Const(0) }
	if lit != nil {
		return b.IfElse(b.Op(ir.OpULe, b.Const(lit.Int+int64(width)), size), func() *ir.Value {
			b := g.B()
			n := b.Const(0)
			for i := range width {
				c := b.Load(p, start+lit.Int+int64(i), 1, false)
				n = b.Op(ir.OpOr, n, b.Op(ir.OpShl, c, b.Const(int64(8*i))))
			}
			return n
		}, none)
	}
	// The verifier must know the limits of a number that is added to an address.
	off = b.Opaque(off)
	return b.IfElse(b.Op(ir.OpULt, off, b.Const(int64(data.Type.Size))), func() *ir.Value {
		b := g.B()
		return b.IfElse(b.Op(ir.OpULe, b.Op(ir.OpAdd, off, b.Const(int64(width))), size), func() *ir.Value {
			b := g.B()
			tmp := g.Temp(8)
			b.Call(ir.ReadKernel, tmp, b.Const(int64(width)), b.Op(ir.OpAdd, b.AsInt(b.AddImm(p, start)), off))
			return b.Load(tmp, 0, width, false)
		}, none)
	}, none)
}
