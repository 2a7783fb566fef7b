package live

import (
	"fmt"
	"math/rand"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nameTest is a condition on a name, in the language and in Go.
type nameTest struct {
	text  string
	holds func(name string, mode int) bool
}

const nameChars = "abxyAé/"

func someName(r *rand.Rand, n int) string {
	s := ""
	for range r.Intn(n) {
		s += string([]rune(nameChars)[r.Intn(7)])
	}
	return s
}

// randomNameTest returns a random condition on the value that an expression has.
func randomNameTest(r *rand.Rand, depth int, value string) nameTest {
	if depth > 0 && r.Intn(5) > 0 {
		x, y := randomNameTest(r, depth-1, value), randomNameTest(r, depth-1, value)
		switch r.Intn(3) {
		case 0:
			return nameTest{"(" + x.text + " && " + y.text + ")", func(s string, n int) bool { return x.holds(s, n) && y.holds(s, n) }}
		case 1:
			return nameTest{"(" + x.text + " || " + y.text + ")", func(s string, n int) bool { return x.holds(s, n) || y.holds(s, n) }}
		}
		return nameTest{"!(" + x.text + ")", func(s string, n int) bool { return !x.holds(s, n) }}
	}
	part := someName(r, 3) + "a"
	switch r.Intn(11) {
	case 0:
		return nameTest{value + ` startswith "` + part + `"`, func(s string, _ int) bool { return strings.HasPrefix(s, part) }}
	case 1:
		return nameTest{value + ` endswith "` + part + `"`, func(s string, _ int) bool { return strings.HasSuffix(s, part) }}
	case 2:
		return nameTest{value + ` icontains "` + part + `"`, func(s string, _ int) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(part)) }}
	case 3:
		return nameTest{value + ` glob "*` + part + `?*"`, func(s string, _ int) bool { return regexp.MustCompile("^.*" + part + "..*$").MatchString(s) }}
	case 4:
		n := r.Intn(9)
		return nameTest{fmt.Sprintf("args.mode == %d", n), func(_ string, mode int) bool { return mode == n }}
	case 5:
		return nameTest{value + ` contains ("` + part + `", "yx")`, func(s string, _ int) bool { return strings.Contains(s, part) || strings.Contains(s, "yx") }}
	case 6:
		return nameTest{value + ` contains "` + part + `"`, func(s string, _ int) bool { return strings.Contains(s, part) }}
	case 7:
		return manyNameTests(r, value, "", " || ")
	case 8:
		none := manyNameTests(r, value, "!", " && ")
		return nameTest{none.text, func(s string, n int) bool { return !none.holds(s, n) }}
	}
	re := regexp.MustCompile([]string{"^[ax]+y?", "(ab|xé)", "a$", "[^abé]x", "^.a.?.?$", part + "+"}[r.Intn(6)])
	return nameTest{value + ` =~ "` + re.String() + `"`, func(s string, _ int) bool { return re.MatchString(s) }}
}

// manyNameTests returns conditions that are combined by op, and whether a name contains one
// of their texts.
func manyNameTests(r *rand.Rand, value, not, op string) nameTest {
	var parts, list []string
	for range 2 + r.Intn(70) {
		part := someName(r, 5) + "a" + someName(r, 2)
		parts = append(parts, part)
		list = append(list, not+"("+value+` contains "`+part+`")`)
	}
	return nameTest{"(" + strings.Join(list, op) + ")", func(s string, _ int) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
	}}
}

// TestSharedAutomata compares random conditions with several patterns on one value, in predicates,
// chains of if and expressions, with a model. The parts may share an automaton.
func TestSharedAutomata(t *testing.T) {
	if *peer {
		t.Skip("it has no such operators")
	}
	needRoot(t)
	r := rand.New(rand.NewSource(1))
	var names []string
	for range 60 {
		names = append(names, "/nosuch/"[r.Intn(8):]+someName(r, 12))
	}
	names = slices.DeleteFunc(names, func(s string) bool { return s == "" || strings.HasPrefix(s, "/") })
	var script strings.Builder
	var want []string
	for i := range 16 {
		value := []string{"str(args.filename)", "$s"}[i%2]
		a, b, c := randomNameTest(r, 2, value), randomNameTest(r, 2, value), randomNameTest(r, 2, value)
		head := fmt.Sprintf("tracepoint:syscalls:sys_enter_openat /pid == %d && (int32)args.dfd == -7", os.Getpid())
		pred := a
		if i%2 == 1 {
			pred = nameTest{"1", func(string, int) bool { return true }}
			fmt.Fprintf(&script, "%s/ { $s = str(args.filename); if (%s) { $n = 1; } else if (%s) { $n = 2; $s = \"a\"; if (%s) { $n = 3; } } else { $n = (%s) ? 4 : 5; }", head, a.text, b.text, c.text, c.text)
		} else {
			fmt.Fprintf(&script, "%s && %s/ { $n = 5; if (%s) { $n = 1; } else if (%s) { $n = 2; }", head, a.text, b.text, c.text)
		}
		fmt.Fprintf(&script, " printf(\"%d %%d %%s\\n\", $n, str(args.filename)); }\n", i)
		for _, s := range names {
			mode := len(s) % 9
			n := 5
			switch {
			case !pred.holds(s, mode):
				continue
			case i%2 == 0 && b.holds(s, mode), i%2 == 1 && a.holds(s, mode):
				n = 1
			case i%2 == 0 && c.holds(s, mode), i%2 == 1 && b.holds(s, mode):
				if n = 2; i%2 == 1 && c.holds("a", mode) {
					n = 3
				}
			case i%2 == 1 && c.holds(s, mode):
				n = 4
			}
			want = append(want, fmt.Sprintf("%d %d %s", i, n, s))
		}
	}
	s := start(t, "-q", "-e", "config = { max_strlen = 64 }\n"+script.String())
	s.attached()
	for _, name := range names {
		if fd, err := unix.Openat(-7, name, 0, uint32(len(name)%9)); err == nil {
			t.Fatalf("%q exists as %d", name, fd)
		}
	}
	s.signal(syscall.SIGINT)
	got := s.wait()
	got.quiet(t)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	for _, lines := range [][]string{lines, want} {
		slices.SortStableFunc(lines, func(a, b string) int {
			x, _, _ := strings.Cut(a, " ")
			y, _, _ := strings.Cut(b, " ")
			return strings.Compare(x, y)
		})
	}
	for i := range max(len(lines), len(want)) {
		if i >= len(lines) || i >= len(want) || lines[i] != want[i] {
			t.Fatalf("%d lines, want %d; line %d is %q, want %q\n%s", len(lines), len(want), i, lines[i:min(i+1, len(lines))], want[i:min(i+1, len(want))], script.String())
		}
	}
}
