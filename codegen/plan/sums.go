package plan

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
)

// Sum is an assignment that combines its target with other values, as in
// @m = @m + 1, @m[k] = 2 + @m[k] - $n and @m = @m | $bits. It is the same as
// @m op= …, which is atomic: between a read of the map and a write, another CPU's
// change would be lost.
type Sum struct {
	Op    string // +, |, & or ^
	Terms []Term
}

// Term is an expression that is combined with the target.
type Term struct {
	X   ast.Expr
	Neg bool // it is subtracted
}

// sum returns an assignment as a Sum, or nil if it is not one.
func (u *uses) sum(a *ast.Assign) *Sum {
	m, args := target(a.Target)
	info := u.info.Maps[m]
	if info == nil || info.Value == nil || info.Value.Kind != types.Int {
		return nil
	}
	for _, k := range args {
		if !u.same(k, k) {
			return nil
		}
	}
	bin, ok := a.Value.(*ast.Binary)
	if !ok {
		return nil
	}
	op := bin.Op
	switch op {
	case "-":
		op = "+"
	case "+", "|", "&", "^":
	default:
		return nil
	}
	if terms := u.terms(a.Target, bin, op, info); terms != nil {
		return &Sum{op, terms}
	}
	return nil
}

// terms returns the terms that e combines by op with the map value self. It returns nil
// if e is something else, does not contain self exactly once, or has terms that use the
// map.
func (u *uses) terms(self, e ast.Expr, op string, m *builtins.MapInfo) []Term {
	bin, ok := e.(*ast.Binary)
	if !ok || bin.Op != op && (op != "+" || bin.Op != "-") {
		return nil
	}
	// No bit of the result depends on higher bits, so the width of intermediate results
	// does not matter if it is at least that of the map.
	if t := u.info.Operands[bin]; t == nil || t.Kind != types.Int || t.Size < m.Value.Size {
		return nil
	}
	rest := func(x, y ast.Expr) []Term {
		if !u.isTerm(y, m) {
			return nil
		}
		t := Term{X: y, Neg: bin.Op == "-"}
		if u.same(x, self) {
			return []Term{t}
		}
		if inner := u.terms(self, x, op, m); inner != nil {
			return append(inner, t)
		}
		return nil
	}
	if sum := rest(bin.X, bin.Y); sum != nil {
		return sum
	}
	if bin.Op != "-" {
		return rest(bin.Y, bin.X)
	}
	return nil
}

// isTerm reports whether e is an integer that neither reads nor changes the map.
func (u *uses) isTerm(e ast.Expr, m *builtins.MapInfo) bool {
	t := u.info.Types[e]
	if t == nil || t.Kind != types.Int {
		return false
	}
	ok := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Map:
			ok = ok && u.info.Maps[n] != m
		case *ast.Assign:
			ok = false
		case *ast.Unary:
			ok = ok && n.Op != "++" && n.Op != "--"
		case *ast.Call:
			ok = ok && u.info.FnCalls[n] == nil
		}
		return ok
	})
	return ok
}

// same reports whether x and y have no effect and always have the same value if they
// are evaluated one after the other.
func (u *uses) same(x, y ast.Expr) bool {
	if a, b := u.info.Lits[x], u.info.Lits[y]; a != nil || b != nil {
		return a != nil && b != nil && *a == *b
	}
	switch x := x.(type) {
	case *ast.Var:
		y, ok := y.(*ast.Var)
		return ok && u.info.Vars[x] != nil && u.info.Vars[x] == u.info.Vars[y]
	case *ast.Map:
		y, ok := y.(*ast.Map)
		return ok && u.info.Maps[x] != nil && u.info.Maps[x] == u.info.Maps[y]
	case *ast.Index:
		y, ok := y.(*ast.Index)
		return ok && u.same(x.X, y.X) && u.sameAll(x.Args, y.Args)
	case *ast.Field:
		y, ok := y.(*ast.Field)
		return ok && x.Name.Text == y.Name.Text && x.Arrow == y.Arrow && u.same(x.X, y.X)
	case *ast.Unary:
		y, ok := y.(*ast.Unary)
		return ok && x.Op == y.Op && x.Op != "++" && x.Op != "--" && u.same(x.X, y.X)
	case *ast.Binary:
		y, ok := y.(*ast.Binary)
		return ok && x.Op == y.Op && u.same(x.X, y.X) && u.same(x.Y, y.Y)
	case *ast.Tuple:
		y, ok := y.(*ast.Tuple)
		return ok && u.sameAll(x.Elems, y.Elems)
	case *ast.Cast:
		y, ok := y.(*ast.Cast)
		return ok && u.info.Types[x] == u.info.Types[y] && u.same(x.X, y.X)
	case *ast.Ident, *ast.Call:
		return u.sameCall(u.info.Calls[x], u.info.Calls[y])
	}
	return false
}

func (u *uses) sameAll(xs, ys []ast.Expr) bool {
	if len(xs) != len(ys) {
		return false
	}
	for i := range xs {
		if !u.same(xs[i], ys[i]) {
			return false
		}
	}
	return true
}

func (u *uses) sameCall(x, y *builtins.Call) bool {
	if x == nil || y == nil || x.Def != y.Def || x.Name != y.Name || len(x.Args) != len(y.Args) ||
		x.Def.Varies || x.Def.Kind != builtins.Variable && x.Def.Kind != builtins.Function {
		return false
	}
	for i := range x.Args {
		a, b := &x.Args[i], &y.Args[i]
		switch p := x.Def.Param(i); {
		case p.Kind == builtins.NameArg:
			if a.Word != b.Word {
				return false
			}
		case p.Kind != builtins.Expr && p.Kind != builtins.Literal, a.Expr == nil, b.Expr == nil, !u.same(check.ExprOf(a.Expr), check.ExprOf(b.Expr)):
			return false
		}
	}
	return true
}
