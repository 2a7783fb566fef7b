package pattern_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/pattern"
)

var expressions = []string{
	``, `a`, `^a`, `a$`, `^$`, `^a*$`, `ab|ba`, `(ab)+`, `[a-c]{2,4}b`, `^.$`, `^..$`, `.b.`, `(?s)^.{3}$`, `(?s).\n.`,
	`[^a]`, `^[^é]$`, `é`, `(?i)é`, `(?i)k`, `(?i)straße`, `\bab\b`, `\Bb`, `(?m)^a$`, `(?m)b$`, `\Aab\z`, `^(a|b|é)*c$`, `\x{fffd}`, `^\x{fffd}+$`,
	`[\x{80}-\x{7ff}]b`, `[\x{7f0}-\x{10010}]`, `[\x{10000}-\x{10ffff}]`, `\pL+b`, `\d+\.\d+`, `\w\s\w`, `a.*b.*c`, `(a?){5}a{5}`, `x*`, `[[:alpha:]]+[[:digit:]]`,
	`^(a|ab)(c|bcd)$`, `\b`, `^\B`, `(?m)^`, `a\b.`, `€|𝄞`, `[^\x{20}-\x{7e}]`, `(?U)a+b`, `a{3}`, `(?i)[k-m]ſ`,
}

var pieces = []string{"a", "b", "c", "A", "k", "K", "\u212a", "ſ", "é", "É", "ß", "€", "𝄞", "\u07f0", "\U00010005", "\ufffd", "1", ".", "_", " ", "\n", "/",
	"\xc3", "\xe2", "\x82", "\xf0\x9d", "\xff", "\xed\xa0\x80", "\xf4\x90", "\xe0\x80", "x", "l", "m"}

func text(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(9) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// TestRegexp compares automata with package regexp, alone and several in one.
func TestRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(list []string) {
		var ps []pattern.Pattern
		var want []*regexp.Regexp
		for _, e := range list {
			p, err := pattern.Regexp(e)
			if err != nil {
				t.Fatalf("%q: %v", e, err)
			}
			ps, want = append(ps, p), append(want, regexp.MustCompile(e))
		}
		a, err := pattern.Compile(ps)
		if err != nil {
			if len(list) == 1 {
				t.Fatalf("%q: %v", list, err)
			}
			return // too large together
		}
		for range 200 {
			s := text(r)
			got := a.Match([]byte(s))
			for i, re := range want {
				if got>>i&1 == 1 != re.MatchString(s) {
					t.Fatalf("%q on %q: %v, want %v (with %q)", list[i], s, got>>i&1 == 1, re.MatchString(s), list)
				}
			}
			if a.Match([]byte(s+"\x00abc\n")) != got {
				t.Fatalf("%q on %q: bytes after the NUL matter", list, s)
			}
		}
	}
	for _, e := range expressions {
		check([]string{e})
	}
	for range 60 {
		var list []string
		for range 2 + r.IntN(5) {
			list = append(list, expressions[r.IntN(len(expressions))])
		}
		check(list)
	}
	for range 100 {
		check([]string{random(r, 3)})
	}
}

// random returns a random regular expression.
func random(r *rand.Rand, depth int) string {
	if depth == 0 {
		return []string{"a", "b", "é", ".", "[ab]", "[^a]", `\w`, "^", "$", `\b`, "€", "(?i:k)", `[b-€]`}[r.IntN(13)]
	}
	sub := func() string { return random(r, depth-1) }
	switch r.IntN(6) {
	case 0:
		return "(?:" + sub() + "|" + sub() + ")"
	case 1:
		return "(?:" + sub() + ")*"
	case 2:
		return "(?:" + sub() + ")?"
	case 3:
		return fmt.Sprintf("(?:%s){%d,%d}", sub(), r.IntN(2), 1+r.IntN(2))
	}
	return sub() + sub()
}

func TestLiteral(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	lower := func(s string) string {
		return strings.Map(func(c rune) rune {
			if 'A' <= c && c <= 'Z' {
				return c + 0x20
			}
			return c
		}, strings.ToValidUTF8(s, "\x01"))
	}
	for range 300 {
		lit, s := text(r), text(r)
		s += lit[:r.IntN(len(lit)+1)]
		for at, want := range map[pattern.Anchor]bool{
			pattern.Anywhere: strings.Contains(s, lit), pattern.AtStart: strings.HasPrefix(s, lit),
			pattern.AtEnd: strings.HasSuffix(s, lit), pattern.AtStart | pattern.AtEnd: s == lit,
		} {
			p, ok := pattern.Literal(lit, at, false)
			if !ok {
				continue
			}
			if got := match(t, p, s); got != want {
				t.Fatalf("%q at %d of %q: %v, want %v", lit, at, s, got, want)
			}
		}
		if p, ok := pattern.Literal(lit, pattern.Anywhere, true); ok {
			if got, want := match(t, p, s), strings.Contains(lower(s), lower(lit)); got != want {
				t.Fatalf("%q folded in %q: %v, want %v", lit, s, got, want)
			}
		}
	}
}

func match(t *testing.T, p pattern.Pattern, s string) bool {
	t.Helper()
	a, err := pattern.Compile([]pattern.Pattern{p})
	if err != nil {
		t.Fatal(err)
	}
	return a.Match([]byte(s)) == 1
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		glob string
		yes  []string
		no   []string
	}{
		{"/etc/*", []string{"/etc/", "/etc/a/b"}, []string{"/etc", "x/etc/a"}},
		{"*.s?", []string{"a.so", ".sx", ".sé"}, []string{"a.s", "a.so1"}},
		{"[a-c]x", []string{"ax", "cx"}, []string{"dx", "x"}},
		{"[!a-c]x", []string{"dx", "éx"}, []string{"ax"}},
		{"[]a]", []string{"]", "a"}, []string{"b"}},
		{"[a-]", []string{"-", "a"}, []string{"b"}},
		{`a\*`, []string{"a*"}, []string{"ab"}},
		{"a[b", []string{"a[b"}, []string{"ab"}},
		{"a.c", []string{"a.c"}, []string{"abc"}},
		{"", []string{""}, []string{"a"}},
		{"*", []string{"", "a", "é", "\xff"}, nil},
		{"**", []string{"", "a\n"}, nil},
		{"a*", []string{"a", "ab", "aa"}, []string{"", "ba"}},
		{"*a", []string{"a", "ba", "aa"}, []string{"", "ab"}},
		{"*a*", []string{"a", "bab", "a\xc3"}, []string{"", "b"}},
		{"**a?**", []string{"xab", "aaa"}, []string{"xa", "b"}},
		{"*a*b*", []string{"ab", "xaybz"}, []string{"ba", "a"}},
		{"?*", []string{"a", "ab"}, []string{""}},
		{`*\*`, []string{"*", "a*"}, []string{"a", "*a"}},
		{`\**`, []string{"*", "*a"}, []string{"a*"}},
		{"*[*]", []string{"a*"}, []string{"*a"}},
		{"*[a]*", []string{"bab"}, []string{"b"}},
		{"[*", []string{"[", "[a"}, []string{"a["}},
	} {
		p, err := pattern.Glob(c.glob, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.yes {
			if !match(t, p, s) {
				t.Errorf("%q does not match %q", c.glob, s)
			}
		}
		for _, s := range c.no {
			if match(t, p, s) {
				t.Errorf("%q matches %q", c.glob, s)
			}
		}
	}
	for _, bad := range []string{"[z-a]", `a\`, "\xff"} {
		if _, err := pattern.Glob(bad, false); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestLimits checks that patterns that are too large are refused soon.
func TestLimits(t *testing.T) {
	for _, e := range []string{`(a|b)*a(a|b){30}`, `(.*a){12}.{40}b`, `\pL{300}`, `[ab]*a[ab]{1000}`, `((a{100}){10}){10}`} {
		p, err := pattern.Regexp(e)
		if err != nil {
			continue
		}
		if _, err := pattern.Compile([]pattern.Pattern{p}); err == nil {
			t.Errorf("%s fits", e)
		}
	}
}

func FuzzRegexp(f *testing.F) {
	for _, e := range expressions {
		f.Add(e, "aé\xc3b€")
	}
	f.Fuzz(func(t *testing.T, e, s string) {
		re, err := regexp.Compile(e)
		p, perr := pattern.Regexp(e)
		if (err == nil) != (perr == nil) {
			t.Fatalf("%q: %v, regexp says %v", e, perr, err)
		}
		if err != nil {
			return
		}
		a, err := pattern.Compile([]pattern.Pattern{p})
		if err != nil {
			return
		}
		s, _, _ = strings.Cut(s, "\x00")
		if got := a.Match([]byte(s)) == 1; got != re.MatchString(s) {
			t.Fatalf("%q on %q: %v", e, s, got)
		}
	})
}

// TestCache checks that equal lists share an automaton and that others do not.
func TestCache(t *testing.T) {
	var c pattern.Cache
	lists := [][]string{{"a"}, {"a", "b"}, {"b", "a"}, {"ab"}, {"a|b"}, {"(?i)a"}}
	var seen []*pattern.Automaton
	for round := range 2 {
		for i, list := range lists {
			var ps []pattern.Pattern
			for _, e := range list {
				p, err := pattern.Regexp(e)
				if err != nil {
					t.Fatal(err)
				}
				ps = append(ps, p)
			}
			each, err := c.Compile(ps)
			if err != nil {
				t.Fatal(err)
			}
			parts, err := c.Any(ps)
			if err != nil || len(parts) != 1 {
				t.Fatal(len(parts), err)
			}
			any := parts[0]
			if round == 0 {
				if slices.Contains(seen, each) || slices.Contains(seen, any) || each == any {
					t.Errorf("%q shares an automaton with another list", list)
				}
				seen = append(seen, each, any)
			} else if seen[2*i] != each || seen[2*i+1] != any {
				t.Errorf("%q has two automata", list)
			}
		}
	}
}

// TestLongLists checks that lists that are too large for one automaton are divided, and that
// the parts match what the list matches.
func TestLongLists(t *testing.T) {
	literal := func(at pattern.Anchor, fold bool) func(string) (pattern.Pattern, error) {
		return func(text string) (pattern.Pattern, error) {
			p, _ := pattern.Literal(text, at, fold)
			return p, nil
		}
	}
	for _, c := range []struct {
		name          string
		parse         func(text string) (pattern.Pattern, error)
		before, after string // any text
		anchored      bool
		most          int
	}{
		{"contains", literal(pattern.Anywhere, false), "xx", "yy", false, 300},
		{"icontains", literal(pattern.Anywhere, true), "xx", "yy", false, 300},
		{"startswith", literal(pattern.AtStart, false), "", "yy", true, 300},
		{"endswith", literal(pattern.AtEnd, false), "xx", "", true, 300},
		{"glob *x*", func(text string) (pattern.Pattern, error) { return pattern.Glob("*"+text+"*", false) }, "xx", "yy", false, 300},
		{"glob x*", func(text string) (pattern.Pattern, error) { return pattern.Glob(text+"*", false) }, "", "yy", true, 300},
		{"=~", pattern.Regexp, "xx", "yy", false, 300},
	} {
		for _, n := range []int{1, 10, 64, c.most, 20000} {
			var list []pattern.Pattern
			var texts []string
			for i := range n {
				texts = append(texts, fmt.Sprintf("%dq/%dq", i*7919%n, i))
				p, err := c.parse(texts[i])
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, p)
			}
			parts, err := new(pattern.Cache).Any(list)
			if n > c.most {
				if err == nil {
					t.Errorf("%s: %d patterns are accepted", c.name, n)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %d patterns: %v", c.name, n, err)
			}
			matches := func(s string) bool {
				return slices.ContainsFunc(parts, func(a *pattern.Automaton) bool { return a.Match([]byte(s)) != 0 })
			}
			for _, text := range texts {
				if !matches(c.before + text + c.after) {
					t.Errorf("%s: %d patterns do not match %q", c.name, n, text)
				}
				if text = text[:len(text)-1]; matches(text) {
					t.Errorf("%s: %d patterns match %q", c.name, n, text)
				}
				if c.anchored && matches("#"+text+"q#") {
					t.Errorf("%s: %d patterns match inside", c.name, n)
				}
			}
		}
	}
}
