package ast

import "strings"

func (p *printer) event(d *Event) {
	p.write("probe ", d.Name.Text)
	p.trailing(d.Name.Pos.End)
	p.newline()
	var items []Node
	for _, a := range d.Args {
		items = append(items, a)
	}
	for _, pl := range d.Places {
		items = append(items, pl)
	}
	sortBySpan(items)
	p.items(items, d.Pos.End)
}

// items writes the parts of an event or a place in braces, each on its own line. end is
// the end of the whole in the source.
func (p *printer) items(list []Node, end int) {
	p.write("{")
	p.newline()
	p.indent++
	for i, n := range list {
		p.before(n, i == 0)
		switch n := n.(type) {
		case *EventArg:
			p.eventArg(n)
		case *Place:
			p.place(n)
		}
		p.after(n.Span().End)
	}
	p.flush(end, len(list) == 0)
	p.indent--
	p.write("}")
}

func (p *printer) eventArg(a *EventArg) {
	if a.Once {
		p.write("let ")
	}
	p.write(a.Name.Text)
	p.typeAndValue(a.Type, a.Value)
	p.write(";")
}

// typeAndValue prints the type and the value of a declaration. Each may be nil.
func (p *printer) typeAndValue(t *Type, value Expr) {
	if t != nil {
		p.write(" : ")
		p.typ(t)
	}
	if value != nil {
		p.write(" = ")
		p.wrapped(value, 1)
	}
}

func (p *printer) place(n *Place) {
	if n.Else {
		p.write("else ")
	}
	if len(n.Entry) > 0 {
		p.write("from ", pointList(n.Entry))
		p.predicate(n.When)
		p.write(" ")
		p.placeArgs(n.Saved, n.Points[0].Pos.Start)
		p.newline()
	}
	p.write("at ", pointList(n.Points))
	p.predicate(n.Pred)
	if len(n.Args) == 0 {
		p.write(";")
		return
	}
	p.write(" ")
	p.placeArgs(n.Args, n.Pos.End)
}

// predicate writes a predicate, which may be nil.
func (p *printer) predicate(e Expr) {
	if e != nil {
		p.write(" /")
		p.wrapped(e, 1)
		p.write("/")
	}
}

// placeArgs writes the arguments of a place: on the same line if they were on one line
// and fit. end is the end of the place, or of its entry, in the source.
func (p *printer) placeArgs(args []*EventArg, end int) {
	all := args[0].Pos.To(args[len(args)-1].Pos)
	text := p.flat(func(q *printer) {
		for _, a := range args {
			q.eventArg(a)
			q.write(" ")
		}
	})
	if strings.Contains(all.Text(), "\n") || p.hasComments(end) || !p.fits(text, len("{ }")) {
		p.items(argNodes(args), end)
		return
	}
	p.write("{ ", text, "}")
}

func argNodes(args []*EventArg) []Node {
	var list []Node
	for _, a := range args {
		list = append(list, a)
	}
	return list
}

func pointList(points []*AttachPoint) string {
	var list []string
	for _, a := range points {
		list = append(list, a.Text)
	}
	return strings.Join(list, ", ")
}
