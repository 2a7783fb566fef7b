// Package macro expands the macros of a script: first those of #define, then those of
// the language. The standard library consists of the latter.
//
// The package works on clones, so the parsed tree stays unchanged. The nodes of an
// expansion refer to the call (ast.From), so that an error in them can show both
// positions.
package macro

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/source"
)

// Expand returns p with all macro calls in its probes and functions replaced.
// The definitions stay in the tree, for lists of known names. c is the C
// section of p.
func Expand(p *ast.Program, c *cdecl.Decls, defs *builtins.Registry, diags *source.Diags) *ast.Program {
	out := *p
	out.Decls = make([]ast.Decl, len(p.Decls))
	defines := &definer{c: c, defs: defs, diags: diags}
	for i, d := range p.Decls {
		out.Decls[i] = defines.decl(d)
	}
	adopt(p.Decls, out.Decls)
	s := &script{defs: defs, diags: diags, macros: map[string][]*macro{}, wrong: map[string]bool{}}
	s.collect(out.Decls)
	var done []ast.Decl
	for _, d := range out.Decls {
		x := s.newExpander()
		switch d := d.(type) {
		case *ast.Probe:
			if d.Of != nil {
				done = append(done, s.eventProbes(d)...)
				continue
			}
			d.Pred = x.walk.Any(d.Pred)
			x = s.newExpander()
			x.walk.Block(d.Body)
		case *ast.Func:
			x.walk.Block(d.Body)
		}
		done = append(done, d)
	}
	out.Decls = mergePlaces(done)
	return &out
}

// adopt makes probes of events refer to the clones of the events.
func adopt(old, clones []ast.Decl) {
	events := map[*ast.Event]*ast.Event{}
	for i, d := range old {
		if d, ok := d.(*ast.Event); ok {
			events[d] = clones[i].(*ast.Event)
		}
	}
	for _, d := range clones {
		if d, ok := d.(*ast.Probe); ok && d.Of != nil {
			of := *d.Of
			of.Event = events[of.Event]
			of.Place = of.Event.Places[d.Of.Index]
			d.Of = &of
		}
	}
}

// isElement reports whether e is @m or @m[key].
func isElement(e ast.Expr) bool {
	if i, ok := e.(*ast.Index); ok {
		e = i.X
	}
	_, ok := e.(*ast.Map)
	return ok
}
