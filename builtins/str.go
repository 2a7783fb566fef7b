package builtins

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// digits returns an integer literal in decimal.
func (l *Lit) digits() string {
	if l.Unsigned {
		return strconv.FormatUint(uint64(l.Int), 10)
	}
	return strconv.FormatInt(l.Int, 10)
}

func str() *Def {
	return &Def{
		Name:   "str",
		Kind:   Function,
		Params: []Param{{Name: "ptr", Text: true, Address: true}, {Name: "size", Optional: true}},
		Doc: Doc{
			Summary:  "The NUL-terminated string at an address, or a string with a length, as in Go and Rust, cut to max_strlen characters, or with a size to size-1 characters. For a buffer, the characters up to its first NUL or its end.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { printf("%s\n", str(args.filename)); }`},
		},
		Check: checkStr,
		Store: storeStr,
		Source: func(g Gen, call *Call) (*ir.Value, types.Space, bool) {
			if k := call.Args[0].Type.Kind; k == types.String || k == types.Struct || k == types.Buffer || len(call.Args) == 2 && call.Args[1].Lit == nil {
				return nil, types.NoSpace, false
			}
			src, space := stringSource(g, &call.Args[0])
			return src, space, true
		},
	}
}

func checkStr(c Checker, call *Call) *types.Type {
	t := call.typeOf(0)
	switch {
	case t.Kind == types.Buffer:
		if call.arg(1) != nil {
			c.Errorf(call.Span, "str() takes no length for a buffer, which has its own")
			return types.TInvalid
		}
		return types.NewString(t.Len + 1)
	case t.Kind == types.Int, t.Kind == types.Pointer, t.Kind == types.String, t.Kind == types.Invalid,
		t.Kind == types.Array && t.Elem.Size == 1, t.IsCounted(types.CountedText), t.IsCounted(types.CountedItems) && countedSize(t) == 1:
	default:
		if c.Final() {
			c.Errorf(call.Span, "str() expects a string, integer or a pointer type as first argument (%s provided)", className(t))
		}
		return types.TInvalid
	}
	size := c.Config().MaxStrlen + 1
	text, known := knownText(call.arg(0))
	if known { // nothing is read, so nothing is truncated
		size = max(size, len(text)+1)
	}
	if a := call.arg(1); a != nil {
		if !wantInt(c, call, 1) {
			return types.TInvalid
		}
		if a.Lit == nil {
			known = false
		} else {
			if a.Lit.Int < 0 && !a.Lit.Unsigned {
				c.Errorf(call.Span, "str cannot use negative length (%d)", a.Lit.Int)
				return types.TInvalid
			}
			n := int64(size)
			if !a.Lit.Unsigned {
				n = min(n, a.Lit.Int)
			}
			if t.Kind == types.String || known { // at most size-1 characters of a string
				n++
			}
			size = min(size, max(int(n), 1))
		}
	}
	switch {
	case known:
		size = min(size, len(text)+1)
		call.Lit = &Lit{Str: chars(text[:size-1]), IsStr: true}
	case t.Kind == types.String, t.Kind == types.Array:
		limit := t.Size
		if t.Kind == types.Array || t.Full {
			limit++
		}
		size = min(size, limit)
	}
	return types.NewString(size)
}

// knownText returns the text of a if it is a string or a number known at compile time.
// As with positional parameters, such a number stands for its text and not for an
// address, unless the script casts it.
func knownText(a *Arg) (string, bool) {
	if a == nil || a.Lit == nil || a.Lit.IsBool {
		return "", false
	}
	if a.Lit.IsStr {
		return a.Lit.Str, true
	}
	if a.Cast {
		return "", false
	}
	return a.Lit.digits(), true
}

// chars returns s up to its first NUL. A NUL ends every string.
func chars(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func storeStr(g Gen, call *Call, dst Dest) {
	if call.Lit != nil {
		storeLit(g, call, dst)
		return
	}
	a, max := &call.Args[0], call.Type.Size
	b := g.B()
	if a.Type.Kind == types.String && (len(call.Args) == 1 || call.Args[1].Lit != nil) {
		g.Store(a, call.Type, dst)
		return
	}
	switch a.Type.Kind {
	case types.Struct:
		storeCounted(g, call, dst)
		return
	case types.Buffer:
		storeBufferText(g, call, dst)
		return
	}
	size := b.Const(int64(max))
	if len(call.Args) == 2 && call.Args[1].Lit == nil {
		size = boundedSize(g, &call.Args[1], max)
	}
	src, space := stringSource(g, a)
	if dst.Padded {
		b.Zero(dst.Ptr, dst.Off, dst.Size)
	}
	r := g.ReadStr(dst.Ptr, dst.Off, size, max, src, space)
	SetStrLen(g, dst, r)
}

// countedSize returns the size of an element of a string or slice with a length, in
// bytes.
func countedSize(t *types.Type) int {
	if m := t.Members(); len(m) > 0 && m[0].Type.Kind == types.Pointer {
		return m[0].Type.Elem.Size
	}
	return 0
}

// countedParts returns the address of the elements of a string or slice with a
// length, and their number.
func countedParts(g Gen, a *Arg) (ptr, n *ir.Value) {
	p := g.Addr(a)
	return g.B().Load(p, 0, 8, false), g.B().Load(p, 8, 8, false)
}

// storeCounted writes the text of a string that has a length.
func storeCounted(g Gen, call *Call, dst Dest) {
	max := call.Type.Size
	src, n := countedParts(g, &call.Args[0])
	g.B().Zero(dst.Ptr, dst.Off, dst.Size)
	if len(call.Args) == 2 && call.Args[1].Lit == nil {
		limit := g.B().AddImm(boundedSize(g, &call.Args[1], max), -1)
		n = g.B().IfElse(g.B().Op(ir.OpULt, n, limit), func() *ir.Value { return n }, func() *ir.Value { return limit })
	}
	used := g.B().Const(1)
	if max > 1 {
		used = g.B().IfElse(g.B().Op(ir.OpEq, n, g.B().Const(0)), func() *ir.Value { return g.B().Const(1) }, func() *ir.Value {
			n := bounded(g, n, max-1)
			b := g.B()
			failed := b.Op(ir.OpNe, b.Call(ir.ReadUser, b.AddImm(dst.Ptr, dst.Off), n, src), b.Const(0))
			return g.B().IfElse(failed, func() *ir.Value {
				g.Count(object.ReadFault, call.Span, "str")
				return g.B().Const(1)
			}, func() *ir.Value { return g.B().AddImm(n, 1) })
		})
	}
	if dst.Len != nil {
		g.B().Write(dst.Len, used)
	}
}

// storeBufferText writes the characters of a buffer. The bytes of a buffer after its end may
// be anything.
func storeBufferText(g Gen, call *Call, dst Dest) {
	p := g.Addr(&call.Args[0])
	if dst.Padded {
		g.B().Zero(dst.Ptr, dst.Off, dst.Size)
	}
	b := g.B()
	n := atMost(g, b.Load(p, 0, 4, false), call.Type.Size-1)
	b = g.B()
	size := bounded(g, b.AddImm(n, 1), call.Type.Size)
	SetStrLen(g, dst, g.ReadStr(dst.Ptr, dst.Off, size, call.Type.Size, g.B().AddImm(p, 4), types.Kernel))
}

// SetStrLen records the length of the string at dst: n bytes including its NUL, or only
// the NUL if n is negative.
func SetStrLen(g Gen, dst Dest, n *ir.Value) {
	if dst.Len == nil {
		return
	}
	b := g.B()
	used := g.B().IfElse(b.Op(ir.OpSLt, n, b.Const(0)), func() *ir.Value { return g.B().Const(1) }, func() *ir.Value { return n })
	g.B().Write(dst.Len, used)
}

// boundedSize returns a's value, limited as by bounded.
func boundedSize(g Gen, a *Arg, max int) *ir.Value {
	return bounded(g, g.Value(a), max)
}

// bounded returns n limited to the range from 1 to max, in a way that the verifier can
// track.
func bounded(g Gen, n *ir.Value, max int) *ir.Value {
	b := g.B()
	// The code uses the value that it compared, because the verifier does not derive
	// the range of n from that of n-1.
	less := b.Opaque(b.Op(ir.OpSub, n, b.Const(1)))
	inside := b.Op(ir.OpULt, less, b.Const(int64(max)))
	return g.B().IfElse(inside, func() *ir.Value { return g.B().Op(ir.OpAdd, less, g.B().Const(1)) }, func() *ir.Value {
		b := g.B()
		// A size of 0 reads only the NUL. Any other size reads as many bytes as fit.
		zero := b.Op(ir.OpEq, n, b.Const(0))
		return b.Op(ir.OpSub, b.Const(int64(max)), b.Op(ir.OpMul, zero, b.Const(int64(max-1))))
	})
}

// stringSource returns the address of the bytes that a refers to, and their address
// space. An integer that is the result of uptr or kptr has an address space too.
func stringSource(g Gen, a *Arg) (*ir.Value, types.Space) {
	switch a.Type.Kind {
	case types.Pointer:
		return g.Value(a), pointee(g, a.Type)
	case types.String, types.Array, types.Struct, types.Buffer:
		p, space := g.Ref(a)
		return p, readable(space)
	}
	return g.Value(a), pointee(g, a.Type)
}

// readable returns the address space for a helper that reads an object of space s. The
// program's own memory is read like the kernel's.
func readable(s types.Space) types.Space {
	if s == types.User {
		return s
	}
	return types.Kernel
}

// pointee returns the address space of the target of a pointer of type t, or of an
// integer that is used as an address.
func pointee(g Gen, t *types.Type) types.Space {
	// A pointer without an address space is the address (&) of a variable or a map. The
	// exception is a void pointer, which is no better than an integer.
	own := t.Kind == types.Pointer && t.Elem.Kind != types.Void
	if ctx := g.Context(); t.Space == types.NoSpace && !own && ctx != nil && ctx.Args.Space == types.User {
		return types.User
	}
	return readable(t.Space)
}
