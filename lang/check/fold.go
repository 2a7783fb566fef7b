package check

import (
	"math/big"
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
		n := wide(l)
		switch e.Op {
		case "-":
			n.Neg(n)
			if !n.IsInt64() {
				c.errorf(e.Span(), "negative value will underflow")
				return types.TInvalid, true
			}
			return c.literal(e, narrow(n)), true
		case "~":
			return c.literal(e, &builtins.Lit{Int: ^l.Int, Unsigned: ^l.Int < 0 && (l.Int >= 0 || l.Unsigned)}), true
		}
	case e.Op == "-" || e.Op == "~":
		r := types.NewInt(8, asInt(t).Signed)
		n := -l.Int
		if e.Op == "~" {
			n = ^l.Int
		}
		if !r.Signed { // within the operand's own width: ~(uint8)1 is 254
			n, _ = truncate(t, n)
		}
		n, u := truncate(r, n)
		c.info.Lits[e] = &builtins.Lit{Int: n, Unsigned: u}
		return r, true
	}
	return nil, false
}

// wide returns the value of a literal as an integer without limits.
func wide(l *builtins.Lit) *big.Int {
	if l.Unsigned {
		return new(big.Int).SetUint64(uint64(l.Int))
	}
	return big.NewInt(l.Int)
}

// narrow returns a literal with the value n, which must fit in an int64 or a
// uint64.
func narrow(n *big.Int) *builtins.Lit {
	if n.IsInt64() {
		return &builtins.Lit{Int: n.Int64()}
	}
	return &builtins.Lit{Int: int64(n.Uint64()), Unsigned: true}
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

// foldLogic decides && and || by the operand that is known.
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

// foldTyped computes an operator on known values of written types, which wrap
// around as at run time. Division by zero is left to run time.
func (c *checker) foldTyped(e *ast.Binary, x, y *types.Type, a, b *builtins.Lit) (*types.Type, bool) {
	operand, result := c.operator(e.Op, e.Span(), e.X, e.Y, x, y)
	if operand == nil || invalid(result) {
		return result, true
	}
	c.info.Operands[e] = operand
	n, nu := truncate(operand, a.Int)
	m, mu := truncate(operand, b.Int)
	p, q := wide(&builtins.Lit{Int: n, Unsigned: nu}), wide(&builtins.Lit{Int: m, Unsigned: mu})
	switch e.Op {
	case "==", "!=", "<", "<=", ">", ">=":
		c.info.Lits[e] = boolLit(compares(e.Op, p.Cmp(q)))
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
	v := compute(e.Op, p, q)
	if v == nil {
		return result, true
	}
	v.And(v, mask64)
	r, u := truncate(result, int64(v.Uint64()))
	c.info.Lits[e] = &builtins.Lit{Int: r, Unsigned: u}
	return result, true
}

var mask64 = new(big.Int).SetUint64(1<<64 - 1)

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

// compute returns p op q without limits, or nil if it has no value. Shift
// counts are from 0 to 63.
func compute(op string, p, q *big.Int) *big.Int {
	r := new(big.Int)
	switch op {
	case "+":
		return r.Add(p, q)
	case "-":
		return r.Sub(p, q)
	case "*":
		return r.Mul(p, q)
	case "/", "%":
		if q.Sign() == 0 {
			return nil
		}
		if op == "/" {
			return r.Quo(p, q)
		}
		return r.Rem(p, q)
	case "&":
		return r.And(p, q)
	case "|":
		return r.Or(p, q)
	case "^":
		return r.Xor(p, q)
	case "<<", ">>":
		if q.Sign() < 0 || !q.IsInt64() || q.Int64() > 63 {
			return nil
		}
		if op == "<<" {
			return r.Lsh(p, uint(q.Int64()))
		}
		return r.Rsh(p, uint(q.Int64()))
	}
	return nil
}

// fold returns a op b for literals. It returns nil if the result has no 64-bit
// type, or if one operand is negative and the other does not fit in an int64.
func fold(op string, a, b *builtins.Lit) *builtins.Lit {
	p, q := wide(a), wide(b)
	switch op {
	case "==", "!=", "<", "<=", ">", ">=":
		return boolLit(compares(op, p.Cmp(q)))
	}
	if p.Sign() < 0 && !q.IsInt64() || q.Sign() < 0 && !p.IsInt64() {
		return nil
	}
	r := compute(op, p, q)
	if r == nil || !r.IsInt64() && !r.IsUint64() {
		return nil
	}
	return narrow(r)
}

// foldStrings computes an operator if one of its operands is a string literal.
// Adding a number drops that many bytes from the front.
func (c *checker) foldStrings(e *ast.Binary, x, y *types.Type, a, b *builtins.Lit) (*types.Type, bool) {
	if a.IsStr && b.IsStr {
		switch e.Op {
		case "+":
			return c.literal(e, &builtins.Lit{Str: a.Str + b.Str, IsStr: true}), true
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
