// Package lang is the front end of the compiler: it turns source text into a
// checked script.
package lang

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/macro"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// Options say how a script is compiled.
type Options struct {
	Env        *probes.Env
	Defs       *builtins.Registry
	Invocation *builtins.Invocation
	// Getenv looks up environment variables, which take precedence over the
	// script's config block. If it is nil, none are set.
	Getenv func(string) (string, bool)
}

// Load parses f and its imports, and checks them. It adds errors and warnings
// to diags, and returns nil if there are errors.
func Load(f *source.File, o Options, diags *source.Diags) *check.Program {
	p := Parse(f, o.Defs, o.Invocation.IncludeDirs, o.Invocation.Files, diags)
	if diags.HasErrors() {
		return nil
	}
	cfg := Configure(p, o.Getenv, diags)
	if diags.HasErrors() {
		return nil // the errors that follow from a wrong setting do not help
	}
	p, decls := Expand(p, o, diags)
	return check.Check(p, decls, o.Env, o.Defs, cfg, o.Invocation, diags)
}

// Parse parses f, its imports and the macros of the standard library that it
// uses, into one tree. It looks for an import in the importing file's
// directory, then in dirs. If Parse adds an error to diags, the tree is nil or
// incomplete.
func Parse(f *source.File, defs *builtins.Registry, dirs []string, files *source.Files, diags *source.Diags) *ast.Program {
	p := parse.File(f, defs.IsVariable, diags)
	if p == nil || diags.HasErrors() {
		return p
	}
	return withLibrary(imports(p, defs, dirs, files, diags), defs)
}

// Expand reads the C section of p and replaces the calls of macros. It returns
// the tree without them, and the declarations of the C section.
func Expand(p *ast.Program, o Options, diags *source.Diags) (*ast.Program, *cdecl.Decls) {
	var release probes.Version
	if o.Env.Kernel != nil {
		release = o.Env.Kernel.Release()
	}
	decls := cdecl.Parse(p.C, cdecl.Includes{
		Kernel: o.Env.Kernel, Dirs: o.Invocation.IncludeDirs, Files: o.Invocation.IncludeFiles, Reader: o.Invocation.Files,
		Release: [2]int{release.Major, release.Minor},
		Defines: map[string]string{"BPFTRACE_HAVE_BTF": "1"},
	}, diags)
	return macro.Expand(p, decls, o.Defs, diags), decls
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
