package codegen

import (
	"regexp"
	"slices"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// untilFile is the file name for the condition of --until in messages.
const untilFile = "--until"

// startsPoint matches the beginning of attach points. No expression begins like that.
var startsPoint = regexp.MustCompile(`^\s*[A-Za-z_*][\w*]*:`)

// parseUntil parses --until. It returns the declarations to add to the script: for an
// attach point, a probe that stops the recording. For a condition, it is a probe whose
// predicate is the condition, so that macros are expanded in it. addUntil replaces this
// probe.
func (c *compilation) parseUntil() []ast.Decl {
	text := c.req.Invocation.Until
	if text == "" {
		return nil
	}
	stop := c.req.Defs.Stop().Name
	if startsPoint.MatchString(text) {
		f := source.NewFile(untilFile, text+"\n{ "+stop+"(); }")
		p := parse.File(f, c.req.Defs, c.diags)
		switch {
		case p == nil || c.diags.HasErrors():
			return nil
		case len(p.Decls) != 1:
			c.diags.Errorf(p.Decls[0].Span(), "--until takes a condition, or attach points with one predicate, without a block")
			return nil
		}
		return p.Decls
	}
	cond := parse.Condition(source.NewFile(untilFile, text), c.req.Defs, c.diags)
	if c.diags.HasErrors() {
		return nil
	}
	kinds := probes.Kinds()
	first := kinds[slices.IndexFunc(kinds, func(k *probes.Kind) bool { return k.Runs == probes.AtBegin })]
	at := ast.At{Pos: cond.Span()}
	call := &ast.Call{At: at, Fn: ast.Name{At: at, Text: "__builtin_" + stop}}
	c.until = &ast.Probe{
		At: at, Pred: cond, Points: []*ast.AttachPoint{{At: at, Text: first.Name, Parts: []string{first.Name}}},
		Body: &ast.Block{At: at, Stmts: []ast.Stmt{&ast.ExprStmt{At: at, X: call}}},
	}
	return []ast.Decl{c.until}
}

// addUntil makes all probes test the condition of --until where they end: at the end of the
// body, and before each return in it.
func (c *compilation) addUntil() error {
	if c.until == nil || c.tree == nil {
		return nil
	}
	u := c.until
	c.tree.Decls = slices.DeleteFunc(c.tree.Decls, func(d ast.Decl) bool {
		p, ok := d.(*ast.Probe)
		if !ok || p.Span() != c.until.Span() { // p may be a copy
			return false
		}
		u = p
		return true
	})
	test := func() ast.Stmt {
		return &ast.ExprStmt{At: u.At, X: &ast.If{At: u.At, Cond: ast.Clone(u.Pred), Then: ast.Clone(u.Body)}}
	}
	same := func(e ast.Expr) ast.Expr { return e }
	outside := ast.Rewriter{Expr: same, Stmt: returnOutside}
	r := ast.Rewriter{
		Expr: same,
		Stmt: func(s ast.Stmt) ast.Stmt {
			j, ok := s.(*ast.Jump)
			if !ok || j.Kind != ast.Return {
				return s
			}
			return &ast.ExprStmt{At: j.At, X: &ast.Block{At: j.At, Stmts: []ast.Stmt{test(), j}}}
		},
	}
	for _, d := range c.tree.Decls {
		p, ok := d.(*ast.Probe)
		if !ok || p.Of != nil && p.Of.Entry || !slices.ContainsFunc(p.Points, tested) {
			continue
		}
		outside.Block(p.Body)
		r.Block(p.Body)
		p.Body.Stmts = append(p.Body.Stmts, test())
	}
	return nil
}

// returnOutside moves the returns in a loop after it, as some builtins, such as args, cannot
// be used in the body of a for loop. Returns with a value stay.
func returnOutside(s ast.Stmt) ast.Stmt {
	var body *ast.Block
	switch s := s.(type) {
	case *ast.For:
		body = s.Body
	case *ast.While:
		body = s.Body
	default:
		return s
	}
	at := ast.At{Pos: s.Span()}
	returned := func() *ast.Var { return &ast.Var{At: at, Name: ast.OwnName("$returned", -1)} }
	assign := func(n uint64) ast.Stmt {
		return &ast.Assign{At: at, Target: returned(), Value: &ast.IntLit{At: at, Value: n}}
	}
	var found *ast.Jump
	r := ast.Rewriter{
		Expr: func(e ast.Expr) ast.Expr { return e },
		Stmt: func(s ast.Stmt) ast.Stmt {
			j, ok := s.(*ast.Jump)
			if !ok || j.Kind != ast.Return || j.Value != nil {
				return s
			}
			found = j
			return &ast.ExprStmt{At: j.At, X: &ast.Block{At: j.At, Stmts: []ast.Stmt{assign(1), &ast.Jump{At: j.At, Kind: ast.Break}}}}
		},
	}
	r.Block(body)
	if found == nil {
		return s
	}
	leave := &ast.If{At: at, Cond: returned(), Then: &ast.Block{At: at, Stmts: []ast.Stmt{found}}}
	return &ast.ExprStmt{At: at, X: &ast.Block{At: at, Stmts: []ast.Stmt{assign(0), s, &ast.ExprStmt{At: at, X: leave}}}}
}

// tested reports whether the condition of --until is tested where the block of an attach
// point ends: not in end probes, before which the recording has ended.
func tested(ap *ast.AttachPoint) bool {
	return !slices.ContainsFunc(probes.Matching(ap.Parts[0]), func(k *probes.Kind) bool { return k.Runs == probes.AtEnd })
}
