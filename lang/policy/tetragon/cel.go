package tetragon

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/outline"
)

// celCondition adds the condition that one of the values, which are CEL expressions, is
// true. In them, argN is argument N of the list in indices or, without a list, of the
// hook.
func (h *hook) celCondition(o *operands, s *selector, args []*arg, indices []*yaml.Node) {
	if len(o.values) == 0 {
		h.p.diags.Errorf(o.node.At, "the operator %s needs values", o.operator)
		return
	}
	to := &s.cheap
	cond := h.alternatives(o, func(w word) string {
		expr, err := celExpression(w.text, func(name string) (celValue, error) {
			n, err := strconv.ParseUint(strings.TrimPrefix(name, "arg"), 10, 8)
			if err != nil || !strings.HasPrefix(name, "arg") {
				return celValue{}, outline.Errorf("there is no variable '%s'", name)
			}
			i := indexed(args, int(n))
			if indices != nil {
				if n >= uint64(len(indices)) {
					return celValue{}, outline.Errorf("'args' has no entry for '%s'", name)
				}
				n = uint64(h.p.integer(indices[n]))
				i = listed(args, int(n))
			}
			switch {
			case i < 0:
				return celValue{}, outline.Errorf("the hook has no argument with the index %d", n)
			case args[i].late:
				return celValue{}, outline.Errorf("'%s' is read when the function returns, and cannot be matched", name)
			case args[i].t.class == numberClass && args[i].t.value != "":
				return celValue{args[i].value, celNumber}, nil
			case args[i].t.class == numberClass:
				return celValue{args[i].variable, celNumber}, nil
			case args[i].t.class == textClass:
				to = &s.dear
				return celValue{h.operand(args[i], to), celText}, nil
			}
			return celValue{}, outline.Errorf("the type %s of '%s' is neither a number nor a string", args[i].name, name)
		})
		if err != nil {
			h.p.diags.Errorf(w.at, "the expression is not right: %v", err)
		}
		return expr
	})
	if !strings.Contains(cond, "$") {
		s.broad++
	} else if to == &s.cheap {
		s.numeric++
	}
	*to = append(*to, cond)
}

// celKind is the kind of a value in an expression of CEL.
type celKind uint8

const (
	celNumber celKind = iota
	celText
	celBool
)

func (k celKind) String() string { return [...]string{"number", "string", "boolean"}[k] }

// celValue is a part of an expression, in gotrace's language.
type celValue struct {
	expr string
	kind celKind
}

// celReader translates an expression of CEL. The first error stops it.
type celReader struct {
	rest  string
	token string // the current token; "" at the end
	depth int
	arg   func(name string) (celValue, error)
	err   error
}

// celDepth is the maximum depth of an expression.
const celDepth = 64

// celExpression translates an expression of CEL whose result is a boolean. arg returns the
// value of a variable.
func celExpression(text string, arg func(name string) (celValue, error)) (string, error) {
	r := &celReader{rest: text, arg: arg}
	r.next()
	v := r.choice()
	switch {
	case r.err != nil:
	case r.token != "":
		r.fail("'%s' is not expected here", r.token)
	case v.kind != celBool:
		r.fail("the result is a %s, and must be a boolean", v.kind)
	}
	return v.expr, r.err
}

// fail records the first error and ends the text.
//
//go:noinline
func (r *celReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = outline.Errorf(format, args...)
	}
	r.rest, r.token = "", ""
}

// next reads a token: a name, a number, a string with its quotes, or an operator.
func (r *celReader) next() {
	s := strings.TrimLeft(r.rest, " \t\r\n")
	n := 0
	switch {
	case s == "":
	case s[0] == '"' || s[0] == '\'':
		for n = 1; n < len(s) && s[n] != s[0]; n++ {
			if s[n] == '\\' {
				n++
			}
		}
		if n++; n > len(s) {
			r.fail("a string does not end")
			return
		}
	case isWord(s[0]):
		for n < len(s) && isWord(s[n]) {
			n++
		}
	default:
		n = 1
		if len(s) > 1 {
			switch s[:2] {
			case "&&", "||", "==", "!=", "<=", ">=":
				n = 2
			}
		}
	}
	r.token, r.rest = s[:n], s[n:]
}

// accept skips a token if it is the current one.
//
//go:noinline
func (r *celReader) accept(token string) bool {
	if r.token != token {
		return false
	}
	r.next()
	return true
}

func (r *celReader) expect(token string) {
	if !r.accept(token) {
		r.fail("'%s' is missing", token)
	}
}

// want reports an error if a value is of another kind.
//
//go:noinline
func (r *celReader) want(v celValue, kind celKind, where string) {
	if v.kind != kind {
		r.fail("%s takes a %s, not a %s", where, kind, v.kind)
	}
}

// choice reads c ? a : b, or an expression that binds more tightly.
func (r *celReader) choice() celValue {
	if r.depth++; r.depth > celDepth {
		r.fail("the expression is too deep")
	}
	defer func() { r.depth-- }()
	c := r.binary(0)
	if !r.accept("?") {
		return c
	}
	r.want(c, celBool, "?:")
	a := r.choice()
	r.expect(":")
	b := r.choice()
	r.want(b, a.kind, "?:")
	return celValue{fmt.Sprintf("(%s ? %s : %s)", c.expr, a.expr, b.expr), a.kind}
}

// celOperators are the binary operators by precedence.
var celOperators = []string{" || ", " && ", " == != < <= > >= in ", " + - ", " * / % "}

// binary reads operands of binary operators of a level.
func (r *celReader) binary(level int) celValue {
	if level == len(celOperators) {
		return r.unary()
	}
	a := r.binary(level + 1)
	for r.token != "" && strings.Contains(celOperators[level], " "+r.token+" ") {
		op := r.token
		r.next()
		if op == "in" {
			a = r.in(a)
			continue
		}
		b := r.binary(level + 1)
		kind := celBool
		switch level {
		case 0, 1:
			r.want(a, celBool, op)
		case 2:
			if op != "==" && op != "!=" {
				r.want(a, celNumber, op)
			}
		default:
			kind = celNumber
			r.want(a, celNumber, op)
		}
		r.want(b, a.kind, op)
		a = celValue{"(" + a.expr + " " + op + " " + b.expr + ")", kind}
	}
	return a
}

// in reads the list of the operator "in".
func (r *celReader) in(a celValue) celValue {
	var list []string
	r.expect("[")
	for r.err == nil && r.token != "]" {
		v := r.unary()
		r.want(v, a.kind, "in")
		list = append(list, v.expr)
		if !r.accept(",") {
			break
		}
	}
	r.expect("]")
	if len(list) == 0 {
		return celValue{"false", celBool}
	}
	return celValue{"(" + among(a.expr, list) + ")", celBool}
}

func (r *celReader) unary() celValue {
	if r.depth++; r.depth > celDepth {
		r.fail("the expression is too deep")
	}
	defer func() { r.depth-- }()
	switch {
	case r.accept("!"):
		v := r.unary()
		r.want(v, celBool, "!")
		return celValue{"!(" + v.expr + ")", celBool}
	case r.accept("-"):
		v := r.unary()
		r.want(v, celNumber, "-")
		if isNumber(v.expr) {
			return celValue{"-" + v.expr, celNumber}
		}
		return celValue{"(-" + v.expr + ")", celNumber}
	}
	v := r.primary()
	for r.accept(".") {
		v = r.method(v)
	}
	return v
}

// celMethods are the functions of strings, with the operators of the language.
var celMethods = map[string]string{"startsWith": "startswith", "endsWith": "endswith", "contains": "contains", "matches": "=~"}

// method reads a call of a function of a string.
func (r *celReader) method(v celValue) celValue {
	name := r.token
	op := celMethods[name]
	if op == "" {
		r.fail("there is no function '%s' of values", name)
		return v
	}
	r.next()
	r.want(v, celText, name)
	r.expect("(")
	pattern, ok := celString(r.token)
	if !ok {
		r.fail("%s takes a string", name)
	}
	r.next()
	r.expect(")")
	return celValue{"(" + v.expr + " " + op + " " + source.Quote(pattern) + ")", celBool}
}

// celString returns the text of a string literal.
func celString(token string) (string, bool) {
	if token == "" || token[0] != '"' && token[0] != '\'' {
		return "", false
	}
	body := token[1 : len(token)-1]
	if token[0] == '\'' {
		body = strings.ReplaceAll(strings.ReplaceAll(body, `\'`, "'"), `"`, `\"`)
	}
	s, err := strconv.Unquote(`"` + body + `"`)
	return s, err == nil
}

// celTypes are the functions that convert numbers, with the types of the language.
var celTypes = map[string]string{
	"int": "int64", "uint": "uint64", "s64": "int64", "u64": "uint64", "s32": "int32", "u32": "uint32", "s16": "int16", "u16": "uint16", "s8": "int8", "u8": "uint8",
	"int64": "int64", "uint64": "uint64", "int32": "int32", "uint32": "uint32", "int16": "int16", "uint16": "uint16", "int8": "int8", "uint8": "uint8",
}

// primary reads a literal, a variable, a conversion or an expression in parentheses.
func (r *celReader) primary() celValue {
	token := r.token
	if token == "" {
		r.fail("the expression is not complete")
		return celValue{}
	}
	r.next()
	if s, ok := celString(token); ok {
		return celValue{source.Quote(s), celText}
	}
	switch {
	case token == "(":
		v := r.choice()
		r.expect(")")
		return v
	case token == "true" || token == "false":
		return celValue{token, celBool}
	case token[0] >= '0' && token[0] <= '9':
		digits := strings.TrimRight(token, "uU")
		if n, err := strconv.ParseUint(digits, 0, 64); err == nil && (len(digits) == 1 || digits[0] != '0' || digits[1] == 'x') {
			return celValue{strconv.FormatUint(n, 10), celNumber}
		}
		r.fail("'%s' is not a number", token)
	case celTypes[token] != "" && r.accept("("):
		v := r.choice()
		r.expect(")")
		r.want(v, celNumber, token)
		return celValue{"(" + celTypes[token] + ")(" + v.expr + ")", celNumber}
	case isWord(token[0]):
		v, err := r.arg(token)
		if err != nil {
			r.fail("%v", err)
		}
		return v
	default:
		r.fail("'%s' is not expected here", token)
	}
	return celValue{}
}
