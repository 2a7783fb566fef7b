package check

import (
	"fmt"
	"strings"
	"testing"
)

// knownConditions lists false conditions whose value is known at compile time, one for
// each way to write one.
var knownConditions = []string{
	"0", "false", `""`, "1 > 2", "0 && pid", "!1", "1 == 1 && 0", "0 || 0", "sizeof(uint32) == 8",
	"$9", "$# == 0", `str($1) == "x"`, "RUNNING == 7", "(uint8)256", "0 ? 1 : 0", "comptime (1) == 2", "!comptime (1)",
	"(1, 2).0 == 2", `"a" == "b"`,
}

// deadForms lists code that is not reached if the condition %[1]s is false.
var deadForms = []string{
	"if (%[1]s) { %[2]s; }",
	"if (!(%[1]s)) { } else { %[2]s; }",
	"if (pid) { } else if (%[1]s) { %[2]s; }",
	"if (%[1]s) { if (pid) { %[2]s; } }",
	"_ = { if (%[1]s) { %[2]s; } 1 };",
	"while (%[1]s) { %[2]s; }",
	"$t = %[1]s ? { %[2]s; 1 } : 2;",
	"$t = !(%[1]s) ? 2 : { %[2]s; 1 };",
}

// TestDeadCode checks that unreachable code declares the same variables and
// maps as reachable code, and that errors in it are reported.
func TestDeadCode(t *testing.T) {
	live := []struct{ code, use string }{
		{"@h = 1", "print(@h)"},
		{`@h = "text"`, `if (@h == "x") { print(1) }`},
		{"@h[pid] = 1", "for ($kv : @h) { print($kv.1) }"},
		{"@h[1, 2] = (3, 4)", "print(@h[1, 2].1)"},
		{"@h = count()", "print(@h)"},
		{"@h[pid] = sum(2)", "print(@h[3])"},
		{"@h++", "print(@h + 1)"},
		{"@h += 3", "print(@h)"},
	}
	wrong := []string{
		"$x = nosuch", "nosuch()", "$x = 1; $x = (1, 2)", "@w = 1; @w = (1, 2)", "print(1 + (1, 2))",
		"$x = $nothing", "print(@nothing)", "$x = (nosuch_t)1", "@w = @nothing + 1; print(args.foo)",
	}
	n := 0
	for _, cond := range knownConditions {
		for _, form := range deadForms {
			if cond == `""` && strings.ContainsAny(form, "?!") {
				continue // neither takes a string as an operand
			}
			for _, c := range live {
				text := "begin { " + fmt.Sprintf(form, cond, c.code) + " } end { " + c.use + "; }"
				n++
				if p, diags := checkText("test", text); p == nil {
					t.Errorf("%s\n%s", text, diags.Err())
				}
			}
			for _, code := range wrong {
				text := "begin { " + fmt.Sprintf(form, cond, code) + " }"
				n++
				if p, _ := checkText("test", text); p != nil {
					t.Errorf("%s: an error in code that is never reached goes unreported", text)
				}
			}
		}
	}
	t.Logf("%d scripts", n)
}

// TestDropped checks that comptime, and nothing else, removes a branch before it is
// checked.
func TestDropped(t *testing.T) {
	for _, text := range []string{
		"begin { if comptime (0) { nosuch(); } }",
		"begin { if comptime (1) { } else { nosuch(); } }",
		"begin { if (comptime (0)) { nosuch(); } }",
		"begin { $x = comptime (1) ? 1 : nosuch; print($x); }",
		`begin { $x = comptime (0) ? 1 : "s"; print($x); }`,
		"begin { if comptime (0) { @h = 1; } @h = \"s\"; }",
		"begin { $x = { if comptime (0) { nosuch() } else { 2 } }; print($x); }",
	} {
		if p, diags := checkText("test", text); p == nil {
			t.Errorf("%s\n%s", text, diags.Err())
		}
	}
	if p, _ := checkText("test", "begin { if comptime (0) { @h = 1; } } end { print(@h); }"); p != nil {
		t.Error("code that comptime drops declares a map")
	}
}
