package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

func buf() *Def {
	return &Def{
		Name:   "buf",
		Kind:   Function,
		Params: []Param{{Name: "data", Address: true}, {Name: "size", Optional: true}, {Name: "most", Kind: Literal, Optional: true}},
		Doc: Doc{
			Summary: "The bytes at an address, or of an array. The result has at most as many bytes as the argument most says, or without it max_strlen bytes. printf shows them with %r, %rx or %rh.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_write { printf("%r\n", buf(args.buf, args.count)); }`,
				`tracepoint:syscalls:sys_enter_write { @[tid] = buf(args.buf, args.count, 16); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			switch t.Kind {
			case types.Invalid:
				return types.NewBuffer(1)
			case types.Int, types.Pointer, types.String, types.Array:
			case types.Struct:
				if countedSize(t) == 1 && !t.IsCounted(types.NotCounted) {
					return checkCountedBuf(c, call)
				}
				fallthrough
			default:
				c.Errorf(call.Span, "buf() expects an integer, string, or array argument but saw %s", className(t))
				return types.TInvalid
			}
			limit := c.Config().MaxStrlen
			if call.arg(2) != nil {
				var ok bool
				if limit, ok = wantSize(c, call, 2); !ok {
					return types.TInvalid
				}
			}
			a := call.arg(1)
			switch {
			case a == nil && t.Kind != types.Array:
				if c.Final() {
					c.Errorf(call.Span, "buf() expects a length argument for non-array type %s", className(t))
				}
				return types.TInvalid
			case a == nil:
				limit = min(limit, t.Size)
			case a.Lit != nil && a.Lit.Int < 0 && !a.Lit.Unsigned:
				c.Errorf(call.Span, "buf cannot use negative length (%d)", a.Lit.Int)
				return types.TInvalid
			case !wantInt(c, call, 1):
				return types.TInvalid
			case a.Lit != nil && !a.Lit.Unsigned:
				limit = int(min(int64(limit), a.Lit.Int))
			}
			if t.Kind == types.Array || t.Kind == types.String {
				limit = min(limit, t.Size)
			}
			return types.NewBuffer(limit)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			b := g.B()
			most := call.Type.Len
			if most == 0 {
				b.Store(dst.Ptr, dst.Off, 4, b.Const(0))
				padTail(g, dst, 4)
				return
			}
			if call.Args[0].Type.Kind == types.Struct {
				storeCountedBuf(g, call, dst)
				return
			}
			src, space := stringSource(g, &call.Args[0])
			dynamic := len(call.Args) >= 2 && call.Args[1].Lit == nil
			if !dynamic {
				g.B().Store(dst.Ptr, dst.Off, 4, g.B().Const(int64(most)))
				g.Read(dst.Ptr, dst.Off+4, most, src, space, "buf")
				padTail(g, dst, 4+most)
				return
			}
			size := g.Value(&call.Args[1])
			n := bounded(g, size, most)
			if dst.Padded {
				g.B().Zero(dst.Ptr, dst.Off, dst.Size)
			} else {
				defineStack(g, dst.Ptr, dst.Off, 4+most)
			}
			// For a size of 0, one byte is read, as old verifiers require, but it does
			// not count.
			length := g.B().Op(ir.OpSub, n, g.B().Op(ir.OpEq, size, g.B().Const(0)))
			used := readBytes(g, call, g.B().AddImm(dst.Ptr, dst.Off), n, length, src, space)
			g.B().If(g.B().Op(ir.OpEq, size, g.B().Const(0)), func() { g.B().Store(dst.Ptr, dst.Off+4, 1, g.B().Const(0)) })
			if dst.Len != nil {
				g.B().Write(dst.Len, g.B().Op(ir.OpAdd, used, g.B().Const(4)))
			}
		},
	}
}

// defineStack prepares size bytes of memory for a helper that writes a number of bytes
// which is known only at run time. If the memory is on the stack, old verifiers require
// that the program has written all of it before.
func defineStack(g Gen, p *ir.Value, off int64, size int) {
	const stack = 512
	if size <= stack && !g.Kernel().Has(probes.FeatUnwrittenStack) {
		g.B().Zero(p, off, size)
	}
}

// checkCountedBuf is the type rule for a slice or string with a length.
func checkCountedBuf(c Checker, call *Call) *types.Type {
	if call.arg(1) != nil {
		c.Errorf(call.Span, "buf() takes no length for %s, which has its own", className(call.typeOf(0)))
		return types.TInvalid
	}
	return types.NewBuffer(c.Config().MaxStrlen)
}

// storeCountedBuf writes the bytes of a slice or string with a length.
func storeCountedBuf(g Gen, call *Call, dst Dest) {
	src, n := countedParts(g, &call.Args[0])
	g.B().Zero(dst.Ptr, dst.Off, dst.Size)
	used := g.B().IfElse(g.B().Op(ir.OpEq, n, g.B().Const(0)), func() *ir.Value { return g.B().Const(0) }, func() *ir.Value {
		n := bounded(g, n, call.Type.Len)
		return readBytes(g, call, g.B().AddImm(dst.Ptr, dst.Off), n, n, src, types.User)
	})
	if dst.Len != nil {
		g.B().Write(dst.Len, g.B().Op(ir.OpAdd, used, g.B().Const(4)))
	}
}

// readBytes fills the buffer at p with n bytes, 1 or more, of which the first length count.
// It returns the number of bytes in it. After a fault the buffer is empty.
func readBytes(g Gen, call *Call, p, n, length, src *ir.Value, space types.Space) *ir.Value {
	b := g.B()
	helper := ir.ReadKernel
	if space == types.User {
		helper = ir.ReadUser
	}
	r := b.Call(helper, b.AddImm(p, 4), n, src)
	return g.B().IfElse(b.Op(ir.OpEq, r, b.Const(0)), func() *ir.Value {
		g.B().Store(p, 0, 4, length)
		return n
	}, func() *ir.Value {
		g.Count(object.ReadFault, call.Span, "buf")
		g.B().Store(p, 0, 4, g.B().Const(0))
		return g.B().Const(0)
	})
}
