package live

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fixture returns the path of a program of testdata/params. It skips the test
// if there is no compiler for the program.
func fixture(t *testing.T, name string) string {
	t.Helper()
	needRoot(t)
	if *peer {
		t.Skip("bpftrace does not support all of this")
	}
	if *given != "" {
		path := filepath.Join(*given, name)
		if _, err := os.Stat(path); err != nil {
			t.Skip("this program was not built: ", err)
		}
		return path
	}
	compiler, _, _ := strings.Cut(fixtures[name][0], " ")
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skip(err)
	}
	out := filepath.Join(t.TempDir(), "target")
	if err := buildFixture("testdata/params", name, out, false); err != nil {
		t.Fatal(err)
	}
	return out
}

// tree returns the directory of a tree. It skips the test if a tool is missing that builds it.
func tree(t *testing.T, name string) string {
	t.Helper()
	needRoot(t)
	if *given != "" {
		path := filepath.Join(*given, name)
		if _, err := os.Stat(path); err != nil {
			t.Skip("this tree was not built: ", err)
		}
		return path
	}
	out := filepath.Join(t.TempDir(), "tree")
	if err := buildTree("testdata/params", name, out, false); errors.Is(err, errNoTool) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return out
}

// prints runs a script on a program and compares its output, ignoring blank
// lines. BIN in the script is the program.
func prints(t *testing.T, bin, prog, want string, flags ...string) {
	t.Helper()
	r := trace(t, append(flags, "-q", "-c", bin, "-e", strings.ReplaceAll(prog, "BIN", bin))...)
	var got []string
	for line := range strings.Lines(r.stdout) {
		if line = strings.TrimSpace(line); line != "" {
			got = append(got, strings.ReplaceAll(line, bin, "BIN"))
		}
	}
	if g := strings.Join(got, "\n"); g != strings.TrimSpace(want) || r.status != 0 {
		t.Errorf("%s\nstatus %d, printed\n%s\nwant\n%s\n%s", prog, r.status, g, want, r.stderr)
	}
}

// cScripts lists scripts on params.c and their output.
var cScripts = []struct{ prog, want string }{
	{`uprobe:BIN:take {
		printf("%d %d %d %u %d %d %s\n", args.n->id, args.p.x, args.p.y, args.k, args.ch, args.c, str(args.s));
		print(args.p); print(args.n->in); print(args.c); print(args.n->col);
		print((args.n->lo, args.n->hi, args.n->sb)); print(args.n->arr[1]); print(str(args.n->name));
	}`, `
-7 3 -4 4000000000 120 6 hello
{ .x = 3, .y = -4 }
{ .s = -4, .l = 1099511627776 }
BLUE
GREEN
(5, 17, -2)
-2
first`},
	{`uprobe:BIN:stk { print(args); $a = args; print($a.g.b); @x = args.g; @w[args.w] = args.q.b; }`, `
{ .a = 1, .b = 2, .p = { .a = 10, .b = -11 }, .c = 3, .q = { .a = 20, .b = -21 }, .g = { .a = 100, .b = 200, .c = -300 }, .z = -9, .w = -5 }
200
@w[-5]: -21
@x: { .a = 100, .b = 200, .c = -300 }`},
	// A large result takes the first register.
	{`uprobe:BIN:sret { print((args.a, args.b)); }`, `(6, 7)`},
	{`uprobe:BIN:dbl { print(args.k); print(args.f.n); print(args); }`, "55\n77\n{ .f = { .d = [], .n = 77 }, .k = 55, .q = [] }"},
	{`uretprobe:BIN:neg { print(retval); }`, `-3`},
	{`uretprobe:BIN:retn { print(retval->id); }`, `-7`},
	// The kernel also has a struct node.
	{`uprobe:BIN:retn { print(((struct node *)arg0)->id); print(sizeof(struct node)); }`, "-7\n72"},
	{`uprobe:BIN:ret* { @[probe, func] = count(); }`, `
@[uprobe:BIN:retn, retn]: 1
@[uprobe:BIN:retp, retp]: 1`},
}

func TestParamsC(t *testing.T) {
	for _, name := range []string{"c-O0-4", "c-O0-5", "c-O1-4", "c-O1-5"} {
		t.Run(name, func(t *testing.T) {
			if name != "c-O1-5" {
				native(t)
			}
			bin := fixture(t, name)
			for _, s := range cScripts {
				prints(t, bin, s.prog, s.want)
			}
		})
	}
}

func TestParamsRefused(t *testing.T) {
	bin := fixture(t, "c-O1-5")
	for prog, want := range map[string]string{
		`uprobe:BIN:dbl { print(args.q); }`:    "q cannot be read: it is a floating-point number",
		`uprobe:BIN:dbl { print(args.f.d); }`:  "d cannot be read: it is in a floating-point register",
		`uprobe:BIN:take { print(args.nix); }`: "Can't find function parameter nix",
		`uprobe:BIN:neg { print(args.x); }`:    "neg has no parameters",
		`uprobe:BIN:main+4 { print(args); }`:   "args can only be used where a function starts",
		`uprobe:BIN@params.c:1 { }`:            "Unable to map 'params.c:1' to address: no code starts there",
		`uprobe:BIN@nix.c:1 { }`:               "No compilation unit matches nix.c",
		`uretprobe:BIN@params.c:20 { }`:        "uretprobe takes a function, not a source line",
	} {
		r := trace(t, "-e", strings.ReplaceAll(prog, "BIN", bin))
		if r.status == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: status %d, want %q\n%s", prog, r.status, want, r.stderr)
		}
	}
	if err := exec.Command("strip", "-g", bin).Run(); err == nil {
		r := trace(t, "-e", "uprobe:"+bin+":take { print(args.n); }")
		if r.status == 0 || !strings.Contains(r.stderr, "no debug info") {
			t.Errorf("stripped: status %d\n%s", r.status, r.stderr)
		}
	}
}

// TestRemovedParam reads a parameter that the compiler removed from a C++ function. The
// error has the function's name in the source.
func TestRemovedParam(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it is about our own messages")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "removed")
	writeFiles(t, dir, map[string]string{"removed.cc": `namespace n { static __attribute__((noinline)) int f(int unused, int x) { asm volatile("" : : "r"(x)); return x + 1; } }
int main(int argc, char **) { return n::f(argc * 77, argc) + n::f(3, argc + 1); }
`})
	if out, err := exec.Command("c++", "-g", "-O2", "-o", bin, bin+".cc").CombinedOutput(); err != nil {
		t.Skipf("%v\n%s", err, out)
	}
	r := trace(t, "-e", "uprobe:"+bin+":*1f* { print(args.unused); }")
	if want := "the compiler removed it from n::f, or computes it elsewhere"; r.status == 0 || !strings.Contains(r.stderr, want) {
		t.Errorf("status %d, want %q\n%s", r.status, want, r.stderr)
	}
}

// TestSeparateDebugInfo moves the debug info to separate files, found by build
// id and by the file name in the program.
func TestSeparateDebugInfo(t *testing.T) {
	bin := fixture(t, "c-id")
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	if _, err := exec.LookPath("objcopy"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	byID := filepath.Join(dir, ".build-id", "01", "23456789abcdef.debug")
	if err := os.MkdirAll(filepath.Dir(byID), 0o755); err != nil {
		t.Fatal(err)
	}
	run("objcopy", "--only-keep-debug", bin, byID)
	linked := bin + ".linked"
	run("cp", bin, linked)
	run("strip", bin)
	const prog, want = `uprobe:BIN:sret { print((args.a, args.b)); }`, `(6, 7)`
	prints(t, bin, prog, want, "--debuginfo", dir)

	run("cp", byID, linked+".debug")
	run("strip", linked)
	run("objcopy", "--remove-section=.note.gnu.build-id", "--add-gnu-debuglink="+linked+".debug", linked)
	prints(t, linked, prog, want)
}

func TestParamsGo(t *testing.T) {
	bin := fixture(t, "go")
	prints(t, bin, `uprobe:BIN:main.Take {
		print((args.n, args.s.len, args.b.len, args.b.cap, args.p->A, args.ok, args.u));
		print(str(args.s.str, args.s.len + 1)); print(args.t.A); print(str(args.t.S.str, 6));
	}`, "(42, 5, 5, 5, 9, true, 65535)\nhello\n-5\ninner")
	prints(t, bin, `uprobe:BIN:main.Spill { print(args.a); print(args.c.Z); print(args.d); print(args.z); }`,
		"{ .X = 1, .Y = 2, .Z = 3 }\n9\n[-1,-2]\n-9")
	prints(t, bin, `uprobe:BIN:"main.(*T).Method" { print((args.t->A, args.k)); }`, "(-5, -77)")
}

func TestParamsCPP(t *testing.T) {
	for _, name := range []string{"cpp-O0", "cpp-O1"} {
		t.Run(name, func(t *testing.T) {
			if name != "cpp-O1" {
				native(t)
			}
			bin := fixture(t, name)
			prints(t, bin, `uprobe:BIN:cpp:"Derived::m" { print((args.k, args.this->b, args.this->d, args.s->_M_string_length)); }`, "(7, 5, 6, 4)")
			prints(t, bin, `uprobe:BIN:cpp:"ns::f" { print(args.c); print((args.p->d, args.byval._M_string_length, args.tail, args.t)); }`,
				"B\n(6, 30, -3, true)")
			prints(t, bin, `uretprobe:BIN:cpp:"ns::plain" { print((retval.a, retval.b)); } uretprobe:BIN:cpp:"ns::owner" { print(retval.a); print(*(int32 *)retval); }`,
				"(4, -4)\n44\n44")
		})
	}
}

func TestParamsRust(t *testing.T) {
	bin := fixture(t, "rust")
	prints(t, bin, `uprobe:BIN:*6params4take* {
		print((args.n, args.r->c, args.o)); print(str(args.s.data_ptr, args.s.length + 1));
		print(args.p); print(args.q); print(args.w);
	}`, "(-7, 3, 9)\nrusty\n{ .a = 1, .b = -2, .c = 3 }\n{ .a = 10, .b = -20, .c = 30 }\n{ .a = 1, .b = 2, .c = 3 }")
	prints(t, bin, `uprobe:BIN:*6params3ret* { print(args.n); } uprobe:BIN:cfn { print(args.n); print(args.p); }`,
		"4\n-8\n{ .a = 1, .b = -2, .c = 3 }")
	prints(t, bin, `uretprobe:BIN:*6params4pair* { print((retval.__0, retval.__1)); }
		uretprobe:BIN:*6params4word* { print((retval.a, retval.b, retval.c)); }
		uretprobe:BIN:*6params3big* { print((retval.a, retval.b, retval.c)); }`,
		"(5, -6)\n(7, 8, 9)\n(7, -8, 9)")
	r := trace(t, "-e", "uretprobe:"+bin+":*6params5words* { print(retval.a); }")
	if want := "a cannot be read: how Rust returns it is not known"; r.status == 0 || !strings.Contains(r.stderr, want) {
		t.Errorf("status %d, want %q\n%s", r.status, want, r.stderr)
	}
}

// returned lists members of results of functions in returns.c, and their values or the
// error.
var returned = []struct{ fn, expr, want string }{
	{"one", "(retval.a, retval.b)", "(42, -3)"},
	{"one", "retval & 0xffffffff", "42"}, // retval alone is the register, as in bpftrace
	{"named", "(retval.a, retval.b)", "(11, 12)"},
	{"two_words", "(retval.a, retval.b, retval.c)", "(3000000000, -3, 9)"},
	{"bits", "(retval.x, retval.y, retval.z)", "(5, -9, 77777)"},
	{"nest", "(retval.o.a, retval.o.b, retval.n.c)", "(6, 4, abcd)"},
	{"nest", "(retval.o, retval.n)", "({ .a = 6, .b = 4 }, { .c = abcd })"},
	{"odd", "(retval.a, retval.c, retval.s)", "(65, wxyz, -2)"},
	{"half", "retval.a", "8"},
	{"half", "retval.d", "ERROR: d cannot be read: it is in a floating-point register"},
	{"halves", "retval.y", "ERROR: y cannot be read: it is in a floating-point register"},
	{"big", "(retval.a, retval.b, retval.c)", "(9, 2, 3)"},
	{"big", "((struct big *)retval)->c", "3"},
	{"packed", "(retval.c, retval.l)", "(3, 5)"},
	{"arr", "(retval.v[0], retval.v[2], retval.v[3])", "(21, 3, 4)"},
	{"arr", "retval.v", "[21,2,3,4]"},
	{"ptrs", "(str(retval.s), retval.t->c)", "(hello, 9)"},
	{"either", "(retval.i, retval.c)", "(1094861636, DCBA)"},
	{"empty", "retval.a", "ERROR: Can not access field 'a'"},
	{"one", "retval.none", "ERROR: Struct/union of type 'struct one' does not contain a field named 'none'"},
	{"real", "retval", "ERROR: retval cannot be used here: the result of real cannot be read: it is a double"},
	{"small", "retval", "ERROR: retval cannot be used here: the result of small cannot be read: it is a float"},
	{"extended", "retval", "ERROR: retval cannot be used here: the result of extended cannot be read: it is a long double"},
	{"main", "retval.a", "ERROR: Can not access field 'a'"},
}

func TestReturned(t *testing.T) {
	for _, name := range []string{"returns-O0", "returns-O2"} {
		t.Run(name, func(t *testing.T) {
			if name != "returns-O2" {
				native(t)
			}
			bin := fixture(t, name)
			byFn, want := map[string]string{}, map[string]string{}
			for _, c := range returned {
				if !strings.HasPrefix(c.want, "ERROR") {
					byFn[c.fn] += "print(" + c.expr + "); "
					want[c.fn] += c.want + "\n"
					continue
				}
				r := trace(t, "-e", "uretprobe:"+bin+":"+c.fn+" { print("+c.expr+"); }")
				if r.status == 0 || !strings.Contains(r.stderr, c.want) {
					t.Errorf("%s of %s: status %d, want %q\n%s", c.expr, c.fn, r.status, c.want, r.stderr)
				}
			}
			var prog, all strings.Builder
			for _, fn := range []string{"one", "named", "two_words", "bits", "nest", "odd", "half", "big", "packed", "arr", "ptrs", "either"} {
				prog.WriteString("uretprobe:BIN:" + fn + " { " + byFn[fn] + "}\n")
				all.WriteString(want[fn])
			}
			prints(t, bin, prog.String(), all.String())
		})
	}
}

// TestLines counts how often source lines run, in all copies of inlined
// functions.
func TestLines(t *testing.T) {
	for _, name := range []string{"lines-O0", "lines-O1"} {
		t.Run(name, func(t *testing.T) {
			if name != "lines-O1" {
				native(t)
			}
			bin := fixture(t, name)
			for place, want := range map[string]string{
				"lines.c:4":                     "@: 5",
				"params/lines.c:4":              "@: 5",
				"lines.c:11":                    "@: 1",
				"lines.c:14":                    "@: 1",
				"nosuchdir/../params/lines.c:4": "@: 5",
			} {
				prints(t, bin, "uprobe:BIN@"+place+" { @ = count(); }", want)
			}
		})
	}
}
