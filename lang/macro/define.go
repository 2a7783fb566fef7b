package macro

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
)

// definer replaces names that #define defines. It keeps names of integers and strings,
// as the checker knows their values. All others are an expression or a type, which
// definer parses at each use.
type definer struct {
	c     *cdecl.Decls
	defs  *builtins.Registry
	diags *source.Diags
	hides map[string]bool // parameters of the script macro being expanded
}

// decl returns a clone of d in which the macros of the C section are replaced.
func (f *definer) decl(d ast.Decl) ast.Decl {
	d = ast.Clone(d)
	if len(f.c.ConstNames()) == 0 && !f.c.HasFunctionMacros() {
		return d
	}
	f.hides = map[string]bool{}
	walk := ast.Rewriter{Expr: f.expr, Type: f.typ}
	switch d := d.(type) {
	case *ast.Probe:
		d.Pred = walk.Any(d.Pred)
		walk.Block(d.Body)
	case *ast.Func:
		walk.Block(d.Body)
	case *ast.Macro:
		if d.Library { // the script's names are not visible in the library
			return d
		}
		for _, p := range d.Params {
			f.hides[paramName(p)] = true
		}
		walk.Block(d.Body)
	case *ast.Event:
		if d.Library {
			return d
		}
		walk.Event(d)
	}
	return d
}

func (f *definer) expr(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.Ident:
		if f.stands(e.Name) {
			return f.replace(e, e.Name)
		}
	case *ast.Call:
		if f.c.IsFunctionMacro(e.Fn.Text) || f.stands(e.Fn.Text) {
			if d := f.defs.Lookup(e.Fn.Text); d == nil {
				return f.replace(e, e.Fn.Text)
			}
		}
	}
	return e
}

// stands reports whether name is a macro without parameters that is not a constant. A
// builtin takes precedence over a macro with the same name.
func (f *definer) stands(name string) bool {
	if f.hides[name] || !f.c.IsObjectMacro(name) || f.defs.Lookup(name) != nil {
		return false
	}
	_, constant := f.c.Const(name)
	return !constant
}

// replace parses the expansion of e, a use of the macro name. The arguments of a call
// are used as written.
func (f *definer) replace(e ast.Expr, name string) ast.Expr {
	text := e.Span().Text()
	if _, ok := e.(*ast.Ident); ok {
		text = name
	}
	expanded := f.c.Expand(text)
	if expanded == name {
		return e // it expands to itself
	}
	if expanded == "" {
		f.diags.Errorf(e.Span(), "The macro %s expands to nothing", name)
		return bad(e)
	}
	out, err := parse.Expr(expanded, e.Span(), f.defs)
	if err != nil {
		f.diags.ErrorHint(e.Span(), err.Error(), "unable to expand macro as an expression: %s", expanded)
		return bad(e)
	}
	return out
}

// typ replaces macros in a written type.
func (f *definer) typ(t *ast.Type) {
	if t.Keyword != "" || t.Name == "" || !f.stands(t.Name) || f.c.Type(t.Name) != nil {
		return
	}
	text := f.c.Expand(t.Name)
	base, err := parse.Type(text, t.Span(), f.defs)
	if err != nil {
		if x, err := parse.Expr(text, t.Span(), f.defs); err == nil { // sizeof(NAME) of a value
			t.Name, t.Typeof = "", x
		}
		return
	}
	base.Suffixes = append(base.Suffixes, t.Suffixes...)
	*t = *base
}
