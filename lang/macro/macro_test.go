package macro

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
)

// expand returns the statements of body after the C section and the macros in
// head have been expanded, as text, and the diagnostics.
func expand(head, body string) (string, *source.Diags) {
	diags := &source.Diags{}
	defs := builtins.NewRegistry(builtins.All())
	p := parse.File(source.NewFile("test", head+"\nbegin { "+body+" }"), defs, diags)
	if diags.HasErrors() {
		return "", diags
	}
	c := cdecl.Parse(p.C, cdecl.Includes{}, diags)
	p = Expand(p, c, defs, diags)
	var probe ast.Node
	for _, d := range p.Decls {
		if d, ok := d.(*ast.Probe); ok {
			probe = d.Body
		}
	}
	text := strings.Join(strings.Fields(ast.String(probe)), " ")
	return strings.TrimSuffix(strings.TrimPrefix(text, "{ "), " }"), diags
}

// TestDefine tests the expansion of C macros.
func TestDefine(t *testing.T) {
	for _, c := range []struct{ head, body, want string }{
		// A macro that is not a constant is replaced by its expression.
		{"#define X 1e6", "print(X)", "print(1e6);"},
		{"#define X ((uint64)5)", "print(X)", "print((uint64)5);"},
		{"#define X nsecs", "print(X)", "print(nsecs);"},
		{"#define X (nsecs/1000)", "print(X * 2)", "print(nsecs / 1000 * 2);"},
		{"#define X (nsecs/1000UL)", "print(X)", "print(nsecs / 1000);"},
		{"#define X (args.c == 'a')", "print(X)", "print(args.c == 97);"},
		{"#define X @c[tid]", "print(X + 1)", "print(@c[tid] + 1);"},
		{"#define X $a", "$a = 1; print(X)", "$a = 1; print($a);"},
		{"#define X $1", "print(X)", "print($1);"},
		{"#define X (pid == 5 ? 1 : 2)", "print(X)", "print(pid == 5 ? 1 : 2);"},
		{"#define X kstack(3)", "@ = X", "@ = kstack(3);"},
		{"#define X ((struct task *)curtask)->pid", "@[X] = 1", "@[((struct task*)curtask)->pid] = 1;"},
		{"#define X (1, \"a\")", "print(X)", "print((1, \"a\"));"},
		{"#define X print(5)", "X", "print(5);"},
		{"#define X exit()", "if (pid) { X; }", "if (pid) { exit(); };"},
		{"#define X t.0", "print(X)", "print(t.0);"},
		{"#define X nsecs + \\\n 2", "print(X)", "print(nsecs + 2);"},
		{"#define X nsecs + 1 // one", "print(X)", "print(nsecs + 1);"},
		{"#define X /* one */ nsecs", "print(X)", "print(nsecs);"},
		// Constants keep their names, as the checker knows their values.
		{"#define X 5", "print(X)", "print(X);"},
		{"#define X \"a\" \"b\"", "print(X)", "print(X);"},
		// They can use each other in any order.
		{"#define A B\n#define B C\n#define C nsecs", "print(A)", "print(nsecs);"},
		{"#define A (B + 1)\n#define B 4", "print(A)", "print(A);"},
		{"#define A (B + pid)\n#define B 4", "print(A)", "print(4 + pid);"},
		{"#define A -B\n#define B -pid", "print(A)", "print(- -pid);"},
		{"#define X X", "print(X)", "print(X);"},
		{"#define X nsecs\n#undef X", "print(X)", "print(X);"},
		{"#define X nsecs\n#define X pid", "print(X)", "print(pid);"},
		{"#ifdef FOO\n#define X nsecs\n#else\n#define X pid\n#endif", "print(X)", "print(pid);"},
		{"#define FOO\n#if defined(FOO) && 1\n#define X nsecs\n#endif", "print(X)", "print(nsecs);"},
		// Types.
		{"#define T struct task", "$t = (T *)1", "$t = (struct task*)1;"},
		{"#define T uint32", "$t = (T)1", "$t = (uint32)1;"},
		{"#define T uint32", "let $t : T", "let $t : uint32;"},
		{"#define T uint32", "print(sizeof(T))", "print(sizeof(uint32));"},
		{"#define X nsecs", "print(sizeof(X))", "print(sizeof(nsecs));"},
		// Names of functions.
		{"#define P printf", `P("x %d", pid)`, `printf("x %d", pid);`},
		// In macros with parameters, the text of the arguments is inserted as in C.
		{"#define SQ(x) ((x)*(x))", "print(SQ(pid))", "print(pid * pid);"},
		{"#define SQ(x) x*x", "print(SQ(pid + 1))", "print(pid + 1 * pid + 1);"},
		{"#define F() nsecs", "print(F())", "print(nsecs);"},
		{"#define F(a, b) (a + b)", "print(F(F(pid, tid), 3))", "print(pid + tid + 3);"},
		{"#define F(a, b) (a + b)\n#define G(x) F(x, x)", "print(G(@a[1, 2]))", "print(@a[1, 2] + @a[1, 2]);"},
		{"#define S(x) #x", "print(S(a b))", ""},
		{"#define S(x) #x", "print(S(pid))", `print("pid");`},
		{"#define C(a, b) a##b", "print(C(n, secs))", "print(nsecs);"},
		{"#define P(f, ...) printf(f, __VA_ARGS__)", `P("%d %d", 1, 2)`, `printf("%d %d", 1, 2);`},
		{"#define SZ(t) sizeof(t)", "print(SZ(struct task))", "print(sizeof(struct task));"},
		{"#define F(x) x", "print(F)", "print(F);"},
		{"#define F(x) (x + N)\n#define N tid", "print(F(N))", "print(tid + tid);"},
		// Builtins take precedence over macros with the same name, which headers often
		// have.
		{"#define pid tid", "print(pid)", "print(pid);"},
		{"#define count(x) x", "@ = count()", "@ = count();"},
		// In macros of the language, C macros are expanded first.
		{"#define X nsecs\nmacro m(a) { a + X }", "print(m(1))", "print(1 + nsecs);"},
		{"#define SQ(x) x*x\nmacro m(a) { SQ(a) }", "print(m(pid + 1))", "print((pid + 1) * (pid + 1));"},
		{"#define X nsecs\nmacro m(X) { X }", "print(m(pid))", "print(pid);"},
	} {
		got, diags := expand(c.head, c.body)
		if c.want == "" {
			if !diags.HasErrors() {
				t.Errorf("%s\n%s\nis accepted: %s", c.head, c.body, got)
			}
			continue
		}
		if diags.HasErrors() || got != c.want {
			t.Errorf("%s\n%s\ngot  %s\nwant %s\n%v", c.head, c.body, got, c.want, diags.Err())
		}
	}
}

// TestDefineWrong tests the errors for macros that are not expressions.
func TestDefineWrong(t *testing.T) {
	for _, c := range []struct{ head, body, want string }{
		{"#define X", "print(X)", "The macro X expands to nothing"},
		{"#define X nsecs +", "print(X)", "unable to expand macro as an expression: nsecs +"},
		{"#define X print(1);", "X", "unable to expand macro as an expression: print ( 1 ) ;"},
		{"#define X (nsecs", "print(X)", "unable to expand macro as an expression: ( nsecs"},
		{"#define X if (1) { print(1) } else", "X", "unable to expand macro as an expression"},
		{"#define F(x) x +", "print(F(nsecs))", "unable to expand macro as an expression: nsecs +"},
	} {
		_, diags := expand(c.head, c.body)
		if err := diags.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%s\ngot  %v\nwant %s", c.head, c.body, err, c.want)
		}
	}
}

// TestAggregations checks how an assignment is moved into a block that ends in
// an aggregation.
func TestAggregations(t *testing.T) {
	for _, c := range []struct{ head, body, want string }{
		{"", "@ = { let $a = 100; avg($a) }", "{ let $a = 100; @ = avg($a); };"},
		{"", "@[1] = { { count() } }", "{ { @[1] = count(); } };"},
		{"", "@ = { let $a = 5; { hist($a) } }", "{ let $a = 5; { @ = hist($a); } };"},
		{"", "$x = { count() }", "$x = { count() };"},
		{"", "@ = { let $a = 5; $a }", "@ = { let $a = 5; $a };"},
		{"macro c(x) { sum(x) }", "@ = c(4)", "@ = sum(4);"},
	} {
		got, diags := expand(c.head, c.body)
		if diags.HasErrors() || got != c.want {
			t.Errorf("%s\n%s\ngot  %s\nwant %s\n%v", c.head, c.body, got, c.want, diags.Err())
		}
	}
}
