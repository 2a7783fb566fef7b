package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/builtins/match"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func strncmp() *Def {
	return &Def{
		Name:   "strncmp",
		Kind:   Function,
		Params: []Param{{Name: "a", Chars: true}, {Name: "b", Chars: true}, {Name: "n"}},
		Doc: Doc{
			Summary:  "0 if two strings are equal in their first n characters, else 1. n is a literal.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read /strncmp(comm, "ssh", 3) == 0/ { @ = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ok := wantStr(c, call, 0) && wantStr(c, call, 1)
			n := call.arg(2)
			if n == nil || n.Lit == nil || n.Lit.IsStr || n.Lit.Int < 0 && !n.Lit.Unsigned {
				c.Errorf(call.Span, "Builtin strncmp requires a non-negative literal")
				return types.TInvalid
			}
			if !ok {
				return types.TInvalid
			}
			x, isX := call.litStr(0)
			y, isY := call.litStr(1)
			if isX && isY {
				call.Lit = &Lit{}
				if strings.Compare(prefix(x, n.Lit), prefix(y, n.Lit)) != 0 {
					call.Lit.Int = 1
				}
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return g.B().Const(call.Lit.Int)
			}
			a, b := &call.Args[0], &call.Args[1]
			limit := call.Args[2].Lit
			if lit, ok := call.litStr(0); ok {
				return g.B().Op(ir.OpNe, differsFrom(g, b, lit, limit), g.B().Const(0))
			}
			if lit, ok := call.litStr(1); ok {
				return g.B().Op(ir.OpNe, differsFrom(g, a, lit, limit), g.B().Const(0))
			}
			return stringsDiffer(g, a, b, clampLen(limit, min(a.Type.Size, b.Type.Size)))
		},
	}
}

// prefix returns the first n characters of s.
func prefix(s string, n *Lit) string { return s[:clampLen(n, len(s))] }

// clampLen returns a literal length, limited to limit.
func clampLen(n *Lit, limit int) int {
	if n.Unsigned {
		return limit
	}
	return int(min(n.Int, int64(limit)))
}

// differsFrom computes a value that is not 0 if the first n characters of a differ from
// those of a literal, including its NUL. The literal's characters contain no NUL, so
// bytes after a NUL in a cannot make them equal.
func differsFrom(g Gen, a *Arg, lit string, n *Lit) *ir.Value {
	want := append([]byte(lit), 0)
	want = want[:clampLen(n, len(want))]
	b := g.B()
	if len(want) > a.Type.Size { // too long to be equal
		return b.Const(1)
	}
	return match.Differ(b, g.Addr(a), want)
}

// stringsDiffer computes 1 if the first n characters of two strings differ, else 0.
func stringsDiffer(g Gen, a, o *Arg, n int) *ir.Value {
	p, q := g.Addr(a), g.Addr(o)
	b := g.B()
	differ := &ir.Var{Name: "differ", Type: ir.Int}
	b.Write(differ, b.Const(0))
	b.Count(n, func(i *ir.Value, out *ir.Block) {
		x, y := byteAt(b, p, i), byteAt(b, q, i)
		ne := b.Op(ir.OpNe, x, y)
		b.Write(differ, ne)
		b.Leave(ne, out)
		b.Leave(b.Op(ir.OpEq, x, b.Const(0)), out)
	})
	return b.Read(differ)
}
