package live

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// matchCase is a condition on @s, @n or @a and whether it holds.
type matchCase struct {
	cond string
	want bool
}

// matchCases returns random conditions and the results of their models in Go.
func matchCases(r *rand.Rand, s string, n int64, a netip.Addr) []matchCase {
	part := func() string {
		i := r.IntN(len(s) + 1)
		p := s[i : i+r.IntN(len(s)+1-i)]
		if r.IntN(3) == 0 {
			p += "b"
		}
		return p
	}
	list := func(n int, one func() string) []string {
		l := make([]string, n)
		for i := range l {
			l[i] = one()
		}
		return l
	}
	quoted := func(l []string) string {
		for i := range l {
			l[i] = quoteC(l[i])
		}
		return "(" + strings.Join(l, ", ") + ")"
	}
	var out []matchCase
	size := []int{1, 3, 20}[r.IntN(3)]
	for op, model := range map[string]func(s, p string) bool{"startswith": strings.HasPrefix, "endswith": strings.HasSuffix, "contains": strings.Contains} {
		l := list(size, part)
		want := slices.ContainsFunc(l, func(p string) bool { return model(s, p) })
		out = append(out, matchCase{"@s " + op + " " + quoted(l), want})
	}
	l := list(size, part)
	out = append(out, matchCase{"@s in " + quoted(append(slices.Clone(l), "x")), slices.Contains(l, s) || s == "x"})
	exprs := []string{"^a+b", "b$", "é|/", "^[^/]*$", "(ab)+a", `\bab`, "^.{4,9}$", "(?i)B", "^$"}
	l = list(min(size, 4), func() string { return exprs[r.IntN(len(exprs))] })
	want := slices.ContainsFunc(l, func(p string) bool { return regexp.MustCompile(p).MatchString(s) })
	out = append(out, matchCase{"@s =~ " + quoted(slices.Clone(l)), want}, matchCase{"@s !~ " + quoted(slices.Clone(l)), !want})
	numbers := list(size*2, func() string { return strconv.Itoa(r.IntN(60)) })
	out = append(out, matchCase{"@n in (" + strings.Join(numbers, ", ") + ", 70..90)", slices.Contains(numbers, fmt.Sprint(n)) || 70 <= n && n <= 90})
	var prefixes []netip.Prefix
	l = list(size, func() string {
		p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
		if r.IntN(2) == 0 {
			p, _ = p.Addr().Next().Prefix(a.BitLen())
		}
		prefixes = append(prefixes, p)
		return p.String()
	})
	out = append(out, matchCase{"@a in (" + strings.Join(l, ", ") + ")", slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })})
	return out
}

// quoteC quotes s with the escapes of string literals.
func quoteC(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return `"` + b.String() + `"`
}

// TestMatch compares random conditions on values in maps with their models.
func TestMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	scripts := 3
	if testing.Short() {
		scripts = 1
	}
	for range scripts {
		var script, want strings.Builder
		for range 5 {
			var text []byte
			for range r.IntN(12) {
				text = append(text, []string{"a", "b", "ab", "/", "é", "\xc3", "B"}[r.IntN(7)]...)
			}
			n, a := int64(r.IntN(100)), netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), 1, byte(r.IntN(4))})
			if r.IntN(2) == 0 {
				a = netip.AddrFrom16([16]byte{0xfd, byte(r.IntN(256)), 15: byte(r.IntN(4))})
			}
			fmt.Fprintf(&script, "  @s = %s; @n = %d; @a = ntop(pton(\"%s\"));\n", quoteC(string(text)), n, a)
			for _, c := range matchCases(r, string(text), n, a) {
				fmt.Fprintf(&script, "  print(%s);\n", c.cond)
				fmt.Fprintf(&want, "%v\n", c.want)
			}
		}
		got := trace(t, "-e", "begin {\n"+script.String()+"  clear(@s); clear(@n); clear(@a); exit();\n}")
		got.quiet(t)
		if strings.TrimSpace(got.stdout) != strings.TrimSpace(want.String()) {
			lines, wants := strings.Split(got.stdout, "\n"), strings.Split(want.String(), "\n")
			prints := strings.Split(script.String(), "\n")
			prints = slices.DeleteFunc(prints, func(s string) bool { return !strings.HasPrefix(s, "  print") })
			for i := range wants {
				if i >= len(lines) || lines[i] != wants[i] {
					t.Fatalf("condition %d: %s\n%s\n%s", i, strings.Join(prints[i:min(i+1, len(prints))], ""), script.String(), got.stdout+got.stderr)
				}
			}
		}
	}
}
