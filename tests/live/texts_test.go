package live

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

type textUse struct{ script, want string }

// textUses lists uses of X, an array of characters that holds TEXT, which has
// LEN characters, and their output. N makes the names of maps unique.
var textUses = []textUse{
	{`print(X);`, `TEXT`},
	{`printf("[%s]\n", X);`, `[TEXT]`},
	{`printf("[%205s|%-3s|%.2s]\n", X, X, X);`, `[PAD205|LEFT3|CUT2]`},
	{`print((1, X, 2));`, `(1, TEXT, 2)`},
	{`print((x=X, y=1));`, `{ .x = TEXT, .y = 1 }`},
	{`$v_N = X; print($v_N); print(($v_N, 1)); print(str($v_N)); print($v_N == "TEXT");`, "TEXT\n(TEXT, 1)\nTEXT\ntrue"},
	{`@v_N = X; print(@v_N); print(@v_N == "TEXT"); $w_N = @v_N; print($w_N); clear(@v_N);`, "@v_N: TEXT\ntrue\nTEXT"},
	{`@k_N[X] = 1; print(@k_N); print(@k_N["TEXT"]); clear(@k_N);`, "@k_N[TEXT]: 1\n1"},
	{`@kk_N[X, 7] = X; print(@kk_N); print(@kk_N["TEXT", 7]); clear(@kk_N);`, "@kk_N[TEXT, 7]: TEXT\nTEXT"},
	{`$t_N = (X, 3); print($t_N); print($t_N.0); print($t_N.0 == "TEXT"); print($t_N == ("TEXT", 3));`, "(TEXT, 3)\nTEXT\ntrue\ntrue"},
	{`@t_N = (3, X); print(@t_N.1); clear(@t_N);`, `TEXT`},
	{`@c_N[X] = count(); @c_N["TEXT"] = count(); print(@c_N); clear(@c_N);`, `@c_N[TEXT]: 2`},
	{`print(X == "TEXT"); print(X != "TEXT"); print("TEXT" == X); print(X == "TEXTx"); print(X == X);`, "true\nfalse\ntrue\nfalse\ntrue"},
	{`print(str(X)); print(strlen(X)); print(strlen(str(X)));`, "TEXT\nLEN\nLEN"},
	{`print(strncmp(X, "TEXT", LEN + 1)); print(strncmp(X, "TEXTx", LEN + 1) != 0);`, "0\ntrue"},
	{`print(strcontains(X, "TEXT")); print(strcontains(X, "Z"));`, "true\nfalse"},
	{`print(nsecs > 0 ? X : "");`, `TEXT`},
	{`$i_N = if (nsecs > 0) { X } else { "" }; print($i_N);`, `TEXT`},
	{`$b_N = ""; $b_N = X; print($b_N); $b_N = "TEXTy"; print($b_N);`, "TEXT\nTEXTy"},
	{`let $l_N : string[210] = X; print($l_N); @l_N = $l_N; print(@l_N); clear(@l_N);`, "TEXT\n@l_N: TEXT"},
	{`@e_N[1] = "TEXTlonger"; @e_N[1] = X; print(@e_N[1]); @f_N["TEXTlonger"] = 1; @f_N[X] = 2; print(@f_N["TEXT"]); clear(@e_N); clear(@f_N);`, "TEXT\n2"},
	{`print(shown_N(X));`, `TEXT`},
}

// textSizes lists the sizes of the arrays of testdata/params/texts.c.
var textSizes = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 24, 63, 64, 65, 100, 128, 200}

// letters returns a string of n letters.
func letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}

// TestTexts reads arrays of characters with and without a NUL in every way.
func TestTexts(t *testing.T) {
	bin := fixture(t, "texts-O1")
	for _, probe := range []struct{ name, object string }{{"take", "args.t->"}, {"give", "args.t."}} {
		for i, n := range textSizes {
			for j, member := range []string{"full", "some"} {
				if !*thorough && !testing.Short() && (i+j)%2 == 1 && n > 8 {
					continue
				}
				text := letters(n)
				if member == "some" {
					text = letters(n / 2)
				}
				if text == "" || probe.name == "give" && n%8 != 0 && n != 5 {
					continue // pass half of them by value
				}
				if testing.Short() && n != 5 && n != 8 && n != 17 && n != 200 {
					continue // in emulation
				}
				t.Run(fmt.Sprintf("%s/%s%d", probe.name, member, n), func(t *testing.T) {
					script, want := textScript(probe.name, fmt.Sprintf("%s%s%d", probe.object, member, n), text, n, textUses)
					// Older kernels cannot search long strings.
					if r := trace(t, "--dry-run", "-e", strings.ReplaceAll(script, "BIN", bin)); r.status != 0 && strings.Contains(r.stderr, "needs Linux 6.17 ") {
						uses := slices.DeleteFunc(slices.Clone(textUses), func(u textUse) bool { return strings.Contains(u.script, "strcontains") })
						script, want = textScript(probe.name, fmt.Sprintf("%s%s%d", probe.object, member, n), text, n, uses)
						t.Log("without strcontains")
					}
					prints(t, bin, script, want)
				})
			}
		}
	}
}

// textScript returns a script that uses object, an array of n characters that holds
// text, in each of the ways, and its output.
func textScript(probe, object, text string, n int, uses []textUse) (string, string) {
	var script, want, fns strings.Builder
	for i, u := range uses {
		r := strings.NewReplacer(
			"X", object, "TEXT", text, "LEN", fmt.Sprint(len(text)), "_N", fmt.Sprint("_", i),
			"PAD205", fmt.Sprintf("%205s", text), "LEFT3", fmt.Sprintf("%-3s", text), "CUT2", text[:min(2, len(text))])
		if strings.Contains(u.script, "shown") {
			fmt.Fprintf(&fns, "fn shown_%d($x : string[%d]) : string[%d] { return $x; }\n", i, n+1, n+1)
		}
		fmt.Fprintln(&script, "\t"+r.Replace(u.script))
		fmt.Fprintln(&want, r.Replace(u.want))
	}
	return fns.String() + "uprobe:BIN:" + probe + " {\n" + script.String() + "}", want.String()
}
