package live

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// namedFunction is an attach point by a name of C++ or Rust, the number of functions that
// it denotes, and the number of their calls.
type namedFunction struct {
	bin, point       string
	functions, calls int
}

var namedFunctions = []namedFunction{
	{"names-cpp", `ns::f`, 5, 18},
	{"names-cpp", `ns::f(int)`, 1, 6},
	{"names-cpp", `"ns::f(int, double)"`, 1, 3},
	{"names-cpp", `"ns::f(int,double)"`, 1, 3},
	{"names-cpp", `"ns::f(char*)"`, 1, 3}, // no pattern: "ns::f(char const*, …)" is another
	{"names-cpp", `"ns::f(char*, *)"`, 1, 3},
	{"names-cpp", `"ns::f(char const*, *)"`, 1, 3},
	{"names-cpp", `ns::f(*)`, 5, 18},
	{"names-cpp", `ns::twice`, 3, 9},
	{"names-cpp", `ns::twice<int>`, 1, 3},
	{"names-cpp", `ns::twice<long>(long)`, 1, 3},
	{"names-cpp", `"double ns::twice<double>(double)"`, 1, 3},
	{"names-cpp", `ns::tw*`, 3, 9},
	{"names-cpp", `ns::Acc::Acc`, 1, 3}, // two symbols
	{"names-cpp", `ns::Acc::~Acc`, 1, 3},
	{"names-cpp", `ns::Acc::add`, 2, 9},
	{"names-cpp", `"ns::Acc::add(int) const"`, 1, 6},
	{"names-cpp", `ns::Acc::add(int)`, 1, 3},
	{"names-cpp", `ns::Acc::operator()`, 1, 3},
	{"names-cpp", `ns::Acc::operator()(int)`, 1, 3},
	{"names-cpp", `ns::Acc::operator+`, 1, 3},
	{"names-cpp", `ns::Acc::operator[]`, 1, 3},
	{"names-cpp", `"ns::Acc::operator bool"`, 1, 3},
	{"names-cpp", `"ns::(anonymous namespace)::hidden"`, 1, 3},
	{"names-cpp", `*::hidden`, 1, 3},
	{"names-cpp", `ns::tagged`, 1, 3},
	{"names-cpp", `Table::get`, 2, 6},
	{"names-cpp", `"Table<int, long>::get"`, 1, 3},
	{"names-cpp", `Table<*>::get`, 2, 6},
	{"names-cpp", `Table::map`, 1, 3},
	{"names-cpp", `user`, 1, 3},
	{"names-cpp", `user(int)`, 1, 3},
	{"names-cpp", `main`, 1, 1},
	{"names-rust-v0", `names::shop::price`, 1, 3},
	{"names-rust-v0", `names::shop::*`, 5, 18},
	{"names-rust-v0", `names::show`, 2, 6},
	{"names-rust-v0", `names::show::<u32>`, 1, 3},
	{"names-rust-v0", `names::show<u32>`, 1, 3},
	{"names-rust-v0", `names::shop::Stack::push`, 2, 6},
	{"names-rust-v0", `names::shop::Stack<f64>::push`, 1, 3},
	{"names-rust-v0", `<names::shop::Stack<u32>>::push`, 1, 3},
	{"names-rust-v0", `names::shop::Square::area`, 1, 6},
	{"names-rust-v0", `"<names::shop::Rect as names::shop::Area>::area"`, 1, 3},
	{"names-rust-v0", `"<* as names::shop::Area>::area"`, 2, 9},
	// Older symbols have no types, so that some look the same.
	{"names-rust", `names::shop::price`, 1, 3},
	{"names-rust", `names::shop::*`, 4, 18},
	{"names-rust", `names::show`, 1, 6},
	{"names-rust", `names::shop::Stack::push`, 1, 6},
	{"names-rust", `names::shop::Stack<T>::push`, 1, 6},
	{"names-rust", `"<* as names::shop::Area>::area"`, 2, 9},
}

// TestSourceNames attaches to functions of C++ and Rust by their names there. All
// functions that a name denotes are listed and attached, each once.
func TestSourceNames(t *testing.T) {
	native(t)
	for _, name := range []string{"names-cpp", "names-rust", "names-rust-v0"} {
		t.Run(name, func(t *testing.T) {
			bin := fixture(t, name)
			var script strings.Builder
			want := map[string]int{}
			for i, c := range namedFunctions {
				if c.bin != name {
					continue
				}
				c.list(t, bin)
				fmt.Fprintf(&script, "uprobe:%s:%s { @calls[%d] = count(); @seen[%[3]d, probe] = 1; @functions[%[3]d] = 1; }\n", bin, c.point, i)
				want[fmt.Sprintf("@calls[%d]", i)], want[fmt.Sprintf("@functions[%d]", i)] = c.calls, c.functions
			}
			r := trace(t, "-c", bin, "-e", script.String()+"end { for ($s : @seen) { @functions[$s.0.0] += 1; } for ($s : @calls) { @functions[$s.0] -= 1; } clear(@seen); }")
			got := counters(r.stdout)
			for key, n := range want {
				if got[key] != n {
					var i int
					fmt.Sscanf(key[strings.IndexByte(key, '['):], "[%d]", &i)
					t.Errorf("%s: %s is %d, want %d", namedFunctions[i].point, key, got[key], n)
				}
			}
			if t.Failed() || r.status != 0 || len(got) != len(want) {
				t.Errorf("status %d, %d lines instead of %d\n%s%s", r.status, len(got), len(want), r.stdout, r.stderr)
			}
		})
	}
}

// counters returns the numbers in the lines of printed maps: "@a[1]: 2".
func counters(text string) map[string]int {
	got := map[string]int{}
	for line := range strings.Lines(text) {
		if i := strings.LastIndex(line, ": "); i > 0 {
			got[line[:i]], _ = strconv.Atoi(strings.TrimSpace(line[i+2:]))
		}
	}
	return got
}

// list checks that all functions are listed, and that each of the lines denotes one.
func (c *namedFunction) list(t *testing.T, bin string) {
	list := func(point string) []string {
		out, err := exec.Command(*gotrace, "-l", point).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	}
	lines := list("uprobe:" + bin + ":" + c.point)
	if len(lines) != c.functions {
		t.Errorf("%s: lists %q, want %d", c.point, lines, c.functions)
	}
	if again := list(strings.Join(lines, ",")); !slices.Equal(again, lines) {
		t.Errorf("%q list %q", lines, again)
	}
}

// TestAddressNames names addresses in functions, between them, in the code by which a
// program calls a library, and in memory without functions.
func TestAddressNames(t *testing.T) {
	want := [17]string{
		1: "target", 2: "target", 3: "sized", 4: "sized", 7: "unsized", 8: "unsized", 9: "lonely", 10: "getenv", 11: "getenv",
	} // the others are numbers
	for _, name := range []string{"addresses", "addresses-pie", "addresses-st"} {
		t.Run(name, func(t *testing.T) {
			bin := fixture(t, name)
			r := trace(t, "-q", "-c", bin, "-e", "uprobe:"+bin+`:named { printf("%d %s\n", arg1, usym(arg0)); }`)
			lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
			if len(lines) != len(want)-1 || r.status != 0 {
				t.Fatalf("status %d, stdout %q\n%s", r.status, r.stdout, r.stderr)
			}
			for i, line := range lines {
				_, got, _ := strings.Cut(line, " ")
				if want := want[i+1]; want != "" && got != want || want == "" && got != "0" && !strings.HasPrefix(got, "0x") {
					t.Errorf("address %d is %q, want %q", i+1, got, want)
				}
			}
		})
	}
}
