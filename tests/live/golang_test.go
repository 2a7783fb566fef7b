package live

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goProgram builds testdata/golang.
func goProgram(t *testing.T, flags ...string) string {
	t.Helper()
	needRoot(t)
	if *peer {
		t.Skip("bpftrace does not support all of this")
	}
	if *given != "" {
		t.Skip("there is no Go compiler")
	}
	out := filepath.Join(t.TempDir(), "target")
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", out, "./testdata/golang")...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

// goScripts lists scripts on testdata/golang and their output. Those with bare set need
// no debug info.
var goScripts = []struct {
	bare       bool
	prog, want string
}{
	{false, `uprobe:BIN:main.(*pair).Method { printf("%d %d %s %d\n", args.p->b, args.n, args.s, args.s.len); }`, "2 5 hello 5\n2 -1 world 5"},
	{false, `uretprobe:BIN:main.(*pair).Method { printf("%d %d\n", retval.sum, retval.err.tab != 0); }`, "11 0\n0 1"},
	{false, `uretprobe:BIN:main.(*pair).Method /retval.err.tab == (uint64)uaddr("go:itab.*errors.errorString,error")/ { print(*(struct string *)retval.err.data); }`, "negative"},
	{false, `uprobe:BIN:main.pair.Value { print(args.p); print(args.n); } uretprobe:BIN:main.pair.Value { print(retval); @[str(retval)] = count(); }`, "{ .a = 1, .b = 2 }\n3\n4\n@[4]: 1"},
	{false, `uprobe:BIN:main.Generic[go.shape.int] { print((args.k, args.list.len, args.list.array[1])); } uretprobe:BIN:main.Generic[go.shape.int] { print(retval); }`, "(4, 2, 2)\n7"},
	{false, `uprobe:BIN:main.Generic[go.shape.string] { print(args.k); print(args.list.array[0]); } uretprobe:BIN:main.Generic[go.shape.string] { print(retval); }`, "a\nbc\nabcd"},
	{false, `uprobe:BIN:main.(*box[go.shape.int]).Get { print(args.n); print(args.b->v); }`, "4\n7"},
	{false, `uretprobe:BIN:main.(*box[go.shape.string]).Get { print(retval.r0); print(retval.r1); }`, "boxed\n3"},
	{false, `uprobe:BIN:main.Slices { print(buf(args.b)); print(str(args.b)); print(args.list.array[1]); } uretprobe:BIN:main.Slices { print(buf(retval)); print(retval.cap); }`, "bytes\nbytes\n{ .a = 3, .b = 4 }\nbyte\n5"},
	{false, `uprobe:BIN:main.Many { print((args.a, args.i, args.j, args.k)); } uretprobe:BIN:main.Many { print(retval); }`, "(1, 9, 10, 11)\n{ .x = 12, .y = 10, .z = true }"},
	{false, `uretprobe:BIN:main.Fails { print(retval); }`, "nil\nplain\nwrapped 2: unsupported operation\nsyscall.Errno(2)\n" +
		`&fs.PathError{Op: "open", Path: "/x/y", Err: …}` + "\nmain.failure{code: -7}\n(*fs.PathError)(nil)\n&errors.joinError{errs: …}\nplain\nplain"},
	{false, `uretprobe:BIN:main.Fails /retval.tab == (uint64)uaddr("go:itab.*errors.errorString,error")/ { @[goval(retval)] = count(); @s = (1, goval(retval)); }
		uretprobe:BIN:main.(*pair).Method { printf("%d %s\n", retval.sum, retval.err); }`, "11 nil\n0 negative\n@[]: 1\n@[plain]: 3\n@s: (1, plain)"},
	{false, `uprobe:BIN:main.Show /args.s.tab == 0 && args.v._type != 0/ { print(args.v); }`, "42\n-3\n9223372036854775808\nmain.named(9)\ntrue\ntext\n2.5\n0.5\n120\n7\n&-5\n" +
		`main.dot{x: 3, y: -4}` + "\n" + `main.square{side: 1, id: 2, name: "sq", tags: …, on: true}` +
		"\n[]int\nmap[string]int\nfunc()\nchan int\ntime.Duration(1000000000)\nstruct {}{}\nerr\nstruct { p *int }\ncomplex128\n[2]int16"},
	{false, `uprobe:BIN:main.Show /args.s.tab != 0/ { printf("%s %s\n", args.v, args.s); }`, `1 &main.square{side: 1.5, id: 65535, name: "q", tags: …, on: true}` + "\n2 main.dot{x: 1, y: 2}\n3 (*main.square)(nil)"},
	{false, `uprobe:BIN:main.Point { print(args.k); print(args.p.id); print(args.p.name); print(args.p.inner.i); print(args.p.inner); $p = args.p; @[$p.id] = $p.inner.i; }
		uretprobe:BIN:main.Point { print((retval.r0.id, retval.r0.inner, retval.r1)); print(retval.r0.name); }`,
		"3\n7\nseven\n-8\n{ .f = [], .i = -8 }\n(7, { .f = [], .i = -8 }, 10)\nseven\n@[7]: -8"},
	{false, `uprobe:BIN:main.Func { print(args.array); print(args.p->id); print(str(args.b)); print(args.v); print(args.fn != 0); @a = args; } end { print((@a.array, @a.b.len)); clear(@a); }`,
		"[5,6,7]\n9\nbytes\nvalue\ntrue\n([5,6,7], 5)"},
	{false, `uprobe:BIN:main.Channels { print((args.c.qcount, args.c.dataqsiz, args.in.qcount, args.in.dataqsiz)); }`, "(1, 4, 2, 8)"},
	{false, `uprobe:BIN:main.Float { print(args.n); }`, "3"},
	{false, `uretprobe:BIN:main.Panics { print(retval); }`, "0\n40"},
	{true, `uprobe:BIN:main.Many { print((arg0, arg8, arg9, arg10)); }`, "(1, 9, 10, 11)"},
	{true, `uprobe:BIN:main.Generic[...] { @ = count(); } uretprobe:BIN:main.Generic[...] { @r = count(); }`, "@: 2\n@r: 2"},
	{true, `uprobe:BIN:main.Generic[go.shape.int] { print(arg0); }`, "4"},
	{true, `uprobe:BIN:main.(*box[go.shape.int]).Get { print(arg1); }`, "4"},
	{true, `uprobe:BIN:main.main.func1 { @ = count(); } uretprobe:BIN:main.(*pair).Method { @r = count(); }`, "@r: 2"},
	{true, `uretprobe:BIN:main.Many { print(goid); } uprobe:BIN:main.Many { print(goid); }`, "1\n1"},
	{true, `uretprobe:BIN:main.(*pair).* { @[func] = count(); } uprobe:BIN:main.(*pair).Method { @[func] = count(); }`, "@[main.(*pair).Method]: 4"},
}

// TestGo runs scripts on a Go program: built normally, stripped, and
// position-independent.
func TestGo(t *testing.T) {
	for name, flags := range map[string][]string{"plain": nil, "pie": {"-buildmode=pie"}, "stripped": {"-ldflags=-s"}} {
		t.Run(name, func(t *testing.T) {
			bin := goProgram(t, flags...)
			for _, s := range goScripts {
				if s.bare || name != "stripped" {
					prints(t, bin, s.prog, s.want)
				}
			}
		})
	}
}

// TestGoReturns attaches return probes to ten functions that are called a million times
// in all, on stacks that grow and move.
func TestGoReturns(t *testing.T) {
	bin := goProgram(t)
	r := trace(t, "-q", "-c", bin+" 1000", "-e", fmt.Sprintf(`
		uretprobe:%[1]s:main.leaf* { @[func] = count(); }
		uprobe:%[1]s:main.grow { @in = count(); } uretprobe:%[1]s:main.grow { @out = count(); }`, bin))
	want := "@in: 100000\n@out: 100000"
	for i := range 10 {
		want = fmt.Sprintf("@[main.leaf%d]: 100000\n", i) + want
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(r.stdout, line) {
			t.Errorf("no %s", line)
		}
	}
	if r.status != 0 || t.Failed() {
		t.Errorf("status %d, printed\n%s%s", r.status, r.stdout, r.stderr)
	}
}

// TestGoRefused attaches to functions that have no return instruction.
func TestGoRefused(t *testing.T) {
	bin := goProgram(t)
	for fn, want := range map[string]string{
		"main.forever":        "it has no instruction that returns, so it never does",
		"main.outer.Promoted": "main.(*inner).Promoted",
	} {
		r := trace(t, "-e", fmt.Sprintf("uretprobe:%s:%s { exit(); }", bin, fn))
		if r.status == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: status %d, %s\nwant %s", fn, r.status, r.stderr, want)
		}
	}
}
