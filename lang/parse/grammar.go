package parse

import (
	"strings"

	"github.com/alecthomas/participle/v2"

	"github.com/gotrace/gotrace/lang/ast"
)

// The declarations, as participle matches them. Each production that becomes a node
// records its tokens, which determine its extent.
type (
	// program is the start of all grammars, each for declarations of one kind.
	program struct {
		Items []itemNode `parser:"@@*"`
	}
	config struct {
		Tokens []token
		Items  []*setting `parser:"'config':Keyword '=' '{' @@* '}'"`
	}
	setting struct {
		Tokens []token
		Key    *name     `parser:"@@ '='"`
		Value  valueNode `parser:"@@"`
		Ended  bool      `parser:"@';'?"`
	}
	importDecl struct {
		Tokens []token
		Path   string `parser:"'import':Keyword @String ';'"`
	}
	mapDecl struct {
		Tokens []token
		Map    mapNode   `parser:"'let':Keyword @@ '='"`
		Type   *name     `parser:"@@ '('"`
		N      countNode `parser:"@@ ')' ';'?"`
	}
	macro struct {
		Tokens []token
		Name   *name       `parser:"'macro':Keyword @@"`
		Member *name       `parser:"( '.' @@ )? '('"`
		Params []paramNode `parser:"( @@ ( ',' @@ )* )? ')'"`
		Result []*name     `parser:"( ':' @@ ( '.' @@ )* )?"`
		Body   valueBody   `parser:"@@"`
	}
	function struct {
		Tokens []token
		Name   *name        `parser:"'fn':Keyword @@ '('"`
		Params []*parameter `parser:"( @@ ( ',' @@ )* )? ')'"`
		Result typeNode     `parser:"':' @@"`
		Body   plainBody    `parser:"@@"`
	}
	parameter struct {
		Tokens []token
		Var    varNode  `parser:"@@ ':'"`
		Type   typeNode `parser:"@@"`
	}
	event struct {
		Tokens []token
		Name   *point       `parser:"'probe':Keyword @@ '{'"`
		Items  []*eventItem `parser:"@@* '}'"`
	}
	eventItem struct {
		Place *placeNode `parser:"( @@"`
		Arg   *eventArg  `parser:"| @@ )"`
	}
	placeNode struct {
		Tokens []token
		Else   string      `parser:"@'else':Keyword?"`
		Entry  []*point    `parser:"( 'from':Keyword @@ ( ',':Punct @@ )*"`
		When   exprNode    `parser:"( PredOpen @@ PredClose )?"`
		Saved  []*eventArg `parser:"'{' @@* '}' )?"`
		Points []*point    `parser:"'at':Keyword @@ ( ',':Punct @@ )*"`
		Pred   exprNode    `parser:"( PredOpen @@ PredClose )?"`
		Args   []*eventArg `parser:"( ';' | '{' @@* '}' )"`
	}
	eventArg struct {
		Tokens []token
		Once   string   `parser:"@'let':Keyword?"`
		Name   *name    `parser:"@@"`
		Type   typeNode `parser:"( ':' @@ )?"`
		Value  exprNode `parser:"( '=' @@ )? ';'"`
	}
	point struct {
		Tokens []token
		Text   string `parser:"@Attach"`
	}
	name struct {
		Tokens []token
		Text   string `parser:"@Ident"`
	}
)

// The custom productions. participle distinguishes them by their interface types, so
// each has its own type.
type (
	itemNode  any
	exprNode  interface{ ast.Expr } // an expression
	valueNode interface{ ast.Expr } // the value of a setting
	mapNode   interface{ ast.Expr } // @name
	varNode   interface{ ast.Expr } // $name
	countNode interface{ ast.Expr } // an integer or positional parameter
	paramNode interface{ ast.Expr } // a parameter of a macro
	typeNode  interface{ ast.Node } // a type
	plainBody interface{ ast.Expr } // the body of a probe or function
	valueBody interface{ ast.Expr } // the body of a macro, which may have a value
)

// declarations parses declarations of one kind, which start with the keyword t. It returns
// none if there is no such kind.
func (m *machine) declarations(t token) []itemNode {
	g := m.grammars[t.Value]
	if g == nil {
		var n itemNode
		switch t.Value {
		case "config":
			n = &config{}
		case "import":
			n = &importDecl{}
		case "let":
			n = &mapDecl{}
		case "macro":
			n = &macro{}
		case "fn":
			n = &function{}
		case "probe":
			n = &event{}
		default:
			return nil
		}
		g = m.grammarOf(n)
		m.grammars[t.Value] = g
	}
	lex := m.lex
	tree, err := g.ParseFromLexer(lex, participle.AllowTrailing(true))
	m.lex = lex // the custom productions have set it to a copy
	if err != nil {
		if m.fatal == nil {
			m.fatal = m.explain(err)
		}
		panic(stop{})
	}
	return tree.Items
}

// grammarOf builds the grammar of any number of n. All grammars have the same type in Go,
// as each instance of participle.Parser takes 30 kB in the binary. The custom productions
// work on m.
func (m *machine) grammarOf(n itemNode) *participle.Parser[program] {
	return participle.MustBuild[program](append(m.options(), participle.Union(n))...)
}

// options returns the options of all grammars.
func (m *machine) options() []participle.Option {
	p := &m.parser
	return []participle.Option{
		participle.Lexer(&m.scanner),
		participle.UseLookahead(0), // the next token always determines the production
		production(m, func() exprNode { return p.expr() }),
		production(m, func() valueNode { return p.setting() }),
		production(m, func() mapNode { return p.mapName() }),
		production(m, func() varNode { return p.funcParam() }),
		production(m, func() countNode { return p.count() }),
		production(m, func() paramNode { return p.macroParam() }),
		production(m, func() typeNode { return p.typ() }),
		production(m, func() plainBody { return p.probeBody() }),
		production(m, func() valueBody { return p.macroBody() }),
	}
}

// anItem describes what a file consists of.
const anItem = "a probe, a macro or another declaration"

// expectation converts an error message of participle to a description of the expected
// token. The message ends with the rest of the production in EBNF. Its first term is
// the expected one.
func expectation(msg string) string {
	_, rest, ok := strings.Cut(msg, "(expected ")
	if !ok {
		return anItem
	}
	term, _, _ := strings.Cut(strings.TrimSuffix(rest, ")"), " ")
	term = strings.TrimLeft(term, "(")
	switch {
	case term == `"}"`: // only a config block ends with it
		return "a name or '}'"
	case strings.HasPrefix(term, `"`):
		return "'" + strings.Trim(term, `"`) + "'"
	case term == "<string>":
		return "string after 'import'"
	case term == "<predclose>":
		return "'/' at the end of the predicate"
	case term == "Point":
		return "an attach point"
	case term == "Name":
		return "a name"
	}
	return "'" + term + "'"
}

// setting parses the value of a setting.
func (p *parser) setting() ast.Expr {
	if x := p.literal(); x != nil {
		return x
	}
	t := p.peek()
	at := ast.At{Pos: p.span(t)}
	switch t.Type {
	case tIdent:
		p.next()
		if t.Value == "true" || t.Value == "false" {
			return &ast.BoolLit{At: at, Value: t.Value == "true"}
		}
		return &ast.Ident{At: at, Name: t.Value}
	}
	p.fail(t, "expected string, int, boolean, or ident")
	return nil
}

func (p *parser) mapName() ast.Expr {
	t := p.peek()
	if t.Type != tMap {
		p.fail(t, "expected a map like @name")
	}
	p.next()
	return &ast.Map{At: ast.At{Pos: p.span(t)}, Name: t.Value[1:]}
}

func (p *parser) count() ast.Expr {
	t := p.peek()
	switch t.Type {
	case tInt:
		p.next()
		return p.intLit(t)
	case tPositional:
		p.next()
		return p.positional(t)
	}
	p.fail(t, "expected positive integer for map declaration max entries")
	return nil
}

// funcParam parses the name of a parameter of a function.
func (p *parser) funcParam() ast.Expr {
	if t := p.peek(); t.Type != tVar {
		p.pass(t, "expected a parameter like $x, or ')'")
	}
	return p.variable("expected a parameter like $x")
}

// macroParam parses a parameter of a macro. It records the names of parameters that are
// expressions, as these are not types in the body.
func (p *parser) macroParam() ast.Expr {
	t := p.peek()
	at := ast.At{Pos: p.span(t)}
	switch {
	case t.Type == tVar:
		p.next()
		return &ast.Var{At: at, Name: t.Value[1:]}
	case t.Type == tMap:
		p.next()
		return &ast.Map{At: at, Name: t.Value[1:]}
	case t.Type == tIdent && !reserved(t.Value):
		p.next()
		if p.params == nil {
			p.params = map[string]bool{}
		}
		p.params[t.Value] = true
		return &ast.Ident{At: at, Name: t.Value}
	}
	p.pass(t, "expected a parameter ($variable, @map or a name) or ')'")
	return nil
}

func (p *parser) macroBody() ast.Expr {
	b := p.block()
	p.params = nil
	return b
}
