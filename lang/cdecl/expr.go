package cdecl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// exprParser evaluates integer constant expressions: in #if, array bounds, enum
// values and #define bodies.
type exprParser struct {
	toks            []token
	pos             int
	undefinedIsZero bool // #if: an unknown name is 0
	name            func(string) (int64, bool)
	sizeof          func(p *exprParser) (int64, error) // after the word sizeof
	isType          func(token) bool                   // (T)x is a cast
	depth           int
}

var errTooDeep = errors.New("nested too deeply")

// parse evaluates all tokens.
func (p *exprParser) parse() (int64, error) {
	v, err := p.ternary()
	if err != nil {
		return 0, err
	}
	if p.pos < len(p.toks) {
		return 0, fmt.Errorf("unexpected %q", p.toks[p.pos].text)
	}
	return v, nil
}

func (p *exprParser) peek() token {
	if p.pos < len(p.toks) {
		return p.toks[p.pos]
	}
	return token{}
}

func (p *exprParser) accept(text string) bool {
	if p.peek().is(text) {
		p.pos++
		return true
	}
	return false
}

func (p *exprParser) ternary() (int64, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > 200 {
		return 0, errTooDeep
	}
	c, err := p.binary(0)
	if err != nil || !p.accept("?") {
		return c, err
	}
	x, err := p.ternary()
	if err != nil {
		return 0, err
	}
	if !p.accept(":") {
		return 0, errors.New("expected ':'")
	}
	y, err := p.ternary()
	if c == 0 {
		x = y
	}
	return x, err
}

var levels = []string{"|| ", "&& ", "| ", "^ ", "& ", "== != ", "< <= > >= ", "<< >> ", "+ - ", "* / % "}

func (p *exprParser) binary(level int) (int64, error) {
	if level == len(levels) {
		return p.unary()
	}
	x, err := p.binary(level + 1)
	for err == nil {
		t := p.peek()
		if t.kind != tPunct || !strings.Contains(" "+levels[level], " "+t.text+" ") {
			return x, nil
		}
		p.pos++
		var y int64
		if y, err = p.binary(level + 1); err == nil {
			x, err = apply(t.text, x, y)
		}
	}
	return 0, err
}

func apply(op string, x, y int64) (int64, error) {
	b := func(v bool) int64 {
		if v {
			return 1
		}
		return 0
	}
	switch op {
	case "||":
		return b(x != 0 || y != 0), nil
	case "&&":
		return b(x != 0 && y != 0), nil
	case "|":
		return x | y, nil
	case "^":
		return x ^ y, nil
	case "&":
		return x & y, nil
	case "==":
		return b(x == y), nil
	case "!=":
		return b(x != y), nil
	case "<":
		return b(x < y), nil
	case "<=":
		return b(x <= y), nil
	case ">":
		return b(x > y), nil
	case ">=":
		return b(x >= y), nil
	case "<<":
		return x << (uint64(y) & 63), nil
	case ">>":
		return x >> (uint64(y) & 63), nil
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	}
	if y == 0 {
		return 0, errors.New("division by zero")
	}
	if op == "%" {
		return x % y, nil
	}
	return x / y, nil
}

func (p *exprParser) unary() (int64, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > 200 {
		return 0, errTooDeep
	}
	t := p.peek()
	p.pos++
	switch {
	case t.is("-"), t.is("+"), t.is("!"), t.is("~"):
		v, err := p.unary()
		switch t.text {
		case "-":
			v = -v
		case "~":
			v = ^v
		case "!":
			if v == 0 {
				v = 1
			} else {
				v = 0
			}
		}
		return v, err
	case t.is("("):
		if p.isType != nil && p.isType(p.peek()) {
			for p.pos < len(p.toks) && !p.peek().is(")") {
				p.pos++
			}
			p.accept(")")
			return p.unary()
		}
		v, err := p.ternary()
		if err == nil && !p.accept(")") {
			err = errors.New("expected ')'")
		}
		return v, err
	case t.is("sizeof") && p.sizeof != nil:
		return p.sizeof(p)
	case t.kind == tNumber:
		return parseInt(t.text)
	case t.kind == tChar:
		return parseChar(t.text)
	case t.kind == tIdent && isCharPrefix(t.text) && p.pos < len(p.toks) && p.peek().kind == tChar && !p.peek().space:
		p.pos++
		return parseChar(p.toks[p.pos-1].text)
	case t.kind == tIdent:
		if p.name != nil {
			if v, ok := p.name(t.text); ok {
				return v, nil
			}
		}
		if p.undefinedIsZero {
			if p.accept("(") { // an unknown function-like macro
				for depth := 1; depth > 0 && p.pos < len(p.toks); p.pos++ {
					if p.peek().is("(") {
						depth++
					} else if p.peek().is(")") {
						depth--
					}
				}
			}
			return 0, nil
		}
		return 0, fmt.Errorf("%s is not a constant", t.text)
	case t.kind == tEOF:
		return 0, errors.New("an expression is missing")
	}
	return 0, fmt.Errorf("unexpected %q", t.text)
}

// isCharPrefix reports whether a character literal may follow the word at once,
// which makes it one of a wider type.
func isCharPrefix(word string) bool {
	return word == "L" || word == "u" || word == "U" || word == "u8"
}

// parseChar is the value of a character literal: one character, or an escape
// as C has them, among them octal ones of one to three digits.
func parseChar(text string) (int64, error) {
	bad := fmt.Errorf("bad character %s", text)
	if len(text) < 3 || text[len(text)-1] != '\'' {
		return 0, bad
	}
	body := text[1 : len(text)-1]
	if body[0] != '\\' {
		r, n := utf8.DecodeRuneInString(body)
		if n != len(body) {
			return 0, bad
		}
		return int64(r), nil
	}
	esc := body[1:]
	if esc == "" {
		return 0, bad
	}
	switch c := esc[0]; {
	case c >= '0' && c <= '7':
		v, err := strconv.ParseUint(esc, 8, 32)
		if err != nil || len(esc) > 3 {
			return 0, bad
		}
		return int64(v), nil
	case c == 'x':
		v, err := strconv.ParseUint(esc[1:], 16, 32)
		if err != nil {
			return 0, bad
		}
		return int64(v), nil
	case len(esc) > 1:
		return 0, bad
	}
	const names, values = `abfnrtve\'"?`, "\a\b\f\n\r\t\v\x1b\\'\"?"
	if i := strings.IndexByte(names, esc[0]); i >= 0 {
		return int64(values[i]), nil
	}
	return 0, bad
}

func parseInt(text string) (int64, error) {
	digits := strings.TrimRight(strings.ReplaceAll(text, "'", ""), "uUlL")
	v, err := strconv.ParseUint(digits, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not an integer", text)
	}
	return int64(v), nil
}
