package scriptgen

import (
	"fmt"
	"math/big"
)

func (g *gen) constant(n int) expr {
	return expr{fmt.Sprint(n), typ{size: width(int64(n)), signed: true, kind: literal}, func(*state) uint64 { return uint64(n) }}
}

// width returns the size of the smallest signed type that holds n ≥ 0.
func width(n int64) int {
	for _, size := range []int{1, 2, 4} {
		if n < 1<<(8*size-1) {
			return size
		}
	}
	return 8
}

// number returns a random literal.
func (g *gen) number() expr {
	n := numbers[g.r.Intn(len(numbers))]
	if g.r.Intn(3) == 0 {
		n = int64(g.r.Uint64()>>1) >> g.r.Intn(63)
	}
	return expr{fmt.Sprint(n), typ{size: width(n), signed: true, kind: literal}, func(*state) uint64 { return uint64(n) }}
}

// cast returns x as a value of t.
func (g *gen) cast(x expr, t typ) expr {
	return expr{fmt.Sprintf("(%s)%s", t, x.text), t, func(s *state) uint64 { return t.wrap(x.eval(s)) }}
}

// leaf returns a value with a type, which may be known at compile time.
func (g *gen) leaf() expr {
	switch n := g.r.Intn(10); {
	case n < 3 && len(g.vars) > 0:
		return g.vars[g.r.Intn(len(g.vars))]
	case n < 4 && len(g.read) > 0:
		return g.read[g.r.Intn(len(g.read))]
	case n < 6:
		return g.scalar(g.r.Intn(scalars))
	case n < 7 && g.tupled:
		f := g.fields()
		return f[g.r.Intn(len(f))]
	}
	t := types[g.r.Intn(len(types))]
	if g.r.Intn(2) == 0 {
		x := g.number()
		return g.cast(expr{"-" + x.text, i64, func(s *state) uint64 { return -x.eval(s) }}, t)
	}
	return g.cast(g.number(), t)
}

// typed returns an expression that is not a truth value.
func (g *gen) typed(depth int) expr {
	x := g.expr(depth)
	if x.t.kind == boolean {
		return g.cast(x, types[g.r.Intn(len(types))])
	}
	return x
}

var arithmetic = []string{"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "+", "-", "&"}
var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

func (g *gen) expr(depth int) expr {
	if depth == 0 {
		return g.leaf()
	}
	switch n := g.r.Intn(20); {
	case n < 8:
		x, y := g.expr(depth-1), g.operand(depth-1)
		if x.t.loose() && y.t.loose() { // if both were known, no overflow would be allowed
			x = g.cast(x, types[g.r.Intn(len(types))])
		}
		return arith(arithmetic[g.r.Intn(len(arithmetic))], x, y)
	case n < 11:
		return compare(comparisons[g.r.Intn(len(comparisons))], g.expr(depth-1), g.operand(depth-1))
	case n < 12:
		x, y := g.expr(depth-1), g.expr(depth-1)
		if g.r.Intn(2) == 0 {
			return expr{fmt.Sprintf("(%s && %s)", x.text, y.text), tf, func(s *state) uint64 { return truth(x.eval(s) != 0 && y.eval(s) != 0) }}
		}
		return expr{fmt.Sprintf("(%s || %s)", x.text, y.text), tf, func(s *state) uint64 { return truth(x.eval(s) != 0 || y.eval(s) != 0) }}
	case n < 13:
		x := g.expr(depth - 1)
		return expr{fmt.Sprintf("(!%s)", x.text), tf, func(s *state) uint64 { return truth(x.eval(s) == 0) }}
	case n < 15:
		return g.unary(g.typed(depth - 1))
	case n < 17:
		return g.cast(g.expr(depth-1), types[g.r.Intn(len(types))])
	case n < 18:
		t := types[g.r.Intn(len(types))]
		c, x, y := g.expr(depth-1), g.cast(g.expr(depth-1), t), g.cast(g.expr(depth-1), t)
		return expr{fmt.Sprintf("(%s ? %s : %s)", c.text, x.text, y.text), t, func(s *state) uint64 {
			if c.eval(s) != 0 {
				return x.eval(s)
			}
			return y.eval(s)
		}}
	case n < 19:
		return g.entry(g.r.Intn(hashes), g.anyKey(depth-1))
	}
	return g.leaf()
}

// operand returns the right side of an operator, sometimes a plain number.
func (g *gen) operand(depth int) expr {
	if g.r.Intn(4) == 0 {
		return g.number()
	}
	return g.expr(depth)
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// unary returns -x or ~x: in 64 bits, or in the width of x if its type is unsigned.
func (g *gen) unary(x expr) expr {
	op, f := "-", func(n uint64) uint64 { return -n }
	if g.r.Intn(2) == 0 {
		op, f = "~", func(n uint64) uint64 { return ^n }
	}
	return expr{fmt.Sprintf("(%s%s)", op, x.text), typ{size: 8, signed: x.t.signed}, func(s *state) uint64 {
		n := f(x.eval(s))
		if !x.t.signed {
			n = x.t.wrap(n)
		}
		return n
	}}
}

// arith returns x op y, computed in 64 bits. It is signed if one of them is signed, or
// if it is a difference. A division takes a large unsigned operand as it is. The result of a
// division by zero is 1.
func arith(op string, x, y expr) expr {
	t := typ{size: 8, signed: join(x.t, y.t).signed}
	if op == "-" {
		t = i64
	}
	large := func(t typ) bool { return t.size == 8 && !t.signed }
	exact := (op == "/" || op == "%") && t.signed && large(x.t) != large(y.t)
	return expr{fmt.Sprintf("(%s %s %s)", x.text, op, y.text), t, func(s *state) uint64 {
		a, b := x.eval(s), y.eval(s)
		if exact && b != 0 {
			return divide(op, exactly(a, !large(x.t)), exactly(b, !large(y.t)))
		}
		return compute(op, a, b, t.signed)
	}}
}

// exactly returns the value of an operand of 64 bits.
func exactly(n uint64, signed bool) *big.Int {
	if signed {
		return big.NewInt(int64(n))
	}
	return new(big.Int).SetUint64(n)
}

// divide returns the low 64 bits of x / y or x % y, rounded to zero.
func divide(op string, x, y *big.Int) uint64 {
	div, mod := new(big.Int).QuoRem(x, y, new(big.Int))
	if op == "%" {
		div = mod
	}
	return new(big.Int).And(div, new(big.Int).SetUint64(1<<64-1)).Uint64()
}

func compute(op string, a, b uint64, signed bool) uint64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "&":
		return a & b
	case "|":
		return a | b
	case "^":
		return a ^ b
	case "<<":
		return a << (b & 63)
	case ">>":
		if signed {
			return uint64(int64(a) >> (b & 63))
		}
		return a >> (b & 63)
	}
	switch {
	case b == 0:
		return 1
	case op == "/" && signed && int64(b) == -1:
		return -a
	case op == "/" && signed:
		return uint64(int64(a) / int64(b))
	case op == "/":
		return a / b
	case signed && int64(b) == -1:
		return 0
	case signed:
		return uint64(int64(a) % int64(b))
	}
	return a % b
}

func compare(op string, x, y expr) expr {
	t := join(x.t, y.t)
	return expr{fmt.Sprintf("(%s %s %s)", x.text, op, y.text), tf, func(s *state) uint64 {
		a, b := t.wrap(x.eval(s)), t.wrap(y.eval(s))
		less := a < b
		if t.signed {
			less = int64(a) < int64(b)
		}
		switch op {
		case "==":
			return truth(a == b)
		case "!=":
			return truth(a != b)
		case "<":
			return truth(less)
		case "<=":
			return truth(less || a == b)
		case ">":
			return truth(!less && a != b)
		}
		return truth(!less)
	}}
}
