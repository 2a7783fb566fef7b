// Package parse parses source text into a syntax tree.
//
// The scanner (lexer.go) splits the text into tokens. Only the scanner depends on the
// different lexical rules of attach points, C definitions and code, and on where
// predicates end. The grammars (grammar.go) describe the declarations that begin with a
// keyword as participle productions. Statements, expressions and types (stmt.go, expr.go,
// types.go) are custom productions parsed by recursive descent and precedence climbing.
// That is several times faster than matching them by reflection, and they need more
// context than struct tags can express. Probes (probe.go) are parsed in the same way, so
// that no grammar has to be built for a script that has only probes.
//
// A syntax error stops the parser, since later errors would be guesses. It collects
// errors in a token, or in the operand of an operator, and continues.
package parse

import (
	"errors"
	"fmt"
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
)

const (
	// maxDepth is the maximum depth of nested statements and expressions and the
	// maximum height of their trees, so that neither this parser nor a later pass
	// overflows the stack. All of them are recursive.
	maxDepth = 2000

	// MaxSize is the maximum size of a file in bytes. Scanning needs up to three
	// hundred times as much memory.
	MaxSize = 1 << 20
)

type (
	token = lexer.Token
	span  = source.Span
)

// machine is a parser with its grammars. Machines are reused, since building a grammar
// takes longer than parsing a short script.
type machine struct {
	parser
	grammars map[string]*participle.Parser[program] // by the keyword of the declarations, built when needed
}

var machines = sync.Pool{New: func() any {
	return &machine{grammars: map[string]*participle.Parser[program]{}}
}}

// Names provides the facts about names of builtins that the parser needs.
type Names interface {
	// IsVariable reports whether a bare name is a variable of the language, which
	// determines whether "(name) - 1" is a subtraction or a cast.
	IsVariable(name string) bool
	// Operator returns the function that a word or sign between two operands stands
	// for, or "". If not is set, the result is negated.
	Operator(sign string) (function string, not bool)
	// IsPrefix reports whether a text may follow the name of a function without
	// parentheses.
	IsPrefix(name string) bool
}

// File parses a file. If it adds an error to diags, the tree is nil or incomplete.
func File(f *source.File, names Names, diags *source.Diags) *ast.Program {
	if len(f.Text) > MaxSize {
		diags.Add(source.Diag{Msg: fmt.Sprintf("%s has more than %d bytes, which is the limit for a script", f.Name, MaxSize)})
		return nil
	}
	m := machines.Get().(*machine)
	defer func() {
		m.parser = parser{}
		machines.Put(m)
	}()
	return m.parse(f, names, diags)
}

func (m *machine) parse(f *source.File, names Names, diags *source.Diags) *ast.Program {
	m.parser = parser{file: f, names: names}
	m.scanner.reset(f)
	prog := &ast.Program{At: ast.At{Pos: span{File: f, End: len(f.Text)}}, File: f}
	m.run(func() { m.items(prog) })
	prog.Comments = m.scanner.comments
	for _, d := range m.errors {
		diags.Add(d)
	}
	if m.fatal != nil {
		diags.Add(*m.fatal)
		return nil
	}
	return prog
}

// run splits the text into tokens and runs parse, which fail may stop.
func (p *parser) run(parse func()) {
	var err error
	p.lex, err = lexer.Upgrade(&p.scanner)
	if err != nil {
		panic(fmt.Sprintf("parse: the scanner failed: %v", err)) // the scanner never returns an error
	}
	defer func() {
		switch r := recover(); r.(type) {
		case nil, stop:
		default:
			panic(r)
		}
	}()
	parse()
}

// parser is the state of one parse.
type parser struct {
	file    *source.File
	fixed   span // extent of all parsed nodes; if invalid, each node has its own extent
	scanner scanner
	lex     *lexer.PeekingLexer // set while a custom production runs
	prevEnd int                 // end of the last token consumed
	depth   int                 // number of calls of enter without leave
	height  int                 // height of the last tree returned
	errors  []source.Diag       // errors that do not stop the parser
	fatal   *source.Diag        // the error that stopped the parser
	passed  *source.Diag        // error to report if no other production matches in place of an optional one
	params  map[string]bool     // names of the parameters of the current macro
	values  map[string]bool     // result of cValues, after the first use

	names     Names
	stmtStart int // of the statement being parsed, if it may be an assignment
}

// stop is the value of a panic that unwinds to production. parser.fatal holds the
// error. noMatch does the same in an optional production: something else may match in
// its place.
type (
	stop    struct{}
	noMatch struct{}
)

var errStopped = errors.New("syntax error")

// production returns a custom production that calls parse.
//
//go:noinline
func production[T any](m *machine, parse func() T) participle.Option {
	return participle.ParseTypeWith(func(lex *lexer.PeekingLexer) (result T, err error) {
		m.lex = lex
		defer func() {
			switch r := recover(); r.(type) {
			case nil:
			case stop:
				err = errStopped
			case noMatch:
				err = participle.NextMatch
			default:
				panic(r)
			}
		}()
		return parse(), nil
	})
}

// explain converts an error of participle to a diagnostic.
func (p *parser) explain(err error) *source.Diag {
	var e *participle.UnexpectedTokenError
	if !errors.As(err, &e) {
		panic(fmt.Sprintf("parse: %v", err)) // the grammar has a bug
	}
	if p.passed != nil && p.passed.Span == p.span(e.Unexpected) {
		return p.passed
	}
	return p.diag(e.Unexpected, "", "expected "+expectation(e.Message()))
}

// diag returns the error for a token t that is not the expected one.
func (p *parser) diag(t token, hint, expected string) *source.Diag {
	if t.Type == tBad {
		return &source.Diag{Span: p.span(t), Msg: "syntax: " + p.scanner.bad}
	}
	return &source.Diag{Span: p.span(t), Msg: "syntax: " + expected + ", found " + describe(t), Hint: hint}
}

// describe describes a token for a message.
func describe(t token) string {
	switch t.Type {
	case tEOF:
		return "the end of the input"
	case tString:
		return "a string"
	case tAngleClose:
		return "the closing '>'"
	case tPredOpen:
		return "the '/' of a predicate"
	case tPredClose:
		return "the '/' that ends the predicate"
	case tCItem:
		return "a C definition"
	}
	return quote(t.Value)
}

// fail stops the parser with the error that t is not the expected token.
func (p *parser) fail(t token, expected string, args ...any) {
	p.fatal = p.diag(t, "", fmt.Sprintf(expected, args...))
	panic(stop{})
}

// failHint is fail with a hint.
//
//go:noinline
func (p *parser) failHint(t token, hint, expected string) {
	p.fatal = p.diag(t, hint, expected)
	panic(stop{})
}

// pass leaves an optional production that cannot start with t.
func (p *parser) pass(t token, expected string) {
	p.passed = p.diag(t, "", expected)
	panic(noMatch{})
}

// errorf records an error that does not stop the parser.
//
//go:noinline
func (p *parser) errorf(at span, format string, args ...any) {
	p.errorHint(at, "", format, args...)
}

//go:noinline
func (p *parser) errorHint(at span, hint, format string, args ...any) {
	p.errors = append(p.errors, source.Diag{Span: at, Msg: "syntax: " + fmt.Sprintf(format, args...), Hint: hint})
}

// literalError records an error in the literal t.
func (p *parser) literalError(t token, e litError) {
	at := p.span(t)
	at.Start, at.End = at.Start+e.start, at.Start+e.end
	p.errorf(at, "%s", e.msg)
}

// enter must be called before parsing anything that can nest, and leave after that.
// enter stops the parser if the nesting is too deep.
//
//go:noinline
func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.tooDeep()
	}
}

func (p *parser) leave() { p.depth-- }

// grow records that the tree to be returned has a highest child of the given height. It
// stops the parser if the tree is too high.
//
//go:noinline
func (p *parser) grow(child int) {
	if p.height = child + 1; p.height > maxDepth {
		p.tooDeep()
	}
}

func (p *parser) tooDeep() {
	p.fatal = &source.Diag{Span: p.span(p.peek()), Msg: fmt.Sprintf("syntax: nested too deeply; the limit is %d levels", maxDepth)}
	panic(stop{})
}

//go:noinline
func (p *parser) peek() token { return *p.lex.Peek() }

func (p *parser) next() token {
	t := *p.lex.Next()
	p.prevEnd = end(t)
	return t
}

// at reports whether the next token is the given operator or word.
//
//go:noinline
func (p *parser) at(text string) bool {
	t := p.lex.Peek()
	return t.Value == text && (t.Type == tPunct || t.Type == tIdent)
}

// accept consumes the next token if it is the given operator or word.
func (p *parser) accept(text string) bool {
	if !p.at(text) {
		return false
	}
	p.next()
	return true
}

// expect consumes the given operator or word. If it is not the next token, expect stops
// the parser.
func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.fail(p.peek(), "expected '%s'", text)
	}
}

// followed reports whether f returns true for the token after the next one.
func (p *parser) followed(f func(token) bool) bool {
	mark := p.lex.MakeCheckpoint()
	p.lex.Next()
	ok := f(*p.lex.Peek())
	p.lex.LoadCheckpoint(mark)
	return ok
}

// follows reports whether the token after the next one is the given operator.
//
//go:noinline
func (p *parser) follows(op string) bool {
	return p.followed(func(t token) bool { return t.Type == tPunct && t.Value == op })
}

// mark is a position in the tokens to which the parser can return.
type mark struct {
	lex     lexer.Checkpoint
	prevEnd int
}

func (p *parser) mark() mark { return mark{p.lex.MakeCheckpoint(), p.prevEnd} }

//go:noinline
func (p *parser) reset(m mark) {
	p.lex.LoadCheckpoint(m.lex)
	p.prevEnd = m.prevEnd
}

// end returns the offset of the byte after t.
func end(t token) int { return t.Pos.Offset + len(t.Value) }

//go:noinline
func (p *parser) span(t token) span { return p.between(t.Pos.Offset, end(t)) }

// between returns the span from start to end, or the fixed span if the parser
// has one.
func (p *parser) between(start, end int) span {
	if p.fixed.IsValid() {
		return p.fixed
	}
	return span{File: p.file, Start: start, End: end}
}

// start returns the offset of the next token.
//
//go:noinline
func (p *parser) start() int { return p.lex.Peek().Pos.Offset }

// from returns the extent from start to the end of the last token consumed.
//
//go:noinline
func (p *parser) from(start int) ast.At {
	return ast.At{Pos: p.between(start, p.prevEnd)}
}
