package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// parsed is a source file of the product with its syntax tree.
type parsed struct {
	path string // from the root
	fset *token.FileSet
	*ast.File
}

// line returns the number of the line that contains pos.
func (f parsed) line(pos token.Pos) int { return f.fset.Position(pos).Line }

// product returns all files of the product except its tests.
func product(t *testing.T) []parsed {
	t.Helper()
	files, err := parseProduct()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var parseProduct = sync.OnceValues(func() ([]parsed, error) {
	var files []parsed
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("..", path)
		if d.IsDir() {
			if rel == "tests" || rel == "examples" || strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		files = append(files, parsed{filepath.ToSlash(rel), fset, f})
		return err
	})
	return files, err
})
