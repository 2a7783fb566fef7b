package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// maxVectors is the number of pieces that gather() reads at most.
const maxVectors = 64

// iovecSize is the size of a struct iovec: the address and the length of a piece.
const iovecSize = 16

func gather() *Def {
	return &Def{
		Name:   "gather",
		Kind:   Function,
		Params: []Param{{Name: "iov"}, {Name: "pieces"}, {Name: "most", Kind: Literal}, {Name: "size", Optional: true}},
		Doc: Doc{
			Summary: "The first bytes of the pieces of memory that an array of struct iovec lists: at most 64 pieces, and at most the number of bytes in the argument most. " +
				"With a size, only that many bytes of the pieces are in use, as after readv().",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_writev { printf("%r\n", gather(args.vec, args.vlen, 64)); }`,
				`tracepoint:syscalls:sys_exit_readv /args.ret > 0/ { printf("%r\n", gather(syscall_arg(1), syscall_arg(2), 64, args.ret)); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			limit, ok := wantSize(c, call, 2)
			if !wantAddress(c, call, 0) || !wantInt(c, call, 1) || call.arg(3) != nil && !wantInt(c, call, 3) || !ok {
				return types.TInvalid
			}
			return types.NewBuffer(limit)
		},
		Store: storeGathered,
	}
}

// storeGathered copies the pieces to a temporary with room for twice the bytes: the
// verifier knows only that there are at most max bytes before a piece and in it.
func storeGathered(g Gen, call *Call, dst Dest) {
	most := call.Type.Len
	b := g.B()
	src, space := stringSource(g, &call.Args[0])
	if call.Args[0].Type.Kind == types.Int {
		space = types.User
	}
	count := g.Value(&call.Args[1])
	room := b.Const(int64(most))
	if len(call.Args) == 4 {
		size := g.Value(&call.Args[3])
		b = g.B()
		room = b.IfElse(b.Op(ir.OpULt, size, room), func() *ir.Value { return size }, func() *ir.Value { return g.B().Const(int64(most)) })
	}
	read := ir.ReadKernel
	if space == types.User {
		read = ir.ReadUser
	}
	data, vec := g.Temp(2*most), g.Temp(iovecSize)
	defineStack(g, data, 0, 2*most)
	used, left := &ir.Var{Name: "used", Type: ir.Int}, &ir.Var{Name: "left", Type: ir.Int}
	b = g.B()
	b.Write(used, b.Const(0))
	b.Write(left, room)
	b.Count(maxVectors, func(i *ir.Value, out *ir.Block) {
		b := g.B()
		b.Leave(b.Op(ir.OpULe, count, i), out)
		b = g.B()
		b.Leave(b.Op(ir.OpEq, b.Read(left), b.Const(0)), out)
		b = g.B()
		fault := b.Call(read, vec, b.Const(iovecSize), b.Op(ir.OpAdd, b.AsInt(src), b.Op(ir.OpShl, i, b.Const(4))))
		b.Leave(countedFault(g, call, fault), out)
		b = g.B()
		base, size := b.Load(vec, 0, 8, false), b.Load(vec, 8, 8, false)
		rest := b.Read(left)
		size = b.IfElse(b.Op(ir.OpULt, size, rest), func() *ir.Value { return size }, func() *ir.Value { return rest })
		g.B().If(size, func() {
			b := g.B()
			at := b.Opaque(b.Read(used))
			b.If(b.Op(ir.OpULt, at, b.Const(int64(most))), func() {
				n := bounded(g, size, most)
				b := g.B()
				fault := b.Call(ir.ReadUser, b.Op(ir.OpAdd, data, at), n, base)
				b.Leave(countedFault(g, call, fault), out)
				b = g.B()
				// The verifier need not distinguish the iterations by the data that they
				// have read.
				more, less := b.Op(ir.OpAdd, at, n), b.Op(ir.OpSub, rest, n)
				more = forget(g, more, 2*most)
				less = forget(g, less, 2*most)
				b = g.B()
				b.Write(used, more)
				b.Write(left, less)
			})
		})
	})
	storeBuffer(g, dst, most, data, g.B().Read(used))
}

// countedFault counts a failed read of memory, and returns a value that is not 0 if there
// was one.
func countedFault(g Gen, call *Call, fault *ir.Value) *ir.Value {
	b := g.B()
	return b.IfElse(b.Op(ir.OpEq, fault, b.Const(0)), func() *ir.Value { return g.B().Const(0) }, func() *ir.Value {
		g.Count(object.ReadFault, call.Span, call.Def.Name)
		return g.B().Const(1)
	})
}

// storeBuffer writes a buffer of at most max bytes to dst: the n bytes at data, which is
// the program's own memory.
func storeBuffer(g Gen, dst Dest, most int, data, n *ir.Value) {
	b := g.B()
	if dst.Padded {
		b.Zero(dst.Ptr, dst.Off, dst.Size)
	} else {
		defineStack(g, dst.Ptr, dst.Off, 4+most)
		b.Store(dst.Ptr, dst.Off, 4, b.Const(0))
	}
	n = b.Opaque(n)
	if dst.Len != nil {
		b.Write(dst.Len, b.Const(4))
	}
	b.If(n, func() {
		n := bounded(g, n, most)
		b := g.B()
		b.Call(ir.ReadKernel, b.AddImm(dst.Ptr, dst.Off+4), n, b.AsInt(data))
		b.Store(dst.Ptr, dst.Off, 4, n)
		if dst.Len != nil {
			b.Write(dst.Len, b.AddImm(n, 4))
		}
	})
}
