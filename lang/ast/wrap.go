package ast

import (
	"strings"
	"unicode/utf8"
)

// lineWidth is the maximum length of a line in characters. The printer breaks longer
// lines at commas and operators, and spreads blocks that were on one line over several
// lines.
const lineWidth = 90

// deep is the indentation in characters from which the printer no longer breaks lines.
const deep = 20

// wraps reports whether long lines are broken.
func (p *printer) wraps() bool { return !p.noWrap && p.indent < deep }

// column returns the number of characters on the current line so far.
func (p *printer) column() int {
	text := p.out.String()
	n := utf8.RuneCountInString(text[strings.LastIndexByte(text, '\n')+1:])
	if p.bol {
		n += 2 * p.indent
	}
	return n
}

// flat returns the output of write as a single line of any length.
//
//go:noinline
func (p *printer) flat(write func(p *printer)) string {
	q := &printer{macro: p.macro, noWrap: true}
	write(q)
	return q.out.String()
}

// fits reports whether text and tail more characters fit on the current line.
//
//go:noinline
func (p *printer) fits(text string, tail int) bool {
	return p.column()+utf8.RuneCountInString(text)+tail <= lineWidth
}

// wrapped writes an expression, after which tail more characters follow. It breaks the
// line if the expression is too long.
func (p *printer) wrapped(x Expr, tail int) {
	if !p.wraps() {
		p.expr(x)
		return
	}
	text := p.flat(func(q *printer) { q.expr(x) })
	if strings.Contains(text, "\n") || p.fits(text, tail) {
		p.expr(x)
		return
	}
	switch x := x.(type) {
	case *Call:
		if x.Op != "" {
			p.worded(x, func(list []Expr) { p.fill(p.flatList(list), tail+1) })
			return
		}
		p.write(x.Fn.Text, "(")
		p.fill(p.flatList(x.Args), tail+1)
		p.write(")")
	case *Tuple:
		if len(x.Elems) < 2 {
			p.expr(x)
			return
		}
		p.write("(")
		p.fill(p.flatList(x.Elems), tail+1)
		p.write(")")
	case *Binary:
		p.fill(p.operands(x, ""), tail)
	default:
		p.expr(x)
	}
}

// flatList returns the elements of a list, each with the comma that follows it.
func (p *printer) flatList(list []Expr) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = p.flat(func(q *printer) { q.expr(x) })
		if i < len(list)-1 {
			out[i] += ","
		}
	}
	return out
}

// operands returns the operands of a chain of operators with the same precedence, each
// with the operator that follows it. op follows the last one.
func (p *printer) operands(x *Binary, op string) []string {
	b := Precedence(x.Op)
	last := p.flat(func(q *printer) { q.binaryOperand(x.Op, x.Y, b+1) }) + op
	if left, ok := x.X.(*Binary); ok && Precedence(left.Op) == b && !unclear(x.Op) {
		return append(p.operands(left, " "+x.Op), last)
	}
	return []string{p.flat(func(q *printer) { q.binaryOperand(x.Op, x.X, b) }) + " " + x.Op, last}
}

// fill writes parts on lines that start at the current column. It fills lines from the
// last one upwards, so that the first part, such as a format string, is on a line of
// its own if not all parts fit.
func (p *printer) fill(parts []string, tail int) {
	at := p.column()
	starts := make([]bool, len(parts)) // a line
	width := at + tail
	for i := len(parts) - 1; i > 0; i-- {
		n := utf8.RuneCountInString(parts[i])
		if width > at+tail && width+n > lineWidth {
			starts[i+1] = true
			width = at
		}
		width += n + 1
	}
	// Move the first part to the line of the second one if it fits there.
	n := utf8.RuneCountInString(parts[0])
	if len(parts) > 1 && width+n > lineWidth {
		starts[1] = true
	}
	for i, text := range parts {
		switch {
		case starts[i]:
			p.newline()
			p.bol = false
			p.out.WriteString(strings.Repeat(" ", at))
		case i > 0:
			p.out.WriteByte(' ')
		}
		p.write(text)
	}
}
