package builtins

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func memcmp() *Def {
	return compareBytes("memcmp", "Compares the first n bytes of two strings, arrays or structs, or of the memory that pointers point to. The result is 0 if they are equal, otherwise the difference of the first two bytes that differ. For pointers, n is a literal; otherwise it is at most the size of the smaller one.",
		`begin { print(memcmp("abc", "abd", 3)); }`, false)
}

func memcmpRecord() *Def {
	return compareBytes("memcmp_record", "Compares two values of any type as memcmp does.",
		`begin { print(memcmp_record((1, "a"), (1, "b"), 3)); }`, true)
}

//go:noinline
func compareBytes(name, summary, example string, scalars bool) *Def {
	return &Def{
		Name:   name,
		Kind:   Function,
		Params: []Param{{Name: "a"}, {Name: "b"}, {Name: "n"}},
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check: func(c Checker, call *Call) *types.Type {
			for i := range 2 {
				switch t := call.typeOf(i); {
				case t.Kind == types.Invalid, scalars && t.IsScalar():
				case t.Kind == types.Pointer && !scalars && t.Elem.Size != 0:
				case t.Kind == types.String, t.Kind == types.Array, t.Kind == types.Struct, t.Kind == types.Record, t.Kind == types.Tuple:
				default:
					if c.Final() {
						c.Errorf(call.Args[i].Span, "%s() expects strings, arrays or pointers (%s provided)", name, className(t))
					}
					return types.TInvalid
				}
			}
			n := call.arg(2)
			if n == nil || n.Lit != nil && (n.Lit.IsStr || n.Lit.Int < 0 && !n.Lit.Unsigned) {
				c.Errorf(call.Span, "%s() requires a non-negative length", name)
				return types.TInvalid
			}
			if n.Lit == nil {
				for i := range 2 {
					if call.typeOf(i).Kind == types.Pointer && !scalars {
						c.Errorf(call.Span, "%s() of pointers requires a literal length", name)
						return types.TInvalid
					}
				}
				if !wantInt(c, call, 2) {
					return types.TInvalid
				}
				return types.TInt32
			}
			for i := range 2 {
				if t := call.typeOf(i); c.Final() && call.known(i) && (scalars || t.Kind != types.Pointer) && (n.Lit.Unsigned || n.Lit.Int > int64(t.Size)) {
					c.Errorf(n.Span, "%s() of %s bytes, but %s has only %d", name, n.Span.Text(), t, t.Size)
					return types.TInvalid
				}
			}
			return types.TInt32
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			var limit *ir.Value // nil: n
			n := min(call.typeOf(0).Size, call.typeOf(1).Size)
			if lit := call.Args[2].Lit; lit != nil {
				n = int(lit.Int)
			} else {
				limit = g.Value(&call.Args[2])
			}
			p, q := bytesOf(g, &call.Args[0], n, scalars), bytesOf(g, &call.Args[1], n, scalars)
			b := g.B()
			result := &ir.Var{Name: name, Type: ir.Int}
			b.Write(result, b.Const(0))
			b.Count(n, func(i *ir.Value, out *ir.Block) {
				if limit != nil {
					b.Leave(b.Op(ir.OpULe, limit, i), out)
				}
				d := b.Op(ir.OpSub, byteAt(b, p, i), byteAt(b, q, i))
				b.Write(result, d)
				b.Leave(d, out)
			})
			return b.Read(result)
		},
	}
}

// bytesOf returns the address of the n bytes to compare: those at the target of a
// pointer, or the argument's own.
func bytesOf(g Gen, a *Arg, n int, scalars bool) *ir.Value {
	if a.Type.Kind != types.Pointer || scalars {
		return addrOf(g, a)
	}
	p := g.Temp(max(n, 1))
	if n > 0 {
		g.Read(p, 0, n, g.Value(a), pointee(g, a.Type), "")
	}
	return p
}

// addrOf returns the address of an argument's bytes, even of a scalar.
func addrOf(g Gen, a *Arg) *ir.Value {
	var p *ir.Value
	if a.Type.IsScalar() {
		p = g.Temp(a.Type.Size)
		g.Store(a, a.Type, Dest{Ptr: p, Size: a.Type.Size})
	} else {
		p = g.Addr(a)
	}
	if !holdsPointer(a.Type) {
		return p
	}
	// The verifier does not let a program read single bytes of a pointer that the
	// program has stored. It does not track bytes that a helper copies.
	plain := g.Temp(a.Type.Size)
	g.Read(plain, 0, a.Type.Size, p, types.Kernel, "")
	return plain
}

// holdsPointer reports whether a value of type t, which the program has assembled,
// contains pointers.
func holdsPointer(t *types.Type) bool {
	return t.Kind == types.Pointer || slices.ContainsFunc(t.Fields, func(f types.Field) bool { return holdsPointer(f.Type) })
}
