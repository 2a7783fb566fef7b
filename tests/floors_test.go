// Package tests holds tests of the whole program: the order of the packages,
// and in the directories below, the golden corpus and the live tests.
package tests

import (
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gotrace/gotrace"

// floors orders the packages: a package imports only from floors below its own.
// Internal packages belong to the package above them.
var floors = [][]string{
	{"runtime/amd64", "runtime/cursor", "runtime/lazy", "runtime/outline", "runtime/output/protowire", "runtime/procstat", "runtime/sorted", "runtime/wildcard"},
	{"lang/pattern", "lang/pcap", "runtime/cgroups", "runtime/dns", "runtime/native", "runtime/unwind/cfi"},
	{"lang/source", "lang/types", "runtime/hosts", "runtime/value", "runtime/object/layout", "runtime/unwind"},
	{"lang/policy/yaml", "runtime/output/http1", "lang/policy/procs", "lang/ast", "lang/config", "lang/members", "codegen/ir", "runtime/object", "runtime/decode", "runtime/output"},
	{"lang/parse", "codegen/opt", "codegen/bpf", "probes/binary", "builtins/sums", "runtime/store", "runtime/object/elfobj", "runtime/cost"},
	{"probes", "runtime/symbols", "runtime/output/profile", "runtime/output/live", "runtime/output/metrics"},
	{"builtins/code"},
	{"builtins/match", "builtins/paths", "builtins/stacks"},
	{"probes/kernel", "lang/policy", "lang/cdecl", "builtins", "runtime/output/perfetto", "runtime/output/picture", "runtime/output/prometheus", "runtime/output/otlp"},
	{"lang/attach", "lang/macro", "lang/policy/cilium", "lang/policy/falco", "lang/policy/tetragon"},
	{"lang/check"},
	{"lang", "codegen/plan"},
	{"codegen/lower"},
	{"codegen"},
	{"runtime"},
	{"runtime/policy/procs", "runtime/policy/cilium"},
	{"runtime/policy/tetragon", "runtime/policy/falco"},
	{"runtime/tracer", "runtime/daemon"},
	{"runtime/views/flows", "runtime/views/requests"},
	{"cmd/gotrace"},
}

// data lists the packages of the compiler that hold plain data. Only these packages of
// lang and codegen may be imported by the runtime.
var data = []string{"lang/source", "lang/types"}

// forbidden lists the trees that a package must not import from, except for data and the
// package in the field except. The runtime needs only a compiled object, not the compiler. Each
// kind of store has its code for programs beside the code that reads it, so runtime/store
// imports the IR. runtime/tracer is the library, which compiles and runs.
var forbidden = map[string]struct {
	trees  []string
	except string
}{
	"runtime":                   {trees: []string{"lang", "codegen"}},
	"runtime/amd64":             {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/cgroups":           {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/cost":              {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/daemon":            {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/decode":            {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/dns":               {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/hosts":             {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/native":            {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/object":            {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/object/elfobj":     {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/object/layout":     {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output":            {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/http1":      {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/live":       {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/metrics":    {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/otlp":       {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/perfetto":   {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/picture":    {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/profile":    {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/prometheus": {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/output/protowire":  {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/policy/cilium":     {},
	"runtime/policy/falco":      {},
	"runtime/policy/procs":      {},
	"runtime/policy/tetragon":   {},
	"runtime/procstat":          {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/store":             {trees: []string{"lang", "codegen", "builtins", "probes"}, except: "codegen/ir"},
	"runtime/symbols":           {trees: []string{"lang", "codegen", "builtins"}},
	"runtime/tracer":            {},
	"runtime/unwind":            {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/unwind/cfi":        {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/value":             {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/views/flows":       {},
	"runtime/views/requests":    {trees: []string{"lang", "codegen", "builtins", "probes"}},
	"runtime/wildcard":          {trees: []string{"lang", "codegen", "builtins", "probes"}},
}

// outside lists the packages that may import a library, so that only the
// package that chose it depends on it. Tests may import anything.
var outside = map[string][]string{
	"github.com/alecthomas/participle/v2": {"lang/parse"},
	"github.com/cilium/ebpf":              {"codegen", "codegen/bpf", "codegen/ir", "lang/attach", "probes", "probes/kernel", "runtime", "runtime/cost", "runtime/object", "runtime/object/elfobj", "runtime/store"},
	// The compiler makes all programs, except those that measure the cost of helpers.
	"github.com/cilium/ebpf/asm":         {"codegen", "codegen/bpf", "probes", "probes/kernel", "runtime/cost", "runtime/object", "runtime/object/elfobj"},
	"github.com/fatih/color":             {"cmd/gotrace", "lang/source", "runtime/output"},
	"github.com/ianlancetaylor/demangle": {"probes", "runtime/symbols"},
	"github.com/spf13/pflag":             {"cmd/gotrace"},
	"github.com/ulikunitz/xz":            {"probes/binary"},
	"go.yaml.in/yaml/v3":                 {"lang/policy/yaml"},
	"golang.org/x/sys":                   {"builtins", "builtins/paths", "cmd/gotrace", "probes", "probes/binary", "probes/kernel", "runtime", "runtime/cgroups", "runtime/daemon", "runtime/hosts", "runtime/output", "runtime/output/live", "runtime/output/otlp", "runtime/output/perfetto", "runtime/policy/cilium", "runtime/policy/falco", "runtime/policy/procs", "runtime/policy/tetragon", "runtime/store", "runtime/symbols", "runtime/unwind", "runtime/views/flows", "runtime/views/requests"},
	"golang.org/x/term":                  {"cmd/gotrace", "runtime/output/live"},
}

func TestFloors(t *testing.T) {
	floor := map[string]int{}
	for n, names := range floors {
		for _, name := range names {
			floor[name] = n
		}
	}
	seen := map[string]bool{}
	for dir, imports := range packages(t) {
		owner, _, _ := strings.Cut(dir, "/internal")
		n, ok := floor[owner]
		if !ok {
			t.Errorf("package %s is not in this table: add it to a floor", dir)
			continue
		}
		seen[owner] = true
		for _, path := range imports {
			rel, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				checkOutside(t, owner, path)
				continue
			}
			other, _, _ := strings.Cut(rel, "/internal")
			rule, known := forbidden[owner]
			if !known && strings.HasPrefix(owner, "runtime") {
				t.Errorf("the table has no entry for the imports of %s", owner)
			}
			for _, tree := range rule.trees {
				if (other == tree || strings.HasPrefix(other, tree+"/")) && !slices.Contains(data, other) && other != rule.except {
					t.Errorf("%s imports %s, which it must not import", dir, rel)
				}
			}
			if m, ok := floor[other]; other != owner && (!ok || m >= n) {
				t.Errorf("%s (floor %d) imports %s (floor %d)", dir, n, rel, m)
			}
		}
	}
	for name := range floor {
		if !seen[name] {
			t.Errorf("the table names %s, which does not exist", name)
		}
	}
}

func checkOutside(t *testing.T, owner, path string) {
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return // the standard library
	}
	for lib := path; lib != "."; lib = filepath.Dir(lib) {
		if users := outside[lib]; users != nil {
			if !slices.Contains(users, owner) {
				t.Errorf("%s imports %s, which is for %s", owner, path, strings.Join(users, ", "))
			}
			return
		}
	}
	t.Errorf("%s imports %s: add it to this table", owner, path)
}

// packages returns the imports of each package directory of the product. It
// leaves out tests and files for other platforms.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, f := range product(t) {
		ok, err := build.Default.MatchFile(filepath.Split(filepath.Join("..", f.path)))
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		dir := path.Dir(f.path)
		out[dir] = append(out[dir], nil...)
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[dir] = append(out[dir], name)
		}
	}
	return out
}

// TestRuntimeWithoutCompiler checks that the runtime depends on no package of the compiler
// that knows the syntax of scripts, not even through others.
func TestRuntimeWithoutCompiler(t *testing.T) {
	all := packages(t)
	reached := map[string]string{"runtime": ""} // and by which package
	var visit func(dir string)
	visit = func(dir string) {
		for _, path := range all[dir] {
			rel, ours := strings.CutPrefix(path, module+"/")
			if _, seen := reached[rel]; ours && !seen {
				reached[rel] = dir
				visit(rel)
			}
		}
	}
	visit("runtime")
	if _, ok := reached["builtins"]; !ok {
		t.Error("the runtime does not reach builtins: this test reads the imports wrongly")
	}
	for dir := range reached {
		if allowed := []string{"codegen/ir", "lang/config", "lang/members", "lang/pattern", "lang/pcap"}; slices.Contains(data, dir) || slices.Contains(allowed, dir) {
			continue
		}
		if strings.HasPrefix(dir, "lang/") || strings.HasPrefix(dir, "codegen") {
			t.Errorf("the runtime depends on %s, by %s", dir, reached[dir])
		}
	}
}

// TestTreeIsSelfContained checks that no file of the repository refers to paths outside
// it: the directory of the checkout, and its neighbours.
func TestTreeIsSelfContained(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	words := []string{root + "/", "." + "./shared/"}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "kernels" {
				return fs.SkipDir
			}
			return nil
		}
		if st, err := d.Info(); err != nil || !st.Mode().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, w := range words {
			if strings.Contains(string(data), w) {
				t.Errorf("%s mentions %s", strings.TrimPrefix(path, "../"), w)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
