package lower_test

import (
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/cases"
)

// unmade lists the nodes for which no code is emitted, since lowering does not see
// them, or only as constants.
var unmade = []string{"Bad", "Comptime", "TypeArg"}

var nodeKind = regexp.MustCompile(`(?m)^func \(\*(\w+)\) (?:expr|stmt)\(\)`)

// TestNodes compares the IR of scripts with that of testdata. Each kind of
// expression and statement must be in one of them.
func TestNodes(t *testing.T) {
	k, err := kernel.Frozen("../../tests/kernels/7.zip")
	if err != nil {
		t.Fatal(err)
	}
	defs := builtins.NewRegistry(builtins.All())
	seen := map[string]bool{}
	for _, file := range cases.Glob(t, "testdata/*.txtar") {
		for _, c := range file.Cases {
			t.Run(c.Name, func(t *testing.T) {
				f := source.NewFile("stdin", c.Input(t, "source.bt"))
				var diags source.Diags
				out := ""
				_, err := codegen.Compile(f, codegen.Request{
					Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{Params: []string{"7"}}, Verify: true,
					Dump: func(stage, text string) {
						if stage == "ir" {
							out = text
						}
					},
				}, &diags)
				if err == nil {
					err = diags.Err()
				}
				if err != nil {
					t.Fatal(err)
				}
				c.Check(t, cases.Section{Name: "ir", Text: out})
				ast.Walk(parse.File(f, defs, &diags), func(n ast.Node) {
					seen[reflect.TypeOf(n).Elem().Name()] = true
				})
			})
		}
	}
	for _, name := range unmade {
		seen[name] = true
	}
	text, err := os.ReadFile("../../lang/ast/ast.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := nodeKind.FindAllStringSubmatch(string(text), -1)
	if len(kinds) < 30 {
		t.Fatalf("%d kinds of nodes", len(kinds))
	}
	for _, kind := range kinds {
		if !seen[kind[1]] {
			t.Errorf("no script of testdata has a node %s", kind[1])
		}
	}
}
