package check

import (
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// A predicate may have parts that a program cannot decide, since only user space knows the
// text of a value, or since the pattern is too large for a program. The program then drops
// the events for which the predicate is false whatever these parts are, and user space
// decides about the others. So the block may only send events.

// Later is a part of a predicate that user space decides: whether the text of X matches
// the regular expression Expr. X is nil for an expression that contains such parts.
type Later struct {
	X    ast.Expr
	Expr string
}

// MaxKnown is the maximum number of parts that the program decides in such a predicate.
const MaxKnown = 62

// namesText checks a comparison of a literal with a value whose text only user space
// knows.
func (c *checker) namesText(e *ast.Binary, x, y *types.Type) bool {
	if !c.inPred || c.constant > 0 || e.Op != "==" && e.Op != "!=" {
		return false
	}
	xe, ye := e.X, e.Y
	if c.info.Lits[xe] != nil {
		x, xe, ye = y, ye, xe
	}
	lit := c.info.Lits[ye]
	if x.Kind != types.Opaque || lit == nil || !lit.IsStr {
		return false
	}
	if call := c.info.Calls[xe]; call != nil && call.Def.CheckIs != nil {
		return false
	}
	p, ok := pattern.Literal(strings.TrimRight(lit.Str, "\x00"), pattern.AtStart|pattern.AtEnd, false)
	if ok {
		c.info.Later[e] = &Later{X: xe, Expr: pattern.Expr([]pattern.Pattern{p})}
	}
	return ok
}

// later is the state of a walk through a predicate.
type later struct {
	*checker
	part  source.Span // the first part that user space decides
	known int
}

// decidedLater checks a program whose predicate has parts that user space decides.
func (c *checker) decidedLater(u *variant) {
	if !c.final || u.prog.Pred == nil || len(c.info.Later) == 0 {
		return
	}
	l := later{checker: c}
	if !l.mark(u.prog.Pred) {
		return
	}
	if l.known > MaxKnown {
		c.errorf(u.prog.Pred.Span(), "The predicate has %d parts beside those that gotrace decides later; it can have up to %d", l.known, MaxKnown)
	}
	l.effects(u.prog.Body, false)
	if u.prog.Capture != nil || c.sess.Timeline {
		l.tooEarly(l.part)
	}
}

// mark adds e to the table if user space decides a part of it, and reports whether it does.
func (l *later) mark(e ast.Expr) bool {
	if l.info.Lits[e] != nil {
		return false
	}
	if l.info.Later[e] != nil {
		if !l.part.IsValid() {
			l.part = e.Span()
		}
		return true
	}
	x, y, z := false, false, false
	switch n := e.(type) {
	case *ast.Unary:
		x = n.Op == "!" && l.mark(n.X)
	case *ast.Binary:
		if l.logical(n) {
			x, y = l.mark(n.X), l.mark(n.Y)
		}
	case *ast.Ternary:
		x = l.mark(n.Cond)
		if n.X != nil {
			y = l.mark(n.X)
		}
		z = l.mark(n.Y)
	}
	if x || y || z {
		l.info.Later[e] = &Later{}
		return true
	}
	l.known++
	ast.Inspect(e, func(n ast.Node) bool {
		if x, ok := n.(ast.Expr); ok && l.info.Later[x] != nil {
			l.errorf(x.Span(), "Only gotrace itself can decide this, not a program. In a predicate it can be combined by &&, ||, !, ?: and comparisons of conditions")
		}
		return true
	})
	if l.part.IsValid() { // the program must not act on an unknown result
		l.effects(e, false)
	}
	return false
}

// logical reports whether the result of e follows from its operands as conditions.
func (l *later) logical(e *ast.Binary) bool {
	switch e.Op {
	case "&&", "||":
		return true
	case "==", "!=":
		for _, x := range []ast.Expr{e.X, e.Y} {
			if t := l.info.Types[x]; t == nil || t.Kind != types.Bool {
				return false
			}
		}
		return true
	}
	return false
}

// effects reports code that has an effect before user space decides. fn is set in a
// function.
//
//go:noinline
func (l *later) effects(n ast.Node, fn bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		bad := false
		switch n := n.(type) {
		case *ast.Assign:
			_, isVar := n.Target.(*ast.Var)
			_, isDiscard := n.Target.(*ast.Discard)
			bad = !isVar && !isDiscard
		case *ast.Unary:
			_, isVar := n.X.(*ast.Var)
			bad = (n.Op == "++" || n.Op == "--") && !isVar
		case *ast.Jump:
			bad = n.Value != nil && !fn
		case *ast.Call:
			if f := l.info.FnCalls[n]; f != nil {
				l.effects(f.Body, true)
			}
		}
		if e, ok := n.(ast.Expr); ok {
			if call := l.info.Calls[e]; call != nil {
				bad = bad || call.Def.Acts || call.Def.AtOnce || fn && call.Def.Handle != nil
			}
		}
		if bad {
			l.tooEarly(n.Span())
		}
		return !bad
	})
}

//go:noinline
func (l *later) tooEarly(s source.Span) {
	l.errorNotes(s, [2]source.Note{{Span: l.part, Msg: "a program cannot decide this part of the predicate"}},
		"This would have its effect before gotrace has decided whether the predicate is true")
}
