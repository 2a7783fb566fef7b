package parse

import (
	"math"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// expr parses an expression.
func (p *parser) expr() ast.Expr {
	start := p.start()
	return p.ternary(start, p.binary(start, p.unary(), 1))
}

// ternary parses the rest of a ternary after its condition: "? x : y", which associates
// to the right. If there is none, it returns cond.
func (p *parser) ternary(start int, cond ast.Expr) ast.Expr {
	if !p.accept("?") {
		return cond
	}
	p.enter()
	defer p.leave()
	t := &ast.Ternary{Cond: cond}
	height := p.height
	if !p.at(":") {
		t.X = p.expr()
		height = max(height, p.height)
	}
	p.expect(":")
	t.Y = p.expr()
	p.grow(max(height, p.height))
	t.At = p.from(start)
	return t
}

// binary parses operators with a precedence of at least least, and their right
// operands. x is the left operand, which starts at start.
func (p *parser) binary(start int, x ast.Expr, least int) ast.Expr {
	for {
		t := p.peek()
		if sign, function, not := p.operator(start, x); function != "" {
			if ast.WordPrecedence < least {
				return x
			}
			x = p.worded(start, x, sign, function, not)
			continue
		}
		if t.Type != tPunct {
			return x
		}
		prec := ast.Precedence(t.Value)
		if prec < least || prec == 0 {
			return x
		}
		height := p.height
		op := p.next()
		right := p.start()
		p.enter()
		y := p.binary(right, p.unary(), prec+1)
		p.leave()
		p.grow(max(height, p.height))
		x = &ast.Binary{At: p.from(start), Op: op.Value, OpPos: p.span(op), X: x, Y: y}
	}
}

// operator returns the operator that stands for a function after the operand x, which
// starts at start, with the function and whether its result is negated. It consumes
// nothing. function is "" if something else follows.
func (p *parser) operator(start int, x ast.Expr) (sign, function string, not bool) {
	t := p.peek()
	switch {
	case t.Type == tIdent:
		sign = t.Value
	case t.Type == tPunct && (t.Value == "=" || t.Value == "!"):
		text := p.file.Text[t.Pos.Offset:]
		if len(text) < 2 || text[1] != '~' {
			return "", "", false
		}
		// "$x =~ 1" assigns ~1, but no string has a complement.
		after := strings.TrimLeft(text[2:], " \t\r\n")
		if t.Value == "=" && start == p.stmtStart && isPlace(x) && !strings.HasPrefix(after, `"`) {
			return "", "", false
		}
		sign = text[:2]
	default:
		return "", "", false
	}
	function, not = p.names.Operator(sign)
	return sign, function, not
}

// worded parses such an operator and what follows it: an operand, or a list of them with
// ranges in parentheses.
func (p *parser) worded(start int, x ast.Expr, sign, function string, not bool) ast.Expr {
	height := p.height
	at := p.span(p.peek())
	if p.next().Value != sign {
		at = at.To(p.span(p.next()))
	}
	c := &ast.Call{Fn: ast.Name{At: ast.At{Pos: at}, Text: "__builtin_" + function}, Op: sign, Args: []ast.Expr{x}}
	p.enter()
	if list := p.members(); list != nil {
		c.Args = append(c.Args, list...)
	} else {
		right := p.start()
		c.Args = append(c.Args, p.rangeFrom(right, p.binary(right, p.unary(), ast.WordPrecedence+1)))
	}
	p.leave()
	p.grow(max(height, p.height))
	c.At = p.from(start)
	if not {
		p.grow(p.height)
		return &ast.Unary{At: c.At, Op: "!", X: c}
	}
	return c
}

// members parses (a, b..c, …) after an operator. It returns nil, and consumes nothing, if
// there is only an operand in parentheses.
func (p *parser) members() []ast.Expr {
	if !p.at("(") {
		return nil
	}
	mark, said := p.mark(), len(p.errors)
	if c := p.cast(p.start()); c != nil {
		p.reset(mark)
		p.errors = p.errors[:said]
		return nil
	}
	p.next()
	list := p.list(")", func() ast.Expr {
		start := p.start()
		return p.rangeFrom(start, p.expr())
	})
	if len(list) == 1 {
		if _, isRange := list[0].(*ast.Range); isRange {
			return list
		}
		// It may be the start of a longer operand: ("a")[0].
		p.reset(mark)
		p.errors = p.errors[:said]
		return nil
	}
	if len(list) == 0 {
		p.fail(p.peek(), "expected something in the parentheses")
	}
	return list
}

// rangeFrom parses the rest of a range after its start x, if there is one.
func (p *parser) rangeFrom(start int, x ast.Expr) ast.Expr {
	height := p.height
	if !p.accept("..") {
		return x
	}
	right := p.start()
	r := &ast.Range{From: x, To: p.binary(right, p.unary(), ast.WordPrecedence+1)}
	p.grow(max(height, p.height))
	r.At = p.from(start)
	return r
}

// unary parses prefix operators and their operand.
func (p *parser) unary() ast.Expr {
	t := p.peek()
	start := p.start()
	if t.Type == tIdent && t.Value == "comptime" {
		p.next()
		p.enter()
		x := p.unary()
		p.leave()
		p.grow(p.height)
		return &ast.Comptime{At: p.from(start), X: x}
	}
	if t.Type != tPunct {
		return p.postfix(start, p.primary())
	}
	switch t.Value {
	case "!", "~", "-", "*", "&", "++", "--":
		op := p.next()
		p.enter()
		x := p.unary()
		p.leave()
		p.grow(p.height)
		switch op.Value {
		case "&":
			if !isVar(x) && !isMap(x) {
				p.errorf(x.Span(), "address-of operator (&) can only be used on a map or variable")
			}
		case "++", "--":
			p.checkStep(x, p.span(op).To(p.from(start).Pos))
		}
		return &ast.Unary{At: p.from(start), Op: op.Value, X: x}
	}
	return p.postfix(start, p.primary())
}

func isVar(x ast.Expr) bool { _, ok := x.(*ast.Var); return ok }
func isMap(x ast.Expr) bool { _, ok := x.(*ast.Map); return ok }

// isPlace reports whether x can be assigned to.
func isPlace(x ast.Expr) bool {
	if i, ok := x.(*ast.Index); ok {
		x = i.X
		return isMap(x)
	}
	return isVar(x) || isMap(x)
}

// postfix parses the members, indexes, ++ and -- that may follow the operand x.
func (p *parser) postfix(start int, x ast.Expr) ast.Expr {
	for {
		t := p.peek()
		if t.Type != tPunct {
			return x
		}
		height := p.height
		switch t.Value {
		case ".", "->":
			if lit, ok := x.(*ast.IntLit); ok && t.Value == "." && lit.Pos.End == t.Pos.Offset && p.prevEnd == lit.Pos.End {
				p.errorf(lit.Pos.To(p.span(t)), "floating-point numbers are not supported")
			}
			p.next()
			f := &ast.Field{X: x, Arrow: t.Value == "->"}
			name := p.peek()
			switch {
			case name.Type == tIdent, name.Type == tInt && isDigits(name.Value) && !f.Arrow:
				p.next()
			case f.Arrow:
				p.fail(name, "expected a field name after '->'")
			default:
				p.fail(name, "expected a field name or a tuple index after '.'")
			}
			f.Name = ast.Name{At: ast.At{Pos: p.span(name)}, Text: name.Value}
			p.grow(height)
			f.At = p.from(start)
			x = f
		case "[":
			p.next()
			p.enter()
			var args []ast.Expr
			for {
				args = append(args, p.expr())
				height = max(height, p.height)
				if !p.accept(",") {
					break
				}
			}
			p.leave()
			p.expect("]")
			p.grow(height)
			x = &ast.Index{At: p.from(start), X: x, Args: args}
		case "++", "--":
			p.next()
			p.checkStep(x, p.span(t))
			p.grow(height)
			x = &ast.Unary{At: p.from(start), Op: t.Value, X: x, Postfix: true}
		default:
			return x
		}
	}
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// checkStep reports ++ or -- on an operand that cannot be assigned to.
func (p *parser) checkStep(x ast.Expr, at span) {
	if !isPlace(x) {
		p.errorf(at, "increment/decrement requires a variable or map")
	}
}

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
