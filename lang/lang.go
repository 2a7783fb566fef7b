// Package lang reads scripts: it converts source text to one tree, with imports and the
// macros of the standard library, and reads the settings in it.
package lang

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/macro"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// Parse parses f, its imports, and the events of providers and the macros of the standard
// library that it uses, into one tree. It searches for an import in the importing file's
// directory, then in dirs. more are declarations to add to the tree. If Parse adds an
// error to diags, the tree is nil or incomplete.
func Parse(f *source.File, defs *builtins.Registry, dirs []string, files *source.Files, diags *source.Diags, more ...ast.Decl) *ast.Program {
	p := parse.File(f, defs, diags)
	if p == nil || diags.HasErrors() {
		return p
	}
	p.Decls = append(p.Decls, more...)
	return withLibrary(withProviders(imports(p, defs, dirs, files, diags), defs), defs)
}

// Expand reads the C section of p and expands the calls of macros. It returns the tree
// without these calls, and the declarations of the C section.
func Expand(p *ast.Program, k probes.Kernel, defs *builtins.Registry, inv *builtins.Invocation, diags *source.Diags) (*ast.Program, *cdecl.Decls) {
	var release probes.Version
	if k != nil {
		release = k.Release()
	}
	decls := cdecl.Parse(p.C, cdecl.Includes{
		Kernel: k, Dirs: inv.IncludeDirs, Files: inv.IncludeFiles, Reader: inv.Files,
		Release: [3]int{release.Major, release.Minor, release.Patch},
		Defines: map[string]string{"BPFTRACE_HAVE_BTF": "1"},
	}, diags)
	return macro.Expand(p, decls, defs, diags), decls
}

// Configure returns the settings of a script. They come from the defaults, its
// config block and the environment, in order of increasing precedence. getenv
// may be nil.
func Configure(p *ast.Program, getenv func(string) (string, bool), diags *source.Diags) *config.Config {
	cfg := config.Default()
	if p.Config != nil {
		for _, it := range p.Config.Items {
			report(it.Span(), cfg.Set(it.Key.Text, settingOf(it.Value)), diags)
		}
	}
	if getenv != nil {
		for _, problem := range cfg.FromEnv(getenv) {
			report(source.Span{}, &problem, diags)
		}
	}
	return cfg
}

func settingOf(e ast.Expr) config.Value {
	switch e := e.(type) {
	case *ast.IntLit:
		return config.Value{Text: e.Text, Int: e.Value, IsInt: true}
	case *ast.BoolLit:
		v := config.Value{Text: "false", IsBool: true, Bool: e.Value}
		if e.Value {
			v.Text = "true"
		}
		return v
	case *ast.StrLit:
		return config.Value{Text: e.Value}
	case *ast.Ident:
		return config.Value{Text: e.Name}
	}
	return config.Value{}
}

func report(at source.Span, p *config.Problem, diags *source.Diags) {
	if p == nil {
		return
	}
	d := source.Diag{Span: at, Msg: p.Msg, Hint: p.Hint}
	if p.Warning {
		d.Severity = source.Warning
	}
	diags.Add(d)
}
