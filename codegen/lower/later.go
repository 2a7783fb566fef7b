package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// later is the part of a program's predicate that user space decides. Each event of the
// program has, after its own arguments, the outcomes of the other parts and the values that
// user space needs.
type later struct {
	outcomes *check.Var // a bit for each of the other parts
	known    int
	values   []laterValue
	steps    []object.Step
}

type laterValue struct {
	v *check.Var
	x ast.Expr
}

// The results of a condition with such parts. && is the lesser of two results, || the
// greater.
const (
	isFalse = iota
	isUnknown
	isTrue
)

// decideLater ends the program if its predicate is false whatever user space decides.
// Otherwise it keeps the values that user space needs.
func (f *fn) decideLater(pred ast.Expr, body *ast.Block) {
	l := &later{outcomes: &check.Var{Name: "outcomes", Type: types.TUint64}}
	f.later = l
	loops := f.uses(body, func(n ast.Node) bool { _, ok := n.(*ast.For); return ok })
	keep := func(v *check.Var) *check.Var {
		if loops { // the body of a loop may be another function
			f.captured[v] = true
		}
		return v
	}
	f.writeVar(keep(l.outcomes), f.b.Const(0))
	f.onlyIf(f.outcome(pred))
	for i := range l.values {
		f.assignVar(keep(l.values[i].v), l.values[i].x)
	}
}

// outcome computes the result of a condition, and adds the steps by which user space
// decides it.
func (f *fn) outcome(e ast.Expr) *ir.Value {
	b, l := f.b, f.later
	part := f.info.Later[e]
	if part == nil || f.lit(e) != nil {
		result := &ir.Var{Name: "outcome", Type: ir.Int}
		b.Write(result, b.Const(isFalse))
		bit := l.known
		l.known++
		f.cond(e, func() {
			b.Write(result, b.Const(isTrue))
			f.writeVar(l.outcomes, b.Op(ir.OpOr, f.readVar(l.outcomes), b.Const(1<<bit)))
		}, nil)
		l.step(object.StepKnown, bit)
		return b.Read(result)
	}
	if part.X != nil {
		l.values = append(l.values, laterValue{&check.Var{Name: "later", Type: f.typeOf(part.X)}, part.X})
		l.steps = append(l.steps, object.Step{Op: object.StepText, N: len(l.values), Expr: part.Expr})
		if n, ok := e.(*ast.Binary); ok && n.Op == "!=" {
			l.step(object.StepNot, 0)
		}
		return b.Const(isUnknown)
	}
	switch e := e.(type) {
	case *ast.Unary:
		return f.inverted(f.outcome(e.X))
	case *ast.Binary:
		switch e.Op {
		case "&&":
			return f.lazily(e.X, e.Y, isFalse, object.StepAnd)
		case "||":
			return f.lazily(e.X, e.Y, isTrue, object.StepOr)
		}
		x, y := f.outcome(e.X), f.outcome(e.Y)
		l.step(object.StepSame, 0)
		same := f.sameOutcome(x, y)
		if e.Op == "!=" {
			same = f.inverted(same)
		}
		return same
	case *ast.Ternary:
		if e.X == nil {
			return f.lazily(e.Cond, e.Y, isTrue, object.StepOr)
		}
		cond := f.outcome(e.Cond)
		x := f.unless(cond, isFalse, func() *ir.Value { return f.outcome(e.X) })
		y := f.unless(cond, isTrue, func() *ir.Value { return f.outcome(e.Y) })
		l.step(object.StepChoose, 0)
		both := f.pick(b.Op(ir.OpEq, x, y), x, b.Const(isUnknown))
		return f.pick(b.Op(ir.OpEq, cond, b.Const(isUnknown)), both, f.pick(cond, x, y))
	}
	panic("lower: a part of a predicate that cannot be decided later")
}

// laterArgs returns the arguments that follow those of an event.
//
//go:noinline
func (f *fn) laterArgs() (args []*builtins.Arg, ts []*types.Type) {
	if f.later == nil {
		return nil, nil
	}
	for _, v := range append([]laterValue{{v: f.later.outcomes}}, f.later.values...) {
		args = append(args, &builtins.Arg{Fill: func(g builtins.Gen, dst builtins.Dest) {
			f, t := g.(*fn), v.v.Type
			if t.IsScalar() {
				storeWord(f.b, f.readVar(v.v), t, dst)
			} else {
				f.copyPlace(place{t: t, ptr: f.local(v.v, false).mem}, t, dst)
			}
		}})
		ts = append(ts, v.v.Type)
	}
	return args, ts
}

//go:noinline
func (l *later) step(op object.StepOp, n int) {
	l.steps = append(l.steps, object.Step{Op: op, N: n})
}

// inverted computes the opposite of an outcome.
//
//go:noinline
func (f *fn) inverted(x *ir.Value) *ir.Value {
	f.later.step(object.StepNot, 0)
	return f.b.Op(ir.OpSub, f.b.Const(isTrue), x)
}

// lazily computes x && y or x || y. If the outcome of x is decisive, y is not computed.
func (f *fn) lazily(x, y ast.Expr, decisive int64, op object.StepOp) *ir.Value {
	first := f.outcome(x)
	both := f.unless(first, decisive, func() *ir.Value {
		second := f.outcome(y)
		return f.pick(f.b.Op(ir.OpEq, f.b.Op(ir.OpULt, first, second), f.b.Const(decisive/isTrue)), second, first)
	})
	f.later.step(op, 0)
	return both
}

// unless computes y if the outcome of x is not decisive. Otherwise decisive is the
// result.
//
//go:noinline
func (f *fn) unless(x *ir.Value, decisive int64, y func() *ir.Value) *ir.Value {
	return f.b.IfElse(f.b.Op(ir.OpEq, x, f.b.Const(decisive)), func() *ir.Value { return f.b.Const(decisive) }, y)
}

//go:noinline
func (f *fn) pick(cond, x, y *ir.Value) *ir.Value {
	return f.b.IfElse(cond, func() *ir.Value { return x }, func() *ir.Value { return y })
}

// sameOutcome computes whether two conditions are equal.
func (f *fn) sameOutcome(x, y *ir.Value) *ir.Value {
	b := f.b
	some := b.Op(ir.OpOr, b.Op(ir.OpEq, x, b.Const(isUnknown)), b.Op(ir.OpEq, y, b.Const(isUnknown)))
	return f.pick(some, b.Const(isUnknown), b.Op(ir.OpShl, b.Op(ir.OpEq, x, y), b.Const(1)))
}
