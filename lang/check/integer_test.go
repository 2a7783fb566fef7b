package check

import (
	"math"
	"math/big"
	"testing"

	"github.com/gotrace/gotrace/builtins"
)

// TestIntegers compares the arithmetic of literals with that of math/big, for values
// at and beside all bounds.
func TestIntegers(t *testing.T) {
	wide := func(l *builtins.Lit) *big.Int {
		if l.Unsigned {
			return new(big.Int).SetUint64(uint64(l.Int))
		}
		return big.NewInt(l.Int)
	}
	var list []*builtins.Lit
	for _, n := range []int64{0, 1, 2, 3, 7, 10, 62, 63, 64, 65, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1 << 62, 1<<62 + 1, math.MaxInt64 - 1, math.MaxInt64} {
		list = append(list, &builtins.Lit{Int: n}, &builtins.Lit{Int: -n}, &builtins.Lit{Int: -n - 1}, &builtins.Lit{Int: n ^ -1<<63, Unsigned: true})
	}
	for _, op := range []string{"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<"} {
		for _, a := range list {
			for _, b := range list {
				p, q := wide(a), wide(b)
				if op == "<" {
					if got := value(a).compare(value(b)); got != p.Cmp(q) {
						t.Errorf("%v compared with %v: %d", p, q, got)
					}
					continue
				}
				want := new(big.Int)
				shift := q.Sign() >= 0 && q.IsInt64() && q.Int64() < 64
				switch op {
				case "+":
					want.Add(p, q)
				case "-":
					want.Sub(p, q)
				case "*":
					want.Mul(p, q)
				case "/", "%":
					if q.Sign() == 0 {
						want = nil
					} else if want.Quo(p, q); op == "%" {
						want.Rem(p, q)
					}
				case "&":
					want.And(p, q)
				case "|":
					want.Or(p, q)
				case "^":
					want.Xor(p, q)
				case "<<", ">>":
					if !shift {
						want = nil
					} else if want.Lsh(p, uint(q.Int64())); op == ">>" {
						want.Rsh(p, uint(q.Int64()))
					}
				}
				r, exact, ok := compute(op, value(a), value(b))
				if ok != (want != nil) {
					t.Errorf("%v %s %v: has a result: %v", p, op, q, ok)
				}
				if want == nil {
					continue
				}
				l, fits := r.literal()
				low := new(big.Int).And(want, new(big.Int).SetUint64(math.MaxUint64))
				switch {
				case r.bits() != low.Uint64():
					t.Errorf("%v %s %v: low bits %#x, want %#x", p, op, q, r.bits(), low)
				case (exact && fits) != (want.IsInt64() || want.IsUint64()):
					t.Errorf("%v %s %v = %v: exact %v, fits %v", p, op, q, want, exact, fits)
				case exact && fits && (wide(l).Cmp(want) != 0 || l.Unsigned == want.IsInt64()):
					t.Errorf("%v %s %v = %+v, want %v", p, op, q, l, want)
				}
			}
		}
	}
}
