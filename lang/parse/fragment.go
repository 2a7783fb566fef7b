package parse

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Expr parses text, the expansion of a macro of the C section, as one
// expression. All its nodes get the extent at, which is that of the macro call.
func Expr(text string, at source.Span, names Names) (ast.Expr, error) {
	var e ast.Expr
	err := fragment(text, at, names, func(p *parser) { e = p.expr() })
	return e, err
}

// Type parses text as a type. See Expr.
func Type(text string, at source.Span, names Names) (*ast.Type, error) {
	var t *ast.Type
	err := fragment(text, at, names, func(p *parser) { t = p.typ() })
	return t, err
}

// Condition parses a file that is one expression.
func Condition(f *source.File, names Names, diags *source.Diags) ast.Expr {
	var e ast.Expr
	p := &parser{file: f, names: names}
	p.whole("expected an operator or the end of the condition", func() { e = p.expr() })
	for _, d := range p.errors {
		diags.Add(d)
	}
	if p.fatal != nil {
		diags.Add(*p.fatal)
	}
	return e
}

// fragment runs parse, which must consume all of text.
func fragment(text string, at source.Span, names Names, parse func(*parser)) error {
	p := &parser{file: source.NewFile("", text), fixed: at, names: names}
	p.whole("expected the end of the macro", func() { parse(p) })
	switch {
	case p.fatal != nil:
		return outline.Errorf("%s", p.fatal.Msg)
	case len(p.errors) > 0:
		return outline.Errorf("%s", p.errors[0].Msg)
	}
	return nil
}

// whole runs parse on the tokens of p's file, as those of an expression. If tokens are
// left, it reports that something else was expected.
func (p *parser) whole(expected string, parse func()) {
	p.scanner.reset(p.file)
	p.scanner.code()
	p.run(func() {
		parse()
		if t := p.peek(); t.Type != tEOF {
			p.fail(t, "%s", expected)
		}
	})
}
