package parse

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/tests/cases"
	corpus "github.com/gotrace/gotrace/tests/golden"
)

// parseText parses text, or returns nil and the diagnostics.
func parseText(text string) (*ast.Program, []source.Diag) {
	var diags source.Diags
	p := File(source.NewFile("stdin", text), names, &diags)
	if diags.HasErrors() {
		return nil, diags.All()
	}
	return p, nil
}

// sameTree compares two trees, ignoring the extents of their nodes. It returns the
// differences, or "".
func sameTree(a, b ast.Node) string {
	return cmp.Diff(a, b,
		cmp.Comparer(func(a, b source.Span) bool { return true }),
		cmp.Comparer(func(a, b *source.File) bool { return true }),
		cmp.Comparer(func(a, b ast.Comment) bool { return a.Text == b.Text }))
}

// roundTrip checks the properties that hold for any text. Errors have positions. A tree
// is well formed, and its clone is equal to it. The printed tree parses to an equal
// tree with the same comments, which is printed as the same text.
func roundTrip(t *testing.T, text string) {
	t.Helper()
	var diags source.Diags
	p := File(source.NewFile("stdin", text), names, &diags)
	if p == nil && !diags.HasErrors() {
		t.Fatal("no tree and no error")
	}
	for _, d := range diags.All() {
		if !d.Span.IsValid() || d.Span.Start < 0 || d.Span.Start > d.Span.End || d.Span.End > len(text) {
			t.Fatalf("diagnostic %q at %d-%d of %d bytes", d.Msg, d.Span.Start, d.Span.End, len(text))
		}
		d.Render()
	}
	if diags.HasErrors() {
		return
	}
	nested(t, p)
	if diff := sameTree(p, ast.Clone(p)); diff != "" {
		t.Fatalf("the clone differs:\n%s", diff)
	}
	printed := ast.String(p)
	again, errs := parseText(printed)
	if errs != nil {
		t.Fatalf("what was printed does not parse: %s\nprinted:\n%s\ntree:\n%s", errs[0].Render(), printed, ast.Dump(p))
	}
	if diff := sameTree(p, again); diff != "" {
		t.Fatalf("what was printed parses to another tree:\n%s\nprinted:\n%s", diff, printed)
	}
	if twice := ast.String(again); twice != printed {
		t.Fatalf("printing twice changes the text:\nfirst:\n%s\nsecond:\n%s", printed, twice)
	}
}

// nested checks that each node lies within its parent.
func nested(t *testing.T, p *ast.Program) {
	t.Helper()
	var stack []ast.Node
	ast.Walk(p, func(n ast.Node) {
		s := n.Span()
		if !s.IsValid() || s.Start > s.End || s.Start < 0 || s.End > len(p.File.Text) {
			t.Fatalf("%T at %d-%d", n, s.Start, s.End)
		}
		// Parents come first, so a node's parent is the last node that contains it.
		for len(stack) > 0 && s.Start >= stack[len(stack)-1].Span().End {
			stack = stack[:len(stack)-1]
		}
		if len(stack) > 0 {
			if up := stack[len(stack)-1].Span(); s.Start < up.Start || s.End > up.End {
				t.Fatalf("%T at %d-%d is not within %T at %d-%d", n, s.Start, s.End, stack[len(stack)-1], up.Start, up.End)
			}
		}
		if s.Start < s.End {
			stack = append(stack, n)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range corpus.Sources() {
		f.Add(text)
	}
	cases.Seed(f, "testdata/*.txtar", "source.bt")
	for _, c := range syntaxErrors {
		f.Add(c.src)
	}
	for _, c := range accepted {
		f.Add(c.src)
	}
	f.Fuzz(func(t *testing.T, text string) { roundTrip(t, text) })
}
