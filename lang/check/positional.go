package check

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
)

// positional returns the value of $N: a number where it reads as one, else a
// string; 0, with a warning, where it was not given.
func (c *checker) positional(e *ast.Positional) *builtins.Lit {
	if e.N == 0 {
		return &builtins.Lit{Int: int64(len(c.sess.Params))}
	}
	if e.N > len(c.sess.Params) {
		c.warnf(e.Span(), "Positional parameter $%d is empty or not provided.", e.N)
		return &builtins.Lit{}
	}
	text := c.sess.Params[e.N-1]
	if n, ok := parseParam(text); ok {
		return n
	}
	return &builtins.Lit{Str: text, IsStr: true}
}

// paramText returns a positional parameter where its text is wanted.
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

// Number implements builtins.Checker.
func (c *checker) Number(text string) (*builtins.Lit, bool) { return parseParam(text) }

// parseParam reads a number as a positional parameter gives it.
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
