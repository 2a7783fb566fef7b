// Package lang is the front half of the compiler as one call: source text in,
// a checked script out.
package lang

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// Options say what a script is compiled for.
type Options struct {
	Env     *probes.Env
	Defs    *builtins.Registry
	Session *builtins.Session
	// Getenv looks up environment variables, which win over the script's
	// config block; nil: none are set.
	Getenv func(string) (string, bool)
}

// Load parses f and what it imports, and checks it. It returns nil if there
// are errors; diags has them, and the warnings.
func Load(f *source.File, o Options, diags *source.Diags) *check.Program {
	p := parse.File(f, diags)
	if p == nil || diags.HasErrors() {
		return nil
	}
	cfg := configure(p, o, diags)
	p = imports(p, o, diags)
	if diags.HasErrors() {
		// What follows from a wrong setting or a missing import is no news.
		return nil
	}
	return check.Check(p, o.Env, o.Defs, cfg, o.Session, diags)
}

// configure works out the settings: the defaults, the config block, the
// environment.
func configure(p *ast.Program, o Options, diags *source.Diags) *config.Config {
	cfg := config.Default()
	if p.Config != nil {
		for _, it := range p.Config.Items {
			report(it.Span(), cfg.Set(it.Key.Text, settingOf(it.Value)), diags)
		}
	}
	if o.Getenv != nil {
		for _, problem := range cfg.FromEnv(o.Getenv) {
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
