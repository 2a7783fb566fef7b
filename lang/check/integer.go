package check

import (
	"cmp"
	"math"
	"math/bits"

	"github.com/gotrace/gotrace/builtins"
)

// integer is the value of a literal: an int64 or a uint64, or the negation of one.
type integer struct {
	negative bool // abs is not 0
	abs      uint64
}

// value returns the value of a literal.
func value(l *builtins.Lit) integer {
	if l.Unsigned || l.Int >= 0 {
		return integer{abs: uint64(l.Int)}
	}
	return integer{negative: true, abs: -uint64(l.Int)}
}

// bits returns the 64 bits of n.
func (n integer) bits() uint64 {
	if n.negative {
		return -n.abs
	}
	return n.abs
}

func (n integer) negated() integer {
	return integer{negative: !n.negative && n.abs != 0, abs: n.abs}
}

// fits reports whether n is an int64.
//
//go:noinline
func (n integer) fits() bool { return n.abs <= math.MaxInt64 || n.negative && n.abs == 1<<63 }

// literal returns a literal with the value n. ok is false if no 64-bit type has it.
func (n integer) literal() (l *builtins.Lit, ok bool) {
	return &builtins.Lit{Int: int64(n.bits()), Unsigned: !n.fits()}, n.fits() || !n.negative
}

func (n integer) compare(m integer) int {
	switch {
	case n.negative != m.negative:
		if n.negative {
			return -1
		}
		return 1
	case n.negative:
		return cmp.Compare(m.abs, n.abs)
	}
	return cmp.Compare(n.abs, m.abs)
}

// compute returns p op q. exact is false if the result does not fit in 64 bits and wrapped
// around. ok is false if there is no result: after a division by zero, or a shift by less
// than 0 or more than 63 bits.
func compute(op string, p, q integer) (r integer, exact, ok bool) {
	switch op {
	case "+":
		r, exact = add(p, q)
	case "-":
		r, exact = add(p, q.negated())
	case "*":
		hi, lo := bits.Mul64(p.abs, q.abs)
		r, exact = integer{p.negative != q.negative && lo != 0, lo}, hi == 0
	case "/", "%":
		if q.abs == 0 {
			return r, false, false
		}
		if op == "/" {
			r.abs = p.abs / q.abs
			r.negative = p.negative != q.negative && r.abs != 0
		} else {
			r.abs = p.abs % q.abs
			r.negative = p.negative && r.abs != 0
		}
		exact = true
	case "&":
		r, exact = fromBits(p.bits()&q.bits(), p.negative && q.negative)
	case "|":
		r, exact = fromBits(p.bits()|q.bits(), p.negative || q.negative)
	case "^":
		r, exact = fromBits(p.bits()^q.bits(), p.negative != q.negative)
	case "<<", ">>":
		if q.negative || q.abs > 63 {
			return r, false, false
		}
		if op == "<<" {
			r = integer{p.negative && p.abs<<q.abs != 0, p.abs << q.abs}
			exact = r.abs>>q.abs == p.abs
		} else if p.negative { // rounded down
			r, exact = fromBits(uint64(int64(p.bits())>>q.abs), true)
		} else {
			r, exact = integer{abs: p.abs >> q.abs}, true
		}
	default:
		return r, false, false
	}
	return r, exact, true
}

// fromBits returns the integer with the given sign and lower 64 bits.
func fromBits(b uint64, negative bool) (n integer, exact bool) {
	if negative {
		return integer{b != 0, -b}, b != 0 // else it is -1<<64
	}
	return integer{abs: b}, true
}

func add(p, q integer) (sum integer, exact bool) {
	if p.negative == q.negative {
		abs, carry := bits.Add64(p.abs, q.abs, 0)
		return integer{p.negative && abs != 0, abs}, carry == 0
	}
	if p.abs < q.abs {
		p, q = q, p
	}
	return integer{p.negative && p.abs != q.abs, p.abs - q.abs}, true
}
