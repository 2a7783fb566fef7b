package parse

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// items parses a file into out. It checks the order of the sections: C, then config and
// imports, then the rest.
func (m *machine) items(out *ast.Program) {
	if t := m.peek(); t.Type == tShebang {
		out.Shebang = m.next().Value
	}
	for {
		switch t := m.peek(); t.Type {
		case tEOF:
			return
		case tCItem:
			m.next()
			m.definition(out, t)
		case tKeyword:
			nodes := m.declarations(t)
			if len(nodes) == 0 {
				m.fail(t, "expected "+anItem)
			}
			for _, n := range nodes {
				m.declaration(out, n)
			}
		case tAttach:
			out.Decls = append(out.Decls, m.probe())
		default:
			m.fail(t, "expected "+anItem)
		}
	}
}

// definition adds the C definition t to out.
func (p *parser) definition(out *ast.Program, t token) {
	n := &ast.CItem{At: ast.At{Pos: p.span(t)}, Text: t.Value}
	if out.Config != nil || len(out.Imports) > 0 || len(out.Decls) > 0 {
		p.errorHint(n.Pos, notDirective(n.Text), "C definitions must come before everything else")
	}
	out.C = append(out.C, n)
}

// declaration adds a declaration that starts with a keyword to out.
func (p *parser) declaration(out *ast.Program, d itemNode) {
	switch d := d.(type) {
	case *config:
		n := p.config(d)
		word := p.span(d.Tokens[0])
		if out.Config != nil {
			p.errorf(word, "duplicate config block")
		} else if len(out.Decls) > 0 {
			p.errorf(word, "config must appear before probes and functions")
		}
		out.Config = n
	case *importDecl:
		n := &ast.Import{At: p.extent(d.Tokens[:2]), Path: p.unquote(d.Tokens[1])}
		if len(out.Decls) > 0 {
			p.errorf(p.span(d.Tokens[0]), "root imports must appear before probes and functions")
		}
		out.Imports = append(out.Imports, n)
	case *mapDecl:
		out.Decls = append(out.Decls, &ast.MapDecl{
			At: p.extent(d.Tokens), Map: d.Map.(*ast.Map), Type: p.name(d.Type), N: d.N,
		})
	case *macro:
		out.Decls = append(out.Decls, p.macro(d))
	case *function:
		n := &ast.Func{
			At: p.extent(d.Tokens), Name: p.name(d.Name), Result: d.Result.(*ast.Type), Body: d.Body.(*ast.Block),
		}
		for _, a := range d.Params {
			n.Params = append(n.Params, &ast.Param{
				At: p.extent(a.Tokens), Var: a.Var.(*ast.Var), Type: a.Type.(*ast.Type),
			})
		}
		out.Decls = append(out.Decls, n)
	case *event:
		out.Decls = append(out.Decls, p.event(d))
	}
}

func (p *parser) macro(in *macro) *ast.Macro {
	n := &ast.Macro{At: p.extent(in.Tokens), Name: p.name(in.Name), Body: in.Body.(*ast.Block)}
	if in.Member != nil {
		n.Name.Text += "." + in.Member.Text
		n.Name.Pos = n.Name.Pos.To(p.name(in.Member).Pos)
		if len(in.Params) == 0 {
			p.errorf(n.Name.Pos, "a member of a record needs the record as its first parameter: macro %s(x)", n.Name.Text)
		}
	}
	for _, r := range in.Result {
		n.Result = append(n.Result, p.name(r))
	}
	for _, a := range in.Params {
		n.Params = append(n.Params, a)
	}
	return n
}

func (p *parser) config(in *config) *ast.Config {
	n := &ast.Config{At: p.extent(in.Tokens)}
	for i, s := range in.Items {
		if i > 0 && !in.Items[i-1].Ended {
			p.errors = append(p.errors, *p.diag(s.Tokens[0], "", "expected ';' or '}'"))
		}
		key := p.name(s.Key)
		n.Items = append(n.Items, &ast.ConfigItem{
			At: ast.At{Pos: key.Pos.To(s.Value.Span())}, Key: key, Value: s.Value,
		})
	}
	return n
}

//go:noinline
func (p *parser) name(n *name) ast.Name { return ast.Name{At: p.extent(n.Tokens), Text: n.Text} }

// extent returns the extent from the first token to the end of the last.
//
//go:noinline
func (p *parser) extent(tokens []token) ast.At {
	last := tokens[len(tokens)-1]
	return ast.At{Pos: span{File: p.file, Start: tokens[0].Pos.Offset, End: end(last)}}
}

// notDirective returns a hint for a line that begins with # but not with one of the
// preprocessor's directives, or "".
func notDirective(text string) string {
	line, hash := strings.CutPrefix(text, "#")
	word := strings.Fields(line + " .")[0]
	switch {
	case !hash:
		return ""
	case slices.Contains(strings.Fields("define undef include include_next if ifdef ifndef elif else endif error warning pragma line ident"), word):
		return ""
	}
	return "comments start with //"
}
