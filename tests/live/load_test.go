package live

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/tests/golden"
)

// TestLoads loads every script of the golden corpus that compiles for this kernel. The
// kernel's verifier must accept it, and must not process many more instructions for it
// than recorded.
func TestLoads(t *testing.T) {
	if *peer {
		t.Skip("it is about our own compiler")
	}
	needRoot(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "testdata"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "testdata", "prog"), golden.Program, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	k := kernel.Live()
	sources := golden.Sources()
	loaded, tried := 0, 0
	costs := costTable{}
	for i, name := range slices.Sorted(maps.Keys(sources)) {
		if elsewhere(i) {
			continue
		}
		tried++
		obj, diags := compile(t, k, sources[name])
		if obj != nil { // load it like a saved object
			var err error
			if obj, err = object.Decode(object.Encode(obj)); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
		}
		if obj == nil {
			if len(diags) == 0 {
				t.Errorf("%s: neither an object nor an error", name)
			}
			continue // the golden corpus checks these errors
		}
		t.Run(name, func(t *testing.T) {
			s, err := runtime.Load(obj, runtime.Setup{
				Sink:     output.NewText(output.NewWriter(io.Discard, output.Line), io.Discard, output.Style{}),
				Verified: func(_ string, insns int) { costs[name] += insns },
			})
			switch {
			case err == nil:
				loaded++
				s.Close()
			case errors.Is(err, ebpf.ErrNotSupported):
				t.Skip("this kernel lacks a feature: " + firstLine(err))
			case strings.Contains(err.Error(), "operation not permitted") && missing("fentry") != "":
				t.Skip(missing("fentry"))
			case strings.HasSuffix(name, "/override"), strings.Contains(name, "/write-user"):
				t.Skip("this kernel is built without the helper, or locked down")
			default:
				t.Errorf("%s\n%v", sources[name], err)
			}
		})
	}
	costs.check(t)
	if loaded < tried/2 {
		t.Errorf("only %d of %d scripts were loaded", loaded, tried)
	}
}

func compile(t *testing.T, k *kernel.Kernel, text string) (*object.Object, []source.Diag) {
	t.Helper()
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile("stdin", text), codegen.Request{
		Env:        &probes.Env{Kernel: k, Unsafe: true},
		Invocation: &builtins.Invocation{Unsafe: true},
		Config: func(p *ast.Program, diags *source.Diags) *config.Config {
			return lang.Configure(p, nil, diags)
		},
	}, &diags)
	if err != nil {
		t.Errorf("%s\n%v", text, err)
		return nil, diags.All()
	}
	return obj, diags.All()
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
