package cdecl

import (
	"cmp"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/outline"
)

// exprParser evaluates integer constant expressions: those of #if, array
// bounds, enum values and #define bodies.
type exprParser struct {
	toks            []token
	pos             int
	undefinedIsZero bool // in #if: an unknown name is 0, and all numbers have 64 bits
	name            func(string) (int64, bool)
	typeName        func(p *exprParser) (*types.Type, bool) // parses a type name
	isType          func(token) bool                        // (T)x is a cast
	depth           int
}

// number is an integer of C: of 32 bits (int and unsigned) or 64 (long).
type number struct {
	v        int64 // sign- or zero-extended if it has 32 bits
	long     bool
	unsigned bool
}

// fit wraps the value of n to its type.
func (n number) fit() number {
	switch {
	case n.long:
	case n.unsigned:
		n.v = int64(uint32(n.v))
	default:
		n.v = int64(int32(n.v))
	}
	return n
}

// integer returns the number v, of the smallest signed type that holds it.
func integer(v int64) number { return number{v: v, long: v != int64(int32(v))} }

// common converts x and y to their common type in C.
func common(x, y number) (number, number) {
	long := x.long || y.long
	unsigned := x.unsigned && x.long == long || y.unsigned && y.long == long
	x.long, y.long, x.unsigned, y.unsigned = long, long, unsigned, unsigned
	return x.fit(), y.fit()
}

var errTooDeep = errors.New("nested too deeply")

// parse evaluates the expression, which must consume all tokens.
func (p *exprParser) parse() (int64, error) {
	n, err := p.number()
	return n.v, err
}

// number is like parse, but also returns the type of the value.
func (p *exprParser) number() (number, error) {
	v, err := p.ternary()
	if err != nil {
		return number{}, err
	}
	if p.pos < len(p.toks) {
		return number{}, outline.Errorf("unexpected %q", p.toks[p.pos].text)
	}
	return v, nil
}

//go:noinline
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

func (p *exprParser) ternary() (number, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > 200 {
		return number{}, errTooDeep
	}
	c, err := p.binary(0)
	if err != nil || !p.accept("?") {
		return c, err
	}
	x, err := p.ternary()
	if err != nil {
		return number{}, err
	}
	if !p.accept(":") {
		return number{}, errors.New("expected ':'")
	}
	y, err := p.ternary()
	x, y = common(x, y)
	if c.v == 0 {
		x = y
	}
	return x, err
}

var levels = []string{"|| ", "&& ", "| ", "^ ", "& ", "== != ", "< <= > >= ", "<< >> ", "+ - ", "* / % "}

func (p *exprParser) binary(level int) (number, error) {
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
		var y number
		if y, err = p.binary(level + 1); err == nil {
			x, err = apply(t.text, x, y)
		}
	}
	return number{}, err
}

func apply(op string, x, y number) (number, error) {
	b := func(v bool) (number, error) {
		if v {
			return number{v: 1}, nil
		}
		return number{}, nil
	}
	switch op {
	case "||":
		return b(x.v != 0 || y.v != 0)
	case "&&":
		return b(x.v != 0 && y.v != 0)
	case "<<", ">>":
		n := uint64(y.v) & 63
		switch {
		case op == "<<":
			x.v <<= n
		case x.unsigned:
			x.v = int64(uint64(x.v) >> n)
		default:
			x.v >>= n
		}
		return x.fit(), nil
	}
	x, y = common(x, y)
	order := cmp.Compare(x.v, y.v)
	if x.unsigned {
		order = cmp.Compare(uint64(x.v), uint64(y.v))
	}
	switch op {
	case "==":
		return b(order == 0)
	case "!=":
		return b(order != 0)
	case "<":
		return b(order < 0)
	case "<=":
		return b(order <= 0)
	case ">":
		return b(order > 0)
	case ">=":
		return b(order >= 0)
	case "|":
		x.v |= y.v
	case "^":
		x.v ^= y.v
	case "&":
		x.v &= y.v
	case "+":
		x.v += y.v
	case "-":
		x.v -= y.v
	case "*":
		x.v *= y.v
	default:
		switch {
		case y.v == 0:
			return number{}, errors.New("division by zero")
		case op == "/" && x.unsigned:
			x.v = int64(uint64(x.v) / uint64(y.v))
		case op == "/":
			x.v /= y.v
		case x.unsigned:
			x.v = int64(uint64(x.v) % uint64(y.v))
		default:
			x.v %= y.v
		}
	}
	return x.fit(), nil
}

func (p *exprParser) unary() (number, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > 200 {
		return number{}, errTooDeep
	}
	t := p.peek()
	p.pos++
	switch {
	case t.is("-"), t.is("+"), t.is("!"), t.is("~"):
		n, err := p.unary()
		switch t.text {
		case "-":
			n.v = -n.v
		case "~":
			n.v = ^n.v
		case "!":
			zero := n.v == 0
			n = number{}
			if zero {
				n.v = 1
			}
		}
		return n.fit(), err
	case t.is("("):
		if p.isType != nil && p.isType(p.peek()) {
			return p.cast()
		}
		v, err := p.ternary()
		if err == nil && !p.accept(")") {
			err = errors.New("expected ')'")
		}
		return v, err
	case t.is("sizeof") && p.typeName != nil:
		return p.sizeof()
	case t.kind == tNumber:
		n, err := parseNumber(t.text)
		n.long = n.long || p.undefinedIsZero
		return n, err
	case t.kind == tChar:
		v, err := parseChar(t.text)
		return integer(v), err
	case t.kind == tIdent && isCharPrefix(t.text) && p.pos < len(p.toks) && p.peek().kind == tChar && !p.peek().space:
		p.pos++
		v, err := parseChar(p.toks[p.pos-1].text)
		return integer(v), err
	case t.kind == tIdent:
		if p.name != nil {
			if v, ok := p.name(t.text); ok {
				n := integer(v)
				n.long = n.long || p.undefinedIsZero
				return n, nil
			}
		}
		if p.undefinedIsZero {
			p.skipCall()
			return number{long: true}, nil
		}
		return number{}, outline.Errorf("%s is not a constant", t.text)
	case t.kind == tEOF:
		return number{}, errors.New("an expression is missing")
	}
	return number{}, outline.Errorf("unexpected %q", t.text)
}

// skipCall skips the arguments of an unknown macro.
func (p *exprParser) skipCall() {
	if !p.accept("(") {
		return
	}
	for depth := 1; depth > 0 && p.pos < len(p.toks); p.pos++ {
		if p.peek().is("(") {
			depth++
		} else if p.peek().is(")") {
			depth--
		}
	}
}

// cast evaluates (T)x after its "(".
func (p *exprParser) cast() (number, error) {
	t, ok := p.typeName(p)
	if !ok || !p.accept(")") {
		return number{}, errors.New("unknown type in a cast")
	}
	n, err := p.unary()
	switch t.Kind {
	case types.Int, types.Enum:
	case types.Bool:
		return number{v: min(n.v&-n.v, 1)}, err
	case types.Pointer:
		return number{v: n.v, long: true, unsigned: true}, err
	default:
		return number{}, outline.Errorf("a cast to %s is not a constant", t)
	}
	n.long, n.unsigned = t.Size == 8, !t.Signed && t.Size >= 4
	switch bits := 64 - 8*t.Size; {
	case t.Size >= 4:
	case t.Signed:
		n.v = n.v << bits >> bits
	default:
		n.v = int64(uint64(n.v) << bits >> bits)
	}
	return n.fit(), err
}

// sizeof evaluates sizeof(T) after the word sizeof.
func (p *exprParser) sizeof() (number, error) {
	if !p.accept("(") {
		return number{}, errors.New("sizeof needs parentheses")
	}
	t, ok := p.typeName(p)
	if !ok {
		return number{}, errors.New("unknown type in sizeof")
	}
	if !p.accept(")") {
		return number{}, errors.New("expected ')'")
	}
	e := t
	for e.Kind == types.Array {
		e = e.Elem
	}
	if e.Kind == types.Struct && e.Comp == nil || e.Kind == types.Void {
		return number{}, errors.New("unknown size in sizeof")
	}
	return number{v: int64(t.Size), long: true, unsigned: true}, nil
}

// isCharPrefix reports whether word can precede a character literal without a space,
// which makes it a wide one.
func isCharPrefix(word string) bool {
	return word == "L" || word == "u" || word == "U" || word == "u8"
}

// parseChar returns the value of a character literal: one character, or a C
// escape. Octal escapes have one to three digits.
func parseChar(text string) (int64, error) {
	bad := outline.Errorf("bad character %s", text)
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
	n, err := parseNumber(text)
	return n.v, err
}

// parseNumber returns the value of an integer literal with its type in C.
func parseNumber(text string) (number, error) {
	digits := strings.TrimRight(strings.ReplaceAll(text, "'", ""), "uUlL")
	suffix := text[len(strings.TrimRight(text, "uUlL")):]
	v, err := strconv.ParseUint(digits, 0, 64)
	if err != nil {
		return number{}, outline.Errorf("%s is not an integer", text)
	}
	n := number{v: int64(v), long: strings.ContainsAny(suffix, "lL"), unsigned: strings.ContainsAny(suffix, "uU")}
	decimal := digits[0] != '0'
	switch {
	case n.unsigned:
		n.long = n.long || v > math.MaxUint32
	case !n.long && v <= math.MaxInt32:
	case !n.long && !decimal && v <= math.MaxUint32:
		n.unsigned = true
	default:
		n.long, n.unsigned = true, v > math.MaxInt64
	}
	return n, nil
}
