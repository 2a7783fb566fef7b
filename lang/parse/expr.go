package parse

import (
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
//
//go:noinline
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
			if name.Type == tIdent && p.peek().Type == tPunct && p.peek().Value == "(" {
				p.next()
				args := p.list(")", p.arg)
				p.grow(max(height, p.height))
				x = &ast.Call{At: p.from(start), Fn: ast.Name{At: f.Name.At, Text: ast.MethodPrefix + f.Name.Text}, Args: append([]ast.Expr{f.X}, args...)}
			}
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
