package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
)

// branch ends the current block with a branch to then if e is true, else to els. It
// evaluates the right side of && and || only if necessary.
func (f *fn) branch(e ast.Expr, then, els *ir.Block) {
	defer f.at(f.at(e.Span()))
	if l := f.lit(e); l != nil {
		f.b.Br(f.b.Const(truthOf(l.IsStr, l.Str, l.Int)), then, els)
		return
	}
	switch e := e.(type) {
	case *ast.Binary:
		switch e.Op {
		case "&&":
			rest := f.b.NewBlock()
			f.branch(e.X, rest, els)
			f.b.SealSet(rest)
			f.branch(e.Y, then, els)
			return
		case "||":
			rest := f.b.NewBlock()
			f.branch(e.X, then, rest)
			f.b.SealSet(rest)
			f.branch(e.Y, then, els)
			return
		case "==", "!=", "<", "<=", ">", ">=":
			f.branchOn(func() *ir.Value { return f.compare(e) }, then, els)
			return
		}
	case *ast.Unary:
		if e.Op == "!" {
			f.branch(e.X, els, then)
			return
		}
	}
	f.branchOn(func() *ir.Value { return f.truthExpr(e) }, then, els)
}

func truthOf(isStr bool, s string, n int64) int64 {
	if isStr && s != "" || !isStr && n != 0 {
		return 1
	}
	return 0
}

// condition returns the value of a logical expression, 0 or 1.
func (f *fn) condition(e ast.Expr) *ir.Value {
	switch e := e.(type) {
	case *ast.Binary:
		if e.Op != "&&" && e.Op != "||" {
			return f.whole(func() *ir.Value { return f.compare(e) })
		}
	case *ast.Unary:
		if e.Op == "!" && !mayLack(f.info, e.X) {
			if b, ok := e.X.(*ast.Binary); !ok || b.Op != "&&" && b.Op != "||" {
				return f.b.Op(ir.OpEq, f.truthExpr(e.X), f.b.Const(0))
			}
		}
	}
	return f.choose(e, func() *ir.Value { return f.b.Const(1) }, func() *ir.Value { return f.b.Const(0) })
}

// truthExpr returns e as a condition: a word that is 0 if e is false.
func (f *fn) truthExpr(e ast.Expr) *ir.Value {
	if l := f.lit(e); l != nil {
		return f.b.Const(truthOf(l.IsStr, l.Str, l.Int))
	}
	t := f.typeOf(e)
	if t.Kind == types.String {
		return f.b.Load(f.tmp(e), 0, 1, false)
	}
	return f.value(e)
}

// truth returns 1 if the word x is not 0, else 0.
func (f *fn) truth(x *ir.Value, t *types.Type) *ir.Value {
	if t.Kind == types.Bool || x.Op.IsCompare() {
		return x
	}
	if x.Op == ir.OpConst {
		return f.b.Const(truthOf(false, "", x.Imm))
	}
	return f.b.Op(ir.OpNe, x, f.b.Const(0))
}

// cond emits then, which runs if e is true, and els, which runs if not and may be nil.
func (f *fn) cond(e ast.Expr, then, els func()) {
	if outcome, ok := f.known(e); ok {
		if outcome {
			then()
		} else if els != nil {
			els()
		}
		return
	}
	f.b.Either(func(t, o *ir.Block) { f.branch(e, t, o) }, then, els)
}

// choose returns the value of then if e is true, else of els.
func (f *fn) choose(e ast.Expr, then, els func() *ir.Value) *ir.Value {
	var vals []*ir.Value
	arm := func(emit func() *ir.Value) func() {
		return func() {
			v := emit()
			if f.b.Cur != nil {
				vals = append(vals, v)
			}
		}
	}
	f.cond(e, arm(then), arm(els))
	if _, ok := f.known(e); ok && len(vals) == 1 {
		return vals[0]
	}
	return f.b.Merge(vals)
}
