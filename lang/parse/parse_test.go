package parse

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/tests/cases"
)

var names = builtins.NewRegistry(builtins.All())

// TestGolden compares the tree and the formatted text of each script in
// testdata.
func TestGolden(t *testing.T) {
	for _, file := range cases.Glob(t, "testdata/*.txtar") {
		for _, c := range file.Cases {
			t.Run(c.Name, func(t *testing.T) {
				text := c.Input(t, "source.bt")
				var diags source.Diags
				p := File(source.NewFile(c.Name+".bt", text), names, &diags)
				if err := diags.Err(); err != nil {
					t.Fatal(err)
				}
				c.Check(t, cases.Section{Name: "tree", Text: ast.Dump(p)}, cases.Section{Name: "formatted", Text: ast.String(p)})
				roundTrip(t, text)
			})
		}
	}
}

// accepted lists statements of a begin probe and their printed form.
var accepted = []struct{ src, want string }{
	{"1", "1;"},
	{"if(1){}2", "if (1) {} 2;"},
	{"if(1){};2;", "if (1) {} 2;"},
	{"{1}2", "{ 1; } 2;"},
	{"{1}-2", "({ 1 }) - 2;"},
	{"{1;}-2", "{ 1; } -2;"},
	{"if 1{2}-3", "if (1) { 2; } -3;"},
	{"if 1{2}else{3}-4", "(if (1) { 2 } else { 3 }) - 4;"},
	{"if 1{}++@x", "if (1) {} ++@x;"},
	{"if 1{}[1].a", "(if (1) {})[1].a;"},
	{"while(1){};", "while (1) {}"},
	{"$x={}", "$x = {};"},
	{"f(1,)", "f(1);"},
	{"(1,2,)", "(1, 2);"},
	{"(a=1,)", "(a=1);"},
	{"($x)++", "$x++;"},
	{"(foo)(1)", "(foo)1;"},
	{"(foo)*1", "(foo)*1;"},
	{"(pid)*1", "pid * 1;"},
	{"(foo)+1", "foo + 1;"},
	{"(foo)", "foo;"},
	{"(foo*)-1", "(foo*)-1;"},
	{"(foo[2])-1", "(foo[2])-1;"},
	{"(args[2])-1", "args[2] - 1;"},
	{"(arg0)&1", "arg0 & 1;"},
	{"(typeof(int)*)$x", "(typeof(int)*)$x;"},
	{"(int8)++$x", "(int8)++$x;"},
	{"$x.if", "$x.if;"},
	{"f (1)", "f(1);"},
	{"_=1;_", "_ = 1; _;"},
	{"1 . a", "(1).a;"},
	{"a<<(b>>c)", "a << (b >> c);"},
	{"a&b==c", "a & (b == c);"},
	{"(a&b)==c", "(a & b) == c;"},
	{"a&&b||c", "a && b || c;"},
	{"-(-1)", "- -1;"},
	{"!!1", "!!1;"},
	{"for($i:1+1..f(2)){}", "for ($i : (1 + 1)..f(2)) {}"},
	{"for($i:-1..5){}", "for ($i : (-1)..5) {}"},
	{"for($i:(@a)){}", "for ($i : @a) {}"},
	{"comptime if(1){2};", "comptime (if (1) { 2 });"},
	{"$x = {1}.a", "$x = ({ 1 }).a;"},
	{"return", "return;"},
	{"break;continue", "break; continue;"},
	{"sizeof((x))", "sizeof((x));"},
	{"sizeof(x[$1])", "sizeof(x[$1]);"},
	{"f(typeof(typeof(x)))", "f(typeof(typeof(x)));"},

	// Operators that stand for functions.
	{`comm startswith "a"&&comm endswith("b","c",)`, `comm startswith "a" && comm endswith ("b", "c");`},
	{`$x in(1,2..3,-4..$y+1)`, `$x in (1, 2..3, (-4)..($y + 1));`},
	{`$x in(1..2)`, `$x in (1..2);`},
	{`$x in 1..2`, `$x in (1..2);`},
	{`$x in((1))`, `$x in 1;`},
	{`$x in (uint8)5 == 1`, `$x in (uint8)5 == 1;`},
	{`$a in 10.0.0.0/8||$a in(fd00::/8,::1,1:2:3:4:5:6:7:8,::ffff:1.2.3.4/120)`, `$a in 10.0.0.0/8 || $a in (fd00::/8, ::1, 1:2:3:4:5:6:7:8, ::ffff:1.2.3.4/120);`},
	{`$a in 10.0.0.0 /8`, `$a in 10.0.0.0 / 8;`},
	{`@x=~"a.*b"`, `@x =~ "a.*b";`},
	{`comm=~"a"`, `comm =~ "a";`},
	{`(comm=~"a")`, `comm =~ "a";`},
	{`comm!~"a"&&1`, `comm !~ "a" && 1;`},
	{`!(comm!~"a")`, `!(comm !~ "a");`},
	{`!(comm=~"a")`, `!(comm =~ "a");`},
	{`(comm contains "a")==1`, `comm contains "a" == 1;`},
	{`comm contains "a"+1`, `comm contains "a" + 1;`},
	{`(comm) contains "a"`, `comm contains "a";`},
	// Their words and signs mean other things elsewhere.
	{`$x=~5`, `$x = ~5;`},
	{`@x=~$y`, `@x = ~$y;`},
	{`(a=~5)`, `(a=~5);`},
	{`$in = 1; $in in $in`, `$in = 1; $in in $in;`},
	{`contains(1); glob; in(1,2)`, `contains(1); glob; in(1, 2);`},
	{`$t.1.2.3.4`, `$t.1.2.3.4;`},
	{`$x ? $y : fd`, `$x ? $y : fd;`},
	{`for($i:0..10){}`, `for ($i : 0..10) {}`},
	{`a.in.contains->glob`, `a.in.contains->glob;`},
	{`@in[in] = glob`, `@in[in] = glob;`},
}

func TestAccepted(t *testing.T) {
	for _, c := range accepted {
		p, errs := parseText("begin {" + c.src + "}")
		if errs != nil {
			t.Errorf("%s: %s", c.src, errs[0].Render())
			continue
		}
		if got, want := ast.String(p), "begin { "+c.want+" }\n"; got != want {
			t.Errorf("%s prints as\n\t%swant\n\t%s", c.src, got, want)
		}
		roundTrip(t, "begin {"+c.src+"}")
	}
}

// syntaxErrors lists scripts and the first diagnostic of each.
var syntaxErrors = []struct{ src, want string }{
	{"begin { 1 2 }", "1:11-12 expected ';', found '2'"},
	{"begin { ; }", "1:9-10 expected expression, found ';'"},
	{"begin { $x = 1", "1:15-15 expected '}', found the end of the input"},
	{"begin }", "1:7-8 expected '{', found '}'"},
	{"begin {} }", "1:10-11 expected a probe, a macro or another declaration, found '}'"},
	{"begin {}; end {}", "1:9-10 expected a probe, a macro or another declaration, found ';'"},
	{"{1}", "1:1-2 expected a probe, a macro or another declaration, found '{'"},
	{"kprobe:f", "1:9-9 expected '{', found the end of the input"},
	{"kprobe:f kprobe:g {}", "1:10-18 expected '{', found 'kprobe:g'"},
	{"kprobe:f,, kprobe:g {}", "1:10-11 expected an attach point, found ','"},
	{"kprobe : f {}", "1:8-9 expected '{', found ':'"},
	{"kprobe:f /1", "1:12-12 expected '/' at the end of the predicate, found the end of the input"},
	{"kprobe:f /1/", "1:13-13 expected '{', found the end of the input"},
	{"kprobe:f /1/ /2/ {}", "1:14-15 expected '{', found the '/' of a predicate"},
	{"kprobe:f / / {}", "1:12-13 expected expression, found the '/' that ends the predicate"},
	{"kprobe:\"f {}", "1:8-9 this quote is not closed"},
	{"kprobe:f\x01 {}", `1:9-10 unexpected character '\x01'`},
	{"begin { /* x }", "1:9-11 unterminated comment"},
	{"begin { \"x }", "1:9-10 unterminated string"},
	{"begin { \"x\n\" }", "1:9-10 unterminated string"},
	{"begin { 'x' }", "1:9-10 strings are written in double quotes"},
	{"begin { $x = é }", "1:14-16 unexpected character 'é'"},
	{"begin { # }", "1:9-10 unexpected character '#'; comments start with //"},
	{"begin { $ }", "1:9-10 expected a variable name or a number immediately after '$'"},
	{"begin { @1 }", "1:10-11 expected ';', found '1'"},
	{`begin { "a\q" }`, `1:12-13 invalid escape character '\q'`},
	{`begin { "a\x" }`, `1:13-14 invalid hex escape sequence`},
	{`begin { "\400" }`, `1:10-14 octal escape sequence out of range '\400'`},
	{"begin { 1_ }", "1:10-11 trailing underscore in integer literal"},
	{"begin { 08 }", "1:9-11 invalid trailing bytes: 08"},
	{"begin { 0b11 }", "1:10-13 invalid integer suffix 'b11'"},
	{"begin { 0x }", "1:9-11 no digits after '0x'"},
	{"begin { 1x }", "1:10-11 invalid integer suffix 'x'"},
	{"begin { 1mss }", "1:10-13 invalid integer suffix 'mss'"},
	{"begin { 1e }", "1:9-11 invalid trailing bytes: 1e"},
	{"begin { 12e3 }", "1:9-13 coefficient part of scientific literal must be 1-9: 12e3"},
	{"begin { 1e20 }", "1:9-13 overflow error, maximum value is 18446744073709551615: 1e20"},
	{"begin { 18446744073709551616 }", "1:9-29 overflow error, maximum value is 18446744073709551615: 18446744073709551616"},
	{"begin { 4294967296u }", "1:9-20 overflow error, maximum value is 4294967295: 4294967296u"},
	{"begin { 9223372036854775808l }", "1:9-29 overflow error, maximum value is 9223372036854775807: 9223372036854775808l"},
	{"begin { 10000000000000d }", "1:9-24 overflow error, maximum value is 18446744073709551615: 10000000000000d"},
	{"begin { 1e19s }", "1:9-14 overflow error, maximum value is 18446744073709551615: 1e19s"},
	{"begin { if () {} }", "1:13-14 expected expression, found ')'"},
	{"begin { (a=1, a=2) }", "1:15-18 Named argument list already contains name: a"},
	{"begin { 1.5 }", "1:9-11 floating-point numbers are not supported"},
	{"begin { $0 }", "1:9-11 param $0 is out of integer range [1, 9223372036854775807]"},
	{"begin { $x.a = 1 }", "1:9-17 Tuples and records are immutable once created. Consider creating a new value and assigning it instead."},
	{"begin { $x[1] = 1 }", "1:9-18 invalid assignment target"},
	{"begin { *$x = 1 }", "1:9-16 invalid assignment target"},
	{"begin { pid = 1 }", "1:9-16 invalid assignment target"},
	{"begin { $x = $y = 1 }", "1:17-18 expected ';', found '='"},
	{"begin { if ($x = 1) {} }", "1:16-17 expected ')', found '='"},
	{"begin { 1++ }", "1:10-12 increment/decrement requires a variable or map"},
	{"begin { --pid }", "1:9-14 increment/decrement requires a variable or map"},
	{"begin { &pid }", "1:10-13 address-of operator (&) can only be used on a map or variable"},
	{"begin { if (1) return; }", "1:16-22 expected '{', found 'return'"},
	{"begin { if (x) $y = 1; }", "1:16-18 expected '{', found '$y'"},
	{"begin { if 1 {} else 2 }", "1:22-23 expected '{' or 'if' after 'else', found '2'"},
	{"begin { else {} }", "1:9-13 'else' without an 'if' before it, found 'else'"},
	{"begin { let @x = hash(1); }", "1:13-15 expected variable after 'let', found '@x'"},
	{"begin { for x : @ {} }", "1:13-14 expected variable after 'for', found 'x'"},
	{"begin { for $x in @a {} }", "1:16-18 expected ':', found 'in'"},
	{"begin { for $x : $y {} }", "1:18-20 expected a map or a range like 0..10"},
	{"begin { 1..5 }", "1:10-12 expected ';', found '..'"},
	{"begin { import \"a\"; }", "1:9-15 Import statements that are not at the top level are not supported, found 'import'"},
	{"begin { break 1; }", "1:15-16 expected ';', found '1'"},
	{"begin { typeof(x) }", "1:9-15 expected expression, found 'typeof'"},
	{"begin { (typeof(x)) }", "1:21-22 expected expression, found '}'"},
	{"fn f(1) : void {}", "1:6-7 expected a parameter like $x, or ')', found '1'"},
	{"fn f($a : int8, ) : void {}", "1:17-18 expected a parameter like $x, or ')', found ')'"},
	{"begin { + 1 }", "1:9-10 expected expression, found '+'"},
	{"begin { f(,) }", "1:11-12 expected expression, found ','"},
	{"begin { @[] }", "1:11-12 expected expression, found ']'"},
	{"begin { @[1,] }", "1:13-14 expected expression, found ']'"},
	{"begin { $x(1) }", "1:11-12 expected ';', found '('"},
	{"begin { (pid)(1) }", "1:14-15 expected ';', found '('"},
	{"begin { (unsigned int)1 }", "1:19-22 expected ')', found 'int'"},
	{"begin { (struct) }", "1:16-17 expected a name after 'struct', found ')'"},
	{"begin { (a=1, 2) }", "1:15-16 expected the name of a record's field, found '2'"},
	{"begin { $x->0 }", "1:13-14 expected a field name after '->', found '0'"},
	{"begin { $x.1s }", "1:12-14 expected a field name or a tuple index after '.', found '1s'"},
	{"begin { sizeof x }", "1:16-17 expected '(', found 'x'"},
	{"begin { offsetof(struct x) }", "1:26-27 expected ',', found ')'"},
	{"begin { \"a\" \"b\" }", "1:13-16 expected ';', found a string"},
	{"begin < @x = 1 >", "1:17-17 expected expression, found the end of the input"},
	{"begin < @x = 1; } >", "1:17-18 expected expression, found '}'"},
	{"begin < $x = 1", "1:15-15 expected '>', found the end of the input"},
	{"config {a=1}", "1:8-9 expected '=', found '{'"},
	{"config = { a=1 b=2 }", "1:16-17 expected ';' or '}', found 'b'"},
	{"config = { a=-1 }", "1:14-15 expected string, int, boolean, or ident, found '-'"},
	{"config = { \"a\"=1 }", "1:12-15 expected a name or '}', found a string"},
	{"config={} config={}", "1:11-17 duplicate config block"},
	{"begin {} config={}", "1:10-16 config must appear before probes and functions"},
	{"begin {} import \"x\";", "1:10-16 root imports must appear before probes and functions"},
	{"begin {} struct x { int a; };", "1:10-30 C definitions must come before everything else"},
	{"begin {}\n# define X 1", "2:1-13 C definitions must come before everything else"},
	{"import \"x\" begin {}", "1:12-17 expected ';', found 'begin'"},
	{"let @x = hash(5) }", "1:18-19 expected a probe, a macro or another declaration, found '}'"},
	{"let x = hash(5);", "1:5-6 expected a map like @name, found 'x'"},
	{"let @x = hash(y);", "1:15-16 expected positive integer for map declaration max entries, found 'y'"},
	{"macro f {}", "1:9-10 expected '(', found '{'"},
	{"macro f(1) {}", "1:9-10 expected a parameter ($variable, @map or a name) or ')', found '1'"},
	{"fn f() {}", "1:8-9 expected ':', found '{'"},
	{"fn f($a) : int32 {}", "1:8-9 expected ':', found ')'"},
	{"fn f() : 1 {}", "1:10-11 expected a type, found '1'"},
	{"struct x { int a;", "1:1-7 this C definition has no end"},
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range syntaxErrors {
		_, errs := parseText(c.src)
		if len(errs) == 0 {
			t.Errorf("%s\n\tno error, want %s", c.src, c.want)
			continue
		}
		got := strings.TrimPrefix(errs[0].Span.String(), "stdin:") + " " + strings.TrimPrefix(errs[0].Msg, "syntax: ")
		if got != c.want {
			t.Errorf("%s\n\tgot  %s\n\twant %s", c.src, got, c.want)
		}
	}
}

// TestRoundTrip tests scripts that fuzzing has found to fail.
func TestRoundTrip(t *testing.T) {
	for _, src := range []string{
		"0<{}>", "0<<{}>", " #!", "config, {}", "struct, {}", "struct< {}>", "let{}", "let/{}", "union A0(}\n#0\nlet{}",
		"k:f / *$x / {}", "k:f /1 / ({1})/ {}", "macro f(a) {{ 0 }; }", "begin < if (1) {} @x = {1} > 2; >",
		"begin < {1} + {2} > 3; >", "begin{$x = // a\n /* b */ 1 /* c\n */; /* d */ // e\n}", "\x00", "k:f\x00{}",
	} {
		roundTrip(t, src)
	}
}

// TestManyErrors checks that all errors that do not stop the parser are reported.
func TestManyErrors(t *testing.T) {
	_, errs := parseText(`begin { "\q" + 1x; 1++; "\8"; pid = 2; f( }`)
	var got []string
	for _, e := range errs {
		got = append(got, strings.TrimPrefix(e.Span.String(), "stdin:1:"))
	}
	want := []string{"11-12", "17-18", "21-23", "27-28", "31-38", "43-44"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("where (-want +got):\n%s", diff)
	}
}

func TestAttachPoint(t *testing.T) {
	for _, c := range []struct {
		src, name string
		parts     []string
	}{
		{"begin", "", []string{"begin"}},
		{"kprobe:f+0x10", "", []string{"kprobe", "f+0x10"}},
		{`u:"/a b:c":cpp:"f(int, a<b>)"`, "", []string{"u", "/a b:c", "cpp", "f(int, a<b>)"}},
		{`k:a"b\"c\\d"e`, "", []string{"k", `ab"c\de`}},
		{"x=k:f", "x", []string{"k", "f"}},
		{"u:/bin/a=b:c", "", []string{"u", "/bin/a=b", "c"}},
		{"u::f", "", []string{"u", "", "f"}},
		{"k:", "", []string{"k", ""}},
		{`u:a:""`, "", []string{"u", "a", ""}},
		{"k:f$1g", "", []string{"k", "f$1g"}},
		{"u:/bin/bash@a.c:12:3", "", []string{"u", "/bin/bash@a.c", "12", "3"}},
		{"u:/bin/*/x:github.com/a/b.F", "", []string{"u", "/bin/*/x", "github.com/a/b.F"}},
		{"u:a!/b.so:f<int>", "", []string{"u", "a!/b.so", "f<int>"}},
	} {
		p, errs := parseText(c.src + " /1/ {}")
		if errs != nil {
			t.Errorf("%s: %s", c.src, errs[0].Render())
			continue
		}
		got := p.Decls[0].(*ast.Probe).Points[0]
		if got.Text != c.src || got.Name != c.name || got.Span().Text() != c.src {
			t.Errorf("%s: text %q, name %q, span %q", c.src, got.Text, got.Name, got.Span().Text())
		}
		if diff := cmp.Diff(c.parts, got.Parts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.src, diff)
		}
	}
}

// TestDepth parses input that could exhaust the stack or take very long.
func TestDepth(t *testing.T) {
	const n = 60_000
	wrap := func(open, mid, closing string) string {
		return "begin { " + strings.Repeat(open, n) + mid + strings.Repeat(closing, n) + " }"
	}
	for name, src := range map[string]string{
		"parens":   wrap("(", "1", ")"),
		"open":     wrap("(", "", ""),
		"blocks":   wrap("{", "1", "}"),
		"unary":    wrap("-", "1", ""),
		"not":      wrap("!", "1", ""),
		"sum":      wrap("1+", "1", ""),
		"ternary":  wrap("1?2:", "3", ""),
		"short":    wrap("1?:", "3", ""),
		"middle":   wrap("1?", "1", ":2"),
		"tuples":   wrap("(1,", "1", ")"),
		"records":  wrap("(a=", "1", ")"),
		"calls":    wrap("f(", "1", ")"),
		"indexes":  wrap("@[", "1", "]"),
		"postfix":  wrap("", "$x", "[1]"),
		"fields":   wrap("", "$x", ".a"),
		"casts":    wrap("(int32)", "1", ""),
		"maycasts": wrap("(a[1])*", "1", ""),
		"typeof":   wrap("(typeof(", "1", "))"),
		"sizeof":   wrap("sizeof(typeof(", "1", "))"),
		"offsetof": wrap("offsetof(", "1", ",a)"),
		"if":       wrap("if 1 {", "1", "}"),
		"ifif":     wrap("if ", "1", "{}"),
		"elseif":   wrap("if 1 {} else ", "{}", ""),
		"for":      wrap("for $x : @ {", "1", "}"),
		"comptime": wrap("comptime ", "1", ""),
		"pointers": wrap("", "(int", "*") + ")1 }",
		"suffixes": wrap("", "let $x : int", "[1]"),
		"pred":     "k:f /" + strings.Repeat("(", n) + "1" + strings.Repeat(")", n) + "/ {}",
		"angled":   "k:f <" + strings.Repeat("{", n),
		"angles":   "k:f" + strings.Repeat("<", 1_000_000),
		"lets":     strings.Repeat("let<", 250_000),
		"slashes":  "k:f /" + strings.Repeat("1/", 400_000) + "{}",
		"comments": "k:f /" + strings.Repeat("1/ /* */", 100_000) + "{}",
		"quotes":   "k:f" + strings.Repeat("\"", 999_001),
		"c":        strings.Repeat("struct x {", n),
	} {
		began := cpuTime(t)
		_, errs := parseText(src)
		if errs == nil {
			t.Errorf("%s: no error", name)
		} else if !slices.Contains([]string{"c", "angles", "lets", "quotes"}, name) && !strings.Contains(errs[0].Msg, "nested too deeply") {
			t.Errorf("%s: %s", name, errs[0].Msg)
		}
		// A hundredth of that is normal. Wall-clock time would include that of other
		// programs.
		if d := cpuTime(t) - began; d > 20*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestDepthAllowed runs the passes of package ast on trees of almost the
// maximum height.
func TestDepthAllowed(t *testing.T) {
	for _, src := range []string{
		"begin { " + strings.Repeat("1+", 1900) + "1 }",
		"begin { " + strings.Repeat("- ", 1900) + "1 }",
		"begin { " + strings.Repeat("(1,", 900) + "1" + strings.Repeat(")", 900) + " }",
		"begin { " + strings.Repeat("{", 900) + "1" + strings.Repeat("}", 900) + " }",
	} {
		p, errs := parseText(src)
		if errs != nil {
			t.Fatal(errs[0].Msg)
		}
		if _, errs := parseText(ast.String(p)); errs != nil {
			t.Error("printed: ", errs[0].Msg)
		}
		ast.Dump(ast.Clone(p))
	}
}

func TestByteOrderMark(t *testing.T) {
	for text, ok := range map[string]bool{
		"\ufeffbegin { }": true, "\ufeff\r\n// x\r\nbegin { }\r\n": true, "begin { \ufeff }": false,
	} {
		if _, errs := parseText(text); ok != (errs == nil) {
			t.Errorf("%q: %v", text, errs)
		}
	}
}

func TestSize(t *testing.T) {
	_, errs := parseText("begin {}" + strings.Repeat(" ", MaxSize))
	if len(errs) != 1 || !strings.Contains(errs[0].Msg, "which is the limit") {
		t.Error(errs)
	}
}

// TestLazyGrammars checks which grammars are built for a script.
func TestLazyGrammars(t *testing.T) {
	for text, want := range map[string]string{
		"#!/bin/gotrace\nstruct s { int x; };\nbegin, kprobe:f /pid == 1/ { @ = count(); }": "",
		"macro m(x) { x }\nbegin { }":                                         "macro",
		"import \"a\";\nimport \"b\";\nfn f($x: int64): int64 { return $x; }": "fn,import",
	} {
		m := machines.New().(*machine)
		var diags source.Diags
		m.parse(source.NewFile("test", text), names, &diags)
		if got := strings.Join(slices.Sorted(maps.Keys(m.grammars)), ","); got != want || diags.HasErrors() {
			t.Errorf("%q builds the grammars of %q, want %q: %v", text, got, want, diags.Err())
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		m := &machine{}
		m.grammarOf(&macro{})
	}
}

func BenchmarkOneLiner(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parseText("tracepoint:syscalls:sys_enter_read /pid > 1/ { @[comm] = count(); }")
	}
}

// BenchmarkMegabyte parses scripts of one megabyte.
func BenchmarkMegabyte(b *testing.B) {
	for name, line := range map[string]string{
		"statements": "  @start[tid, comm] = (nsecs - $x.y->z) / 1000 + hist(5);\n",
		"probes":     "kprobe:tcp_sendmsg /pid == 1/ { @[comm] = count(); }\n",
		"parens":     "((((1))));",
		"commas":     "f(,,,,);",
	} {
		text := strings.Repeat(line, (1<<20)/len(line)-2)
		if name != "probes" {
			text = "begin {" + text + "}"
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				parseText(text)
			}
		})
	}
}

func Example() {
	var diags source.Diags
	p := File(source.NewFile("stdin", `kprobe:f /pid==1/ {@[comm]=count()}`), names, &diags)
	fmt.Print(ast.String(p))
	// Output: kprobe:f /pid == 1/ { @[comm] = count(); }
}

// TestShebang checks where a line #!… is allowed: before everything except
// comments.
func TestShebang(t *testing.T) {
	const line = "#!/usr/bin/env gotrace"
	for before, ok := range map[string]bool{
		"": true, "\n\n": true, "  ": true, "// c\n": true, "/* c */": true, "/* c */\n\n// d\n\t": true, "\ufeff": true,
		"#define X 1\n": false, "begin { }\n": false, "struct x { int a; };\n": false, line + "\n": false, "begin {\n": false,
	} {
		var diags source.Diags
		p := File(source.NewFile("test", before+line+"\r\nend { }"), names, &diags)
		if diags.HasErrors() == ok || ok && p.Shebang != line {
			t.Errorf("%q before it: %v", before, diags.Err())
		}
	}
}
