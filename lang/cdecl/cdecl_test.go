package cdecl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

func parse(t testing.TB, text string) (*Decls, *source.Diags) {
	t.Helper()
	var diags source.Diags
	u := NewUnit(Includes{}, &diags)
	f := source.NewFile("test.bt", text)
	u.Add(source.Span{File: f, End: len(text)})
	return u, &diags
}

func describeType(t *types.Type) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s size %d align %d\n", t.Name, t.Size, alignOf(t))
	for _, f := range t.Members() {
		fmt.Fprintf(&b, "  %s: %s at %d", f.Name, f.Type, f.Off)
		if f.BitSize > 0 {
			fmt.Fprintf(&b, " bits %d+%d", f.BitOff, f.BitSize)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestLayout(t *testing.T) {
	for _, c := range []struct{ name, src, of, want string }{
		{"padding", "struct s { char a; int b; char c; long d; };", "struct s",
			"struct s size 24 align 8\n  a: int8 at 0\n  b: int32 at 4\n  c: int8 at 8\n  d: int64 at 16\n"},
		{"packed", "struct __attribute__((packed)) s { char a; int b; };", "struct s",
			"struct s size 5 align 1\n  a: int8 at 0\n  b: int32 at 1\n"},
		{"packed after", "struct s { char a; unsigned short b; } __attribute__((packed));", "struct s",
			"struct s size 3 align 1\n  a: int8 at 0\n  b: uint16 at 1\n"},
		{"two attributes", "struct s { char a; int b; } __attribute__((packed)) __attribute__((aligned(1)));", "struct s",
			"struct s size 5 align 1\n  a: int8 at 0\n  b: int32 at 1\n"},
		{"aligned", "struct s { char a; } __attribute__((aligned(16)));", "struct s",
			"struct s size 16 align 16\n  a: int8 at 0\n"},
		{"aligned member", "struct s { char a; int c __attribute__((aligned(16))); short d __attribute__((packed)); };", "struct s",
			"struct s size 32 align 16\n  a: int8 at 0\n  c: int32 at 16\n  d: int16 at 20\n"},
		{"bitfields", "struct s { int a : 3; unsigned b : 30; char c; unsigned long d : 40; };", "struct s",
			"struct s size 16 align 8\n  a: int32 at 0 bits 0+3\n  b: uint32 at 4 bits 0+30\n  c: int8 at 8\n  d: uint64 at 8 bits 8+40\n"},
		{"zero width", "struct s { char a : 3; int : 0; char b : 3; };", "struct s",
			"struct s size 5 align 1\n  a: int8 at 0 bits 0+3\n  b: int8 at 4 bits 0+3\n"},
		{"no semicolon", "struct s { char a; }", "struct s", "struct s size 1 align 1\n  a: int8 at 0\n"},
		{"union", "union u { int a; char b[7]; };", "union u",
			"union u size 8 align 4\n  a: int32 at 0\n  b: string[7] at 0\n"},
		{"anonymous", "struct s { int a; union { int b; long c; }; struct { short d; } e; };", "struct s",
			"struct s size 24 align 8\n  a: int32 at 0\n  : union (anonymous) at 8\n  e: struct (anonymous) at 16\n"},
		{"pointers", "struct s { struct s *next; int (*fn)(int, char *); char *names[3]; void **p; };", "struct s",
			"struct s size 48 align 8\n  next: struct s * at 0\n  fn: void * at 8\n  names: int8 *[3] at 16\n  p: void * * at 40\n"},
		{"arrays", "#define N 2\nstruct s { int m[N][3]; char flex[]; };", "struct s",
			"struct s size 24 align 4\n  m: int32[3][2] at 0\n  flex: string[0] at 24\n"},
		{"typedef", "typedef struct { unsigned char x; } T; typedef T U[4]; struct s { U u; T t; };", "struct s",
			"struct s size 5 align 1\n  u: struct (anonymous)[4] at 0\n  t: struct (anonymous) at 4\n"},
		{"two in one", "struct s { int a, *b, c[2]; };", "struct s",
			"struct s size 24 align 8\n  a: int32 at 0\n  b: int32 * at 8\n  c: int32[2] at 16\n"},
		{"macro call", "#define F(t, n) t n##_x\nstruct s { F(int, a); F(long long, b); };", "struct s",
			"struct s size 16 align 8\n  a_x: int32 at 0\n  b_x: int64 at 8\n"},
		{"conditional", "#if defined(X) || 1 << 2 == 4\nstruct s { int a; };\n#else\nstruct s { char b; };\n#endif", "struct s",
			"struct s size 4 align 4\n  a: int32 at 0\n"},
		{"function skipped", "static inline int f(int x) { return x ? 1 : 2; }\nint g(void);\nstruct s { int a; };", "struct s",
			"struct s size 4 align 4\n  a: int32 at 0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, diags := parse(t, c.src)
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			got := u.Type(c.of)
			if got == nil {
				t.Fatalf("no %s", c.of)
			}
			if d := cmp.Diff(c.want, describeType(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestConstants(t *testing.T) {
	u, diags := parse(t, `
#define A 10
#define B (A * 2 + 0x10)
#define S "two" " parts"
#define F(x) x
#define SIZE sizeof(struct s)
struct s { long a; int b; };
enum e { E0, E1 = 5, E2, E3 = -1 };
#define LATER E2
#define ZERO L'\0'
#define CHAR 'a'
#define OCTAL '\101'
#define HEX u'\x41'
#define QUOTE '\''
#if L'\0' - 1 > 0
#define SIGN 0
#else
#define SIGN 1
#endif
`)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Const{
		"A": {Int: 10}, "B": {Int: 36}, "S": {Str: "two parts", IsStr: true}, "SIZE": {Int: 16}, "LATER": {Int: 6},
		"ZERO": {}, "CHAR": {Int: 'a'}, "OCTAL": {Int: 'A'}, "HEX": {Int: 'A'}, "QUOTE": {Int: '\''}, "SIGN": {Int: 1},
	} {
		if got, ok := u.Const(name); !ok || got != want {
			t.Errorf("%s: got %v, %v; want %v", name, got, ok, want)
		}
	}
	if c, ok := u.Const("E3"); !ok || c.Int != -1 || c.Type == nil || !c.Type.Signed {
		t.Errorf("E3: got %+v, %v", c, ok)
	}
	if _, ok := u.Const("F"); ok {
		t.Error("a function-like macro is not a constant")
	}
}

func TestConditionalsSpanItems(t *testing.T) {
	text := "#ifndef NO\n#define A 1\n#else\nstruct s { nosuch_t x; };\n#endif\nstruct s { int a; }\nstruct t { struct s s; }"
	f := source.NewFile("test.bt", text)
	var items []*ast.CItem
	for start := 0; start < len(text); {
		end := start + 1 + strings.IndexByte(text[start:]+"\n", '\n')
		items = append(items, &ast.CItem{At: ast.At{Pos: source.Span{File: f, Start: start, End: min(end, len(text))}}})
		start = end
	}
	var diags source.Diags
	u := Parse(items, Includes{}, &diags)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	if c, ok := u.Const("A"); !ok || c.Int != 1 {
		t.Errorf("A: got %v, %v", c, ok)
	}
	if typ := u.Type("struct t"); typ == nil || typ.Size != 4 {
		t.Errorf("struct t: got %v", typ)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"struct s { nosuch_t a; };", "test.bt:1:12-20: ERROR: Unknown type name 'nosuch_t'"},
		{"struct s { int a int b }", `test.bt:1:18-21: ERROR: Expected ';' after a member, found "int"`},
		{"struct s { int a[x]; };", "test.bt:1:18-19: ERROR: The length of this array is not a constant, or it is too large"},
		{"struct s { int a : 33; };", "test.bt:1:16-17: ERROR: The width of a bitfield must be a constant from 0 to the size of its type"},
		{"struct t; struct s { struct t a; };", "test.bt:1:31-32: ERROR: C declaration error: field has incomplete type 'struct t'"},
		{"#if 1", "test.bt:1:1-6: ERROR: #if without #endif"},
		{"#nosuch", "test.bt:1:1-8: ERROR: Unknown preprocessor directive #nosuch"},
		{`#include "no/such/file.h"`, "test.bt:1:1-26: ERROR: Include file no/such/file.h was not found"},
		{"enum e { A = B };", "test.bt:1:10-11: ERROR: Cannot evaluate enum constant A: B is not a constant"},
		{"struct s { int a;", "test.bt:1:10-11: ERROR: This '{' has no matching '}'"},
	} {
		_, diags := parse(t, c.src)
		got := ""
		if err := diags.Err(); err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.src, got, c.want)
		}
	}
}

// kernelOf is a kernel with the types that a piece of C defines.
type kernelOf struct{ *Decls }

func (k kernelOf) Type(name string) (*types.Type, error) { return k.Decls.Type(name), nil }

// TestReplaced defines a struct that the kernel has too, with members of types
// that only the kernel defines.
func TestReplaced(t *testing.T) {
	kernel, diags := parse(t, "struct in { int a; }; union un { int a; }; enum en { A }; struct task { struct in x; }; typedef int num;")
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	const refused = "field has incomplete type '%s'"
	for _, c := range []struct{ src, of string }{
		{"struct task { struct in x; };", "struct in"},
		{"struct task { struct in x[2]; };", "struct in"},
		{"struct task { union un x; };", "union un"},
		{"struct task { enum en x; };", "enum en"},
		{"struct task { struct { struct in x; } y; };", "struct in"},
		{"struct task { struct other { struct in x; } y; };", "struct in"},
		{"struct task { struct in *x; };", ""},
		{"struct task { struct in *x[2]; };", ""},
		{"struct task { num x; };", ""},
		{"struct task { struct { int a; } x; };", ""},
		{"struct task { struct in { long b; } x; };", ""},
		{"struct in { long b; }; struct task { struct in x; };", ""},
		{"struct task { struct task *x; }; struct mine { struct in x; };", ""},
		{"struct mine { struct in x; struct task y; };", ""},
		{"#include <linux/fs_struct.h>\nstruct task { struct in x; };", ""},
		{"#include <linux/fs.h>\nstruct task { struct in x; };", ""}, // which exists on some machines
	} {
		var diags source.Diags
		u := NewUnit(Includes{Kernel: kernelOf{kernel}, Reader: &source.Files{}, Release: [3]int{6, 12}}, &diags)
		u.Add(source.Span{File: source.NewFile("test.bt", c.src), End: len(c.src)})
		err := diags.Err()
		switch {
		case c.of == "" && err != nil:
			t.Errorf("%s\n got %v", c.src, err)
		case c.of != "" && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf(refused, c.of))):
			t.Errorf("%s\n got %v, want that "+refused, c.src, err, c.of)
		}
	}
}

// TestExpansionEnds checks that macros that double their arguments are stopped at a
// limit, with an error.
func TestExpansionEnds(t *testing.T) {
	var names, calls strings.Builder
	names.WriteString("#define D0 1\n#define F(x) x x\n")
	for i := range 64 {
		fmt.Fprintf(&names, "#define D%d (D%d + D%d)\n", i+1, i, i)
	}
	calls.WriteString("#define F(x) x x\nstruct s { int a[" + strings.Repeat("F(", 60) + "1" + strings.Repeat(")", 60) + "]; };")
	u, diags := parse(t, names.String())
	if _, ok := u.Const("D64"); ok {
		t.Error("D64 has a value")
	}
	_, more := parse(t, calls.String())
	for _, d := range []*source.Diags{diags, more} {
		if err := d.Err(); err == nil || !strings.Contains(err.Error(), "Macros expand to more than") {
			t.Errorf("error %v", err)
		}
	}
	if c, ok := u.Const("D10"); !ok || c.Int != 1024 {
		t.Errorf("D10 is %v", c)
	}
}

// TestLimits checks the errors about texts that end too early, or never.
func TestLimits(t *testing.T) {
	var headers []source.PackedFile
	for i := range 300 {
		headers = append(headers, source.PackedFile{Path: fmt.Sprintf("/h/%d.h", i), Text: fmt.Sprintf("#include \"%d.h\"\n", i+1)})
	}
	for _, c := range []struct{ src, want string }{
		{"struct s { int a[5", "Expected ']', found the end"},
		{"typedef int x y;", "Expected ';' after a declaration, found \"y\""},
		{"#include \"0.h\"", "#include nested more than 200 deep"},
	} {
		var diags source.Diags
		u := NewUnit(Includes{Dirs: []string{"/h"}, Reader: source.UnpackFiles(headers)}, &diags)
		u.Add(source.Span{File: source.NewFile("test.bt", c.src), End: len(c.src)})
		if err := diags.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v, want %s", c.src, err, c.want)
		}
	}
}

// TestSystemHeaders reads headers of this machine and compares the layout of
// some structs with that of the C compiler.
func TestSystemHeaders(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no C compiler to compare with: ", err)
	}
	if !slices.ContainsFunc(systemIncludeDirs(nil), func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "sys/stat.h"))
		return err == nil
	}) {
		t.Skip("no C library headers")
	}
	headers := []string{"sys/stat.h", "netinet/in.h", "linux/tcp.h", "time.h", "signal.h", "linux/perf_event.h"}
	structs := []string{"stat", "sockaddr_in6", "tcp_info", "timespec", "sigaction", "perf_event_attr", "iphdr"}
	headers = append(headers, "linux/ip.h")
	var src, prog strings.Builder
	for _, h := range headers {
		fmt.Fprintf(&src, "#include <%s>\n", h)
	}
	u, diags := parse(t, src.String())
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&prog, "%s#include <stdio.h>\n#include <stddef.h>\nint main(void) {\n", src.String())
	var got strings.Builder
	for _, s := range structs {
		typ := u.Type("struct " + s)
		if typ == nil {
			t.Errorf("no struct %s", s)
			continue
		}
		fmt.Fprintf(&got, "%s %d\n", s, typ.Size)
		fmt.Fprintf(&prog, "printf(\"%s %%zu\\n\", sizeof(struct %s));\n", s, s)
		for _, f := range typ.Members() {
			if f.Name == "" || f.BitSize > 0 {
				continue
			}
			fmt.Fprintf(&got, "  %s %d %d\n", f.Name, f.Off, f.Type.Size)
			fmt.Fprintf(&prog, "printf(\"  %s %%zu %%zu\\n\", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));\n", f.Name, s, f.Name, s, f.Name)
		}
	}
	prog.WriteString("}\n")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.c"), []byte(prog.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-o", filepath.Join(dir, "p"), filepath.Join(dir, "p.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, err := exec.Command(filepath.Join(dir, "p")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("struct s { int a : 3; union { char b[2]; }; } __attribute__((packed));")
	f.Add("#define F(x, ...) x ## 1 #x __VA_ARGS__\n#if F(2) > 1 ? 0 : (1)\n#elif 1\nenum e { A = sizeof(int[2]) };\n#endif")
	f.Add("typedef int (*fn)(void *); static inline int g(void) { return 1; } extern \"C\" { int x; }")
	f.Fuzz(func(t *testing.T, src string) {
		if strings.Contains(src, "include") {
			t.Skip("no files are read here")
		}
		u, _ := parse(t, src)
		for _, n := range u.ConstNames() {
			u.Const(n)
		}
		for _, n := range u.TypeNames() {
			if typ := u.Type(n); typ != nil && typ.Size < 0 {
				t.Fatalf("%s has size %d", n, typ.Size)
			}
		}
	})
}

// TestLastSemicolon checks that the semicolon after the last member is optional
// for every kind of member.
func TestLastSemicolon(t *testing.T) {
	for member, size := range map[string]int{
		"unsigned long x": 8, "int a, b": 8, "int a[3]": 12, "int *p": 8, "int (*f)(int)": 8, "int a : 3": 4,
		"struct y { int a } b": 4, "struct { int a; int b }": 8, "union { int a; long b }": 8, "struct { struct { char c } d } e": 1,
		"enum e { A, B } e": 4, "int a __attribute__((aligned(8)))": 8, "int a;;": 4,
	} {
		for _, form := range []string{"struct x { %s }", "struct x { %s };", "union x { %s }", "struct w { struct x { %s } x }", "typedef struct { %s } x;"} {
			text := fmt.Sprintf(form, member)
			u, diags := parse(t, text)
			name := "struct x"
			switch {
			case strings.HasPrefix(form, "union"):
				name = "union x"
			case strings.HasPrefix(form, "typedef"):
				name = "x"
			}
			typ := u.Type(name)
			if diags.HasErrors() || typ == nil {
				t.Errorf("%s: %v", text, diags.Err())
			} else if typ.Size != size && !(name == "union x" && typ.Size <= size) {
				t.Errorf("%s has the size %d, want %d", text, typ.Size, size)
			}
		}
	}
}
