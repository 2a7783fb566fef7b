package value

import (
	"math/big"
	"math/bits"
	"strconv"
)

// Big returns w as a big.Int. gotrace itself does not use it, so that math/big, a
// hundredth of the size of the binary, is not linked.
func (w Wide) Big() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(w.Hi), 64)
	return n.Add(n, new(big.Int).SetUint64(w.Lo))
}

// magnitude returns the absolute value of w.
func (w Wide) magnitude() (hi, lo uint64) {
	hi, lo = uint64(w.Hi), w.Lo
	if w.Hi < 0 {
		return negated(hi, lo)
	}
	return hi, lo
}

func negated(hi, lo uint64) (uint64, uint64) {
	lo, borrow := bits.Sub64(0, lo, 0)
	hi, _ = bits.Sub64(0, hi, borrow)
	return hi, lo
}

// Append appends w in decimal.
func (w Wide) Append(b []byte) []byte {
	const (
		digits = 19
		unit   = 1e19 // 10 to the power of digits
	)
	if w.Hi < 0 {
		b = append(b, '-')
	}
	hi, lo := w.magnitude() // at most 1<<127, so the first quotient has 64 bits
	first, rest := bits.Div64(hi, lo, unit)
	if first == 0 {
		return strconv.AppendUint(b, rest, 10)
	}
	b = strconv.AppendUint(b, first, 10)
	end := len(b) + digits
	for b = append(b, "0000000000000000000"...); rest > 0; rest /= 10 {
		end--
		b[end] += byte(rest % 10)
	}
	return b
}

// Float64 returns the float64 nearest to w, and whether it equals w.
func (w Wide) Float64() (n float64, exact bool) {
	text := string(w.Append(nil))
	n, _ = strconv.ParseFloat(text, 64)
	return n, strconv.FormatFloat(n, 'f', 0, 64) == text
}

// Average returns w/n rounded toward zero, or 0 if n is 0. The result must fit 64 bits.
func (w Wide) Average(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	hi, lo := w.magnitude()
	q, _ := bits.Div64(hi%n, lo, n)
	if w.Hi < 0 {
		return -q
	}
	return q
}

// Quo returns w/div, rounded toward zero, as the smallest kind of value that holds it.
// It panics if div is 0.
func (w Wide) Quo(div int64) Value {
	hi, lo := w.magnitude()
	abs := uint64(div)
	if div < 0 {
		abs = -abs
	}
	rest := hi % abs
	hi /= abs
	lo, _ = bits.Div64(rest, lo, abs)
	negative := (w.Hi < 0) != (div < 0)
	if negative {
		hi, lo = negated(hi, lo)
	}
	switch {
	case int64(hi) == int64(lo)>>63:
		return Int(lo)
	case hi == 0:
		return Uint(lo)
	}
	return Wide{Hi: int64(hi), Lo: lo}
}
