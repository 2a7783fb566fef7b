package parse

import (
	"math"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// literal parses a number, a string or an address. It returns nil if the next token is
// none of them.
func (p *parser) literal() ast.Expr {
	switch t := p.peek(); t.Type {
	case tInt:
		p.next()
		return p.intLit(t)
	case tString:
		p.next()
		return &ast.StrLit{At: ast.At{Pos: p.span(t)}, Value: p.unquote(t)}
	case tAddress:
		p.next()
		return &ast.StrLit{At: ast.At{Pos: p.span(t)}, Value: t.Value, Bare: true}
	}
	return nil
}

// primary parses an operand without prefix and postfix operators.
func (p *parser) primary() ast.Expr {
	p.height = 1
	if x := p.literal(); x != nil {
		return x
	}
	t := p.peek()
	at := ast.At{Pos: p.span(t)}
	switch t.Type {
	case tVar:
		p.next()
		return &ast.Var{At: at, Name: t.Value[1:]}
	case tMap:
		p.next()
		return &ast.Map{At: at, Name: t.Value[1:]}
	case tPositional:
		p.next()
		return p.positional(t)
	case tIdent:
		return p.named()
	case tPunct:
		switch t.Value {
		case "(":
			return p.paren(true)
		case "{":
			return p.block()
		case "=":
			p.failHint(t, "assignment is a statement of its own; to compare, use '=='", "expected expression")
		}
	}
	p.fail(t, "expected expression")
	return nil
}

func (p *parser) intLit(t token) *ast.IntLit {
	v, bad := parseInt(t.Value)
	if bad != nil {
		p.literalError(t, *bad)
	}
	return &ast.IntLit{At: ast.At{Pos: p.span(t)}, Value: v, Text: t.Value}
}

func (p *parser) positional(t token) *ast.Positional {
	n := 0
	if t.Value != "$#" {
		var err error
		if n, err = strconv.Atoi(t.Value[1:]); err != nil || n == 0 {
			p.errorf(p.span(t), "param %s is out of integer range [1, %d]", shortened(t.Value), math.MaxInt64)
		}
	}
	return &ast.Positional{At: ast.At{Pos: p.span(t)}, N: n}
}

func (p *parser) unquote(t token) string {
	s, bad := unquote(t.Value)
	for _, e := range bad {
		p.literalError(t, e)
	}
	return s
}

// named parses an operand that starts with a word.
func (p *parser) named() ast.Expr {
	t := p.peek()
	start := p.start()
	at := ast.At{Pos: p.span(t)}
	switch t.Value {
	case "true", "false":
		p.next()
		return &ast.BoolLit{At: at, Value: t.Value == "true"}
	case "if":
		return p.ifExpr()
	case "sizeof":
		p.next()
		typ, x := p.typeOrExpr()
		return &ast.Sizeof{At: p.from(start), Type: typ, X: x}
	case "typeinfo":
		p.next()
		typ, x := p.typeOrExpr()
		return &ast.Typeinfo{At: p.from(start), Type: typ, X: x}
	case "offsetof":
		return p.offsetof()
	}
	if certainType(t.Value) {
		p.failHint(t, "a type can only be the argument of a call", "expected expression")
	}
	if reserved(t.Value) {
		p.fail(t, "expected expression")
	}
	p.next()
	if s := p.peek(); s.Type == tString && p.names.IsPrefix(t.Value) {
		p.next()
		arg := &ast.StrLit{At: ast.At{Pos: p.span(s)}, Value: p.unquote(s)}
		return &ast.Call{At: p.from(start), Fn: ast.Name{At: at, Text: t.Value}, Args: []ast.Expr{arg}}
	}
	if !p.at("(") {
		return &ast.Ident{At: at, Name: t.Value}
	}
	p.next()
	c := &ast.Call{Fn: ast.Name{At: at, Text: t.Value}}
	c.Args = p.list(")", p.arg)
	c.At = p.from(start)
	return c
}

// reserved reports whether a word of the language cannot be a name.
//
//go:noinline
func reserved(word string) bool {
	switch word {
	case "break", "comptime", "continue", "else", "enum", "false", "for", "if", "import", "let",
		"offsetof", "return", "sizeof", "struct", "true", "typeinfo", "typeof", "union", "unroll", "while":
		return true
	}
	return false
}

// list parses elements separated by commas, up to and including the closing
// bracket. A comma is allowed after the last element.
func (p *parser) list(closing string, elem func() ast.Expr) []ast.Expr {
	p.enter()
	defer p.leave()
	var out []ast.Expr
	height := 0
	for !p.at(closing) {
		out = append(out, elem())
		height = max(height, p.height)
		if !p.accept(",") {
			break
		}
	}
	p.expect(closing)
	p.grow(height)
	return out
}

// arg parses an argument of a call. It parses a type if the argument cannot be anything
// else.
func (p *parser) arg() ast.Expr {
	if t := p.peek(); t.Type == tIdent && certainType(t.Value) {
		start := p.start()
		typ := p.typ()
		p.grow(p.height)
		return &ast.TypeArg{At: p.from(start), Type: typ}
	}
	return p.expr()
}

// paren parses an expression that starts with "(": a cast if casts is set, a tuple, a
// record, or an expression in parentheses. The tree does not contain the latter.
func (p *parser) paren(casts bool) ast.Expr {
	start := p.start()
	p.enter()
	defer p.leave()
	if casts {
		if c := p.cast(start); c != nil {
			return c
		}
	}
	p.expect("(")
	if p.accept(")") {
		p.height = 1
		return &ast.Tuple{At: p.from(start)}
	}
	if t := p.peek(); t.Type == tIdent && p.follows("=") && !p.comparesWithString(t) {
		return p.record(start)
	}
	x := p.expr()
	if !p.at(",") {
		p.expect(")")
		return x
	}
	p.next()
	height := p.height
	elems := p.list(")", p.expr)
	p.height = max(p.height, height+1)
	return &ast.Tuple{At: p.from(start), Elems: append([]ast.Expr{x}, elems...)}
}

// comparesWithString reports whether a word is followed by "=~" and a string, which a
// record cannot have as a value.
func (p *parser) comparesWithString(word token) bool {
	rest := strings.TrimLeft(p.file.Text[end(word):], " \t\r\n")
	rest, ok := strings.CutPrefix(rest, "=~")
	return ok && strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), `"`)
}

// record parses (name=value, …) after its "(".
func (p *parser) record(start int) ast.Expr {
	r := &ast.Record{}
	seen := map[string]bool{}
	r.Elems = p.list(")", func() ast.Expr {
		t := p.peek()
		if t.Type != tIdent {
			p.fail(t, "expected the name of a record's field")
		}
		p.next()
		r.Names = append(r.Names, ast.Name{At: ast.At{Pos: p.span(t)}, Text: t.Value})
		p.expect("=")
		x := p.expr()
		if seen[t.Value] {
			p.errorf(p.span(t).To(x.Span()), "Named argument list already contains name: %s", t.Value)
		}
		seen[t.Value] = true
		return x
	})
	r.At = p.from(start)
	return r
}

// ifExpr parses if / else if / else. Its blocks keep their values. If it is a
// statement, the caller drops them.
func (p *parser) ifExpr() ast.Expr {
	p.enter()
	defer p.leave()
	start := p.start()
	p.expect("if")
	n := &ast.If{Cond: p.condition()}
	height := p.height
	n.Then = p.block()
	height = max(height, p.height)
	if p.accept("else") {
		switch t := p.peek(); {
		case t.Value == "if" && t.Type == tIdent:
			n.Else = p.ifExpr()
		case p.at("{"):
			n.Else = p.block()
		default:
			p.fail(t, "expected '{' or 'if' after 'else'")
		}
		height = max(height, p.height)
	}
	p.grow(height)
	n.At = p.from(start)
	return n
}

// condition parses the expression between a keyword and a block. Its parentheses are
// optional. Parentheses at its start never contain a type: "if (x) $y = 1" lacks a
// brace and is not a cast.
func (p *parser) condition() ast.Expr {
	start := p.start()
	if !p.at("(") {
		return p.expr()
	}
	if p.follows(")") {
		p.next()
		p.fail(p.peek(), "expected expression")
	}
	x := p.postfix(start, p.paren(false))
	return p.ternary(start, p.binary(start, x, 1))
}
