package tests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
)

// TestScriptsAreFormatted checks that the formatter does not change the scripts
// of the distribution.
func TestScriptsAreFormatted(t *testing.T) {
	found := 0
	for _, pattern := range []string{"../examples/*.bt", "../lang/stdlib/*.bt", "../lang/providers/*.bt", "../lang/providers/shared/*.bt"} {
		files, _ := filepath.Glob(pattern)
		found += len(files)
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var diags source.Diags
			tree := parse.File(source.NewFile(name, string(text)), builtins.NewRegistry(builtins.All()), &diags)
			if diags.HasErrors() {
				t.Errorf("%s: %v", name, diags.All())
				continue
			}
			if d := cmp.Diff(string(text), ast.String(tree)); d != "" {
				t.Errorf("%s: gotrace --fmt changes it (-now +formatted):\n%s", name, d)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d scripts found", found)
	}
}
