package ast

import (
	"bytes"
	"io"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Fprint writes n as canonical source text. For a whole Program it keeps the
// comments, single blank lines, and blocks that are written on one line.
// Printing the parsed output again does not change it.
func Fprint(w io.Writer, n Node) error {
	_, err := io.WriteString(w, String(n))
	return err
}

// String returns the output of Fprint for n.
func String(n Node) string {
	p := &printer{}
	if isNil(n) {
		return ""
	}
	p.node(n)
	return p.out.String()
}

// printer writes a tree. Comments are not part of the tree, so the printer tracks the
// position in the source while it walks the tree. It writes each comment at the next possible
// place: between statements, declarations or parts of a probe's head.
type printer struct {
	out      bytes.Buffer
	indent   int
	bol      bool // at the beginning of a line, before its indentation
	comments []Comment
	src      string // the source of a Program, otherwise ""
	macro    *Macro // the macro with the body being written, or nil
	noWrap   bool   // all on one line
}

// write writes parts. At the beginning of a line it indents first; it does not
// indent after newlines within the text.
func (p *printer) write(parts ...string) {
	for _, s := range parts {
		if p.bol && s != "" {
			p.bol = false
			for range p.indent {
				p.out.WriteString("  ")
			}
		}
		p.out.WriteString(s)
	}
}

//go:noinline
func (p *printer) newline() {
	p.out.WriteByte('\n')
	p.bol = true
}

func (p *printer) node(n Node) {
	switch n := n.(type) {
	case *Program:
		p.program(n)
	case *Config:
		p.config(n)
	case *CItem:
		p.write(n.Text)
	case Comment:
		p.write(n.Text)
	case Name:
		p.write(n.Text)
	case *ConfigItem:
		p.write(n.Key.Text, " = ")
		p.expr(n.Value)
	case *Import:
		p.write("import ", source.Quote(n.Path), ";")
	case *AttachPoint:
		p.write(n.Text)
	case *Param:
		p.write("$", n.Var.Name, " : ")
		p.typ(n.Type)
	case *Type:
		p.typ(n)
	case Decl:
		p.decl(n)
	case Stmt:
		p.stmt(n)
	case Expr:
		p.expr(n)
	}
}

func (p *printer) program(n *Program) {
	if n.File != nil {
		p.src, p.comments = n.File.Text, n.Comments
	}
	if n.Shebang != "" {
		p.write(n.Shebang)
		p.newline()
	}
	first := n.Shebang == ""
	for _, i := range n.items() {
		p.before(i, first)
		p.node(i)
		p.after(i.Span().End)
		first = false
	}
	p.flush(len(p.src), first)
}

// before writes the comments before an item that has a line of its own, and the
// blank line before it unless the item is the first.
func (p *printer) before(n Node, first bool) {
	start := n.Span().Start
	first = p.flush(start, first)
	if !first && p.blankBefore(start) {
		p.newline()
	}
}

// flush writes the comments before an offset, each on its own line. It reports
// whether the next item is still the first of its list.
func (p *printer) flush(offset int, first bool) bool {
	for len(p.comments) > 0 && p.comments[0].Pos.Start < offset {
		c := p.comments[0]
		p.comments = p.comments[1:]
		if !first && p.blankBefore(c.Pos.Start) {
			p.newline()
		}
		p.write(c.Text)
		p.newline()
		first = false
	}
	return first
}

// blankBefore reports whether there is a blank line immediately before an offset.
func (p *printer) blankBefore(offset int) bool {
	lines := 0
	for i := min(offset, len(p.src)) - 1; i >= 0; i-- {
		switch p.src[i] {
		case '\n':
			if lines++; lines == 2 {
				return true
			}
		case ' ', '\t', '\r', '\f', '\v':
		default:
			return false
		}
	}
	return false
}

// after ends the line of an item that ends at the given offset of the source. It first
// writes the comments within the item, and the comments after it on the same line.
func (p *printer) after(end int) {
	p.trailing(end)
	p.newline()
}

func (p *printer) trailing(end int) {
	for len(p.comments) > 0 {
		c := p.comments[0]
		if c.Pos.Start >= end && !p.sameLine(end, c.Pos.Start) {
			return
		}
		p.comments = p.comments[1:]
		p.write(" ", c.Text)
		end = max(end, c.Pos.End)
		// After a // comment or a comment of several lines a new line starts.
		if strings.HasPrefix(c.Text, "//") || strings.Contains(c.Text, "\n") {
			for len(p.comments) > 0 && p.comments[0].Pos.Start < end {
				p.newline()
				p.write(p.comments[0].Text)
				p.comments = p.comments[1:]
			}
			return
		}
	}
}

// sameLine reports whether there are only separators between two offsets.
func (p *printer) sameLine(from, to int) bool {
	for _, c := range []byte(p.src[min(from, len(p.src)):min(to, len(p.src))]) {
		if c != ' ' && c != '\t' && c != ';' && c != ',' {
			return false
		}
	}
	return true
}

// hasComments reports whether there are unwritten comments before an offset.
func (p *printer) hasComments(before int) bool {
	return len(p.comments) > 0 && p.comments[0].Pos.Start < before
}

// oneLine reports whether n can be printed on one line by write: it is on one line in
// the source, has no comments and is not too long.
func (p *printer) oneLine(n Node, write func(q *printer)) bool {
	s := n.Span()
	if !s.IsValid() || strings.Contains(s.Text(), "\n") || p.hasComments(s.End) {
		return false
	}
	return !p.wraps() || p.fits(p.flat(write), 0)
}

func (p *printer) config(n *Config) {
	p.write("config = {")
	if len(n.Items) == 0 && !p.hasComments(n.Pos.End) {
		p.write("}")
		return
	}
	p.newline()
	p.indent++
	for i, item := range n.Items {
		p.before(item, i == 0)
		p.node(item)
		p.write(";")
		p.after(item.Pos.End)
	}
	p.flush(n.Pos.End, len(n.Items) == 0)
	p.indent--
	p.write("}")
}

func (p *printer) decl(d Decl) {
	switch d := d.(type) {
	case *Probe:
		p.probe(d)
	case *Event:
		p.event(d)
	case *MapDecl:
		p.write("let @", d.Map.Name, " = ", d.Type.Text, "(")
		p.expr(d.N)
		p.write(");")
	case *Macro:
		one := p.oneLine(d, func(q *printer) { q.decl(d) })
		p.write("macro ", d.Name.Text, "(")
		p.exprs(d.Params)
		p.write(")")
		for i, r := range d.Result {
			p.write([]string{" : ", "."}[min(i, 1)], r.Text)
		}
		p.macro = d
		p.body(d.Body, value, one)
		p.macro = nil
	case *Func:
		one := p.oneLine(d, func(q *printer) { q.decl(d) })
		p.write("fn ", d.Name.Text, "(")
		for i, a := range d.Params {
			if i > 0 {
				p.write(", ")
			}
			p.node(a)
		}
		p.write(") : ")
		p.typ(d.Result)
		p.body(d.Body, statement, one)
	}
}

// body writes the body of a declaration: on the same line if all of it fits on
// one line, otherwise on new lines.
func (p *printer) body(b *Block, c context, one bool) {
	if one {
		p.write(" ")
		p.block(b, c)
		return
	}
	p.trailing(b.Pos.Start)
	p.newline()
	p.block(b, c)
}

func (p *printer) probe(d *Probe) {
	one := p.oneLine(d, func(q *printer) { q.decl(d) })
	for i, a := range d.Points {
		if i > 0 && one {
			p.write(", ")
		} else if i > 0 {
			p.write(",")
			p.after(d.Points[i-1].Pos.End)
			p.flush(a.Pos.Start, true)
		}
		p.write(a.Text)
	}
	if d.Pred != nil {
		if one {
			p.write(" ")
		} else {
			p.after(d.Points[len(d.Points)-1].Pos.End)
			p.flush(d.Pred.Span().Start, true)
		}
		space := ""
		if strings.HasPrefix(String(d.Pred), "*") {
			space = " " // "/*" would open a comment
		}
		p.write("/", space)
		p.wrapped(d.Pred, len(space)+1)
		p.write(space, "/")
	}
	c := statement
	if d.Angled {
		c = angled
	}
	p.body(d.Body, c, one)
}

// context is the kind of place in which a block is.
type context uint8

const (
	statement context = iota // { … } used as a statement
	value                    // { … } with a value, if it has one
	angled                   // < … >
)

// block writes a block.
func (p *printer) block(b *Block, c context) {
	open, closing := "{", "}"
	if c == angled {
		open, closing = "<", ">"
	}
	one := p.oneLine(b, func(q *printer) { q.block(b, c) })
	p.write(open)
	if len(b.Stmts) == 0 && b.Value == nil && !p.hasComments(b.Pos.End) {
		if c == angled {
			p.write(" ")
		}
		p.write(closing)
		return
	}
	if one {
		for i, s := range b.Stmts {
			p.write(" ")
			p.stmtOf(b, i, s, c)
		}
		if b.Value != nil {
			p.write(" ")
			p.expr(b.Value)
		}
		p.write(" ", closing)
		return
	}
	p.newline()
	p.indent++
	for i, s := range b.Stmts {
		p.before(s, i == 0)
		p.stmtOf(b, i, s, c)
		p.after(s.Span().End)
	}
	if b.Value != nil {
		p.before(b.Value, len(b.Stmts) == 0)
		p.expr(b.Value)
		p.after(b.Value.Span().End)
	}
	p.flush(b.Pos.End, len(b.Stmts) == 0 && b.Value == nil)
	p.indent--
	p.write(closing)
}

// stmtOf writes statement i of a block.
func (p *printer) stmtOf(b *Block, i int, s Stmt, c context) {
	p.stmt(s)
	// Without a semicolon, the parser would use a block at the end as the value.
	if e, ok := s.(*ExprStmt); ok && c == value && b.Value == nil && i == len(b.Stmts)-1 && isBraced(e.X) {
		p.write(";")
	}
}

func isBraced(x Expr) bool {
	switch x.(type) {
	case *Block, *If:
		return true
	}
	return false
}

// braced writes a block or an if.
func (p *printer) braced(x Expr, c context) {
	switch x := x.(type) {
	case *Block:
		p.block(x, c)
	case *If:
		p.write("if (")
		p.wrapped(x.Cond, len(") {"))
		p.write(") ")
		p.block(x.Then, c)
		if x.Else != nil {
			p.write(" else ")
			p.braced(x.Else, c)
		}
	}
}

// stmt writes a statement with its semicolon, if it needs one.
func (p *printer) stmt(s Stmt) {
	switch s := s.(type) {
	case *ExprStmt:
		if isBraced(s.X) {
			p.braced(s.X, statement)
			return
		}
		p.wrapped(s.X, 1)
	case *Assign:
		p.expr(s.Target)
		p.write(" ", s.Op, "= ")
		p.wrapped(s.Value, 1)
	case *Let:
		p.write("let $", s.Var.Name)
		p.typeAndValue(s.Type, s.Value)
	case *For:
		p.write("for ($", s.Var.Name, " : ")
		p.expr(s.Iter)
		p.write(") ")
		p.block(s.Body, statement)
		return
	case *While:
		p.write("while (")
		p.wrapped(s.Cond, len(") {"))
		p.write(") ")
		p.block(s.Body, statement)
		return
	case *Unroll:
		p.write("unroll (")
		p.expr(s.Count)
		p.write(") ")
		p.block(s.Body, statement)
		return
	case *Jump:
		switch s.Kind {
		case Break:
			p.write("break")
		case Continue:
			p.write("continue")
		case Return:
			p.write("return")
			if s.Value != nil {
				p.write(" ")
				p.wrapped(s.Value, 1)
			}
		}
	}
	p.write(";")
}
