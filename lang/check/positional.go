package check

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
)

// positional returns the value of $N: a number if the text is one, otherwise a string.
// If the parameter was not given or is empty, it is 0, and positional reports a warning.
func (c *checker) positional(e *ast.Positional) *builtins.Lit {
	if e.N == 0 {
		return &builtins.Lit{Int: int64(len(c.sess.Params))}
	}
	text := c.paramText(e).Str
	if text == "" {
		c.warnf(e.Span(), "Positional parameter $%d is empty or not provided.", e.N)
		return &builtins.Lit{}
	}
	if n, ok := parseParam(text); ok {
		return n
	}
	return &builtins.Lit{Str: text, IsStr: true}
}

// paramText returns the text of a positional parameter that is used as a
// string.
func (c *checker) paramText(e *ast.Positional) *builtins.Lit {
	l := &builtins.Lit{IsStr: true}
	switch {
	case e.N == 0:
		l.Str = strconv.Itoa(len(c.sess.Params))
	case e.N <= len(c.sess.Params):
		l.Str = c.sess.Params[e.N-1]
	}
	return l
}

// leftmostParam returns the positional parameter that e is or to which e adds a number:
// str($1 + 2) omits two characters of its text, but $# + 2 is a sum. It returns nil for
// other expressions.
func leftmostParam(e ast.Expr) *ast.Positional {
	b, sum := e.(*ast.Binary)
	if sum && b.Op == "+" {
		e = b.X
	}
	p, ok := e.(*ast.Positional)
	if ok && sum && p.N == 0 {
		return nil
	}
	return p
}

// parseParam parses a number in the form of a positional parameter.
func parseParam(text string) (*builtins.Lit, bool) {
	neg := strings.HasPrefix(text, "-")
	n, ok := parse.Number(strings.TrimPrefix(text, "-"))
	if !ok {
		return nil, false
	}
	if neg {
		if n > 1<<63 {
			return nil, false
		}
		return &builtins.Lit{Int: -int64(n)}, true
	}
	return &builtins.Lit{Int: int64(n), Unsigned: int64(n) < 0}, true
}
