package codegen_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
)

// TestSharedAutomata counts the automata that programs run. Conditions on one value share one if
// the first of them is always evaluated before the others and nothing has changed the value.
func TestSharedAutomata(t *testing.T) {
	frozen, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	const probe = `tracepoint:syscalls:sys_enter_openat `
	many := func(n int, first, op, text string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("%s($s %s)", first, fmt.Sprintf(text, i)))
		}
		return probe + `{ $s = str(args.filename); if (` + strings.Join(list, " "+op+" ") + ") { exit(); } }"
	}
	for _, c := range []struct {
		script string
		want   int
	}{
		{probe + `/str(args.filename) =~ "x+"/ { exit(); }`, 1},
		{probe + `/str(args.filename) =~ "x+" && !(str(args.filename) contains "y")/ { exit(); }`, 1},
		{probe + `/str(args.filename) startswith "/etc" || str(args.filename) =~ "x" && !(str(args.filename) icontains "y")/ { exit(); }`, 1},
		{probe + `{ $s = str(args.filename); if ($s =~ "x+") { exit(); } else if ($s glob "a*b") { print(1); } else if (!($s icontains "y") || pid == 1) { print(2); } }`, 1},
		{probe + `{ $s = str(args.filename); @[$s =~ "x+" || $s =~ "z+" || $s =~ "y+"] = count(); }`, 1},
		// Lists of conditions become lists of patterns.
		{many(100, "", "||", `contains "n%d"`), 1},
		{many(100, "!", "&&", `contains "n%d"`), 1},
		{many(100, "", "||", `=~ "n%d$"`), 1},
		{many(40, "", "||", `glob "*n%d*"`), 1},
		{many(1, "", "", `glob ("*n%d*"`+strings.Repeat(`, "*x*y*"`, 40)+")"), 1},
		{probe + `{ $s = str(args.filename); if (pid == 1 && ($s contains "a" || $s contains "b" || !($s contains "c" || $s contains "d"))) { exit(); } }`, 1},
		{probe + `/str(args.filename) contains "a" || comm contains "b" || comm contains "c" || str(args.filename) contains "d"/ { exit(); }`, 2},
		{probe + `/str(args.filename) contains "a" || pid == 1 || str(args.filename) contains "d"/ { exit(); }`, 1},
		{probe + `/comm contains "a" || comm contains "b" || !(comm startswith "c" || comm endswith "d")/ { exit(); }`, 1},
		// Other values.
		{probe + `/str(args.filename) =~ "x+" && comm =~ "y+"/ { exit(); }`, 2},
		{probe + `/str(args.filename) =~ "x+" && str(args.filename, 16) =~ "y+"/ { exit(); }`, 2},
		// The first one may not have been evaluated.
		{probe + `/(pid == 1 && str(args.filename) =~ "x+") || str(args.filename) =~ "y+"/ { exit(); }`, 2},
		{probe + `/(pid == 1 || str(args.filename) =~ "x+") && str(args.filename) =~ "y+"/ { exit(); }`, 2},
		// The value may have changed.
		{probe + `{ $s = str(args.filename); if ($s =~ "x+" && ({ $s = str(args.filename, 16); 1 }) && $s =~ "y+") { exit(); } }`, 2},
		{probe + `{ $s = str(args.filename); if ($s =~ "x+") { $s = "b"; if ($s =~ "y+") { exit(); } } }`, 2},
		{probe + `{ $i = (uint64)args.filename; if (str($i++) =~ "x+" && str($i++) =~ "y+") { exit(); } }`, 2},
	} {
		asm := compileFor(t, frozen, c.script, nil).String()
		// The loop of an automaton reads a state for each of eight characters, and for
		// those left after it.
		if got := strings.Count(asm, "= *(u16 *)"); got/8 != c.want {
			t.Errorf("%s: %d automata, want %d", c.script, got/8, c.want)
		}
	}
}
