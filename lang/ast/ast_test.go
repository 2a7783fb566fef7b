package ast_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/tests/cases"
)

// programs parses the test scripts of package parse, which together contain
// every kind of node.
func programs(t *testing.T) map[string]*ast.Program {
	t.Helper()
	out := map[string]*ast.Program{}
	for _, file := range cases.Glob(t, "../parse/testdata/*.txtar") {
		for _, c := range file.Cases {
			var diags source.Diags
			out[c.Name] = parse.File(source.NewFile(c.Name, c.Input(t, "source.bt")), builtins.NewRegistry(builtins.All()), &diags)
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// pointers collects all nodes below v by reflection, independently of the code
// under test.
func pointers(v reflect.Value, found map[ast.Node]bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Type() == reflect.TypeFor[*source.File]() {
			return
		}
		if n, ok := v.Interface().(ast.Node); ok && v.Kind() == reflect.Pointer {
			found[n] = true
		}
		pointers(v.Elem(), found)
	case reflect.Struct:
		for i := range v.NumField() {
			pointers(v.Field(i), found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			pointers(v.Index(i), found)
		}
	}
}

func TestWalkVisitsAll(t *testing.T) {
	kinds := map[string]bool{}
	for name, p := range programs(t) {
		want, got := map[ast.Node]bool{}, map[ast.Node]bool{}
		pointers(reflect.ValueOf(p), want)
		ast.Walk(p, func(n ast.Node) {
			if got[n] {
				t.Errorf("%s: %T visited twice", name, n)
			}
			got[n] = true
			kinds[reflect.TypeOf(n).Elem().Name()] = true
		})
		for n := range want {
			if !got[n] {
				t.Errorf("%s: %T at %s not visited", name, n, n.Span())
			}
		}
		for n := range got {
			if !want[n] {
				t.Errorf("%s: %T visited, but not in the tree", name, n)
			}
		}
	}
	// Name and Comment do not count as nodes. All other kinds must occur, or the test
	// would not check them.
	const all = 44
	if len(kinds) != all {
		t.Errorf("the scripts have %d kinds of nodes, want %d: %v", len(kinds), all, kinds)
	}
}

func TestInspectPrunes(t *testing.T) {
	var diags source.Diags
	p := parse.File(source.NewFile("stdin", "begin { $x = 1 + f(2) }"), builtins.NewRegistry(builtins.All()), &diags)
	var got []string
	ast.Inspect(p, func(n ast.Node) bool {
		if _, ok := n.(*ast.Call); ok {
			return false
		}
		if i, ok := n.(*ast.IntLit); ok {
			got = append(got, i.Text)
		}
		return true
	})
	if diff := cmp.Diff([]string{"1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	for name, p := range programs(t) {
		c := ast.Clone(p)
		if diff := cmp.Diff(p, c, cmp.Comparer(func(a, b *source.File) bool { return a == b })); diff != "" {
			t.Errorf("%s: the clone differs:\n%s", name, diff)
		}
		of, in := map[ast.Node]bool{}, map[ast.Node]bool{}
		pointers(reflect.ValueOf(p), of)
		pointers(reflect.ValueOf(c), in)
		for n := range in {
			if of[n] {
				t.Errorf("%s: the clone shares a %T", name, n)
			}
		}
	}
	if c := ast.Clone[ast.Expr](nil); c != nil {
		t.Error("the clone of nil is", c)
	}
	if c := ast.Clone((*ast.Block)(nil)); c != nil {
		t.Error("the clone of a nil block is", c)
	}
}

// TestStringWithoutSource prints nodes that have no source text, such as those that
// macro expansion creates.
func TestStringWithoutSource(t *testing.T) {
	x := &ast.Var{Name: "x"}
	one := &ast.IntLit{Value: 1}
	sum := &ast.Binary{Op: "+", X: x, Y: one}
	for _, c := range []struct {
		n    ast.Node
		want string
	}{
		{&ast.Binary{Op: "*", X: sum, Y: &ast.StrLit{Value: "a\x00\"\xffé"}}, `($x + 1) * "a\x00\"\xffé"`},
		{&ast.Let{Var: x, Type: &ast.Type{Name: "int8", Suffixes: []ast.TypeSuffix{{Pointer: true}, {Len: one}, {}}}}, "let $x : int8*[1][];"},
		{&ast.Block{Stmts: []ast.Stmt{&ast.ExprStmt{X: sum}}, Value: one}, "{\n  $x + 1;\n  1\n}"},
		{&ast.Unary{Op: "-", X: &ast.Unary{Op: "--", X: x}}, "- --$x"},
		{&ast.Tuple{Elems: []ast.Expr{one}}, "(1,)"},
		{&ast.Import{Path: `a"b`}, `import "a\"b";`},
		{ast.Name{Text: "n"}, "n"},
		{(*ast.Block)(nil), ""},
	} {
		if got := ast.String(c.n); got != c.want {
			t.Errorf("%T prints as\n%s\nwant\n%s", c.n, got, c.want)
		}
	}
}
