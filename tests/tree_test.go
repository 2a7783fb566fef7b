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
func (p parsed) line(pos token.Pos) int { return p.fset.Position(pos).Line }

// product returns all files of the product except its tests.
func product(t *testing.T) []parsed {
	t.Helper()
	files, err := parseProduct()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var parseProduct = sync.OnceValues(func() ([]parsed, error) { return parseFiles(ofProduct) })

// ofProduct reports whether a file belongs to the product and is none of its tests.
func ofProduct(path string) bool {
	return !strings.HasPrefix(path, "tests/") && !strings.HasPrefix(path, "examples/") && !strings.HasSuffix(path, "_test.go")
}

// parseFiles parses the Go files for which want is true, except those in testdata.
func parseFiles(want func(path string) bool) ([]parsed, error) {
	var files []parsed
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("..", path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || !want(rel) {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		files = append(files, parsed{rel, fset, f})
		return err
	})
	return files, err
}
