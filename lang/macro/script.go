package macro

import (
	"bytes"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
)

// macro is a macro definition.
type macro struct {
	decl *ast.Macro
	own  map[string]bool // variables that it assigns: each expansion has its own
	arg  bool            // it is an argument of an event
}

// script holds the macros of one script.
type script struct {
	defs   *builtins.Registry
	diags  *source.Diags
	macros map[string][]*macro
	wrong  map[string]bool // names of macros with an error in their parameters
	count  int             // number of macro calls so far
}

// collect adds the macros by name. Several definitions with the same name differ in the
// number or the kinds of their parameters.
func (c *script) collect(decls []ast.Decl) {
	macros := c.macros
	for _, d := range decls {
		d, ok := d.(*ast.Macro)
		if !ok {
			continue
		}
		if !c.macroParams(d) {
			c.wrong[d.Name.Text] = true
			continue
		}
		taken := false
		for _, m := range macros[d.Name.Text] {
			if signature(m.decl) == signature(d) {
				c.diags.Add(source.Diag{Span: heading(d), Msg: "Redefinition of macro: " + d.Name.Text,
					Notes: [2]source.Note{{Span: heading(m.decl), Msg: "This is the original definition."}}})
				taken = true
			}
		}
		if taken {
			continue
		}
		m := &macro{decl: d, own: map[string]bool{}}
		c.inspectMacro(m)
		macros[d.Name.Text] = append(macros[d.Name.Text], m)
	}
}

// anyArg is the kind of an argument that a parameter without a sigil takes.
const anyArg = "an expression"

// argKind returns a description of the arguments that a parameter takes, or of an
// argument.
func argKind(e ast.Expr) string {
	switch e.(type) {
	case *ast.Var:
		return "a variable"
	case *ast.Map:
		return "a map"
	}
	return anyArg
}

// heading returns the extent of the word macro and the name of the macro.
func heading(d *ast.Macro) source.Span {
	s := d.Span()
	s.End = d.Name.Span().End
	return s
}

func (c *script) macroParams(d *ast.Macro) bool {
	seen := map[string]bool{}
	for _, p := range d.Params {
		name := paramName(p)
		if seen[name] {
			kind := "Ident"
			switch p.(type) {
			case *ast.Var:
				kind = "Variable"
			case *ast.Map:
				kind = "Map"
			}
			c.diags.Errorf(p.Span(), "%s for macro argument has already been used: %s", kind, name)
			return false
		}
		seen[name] = true
		if n, ok := p.(*ast.Ident); ok {
			if def := c.defs.Lookup(n.Name); def != nil && def.Kind == builtins.Variable {
				c.diags.Errorf(p.Span(), "syntax: builtin '%s' can't be used as a macro argument", n.Name)
				return false
			}
		}
	}
	return true
}

// paramName returns a parameter as written: $v, @m or ident.
//
//go:noinline
func paramName(p ast.Expr) string {
	switch p := p.(type) {
	case *ast.Var:
		return "$" + p.Name
	case *ast.Map:
		return "@" + p.Name
	case *ast.Ident:
		return p.Name
	}
	return ""
}

// signature returns a string that distinguishes the definition from others with the
// same name: one letter for each parameter.
func signature(d *ast.Macro) string {
	var b bytes.Buffer
	for _, p := range d.Params {
		switch p.(type) {
		case *ast.Var:
			b.WriteByte('$')
		case *ast.Map:
			b.WriteByte('@')
		default:
			b.WriteByte('x')
		}
	}
	return b.String()
}

// inspectMacro finds the variables that a macro assigns. It reports code that a macro
// must not contain.
func (c *script) inspectMacro(m *macro) {
	params := map[string]bool{}
	for _, p := range m.decl.Params {
		params[paramName(p)] = true
	}
	own := func(v *ast.Var) {
		if v != nil && !params["$"+v.Name] {
			m.own[v.Name] = true
		}
	}
	looped := map[*ast.Jump]bool{}
	loops := func(body *ast.Block) {
		ast.Walk(body, func(n ast.Node) {
			if j, ok := n.(*ast.Jump); ok {
				looped[j] = true
			}
		})
	}
	ast.Walk(m.decl.Body, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Let:
			own(n.Var)
		case *ast.For:
			own(n.Var)
			loops(n.Body)
		case *ast.While:
			loops(n.Body)
		case *ast.Assign:
			if v, ok := n.Target.(*ast.Var); ok && n.Op == "" {
				own(v)
			}
		case *ast.Jump:
			switch {
			case n.Kind == ast.Return:
				c.diags.Errorf(n.Span(), "'return' statement is not allowed in a macro")
			case looped[n]:
			case n.Kind == ast.Break:
				c.diags.Errorf(n.Span(), "'break' statement is not allowed in a macro")
			default:
				c.diags.Errorf(n.Span(), "'continue' statement is not allowed in a macro")
			}
		case *ast.Map:
			if !m.arg && !params["@"+n.Name] {
				c.diags.Errorf(n.Span(), "Unhygienic access to map: @%s. Maps must be passed into the macro as arguments.", n.Name)
			}
		}
	})
}
