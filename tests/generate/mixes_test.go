package generate

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/output"
)

// width is an integer type of the language.
type width struct {
	bits   uint
	signed bool
}

func (w width) String() string {
	if w.signed {
		return fmt.Sprintf("int%d", w.bits)
	}
	return fmt.Sprintf("uint%d", w.bits)
}

// numbers returns numbers of the type, as 64 bits: its limits and some between.
func (w width) numbers() []int64 {
	if w.signed {
		low := int64(math.MinInt64) >> (64 - w.bits)
		return []int64{^low, low + 1, -7, 13}
	}
	return []int64{int64(uint64(math.MaxUint64) >> (64 - w.bits)), 3, 200, 0}
}

// number returns n as a script writes it.
func (w width) number(n int64) string {
	if w.signed {
		return fmt.Sprintf("(%s)%d", w, n)
	}
	return fmt.Sprintf("(%s)%d", w, uint64(n))
}

// exact returns n as it is, though it has the bits of an int64.
func (w width) exact(n int64) *big.Int {
	if w.signed {
		return big.NewInt(n)
	}
	return new(big.Int).SetUint64(uint64(n))
}

// low returns the lowest 64 bits of n.
func low(n *big.Int) int64 {
	mask := new(big.Int).SetUint64(math.MaxUint64)
	return int64(new(big.Int).And(n, mask).Uint64())
}

// mixed returns what "a op b" prints. The operands have 64 bits by then, and the
// operation is unsigned only if both are, but division takes each as it is. ok is false
// for a division by 0.
func mixed(op string, a, b width, x, y int64) (shown any, ok bool) {
	unsigned := !a.signed && !b.signed
	if op == "/" || op == "%" {
		if y == 0 {
			return nil, false
		}
		div, mod := new(big.Int).QuoRem(a.exact(x), b.exact(y), new(big.Int))
		switch {
		case unsigned && op == "/":
			return div.Uint64(), true
		case unsigned:
			return mod.Uint64(), true
		case op == "/":
			return low(div), true
		}
		return low(mod), true
	}
	switch op {
	case "==":
		return x == y, true
	case "!=":
		return x != y, true
	}
	if unsigned {
		a, b := uint64(x), uint64(y)
		switch op {
		case "+":
			return a + b, true
		case "-": // a difference may be negative
			return int64(a - b), true
		case "*":
			return a * b, true
		case "&":
			return a & b, true
		case "|":
			return a | b, true
		case "^":
			return a ^ b, true
		case "<":
			return a < b, true
		case "<=":
			return a <= b, true
		case ">":
			return a > b, true
		}
		return a >= b, true
	}
	switch op {
	case "+":
		return x + y, true
	case "-":
		return x - y, true
	case "*":
		return x * y, true
	case "&":
		return x & y, true
	case "|":
		return x | y, true
	case "^":
		return x ^ y, true
	case "<":
		return x < y, true
	case "<=":
		return x <= y, true
	case ">":
		return x > y, true
	}
	return x >= y, true
}

// TestMixes applies every operator to every two integer types, as variables and as
// constants, and compares with the model.
func TestMixes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading programs needs root")
	}
	var widths []width
	for _, bits := range []uint{8, 16, 32, 64} {
		widths = append(widths, width{bits, true}, width{bits, false})
	}
	k := kernel.Live()
	total := 0
	for _, a := range widths {
		for _, b := range widths {
			every := map[bool]int{false: 4, true: 16}[testing.Short()]
			if n, every := partOf(*sample, max(1, every / *more)); !drawn(a.String()+b.String(), n, every) {
				continue
			}
			x, y := a.numbers(), b.numbers()
			var text, want strings.Builder
			text.WriteString("begin { $z = cpu > 100000;\n")
			for i := range x {
				for j := range y {
					fmt.Fprintf(&text, "let $a%[1]d_%[2]d : %[3]s = %[4]s; let $b%[1]d_%[2]d : %[5]s = %[6]s; if ($z) { $a%[1]d_%[2]d = (%[3]s)1; $b%[1]d_%[2]d = (%[5]s)1; }\n",
						i, j, a, a.number(x[i]), b, b.number(y[j]))
					for _, op := range []string{"+", "-", "*", "/", "%", "&", "|", "^", "==", "!=", "<", "<=", ">", ">="} {
						shown, ok := mixed(op, a, b, x[i], y[j])
						if !ok {
							continue
						}
						fmt.Fprintf(&text, "print($a%[1]d_%[2]d %[3]s $b%[1]d_%[2]d); print(%[4]s %[3]s %[5]s);\n", i, j, op, a.number(x[i]), b.number(y[j]))
						for _, of := range []string{"variables", "constants"} {
							fmt.Fprintf(&want, "%s %s %s, %s: %v\n", a.number(x[i]), op, b.number(y[j]), of, shown)
							total++
						}
					}
				}
			}
			text.WriteString("}")
			var sum tally
			obj := sum.compile(t, k, text.String())
			if obj == nil {
				t.Errorf("%s, %s: refused: %v", a, b, sum.refused)
				continue
			}
			var plain bytes.Buffer
			w := output.NewWriter(&plain, output.Full)
			if err := play(obj, output.NewText(w, io.Discard, output.Style{}), true); err != nil {
				t.Errorf("%s, %s: %v", a, b, err)
				continue
			}
			w.Flush()
			got := strings.Split(strings.TrimSpace(plain.String()), "\n")
			lines := strings.Split(strings.TrimSpace(want.String()), "\n")
			if len(got) != len(lines) {
				t.Errorf("%s, %s: %d lines, want %d", a, b, len(got), len(lines))
				continue
			}
			for i, line := range lines {
				if _, shown, _ := strings.Cut(line, ": "); got[i] != shown {
					t.Errorf("%s, but it prints %s", line, got[i])
				}
			}
		}
	}
	t.Logf("%d results", total)
}
