package parse

import (
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// block parses { … }. If the last item is an expression without ";", it is the value of
// the block. If no value is needed, dropValue converts it to a statement.
func (p *parser) block() *ast.Block {
	start := p.start()
	if t := p.peek(); !p.at("{") {
		p.fail(t, "expected '{'")
	}
	p.next()
	b := &ast.Block{}
	p.stmts(b, "}")
	p.expect("}")
	b.At = p.from(start)
	return b
}

// stmts parses statements into b, up to the closing token.
func (p *parser) stmts(b *ast.Block, closing string) {
	p.enter()
	defer p.leave()
	height := 0
	for !p.closes(closing) {
		if t := p.peek(); t.Type == tEOF {
			p.fail(t, "expected '%s'", closing)
		}
		s, braced := p.stmt()
		height = max(height, p.height)
		done := p.accept(";")
		if done {
			p.endStmt(s, p.prevEnd)
		}
		if e, ok := s.(*ast.ExprStmt); ok && !done && p.closes(closing) {
			b.Value = e.X
			break
		}
		if !done && !braced && !p.closes(closing) {
			p.missingSemicolon(closing)
		}
		if e, ok := s.(*ast.ExprStmt); ok {
			dropValue(e.X)
		}
		b.Stmts = append(b.Stmts, s)
	}
	p.grow(height)
}

// endStmt extends a statement that is reported as a whole to its semicolon.
func (p *parser) endStmt(s ast.Stmt, end int) {
	switch s := s.(type) {
	case *ast.ExprStmt:
		s.Pos = p.between(s.Pos.Start, end)
	case *ast.Jump:
		s.Pos = p.between(s.Pos.Start, end)
	}
}

// closes reports whether the next token ends the statements: "}", or ">" in a < … >
// body.
//
//go:noinline
func (p *parser) closes(closing string) bool {
	t := p.peek()
	return t.Value == closing && (t.Type == tAngleClose || t.Type == tPunct && closing == "}")
}

func (p *parser) missingSemicolon(closing string) {
	t := p.peek()
	switch {
	case t.Type == tEOF:
		p.fail(t, "expected '%s'", closing)
	case closing == ">":
		p.failHint(t, "inside '< … >' every statement ends with ';'", "expected ';'")
	case t.Type == tPunct && t.Value == "=":
		p.failHint(t, "only variables, maps and map entries can be assigned to", "expected ';'")
	case strings.Contains(p.file.Text[p.prevEnd:t.Pos.Offset], "\n"):
		p.failHint(t, "a statement ends with ';', also at the end of a line", "expected ';'")
	}
	p.fail(t, "expected ';'")
}

// dropValue converts the value of a block, or the values of the blocks of an if, to
// statements.
func dropValue(x ast.Expr) {
	switch x := x.(type) {
	case *ast.Block:
		if x.Value != nil {
			dropValue(x.Value)
			x.Stmts = append(x.Stmts, &ast.ExprStmt{At: ast.At{Pos: x.Value.Span()}, X: x.Value})
			x.Value = nil
		}
	case *ast.If:
		dropValue(x.Then)
		if x.Else != nil {
			dropValue(x.Else)
		}
	}
}

// hasValue reports whether x is a block with a value, or an if that always has
// one.
func hasValue(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Block:
		return x.Value != nil
	case *ast.If:
		return x.Else != nil && hasValue(x.Then) && hasValue(x.Else)
	}
	return false
}

// stmt parses one statement without its semicolon. braced reports whether the statement
// ends with a block and needs no semicolon.
func (p *parser) stmt() (s ast.Stmt, braced bool) {
	p.height = 1
	t := p.peek()
	start := p.start()
	if t.Type == tPunct && t.Value == "{" {
		return p.blockStmt(start, p.block())
	}
	if t.Type != tIdent {
		return p.exprStmt(start), false
	}
	switch t.Value {
	case "if":
		return p.blockStmt(start, p.ifExpr())
	case "let":
		return p.let(), false
	case "for":
		return p.forStmt(), true
	case "while":
		cond, body := p.conditionAndBody()
		return &ast.While{At: p.from(start), Cond: cond, Body: body}, true
	case "unroll":
		count, body := p.conditionAndBody()
		return &ast.Unroll{At: p.from(start), Count: count, Body: body}, true
	case "break":
		p.next()
		return &ast.Jump{At: p.from(start), Kind: ast.Break}, false
	case "continue":
		p.next()
		return &ast.Jump{At: p.from(start), Kind: ast.Continue}, false
	case "return":
		p.next()
		j := &ast.Jump{Kind: ast.Return}
		if !p.at(";") && !p.closes("}") && !p.closes(">") {
			j.Value = p.expr()
		}
		j.At = p.from(start)
		return j, false
	case "else":
		p.fail(t, "'else' without an 'if' before it")
	case "import":
		p.failHint(t, "move it to the top of the file, before probes and macros", "Import statements that are not at the top level are not supported")
	case "_":
		if p.follows("=") {
			p.next()
			d := &ast.Discard{At: p.from(start)}
			p.next()
			v := p.expr()
			p.grow(p.height)
			return &ast.Assign{At: p.from(start), Target: d, Value: v}, false
		}
	}
	return p.exprStmt(start), false
}

// body parses a block that is used without its value.
func (p *parser) body() *ast.Block {
	b := p.block()
	dropValue(b)
	return b
}

// blockStmt parses the rest of a statement that starts with the block or if x.
// The statement continues as an expression if an operator follows. "-", "*" and
// "&" could also start the next statement; they are operators if x has a value.
func (p *parser) blockStmt(start int, x ast.Expr) (ast.Stmt, bool) {
	goesOn := false
	if t := p.peek(); t.Type == tPunct {
		switch t.Value {
		case "-", "*", "&":
			goesOn = hasValue(x)
		case ".", "->", "[", "?":
			goesOn = true
		default:
			goesOn = ast.Precedence(t.Value) > 0
		}
	}
	if goesOn {
		x = p.postfix(start, x)
		x = p.ternary(start, p.binary(start, x, 1))
	}
	return &ast.ExprStmt{At: p.from(start), X: x}, !goesOn
}

// exprStmt parses an expression or an assignment.
func (p *parser) exprStmt(start int) ast.Stmt {
	p.stmtStart = start
	x := p.expr()
	t := p.peek()
	op, ok := assignOp(t)
	if !ok {
		return &ast.ExprStmt{At: p.from(start), X: x}
	}
	if !isPlace(x) {
		p.next()
		p.expr()
		at := p.between(start, p.prevEnd)
		if _, ok := x.(*ast.Field); ok {
			p.errorf(at, "Tuples and records are immutable once created. Consider creating a new value and assigning it instead.")
		} else {
			p.errorHint(at, "only variables, maps and map entries can be assigned to", "invalid assignment target")
		}
		return &ast.ExprStmt{At: p.from(start), X: x}
	}
	height := p.height
	p.next()
	a := &ast.Assign{Target: x, Op: op, Value: p.expr()}
	p.grow(max(height, p.height))
	a.At = p.from(start)
	return a
}

// assignOp reports whether t is an assignment. It returns the operator that the
// assignment contains, or "" for "=".
func assignOp(t token) (string, bool) {
	if t.Type != tPunct {
		return "", false
	}
	switch t.Value {
	case "=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=":
		return t.Value[:len(t.Value)-1], true
	}
	return "", false
}

// conditionAndBody parses the word while or unroll, the condition and the body.
func (p *parser) conditionAndBody() (cond ast.Expr, body *ast.Block) {
	p.next()
	cond = p.condition()
	height := p.height
	body = p.body()
	p.grow(max(height, p.height))
	return cond, body
}

// let parses let $v [: type] [= value].
func (p *parser) let() ast.Stmt {
	start := p.start()
	p.expect("let")
	n := &ast.Let{}
	if t := p.peek(); t.Type == tMap {
		p.failHint(t, "maps are declared outside of probes, as in: let @m = hash(100);", "expected variable after 'let'")
	}
	n.Var = p.variable("expected variable after 'let'")
	assigns, height := false, 1
	if p.accept(":") {
		n.Type = p.typ()
		height = p.height
		if p.at("*=") { // "let $p : int32*= 1": the scanner returned "*=" as one token
			t := p.next()
			n.Type.Suffixes = append(n.Type.Suffixes, ast.TypeSuffix{Pointer: true})
			n.Type.Pos = p.between(n.Type.Pos.Start, t.Pos.Offset+1)
			assigns = true
		}
	}
	if assigns || p.accept("=") {
		n.Value = p.expr()
		height = max(height, p.height)
	}
	p.grow(height)
	n.At = p.from(start)
	return n
}

// variable parses $name.
func (p *parser) variable(expected string) *ast.Var {
	t := p.peek()
	if t.Type != tVar {
		p.fail(t, "%s", expected)
	}
	p.next()
	return &ast.Var{At: ast.At{Pos: p.span(t)}, Name: t.Value[1:]}
}

// forStmt parses for ($v : iterable) { … }. The parentheses are optional.
func (p *parser) forStmt() ast.Stmt {
	start := p.start()
	p.expect("for")
	n := &ast.For{}
	paren := p.accept("(")
	n.Var = p.variable("expected variable after 'for'")
	p.expect(":")
	n.Iter = p.iterable()
	height := p.height
	if paren {
		p.expect(")")
	}
	n.Body = p.body()
	p.grow(max(height, p.height))
	n.At = p.from(start)
	return n
}

// iterable parses a map or a range.
func (p *parser) iterable() ast.Expr {
	start := p.start()
	p.enter()
	defer p.leave()
	x := p.binary(start, p.unary(), 1)
	height := p.height
	t := p.peek()
	if !p.accept("..") {
		if !isMap(x) {
			p.errorf(p.between(start, p.prevEnd), "expected a map or a range like 0..10")
			if !p.at(")") && !p.at("{") {
				p.fail(t, "expected '..'")
			}
		}
		return x
	}
	right := p.start()
	r := &ast.Range{From: x, To: p.binary(right, p.unary(), 1)}
	p.grow(max(height, p.height))
	r.At = p.from(start)
	return r
}
