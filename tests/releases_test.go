package tests

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// comparesReleases lists the files that may compare kernel releases or name one, and why.
var comparesReleases = map[string]string{
	"probes/feature.go":        "defines Version",
	"probes/kernel/feature.go": "is the table of features",
	"probes/kernel/source.go":  "reads the release from the kernel",
	"probes/kernel/freeze.go":  "writes the release to a frozen kernel",
	"probes/errors.go":         "writes that a kernel is too old",
	"runtime/object/print.go":  "prints the release for which an object was compiled",
	"lang/lang.go":             "passes the release to the C preprocessor, whose LINUX_VERSION_CODE is its value",
}

// TestReleases checks that the table of features is the only place where releases of the
// kernel are compared, because only there a backport counts. It finds calls of a method
// Less with one argument, values of type Version, parts of a release, and the text of
// the error for old kernels.
func TestReleases(t *testing.T) {
	used := map[string]bool{}
	for _, f := range product(t) {
		report := func(pos token.Pos, what string) {
			if comparesReleases[f.path] == "" {
				t.Errorf("%s:%d: %s: add a row to probes/kernel/feature.go and ask for the feature", f.path, f.line(pos), what)
			}
			used[f.path] = true
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if what := aboutRelease(f, n); what != "" {
				report(n.Pos(), what)
			}
			return true
		})
	}
	for path := range comparesReleases {
		if !used[path] {
			t.Errorf("%s: this exemption is not needed", path)
		}
	}
}

// aboutRelease returns what n does with a release of the kernel, or "".
func aboutRelease(f parsed, n ast.Node) string {
	switch n := n.(type) {
	case *ast.CallExpr:
		if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Less" && len(n.Args) == 1 {
			return "a comparison of releases"
		}
	case *ast.CompositeLit:
		switch typ := n.Type.(type) {
		case *ast.SelectorExpr:
			if pkg, ok := typ.X.(*ast.Ident); ok && pkg.Name == "probes" && typ.Sel.Name == "Version" {
				return "a release"
			}
		case *ast.Ident:
			if typ.Name == "Version" && f.Name.Name == "probes" {
				return "a release"
			}
		}
	case *ast.SelectorExpr:
		if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "unix" {
			return "" // the major and minor number of a device
		}
		if n.Sel.Name == "Major" || n.Sel.Name == "Minor" {
			return "a part of a release"
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING && (strings.Contains(n.Value, "needs Linux %") || strings.HasSuffix(n.Value, `needs Linux "`)) {
			return "the error for old kernels"
		}
	}
	return ""
}

// TestSwitchable checks that --no-feature has the features that code tests with
// Env.NoFeature, and no others.
func TestSwitchable(t *testing.T) {
	tested, listed := map[string]bool{}, map[string]bool{}
	features := func(n ast.Node, found map[string]bool) {
		ast.Inspect(n, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && strings.HasPrefix(id.Name, "Feat") {
				found[id.Name] = true
			}
			return true
		})
	}
	for _, f := range product(t) {
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.IndexExpr:
				if sel, ok := n.X.(*ast.SelectorExpr); ok && sel.Sel.Name == "NoFeature" {
					features(n.Index, tested)
				}
			case *ast.ValueSpec:
				if n.Names[0].Name == "Switchable" {
					features(n, listed)
				}
			}
			return true
		})
	}
	if len(tested) == 0 || !maps.Equal(tested, listed) {
		t.Errorf("code tests %q, Switchable lists %q", slices.Sorted(maps.Keys(tested)), slices.Sorted(maps.Keys(listed)))
	}
}
