package parse

import (
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// event builds the declaration of an event.
func (p *parser) event(in *event) *ast.Event {
	n := &ast.Event{At: p.extent(in.Tokens), Name: ast.Name{At: p.extent(in.Name.Tokens), Text: in.Name.Text}}
	n.Doc = p.docAbove(n.Pos.Start)
	if _, name, ok := strings.Cut(in.Name.Text, ":"); !ok || !plainName(in.Name.Text) || strings.Contains(name, ":") {
		p.errorf(n.Name.Pos, "the name of an event is PROVIDER:NAME")
	}
	for _, i := range in.Items {
		if i.Arg != nil {
			a := p.eventArg(i.Arg)
			if a.Once {
				p.errorf(a.Pos, "let is for a value of a place: at ATTACHPOINT { let %s = …; }", a.Name.Text)
			}
			if a.Type == nil {
				p.errorf(a.Name.Pos, "an argument of an event needs a type: %s : int64 = …;", a.Name.Text)
			}
			n.Args = append(n.Args, a)
			continue
		}
		pl := &ast.Place{
			At: p.extent(i.Place.Tokens), Else: i.Place.Else != "",
			Entry: p.points(i.Place.Entry), Saved: p.eventArgs(i.Place.Saved),
			Points: p.points(i.Place.Points), Args: p.eventArgs(i.Place.Args),
		}
		if i.Place.Pred != nil {
			pl.Pred = i.Place.Pred
		}
		if i.Place.When != nil {
			pl.When = i.Place.When
		}
		if pl.Else && len(n.Places) == 0 {
			p.errorf(pl.Pos, "there is no place before this one that it could replace")
		}
		n.Places = append(n.Places, pl)
	}
	if len(n.Places) == 0 {
		p.errorf(n.Name.Pos, "an event needs a place: at ATTACHPOINT;")
	}
	p.uniqueArgs(n.Args)
	for _, pl := range n.Places {
		p.uniqueArgs(append(append([]*ast.EventArg(nil), pl.Saved...), pl.Args...))
	}
	return n
}

// plainName reports whether s has only letters, digits, underscores and colons.
func plainName(s string) bool {
	for i := range len(s) {
		if !isIdent(s[i]) && s[i] != ':' {
			return false
		}
	}
	return s[0] != ':' && s[len(s)-1] != ':'
}

func (p *parser) eventArgs(in []*eventArg) []*ast.EventArg {
	var list []*ast.EventArg
	for _, a := range in {
		n := p.eventArg(a)
		if n.Value == nil {
			p.errorf(n.Name.Pos, "an argument of a place needs a value: %s = …;", n.Name.Text)
		}
		list = append(list, n)
	}
	return list
}

func (p *parser) eventArg(in *eventArg) *ast.EventArg {
	n := &ast.EventArg{At: p.extent(in.Tokens), Once: in.Once != "", Name: p.name(in.Name)}
	if in.Type != nil {
		n.Type = in.Type.(*ast.Type)
	}
	if in.Value != nil {
		n.Value = in.Value
	}
	n.Doc = p.docAbove(n.Pos.Start)
	return n
}

// uniqueArgs reports arguments with the name of an earlier one.
func (p *parser) uniqueArgs(args []*ast.EventArg) {
	seen := map[string]bool{}
	for _, a := range args {
		if seen[a.Name.Text] {
			p.errorf(a.Name.Pos, "there are two arguments with the name %s", a.Name.Text)
		}
		seen[a.Name.Text] = true
	}
}

// docAbove returns the text of the // comment that ends on the line above an offset.
func (p *parser) docAbove(start int) string { return ast.DocAbove(p.file, p.scanner.comments, start) }

func (p *parser) points(in []*point) []*ast.AttachPoint {
	var list []*ast.AttachPoint
	for _, a := range in {
		list = append(list, attachPoint(p.extent(a.Tokens), a.Text))
	}
	return list
}
