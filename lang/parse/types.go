package parse

import (
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// isTypeKeyword reports whether word is a keyword that starts a type.
func isTypeKeyword(word string) bool { return word == "struct" || word == "union" || word == "enum" }

// certainType reports whether text that starts with word can only be a type. The parser
// does not try to parse such text as an expression: trying both in nested brackets
// would take exponential time.
//
//go:noinline
func certainType(word string) bool { return word == "typeof" || isTypeKeyword(word) }

// typ parses a type.
func (p *parser) typ() *ast.Type {
	t := p.peek()
	start := p.start()
	n := &ast.Type{}
	p.height = 1
	p.enter()
	defer p.leave()
	switch {
	case t.Type != tIdent:
		p.fail(t, "expected a type")
	case t.Value == "typeof":
		p.next()
		n.TypeofT, n.Typeof = p.typeOrExpr()
	case isTypeKeyword(t.Value):
		p.next()
		n.Keyword = t.Value
		name := p.peek()
		if name.Type != tIdent {
			p.fail(name, "expected a name after '%s'", t.Value)
		}
		p.next()
		n.Name = name.Value
	case reserved(t.Value):
		p.fail(t, "expected a type")
	default:
		p.next()
		n.Name = t.Value
	}
	for p.suffix(n) {
	}
	n.At = p.from(start)
	return n
}

// suffix parses one "*", "[N]" or "[]" after a type, if there is one.
func (p *parser) suffix(n *ast.Type) bool {
	if len(n.Suffixes) >= maxDepth {
		p.tooDeep()
	}
	if p.accept("*") {
		n.Suffixes = append(n.Suffixes, ast.TypeSuffix{Pointer: true})
		return true
	}
	if !p.at("[") {
		return false
	}
	mark := p.mark()
	p.next()
	var length ast.Expr
	switch t := p.peek(); {
	case t.Type == tInt && p.follows("]"):
		p.next()
		length = p.intLit(t)
	case t.Type == tPositional && p.follows("]"):
		p.next()
		length = p.positional(t)
	case !p.at("]"):
		p.reset(mark)
		return false
	}
	p.expect("]")
	n.Suffixes = append(n.Suffixes, ast.TypeSuffix{Len: length})
	return true
}

// typeOrExpr parses "(type)" or "(expression)". A bare name is a type.
func (p *parser) typeOrExpr() (*ast.Type, ast.Expr) {
	p.expect("(")
	p.enter()
	defer p.leave()
	typ, x := p.typeUpTo(")")
	p.expect(")")
	p.grow(p.height)
	return typ, x
}

// typeUpTo parses a type if the token end follows it, and otherwise an expression.
func (p *parser) typeUpTo(end string) (*ast.Type, ast.Expr) {
	p.height = 1
	t := p.peek()
	if t.Type == tIdent && certainType(t.Value) {
		return p.typ(), nil
	}
	if t.Type == tIdent && !reserved(t.Value) {
		mark, said := p.mark(), len(p.errors)
		if typ := p.typ(); p.at(end) {
			return typ, nil
		}
		p.reset(mark)
		p.errors = p.errors[:said]
	}
	return nil, p.expr()
}

// offsetof parses offsetof(type or expression, a.b.c).
func (p *parser) offsetof() ast.Expr {
	start := p.start()
	p.expect("offsetof")
	p.expect("(")
	p.enter()
	defer p.leave()
	n := &ast.Offsetof{}
	n.Type, n.X = p.typeUpTo(",")
	p.expect(",")
	for {
		t := p.peek()
		if t.Type != tIdent {
			p.fail(t, "expected the name of a field")
		}
		p.next()
		n.Path = append(n.Path, ast.Name{At: ast.At{Pos: p.span(t)}, Text: t.Value})
		if !p.accept(".") {
			break
		}
	}
	p.expect(")")
	p.grow(p.height)
	n.At = p.from(start)
	return n
}

// cast parses a cast at "(". If it is not a cast, it returns nil and consumes nothing.
//
// The text in the parentheses must be a type. With struct, union or enum, or with "*"
// or "[]" at the end, it is a type. A bare name, or name[N], is a type if an operand
// follows: "(size_t)$x". The operand may begin with "-", "*" or "&", which may also be
// binary. Then the name is a value if it is a variable of the language, a parameter of the
// current macro, or a name that the C section defines: "(pid)*2", "(LIMIT)-1". Any other
// name is a type: "(uint64)*$p", "(size_t)-1". Before other operands a parameter is a type:
// "(t)x".
func (p *parser) cast(start int) ast.Expr {
	mark, said := p.mark(), len(p.errors)
	undo := func() ast.Expr {
		p.reset(mark)
		p.errors = p.errors[:said]
		return nil
	}
	p.expect("(")
	t := p.peek()
	certain := certainType(t.Value)
	if t.Type != tIdent || !certain && reserved(t.Value) {
		return undo()
	}
	typ := p.typ()
	height := p.height
	if !certain && !p.at(")") {
		return undo()
	}
	p.expect(")")
	if n := len(typ.Suffixes); n > 0 {
		last := typ.Suffixes[n-1]
		certain = certain || last.Pointer || last.Len == nil
	}
	if !certain && !p.castOperand(typ) {
		return undo()
	}
	x := p.unary()
	p.grow(max(height, p.height))
	return &ast.Cast{At: p.from(start), Type: typ, X: x}
}

// castOperand reports whether the next token starts the operand of a cast to
// typ.
func (p *parser) castOperand(typ *ast.Type) bool {
	param := p.params[typ.Name]
	if typ.Name != "" && !param && p.isValue(typ.Name) {
		return false
	}
	switch t := p.peek(); t.Type {
	case tInt, tString, tVar, tMap, tPositional:
		return true
	case tIdent:
		switch t.Value {
		case "comptime", "false", "if", "offsetof", "sizeof", "true", "typeinfo":
			return true
		}
		return !reserved(t.Value)
	case tPunct:
		switch t.Value {
		case "(", "!", "~":
			return true
		case "-", "*", "&":
			return !param
		case "++", "--": // "(x)++" is an error, "(x)++@y" is a cast
			return p.followed(func(t token) bool { return t.Type == tVar || t.Type == tMap })
		}
	}
	return false
}

// isValue reports whether a bare name is known to be a value. See cast.
func (p *parser) isValue(name string) bool {
	if p.values == nil {
		p.values = cValues(p.file.Text)
	}
	return p.names.IsVariable(name) || p.values[name]
}

// namesType reports whether text, the body of a #define, is probably a type.
func namesType(text string) bool {
	s := scanner{text: strings.TrimSpace(text)}
	word := s.identAt(0)
	switch word {
	case "struct", "union", "enum":
		return true
	case "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "string", "buffer":
		return true
	}
	return word == s.text && strings.HasSuffix(word, "_t")
}

// cValues returns the names that the C section of a script defines as values:
// object-like macros and enum constants.
func cValues(text string) map[string]bool {
	names := map[string]bool{}
	s := scanner{text: text}
	for {
		t, _ := s.Next()
		if t.Type == tShebang {
			continue
		}
		if t.Type != tCItem {
			return names
		}
		if t.Value[0] == '#' {
			def := strings.TrimLeft(t.Value[1:], " \t")
			if def, ok := strings.CutPrefix(def, "define"); ok {
				c := scanner{text: strings.TrimLeft(def, " \t")}
				name := c.identAt(0)
				if c.byteAt(len(name)) != '(' && !namesType(c.text[len(name):]) {
					names[name] = true
				}
			}
			continue
		}
		_, body, ok := strings.Cut(t.Value, "{")
		if !ok || !strings.HasPrefix(t.Value, "enum") {
			continue
		}
		for _, item := range strings.FieldsFunc(body, func(r rune) bool { return r == ',' || r == '}' }) {
			c := scanner{text: item}
			c.skipSpace()
			names[c.identAt(c.pos)] = true
		}
	}
}
