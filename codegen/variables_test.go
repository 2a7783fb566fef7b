package codegen_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/internal/scriptgen"
	"github.com/gotrace/gotrace/probes/kernel"
)

// zero is 0 in a form that the compiler cannot evaluate.
const zero = "(int64)(nsecs >> 63)"

// variableShapes are scripts with n scratch variables in use at the same time. Their
// result is in @r0.
var variableShapes = []struct {
	name string
	most int // maximum number of variables if not all numbers are tried
	text func(n int) (text string, result int)
}{
	{"numbers", 0, func(n int) (string, int) {
		return "begin {" + each(n, "$v# = "+zero+" + #;") + "@r0 = (int64)0;" + each(n, "@r0 += $v#;") + "}", sum(n)
	}},
	{"strings", 0, func(n int) (string, int) {
		return "begin {" + each(n, "$v# = comm;") + "@r0 = (int64)0;" +
			each(n, "if ($v# == comm) { @r0 += #; }") + "}", sum(n)
	}},
	{"branches", 0, func(n int) (string, int) {
		return "begin {" + each(n, "let $v#; if (nsecs >> 63 == 0) { $v# = (int64)#; } else { $v# = (int64)1000000; }") + "@r0 = (int64)0;" +
			each(n, "@r0 += $v#;") + "}", sum(n)
	}},
	{"while", 500, func(n int) (string, int) {
		return "begin { $i = 0;" + each(n, "$v# = "+zero+" + #;") + "while ($i < 5) { $i++;" + each(n, "$v# += 1;") +
			"} @r0 = (int64)0;" + each(n, "@r0 += $v#;") + "}", sum(n) + 5*n
	}},
	{"loop", 0, func(n int) (string, int) {
		return "begin {" + each(n, "$v# = "+zero+" + #;") + "for ($i : 0..100) {" + each(n, "$v# += 1;") +
			"} @r0 = (int64)0;" + each(n, "@r0 += $v#;") + "}", sum(n) + 100*n
	}},
	{"strings of a loop", 500, func(n int) (string, int) {
		return "begin { @r0 = (int64)0;" + each(n, "$v# = comm;") + "for ($i : 0..100) {" +
			each(n, `if ($v# == comm) { @r0 += 1; $v# = "another"; }`) + "} }", n
	}},
	{"loop in a loop", 500, func(n int) (string, int) {
		return "begin {" + each(n, "$v# = "+zero+" + #;") + "for ($i : 0..20) {" + each(n, "$w# = $v#;") +
			"for ($j : 0..20) {" + each(n, "$w# += 1;") + "}" + each(n, "$v# = $w#;") +
			"} @r0 = (int64)0;" + each(n, "@r0 += $v#;") + "}", sum(n) + 400*n
	}},
	{"while in a loop", 200, func(n int) (string, int) {
		return "begin {" + each(n, "$v# = "+zero+" + #;") + "for ($i : 0..20) { $k = 0; while ($k < 3) { $k++; @r1++; }" +
			each(n, "$v# += $k;") + "} $k = 0; while ($k < 3) { $k++; } @r0 = (int64)0;" + each(n, "@r0 += $v#;") + "}", sum(n) + 60*n
	}},
	{"function", 0, func(n int) (string, int) {
		return "fn total($x : int64) : int64 { $r = (int64)0;" + each(n, "$v# = $x + #;") + each(n, "$r += $v# ^ $x;") +
			"return $r; } begin { @r0 = total(" + zero + "); }", sum(n)
	}},
	{"loop in a function", 0, func(n int) (string, int) {
		return "fn total($x : int64) : int64 { $r = (int64)0;" + each(n, "$v# = $x + #;") + "for ($i : 0..50) {" + each(n, "$v# += 1;") +
			"}" + each(n, "$r += $v#;") + "return $r; } begin { @r0 = total(" + zero + "); }", sum(n) + 50*n
	}},
}

// each repeats text for the numbers below n, which replace #.
func each(n int, text string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "#", fmt.Sprint(i)))
		b.WriteByte('\n')
	}
	return b.String()
}

func sum(n int) int { return n * (n - 1) / 2 }

// TestManyVariables runs scripts whose variables exceed the stack.
func TestManyVariables(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("running programs needs root")
	}
	k := kernel.Live()
	for _, s := range variableShapes {
		for _, n := range []int{80, 200, 500, 2000} {
			if s.most > 0 && n > s.most {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", s.name, n), func(t *testing.T) {
				text, want := s.text(n)
				got, err := inKernel(t, k, &scriptgen.Script{Text: text})
				if errors.Is(err, unix.EPERM) {
					t.Skip(err)
				}
				if err != nil {
					msg := err.Error()
					t.Fatal(msg[:min(len(msg), 300)], msg[max(0, len(msg)-300):])
				}
				if got["@r0"] != int64(want) {
					t.Errorf("@r0 is %d, want %d", got["@r0"], want)
				}
			})
		}
	}
}
