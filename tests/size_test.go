package tests

import (
	"go/ast"
	"testing"
)

const (
	maxFileLines = 500
	maxFuncLines = 100
)

// TestSizes checks that files and functions are short enough to be read at once.
func TestSizes(t *testing.T) {
	for _, f := range product(t) {
		if n := f.line(f.FileEnd) - 1; n > maxFileLines {
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
