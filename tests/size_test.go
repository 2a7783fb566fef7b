package tests

import (
	"go/ast"
	"testing"
)

const (
	maxFileLines = 500
	maxFuncLines = 100
)

// TestSizes checks that functions, and the files of the product, are short enough to be read
// at once.
func TestSizes(t *testing.T) {
	files, err := parseFiles(func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if n := f.line(f.FileEnd) - 1; n > maxFileLines && ofProduct(f.path) {
			t.Errorf("%s has %d lines, the limit is %d: divide it by subject", f.path, n, maxFileLines)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			first, last := f.line(fn.Pos()), f.line(fn.End())
			if n := last - first + 1; n > maxFuncLines {
				t.Errorf("%s:%d: %s has %d lines, the limit is %d: divide it", f.path, first, fn.Name.Name, n, maxFuncLines)
			}
		}
	}
}
