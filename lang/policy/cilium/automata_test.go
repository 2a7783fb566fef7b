package cilium

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
)

// TestWithout compares expressions without blanks with the original ones: they match the
// same texts, except for those with a blank.
func TestWithout(t *testing.T) {
	texts := []string{"", "a", "ab", "abab", "aab", "b", "c", "é", "aé", "éé", "ééé", "a b", " ", "/x/y", "/x/é/z", "A", "ba", "b\n", "xx"}
	for _, expr := range []string{
		".*", ".+", "a.?b", "[^a]*", "(?s).", "(?:a|.b)+", "(.)(.)", "(?i)a.*", "[^b]{2,3}", "[^b]{2,}", "[^b]{2}", "^.*$", "/[^/]*/.*", `\S+`, "x*?x.*?", "a|[^a]b|.", `[^\x00-\x{ff}]`, `\W*`, "ab", "",
	} {
		got, want := regexp.MustCompile("^(?:"+without(expr, " \n")+")$"), regexp.MustCompile("^(?:"+expr+")$")
		for _, text := range texts {
			if got, want := got.MatchString(text), want.MatchString(text) && !strings.ContainsAny(text, " \n"); got != want {
				t.Errorf("%s as %s, text %q: %v, want %v", expr, without(expr, " \n"), text, got, want)
			}
		}
	}
}

// TestWriteLarge checks that an expression with a large class is not written by String.
func TestWriteLarge(t *testing.T) {
	for expr, want := range map[string]bool{"[^a]": true, "x(?:[^a]|b)*": true, "[a-z]": false, "abc": false, "a{2,3}": false} {
		re, err := syntax.Parse(expr, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if large(re) != want {
			t.Errorf("%s: %v", expr, large(re))
		}
	}
}

// TestMost checks that a list that cannot fit is refused before automata are made of it.
func TestMost(t *testing.T) {
	for _, c := range []struct{ groups, size, fit, want int }{{32, groupSize, 0, 1920}, {32, 1, 0, 120}, {1, 7, 7, 7}, {2, 7, 7, 21}, {0, 60, 0, 0}} {
		if got := most(c.groups, c.size, c.fit); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}
