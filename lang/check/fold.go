package check

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
)

// foldUnary computes an operator on a literal.
func (c *checker) foldUnary(e *ast.Unary, t *types.Type, l *builtins.Lit) (*types.Type, bool) {
	switch {
	case l.IsStr:
		if e.Op == "!" {
			return nil, false // strings are not conditions here
		}
	case e.Op == "!":
		return c.literal(e, boolLit(l.Int == 0)), true
	case l.IsBool || !isNumber(t):
	case isLiteralType(t):
		switch e.Op {
		case "-":
			n, ok := value(l).negated().literal()
			if !ok {
				c.errorf(e.Span(), "negative value will underflow")
				return types.TInvalid, true
			}
			return c.literal(e, n), true
		case "~":
			return c.literal(e, &builtins.Lit{Int: ^l.Int, Unsigned: ^l.Int < 0 && (l.Int >= 0 || l.Unsigned)}), true
		}
	case e.Op == "-" || e.Op == "~":
		r := types.NewInt(8, asInt(t).Signed)
		n := -l.Int
		if e.Op == "~" {
			n = ^l.Int
		}
		if !r.Signed { // keep the operand's width: ~(uint8)1 is 254
			n, _ = truncate(t, n)
		}
		n, u := truncate(r, n)
		c.info.Lits[e] = &builtins.Lit{Int: n, Unsigned: u}
		return r, true
	}
	return nil, false
}

// foldBinary computes an operator on two literals. done is false if that is not
// possible, or if only one operand is known and it does not decide the result.
func (c *checker) foldBinary(e *ast.Binary, x, y *types.Type) (t *types.Type, done bool) {
	a, b := c.info.Lits[e.X], c.info.Lits[e.Y]
	if a == nil || b == nil {
		return c.foldLogic(e, x, y, a, b)
	}
	switch {
	case a.IsStr || b.IsStr:
		return c.foldStrings(e, x, y, a, b)
	case !x.IsInteger() || !y.IsInteger():
		return nil, false
	}
	switch e.Op {
	case "&&":
		return c.literal(e, boolLit(truth(a) && truth(b))), true
	case "||":
		return c.literal(e, boolLit(truth(a) || truth(b))), true
	}
	if (isLiteralType(x) || x.Kind == types.Bool) && (isLiteralType(y) || y.Kind == types.Bool) {
		l := fold(e.Op, a, b)
		if bothBool(e.Op, x, y) {
			l = boolLit(l.Int != 0)
		}
		if l == nil && (e.Op == "/" || e.Op == "%") && b.Int == 0 {
			c.errorHint(e.Span(), "it is a division by zero", "unable to fold literals due to overflow or underflow")
			return types.TInvalid, true
		}
		if l == nil {
			c.errorf(e.Span(), "unable to fold literals due to overflow or underflow")
			return types.TInvalid, true
		}
		return c.literal(e, l), true
	}
	return c.foldTyped(e, x, y, a, b)
}

// foldLogic evaluates && and
//
// if one operand is known.
func (c *checker) foldLogic(e *ast.Binary, x, y *types.Type, a, b *builtins.Lit) (*types.Type, bool) {
	if e.Op != "&&" && e.Op != "||" || a == nil || a.IsStr || !c.conditional(y, e.Y) || y.Kind == types.String {
		return nil, false
	}
	// In this case the right operand is not evaluated.
	if truth(a) == (e.Op == "||") {
		return c.literal(e, boolLit(e.Op == "||")), true
	}
	return nil, false
}

// foldTyped computes an operator on known values of written types. They wrap around as
// at run time. It does not evaluate a division by zero.
func (c *checker) foldTyped(e *ast.Binary, x, y *types.Type, a, b *builtins.Lit) (*types.Type, bool) {
	operand, result := c.operator(e.Op, e.Span(), e.X, e.Y, x, y)
	if operand == nil || invalid(result) {
		return result, true
	}
	c.info.Operands[e] = operand
	left, right := operand, operand
	if (e.Op == "/" || e.Op == "%") && operand.Signed {
		left, right = x, y // an unsigned number may be too large for operand
	}
	n, nu := truncate(left, a.Int)
	m, mu := truncate(right, b.Int)
	p, q := value(&builtins.Lit{Int: n, Unsigned: nu}), value(&builtins.Lit{Int: m, Unsigned: mu})
	switch e.Op {
	case "==", "!=", "<", "<=", ">", ">=":
		c.info.Lits[e] = boolLit(compares(e.Op, p.compare(q)))
		return result, true
	case "/", "%":
		if m == 0 {
			return result, true
		}
	case "<<", ">>":
		if m < 0 || m > 63 {
			return result, true
		}
	}
	v, _, ok := compute(e.Op, p, q)
	if !ok {
		return result, true
	}
	r, u := truncate(result, int64(v.bits()))
	c.info.Lits[e] = &builtins.Lit{Int: r, Unsigned: u}
	return result, true
}

//go:noinline
func compares(op string, order int) bool {
	switch op {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// fold returns a op b for literals. It returns nil if the result has no 64-bit
// type, or if one operand is negative and the other does not fit in an int64.
func fold(op string, a, b *builtins.Lit) *builtins.Lit {
	p, q := value(a), value(b)
	switch op {
	case "==", "!=", "<", "<=", ">", ">=":
		return boolLit(compares(op, p.compare(q)))
	}
	if p.negative && !q.fits() || q.negative && !p.fits() {
		return nil
	}
	r, exact, ok := compute(op, p, q)
	if !ok || !exact {
		return nil
	}
	l, ok := r.literal()
	if !ok {
		return nil
	}
	return l
}

// foldStrings computes an operator if one of its operands is a string literal.
// Adding a number drops that many bytes from the front.
func (c *checker) foldStrings(e *ast.Binary, x, y *types.Type, a, b *builtins.Lit) (*types.Type, bool) {
	if a.IsStr && b.IsStr {
		switch e.Op {
		case "+":
			return c.literal(e, c.limited(e, &builtins.Lit{Str: a.Str + b.Str, IsStr: true})), true
		case "==", "!=", "<", "<=", ">", ">=":
			return c.literal(e, boolLit(compares(e.Op, strings.Compare(a.Str, b.Str)))), true
		case "&&":
			return c.literal(e, boolLit(truth(a) && truth(b))), true
		case "||":
			return c.literal(e, boolLit(truth(a) || truth(b))), true
		}
		c.errorf(e.Span(), "illegal literal operation with strings")
		return types.TInvalid, true
	}
	if e.Op != "+" || a.IsBool || b.IsBool || !isNumber(x) && !isNumber(y) {
		return nil, false
	}
	s, n := a, b
	if b.IsStr {
		s, n = b, a
	}
	if n.Int < 0 && !n.Unsigned {
		return nil, false
	}
	if n.Unsigned || n.Int >= int64(len(s.Str)) {
		c.warnf(e.Span(), "literal string will always be empty")
		return c.literal(e, &builtins.Lit{IsStr: true}), true
	}
	return c.literal(e, &builtins.Lit{Str: s.Str[n.Int:], IsStr: true}), true
}
