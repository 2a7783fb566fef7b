package falco

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// Expr is a condition, or a part of one: *And, *Or, *Not, *Check, *Ref or Const.
type Expr interface{ expr() }

type (
	// And is true if all of its parts are, and Or if one of them is.
	And struct{ List []Expr }
	Or  struct{ List []Expr }
	Not struct{ X Expr }
	// Check compares a value with others. If the left side has no value, it is false,
	// whatever the operator.
	Check struct {
		At    source.Span
		Left  *Term
		Op    string
		Mod   string   // "oneof": exactly one of the values has to compare; "anyof", "allof"; or ""
		Texts []string // the values, unless Right is set
		Right *Term

		quoted map[int]bool // indexes of the values that are in quotes and so are not names of lists
	}
	// Ref is the name of a macro.
	Ref struct {
		At   source.Span
		Name string
	}
	// Const is a condition whose value is known.
	Const bool
)

func (*And) expr()   {}
func (*Or) expr()    {}
func (*Not) expr()   {}
func (*Check) expr() {}
func (*Ref) expr()   {}
func (Const) expr()  {}

// Term is a value: a field, or a function of others.
type Term struct {
	At     source.Span
	Field  *Field // nil for a function
	Name   string // of the field, without its argument, or of the function
	Arg    string // the argument of the field, if HasArg is set
	HasArg bool
	Args   []*Term // of the function
	Text   string  // a literal, if Name is ""
}

// String returns the term as it is written.
func (t *Term) String() string {
	switch {
	case t.Name == "":
		return t.Text
	case t.Field == nil && t.Args != nil:
		var args []string
		for _, a := range t.Args {
			args = append(args, a.String())
		}
		text := t.Name + "(" + strings.Join(args, ",") + ")"
		if t.HasArg {
			text += "[" + t.Arg + "]"
		}
		return text
	case t.HasArg && strings.HasSuffix(t.Name, "."):
		return t.Name + t.Arg
	case t.HasArg:
		return t.Name + "[" + t.Arg + "]"
	}
	return t.Name
}

// maxDepth is the maximum nesting of a condition.
const maxDepth = 100

var (
	wordOf = lazy.Regexp{Expr: `^[a-zA-Z][a-zA-Z0-9_-]*`}
	// identifierOf is the name of a macro.
	identifierOf = lazy.Regexp{Expr: `^[a-zA-Z][a-zA-Z0-9_]*`}
	fieldOf      = lazy.Regexp{Expr: `^[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)+`}
	bareOf       = lazy.Regexp{Expr: `^[^()"'\s=,]+`}
	argOf        = lazy.Regexp{Expr: `^[^\[\]"'\s]+`}
	numOf        = lazy.Regexp{Expr: `^(0[xX][0-9a-fA-F]+|[+-]?[0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?)`}
)

// The operators, by the kind of their right side. A word has to be followed by a blank or a
// parenthesis.
var (
	numberOps = []string{"<=", "<", ">=", ">"}
	textOps   = []string{"==", "=", "!=", "glob", "iglob", "contains", "icontains", "bcontains", "startswith", "bstartswith", "endswith", "regex"}
	listOps   = []string{"intersects", "in", "pmatch"}
	modifiers = []string{"oneof", "anyof", "allof"}
)

// transformers are the functions of terms with the number of their arguments; -1: any.
var transformers = map[string]int{
	"tolower": 1, "toupper": 1, "b64": 1, "basename": 1, "len": 1, "val": 1, "join": -1, "concat": -1, "getopt": -1,
}

// parser parses a condition. Its methods panic with *syntaxError.
type parser struct {
	text  string
	pos   int
	depth int
	at    func(from, to int) source.Span // the place of a part of the text
}

type syntaxError struct {
	at        source.Span
	msg, hint string
}

// parse parses a condition.
func parse(text string, at func(from, to int) source.Span, diags *source.Diags) (x Expr) {
	p := &parser{text: text, at: at}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *syntaxError:
			diags.Add(source.Diag{Span: e.at, Msg: e.msg, Hint: e.hint})
			x = nil
		default:
			panic(e)
		}
	}()
	x = p.or()
	if p.blank(); p.pos < len(p.text) {
		p.fail(p.pos, "", "expected 'and' or 'or', not '%s'", p.next())
	}
	return x
}

func (p *parser) fail(pos int, hint, format string, args ...any) {
	end := pos + max(1, len(p.nextAt(pos)))
	panic(&syntaxError{p.at(pos, min(end, len(p.text))), fmt.Sprintf(format, args...), hint})
}

// next returns the word at the position, for messages.
//
//go:noinline
func (p *parser) next() string {
	if p.pos >= len(p.text) {
		return "the end"
	}
	return p.nextAt(p.pos)
}

func (p *parser) nextAt(pos int) string {
	if pos >= len(p.text) {
		return ""
	}
	if s := bareOf.Get().FindString(p.text[pos:]); s != "" {
		return s
	}
	return p.text[pos : pos+1]
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.pos, "", "the condition is nested more than %d deep", maxDepth)
	}
}

func (p *parser) blank() bool {
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte(" \t\b\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	return p.pos > start
}

// is skips a text if it comes next, and reports whether it does.
//
//go:noinline
func (p *parser) is(text string) bool {
	if !strings.HasPrefix(p.text[p.pos:], text) {
		return false
	}
	p.pos += len(text)
	return true
}

// word skips a word if it comes next and ends there. It reports whether it does.
func (p *parser) word(text string) bool {
	rest, ok := strings.CutPrefix(p.text[p.pos:], text)
	if !ok || rest != "" && strings.IndexByte(" \t\r\n(", rest[0]) < 0 {
		return false
	}
	p.pos += len(text)
	return true
}

func (p *parser) or() Expr {
	p.enter()
	defer func() { p.depth-- }()
	list := []Expr{p.and()}
	for p.blank(); p.word("or"); p.blank() {
		list = append(list, p.and())
	}
	if len(list) == 1 {
		return list[0]
	}
	return &Or{list}
}

func (p *parser) and() Expr {
	list := []Expr{p.not()}
	for p.blank(); p.word("and"); p.blank() {
		list = append(list, p.not())
	}
	if len(list) == 1 {
		return list[0]
	}
	return &And{list}
}

func (p *parser) not() Expr {
	negative := false
	for p.blank(); p.word("not"); p.blank() {
		negative = !negative
	}
	x := p.check()
	if negative {
		return &Not{x}
	}
	return x
}

func (p *parser) check() Expr {
	p.blank()
	start := p.pos
	if p.is("(") {
		x := p.or()
		if p.blank(); !p.is(")") {
			p.fail(p.pos, "", "expected ')', not '%s'", p.next())
		}
		return x
	}
	if left := p.term(); left != nil {
		return p.compare(left, start)
	}
	if name := wordOf.Get().FindString(p.text[p.pos:]); name != "" {
		p.pos += len(name)
		return &Ref{p.at(start, p.pos), name}
	}
	p.fail(p.pos, "", "expected a field, a macro or '(', not '%s'", p.next())
	return nil
}

// term parses a field or a function. It returns nil if there is none.
func (p *parser) term() *Term {
	p.enter()
	defer func() { p.depth-- }()
	start := p.pos
	if name := fieldOf.Get().FindString(p.text[p.pos:]); name != "" {
		p.pos += len(name)
		t := &Term{Name: name}
		p.argument(t)
		t.At = p.at(start, p.pos)
		return t
	}
	name := wordOf.Get().FindString(p.text[p.pos:])
	n, ok := transformers[name]
	if !ok || !strings.HasPrefix(p.text[p.pos+len(name):], "(") {
		return nil
	}
	p.pos += len(name) + 1
	t := &Term{Name: name, Args: p.args(name)}
	if n >= 0 && len(t.Args) != n {
		p.fail(start, "", "%s() takes one value", name)
	}
	if name == "getopt" {
		p.argument(t)
		if t.HasArg && len(t.Arg) != 1 {
			p.fail(start, "", "the argument in brackets of getopt() is the letter of an option, not '%s'", t.Arg)
		}
	}
	t.At = p.at(start, p.pos)
	return t
}

// argument parses an argument in brackets, if there is one.
func (p *parser) argument(t *Term) {
	if !p.is("[") {
		return
	}
	t.HasArg = true
	text, ok := p.quoted()
	if !ok {
		text = argOf.Get().FindString(p.text[p.pos:])
		p.pos += len(text)
	}
	if !ok && text == "" {
		p.fail(p.pos, "", "expected the argument of %s, not '%s'", t.Name, p.next())
	}
	if t.Arg = text; !p.is("]") {
		p.fail(p.pos, "", "expected ']', not '%s'", p.next())
	}
}

// args parses the arguments of a function up to its closing parenthesis. Lists among them
// are flattened.
func (p *parser) args(name string) (list []*Term) {
	for {
		p.blank()
		start := p.pos
		switch {
		case p.is(")"):
			return list
		case p.is("("):
			list = append(list, p.args(name)...)
		default:
			t := p.term()
			if t == nil {
				text, ok := p.quoted()
				if !ok {
					text = p.bare()
				}
				if !ok && text == "" {
					p.fail(p.pos, "", "expected a value of %s(), not '%s'", name, p.next())
				}
				t = &Term{Text: text}
				t.At = p.at(start, p.pos)
			}
			list = append(list, t)
		}
		p.blank()
		if !p.is(",") {
			if !p.is(")") {
				p.fail(p.pos, "", "expected ',' or ')', not '%s'", p.next())
			}
			return list
		}
	}
}

// add adds a value.
//
//go:noinline
func (c *Check) add(text string, quoted bool) {
	if quoted {
		if c.quoted == nil {
			c.quoted = map[int]bool{}
		}
		c.quoted[len(c.Texts)] = true
	}
	c.Texts = append(c.Texts, text)
}

// compare parses the operator and the right side.
func (p *parser) compare(left *Term, start int) Expr {
	c := &Check{Left: left}
	p.blank()
	opAt := p.pos
	switch {
	case p.exists():
		c.Op = "exists"
	case p.operator(c, numberOps):
		if p.blank(); !p.rightTerm(c) {
			text := numOf.Get().FindString(p.text[p.pos:])
			if text == "" {
				p.fail(p.pos, "", "expected a number after '%s', not '%s'", c.Op, p.next())
			}
			p.pos += len(text)
			c.Texts = []string{text}
		}
	case p.operator(c, listOps):
		p.list(c)
	case p.operator(c, textOps):
		p.blank()
		if i := slices.IndexFunc(modifiers, p.word); i >= 0 {
			c.Mod = modifiers[i]
			p.list(c)
		} else if !p.rightTerm(c) && !p.value(c) {
			p.fail(p.pos, "", "expected a value after '%s', not '%s'", c.Op, p.next())
		}
	default:
		all := slices.Concat(numberOps, textOps, listOps, []string{"exists"})
		hint := source.DidYouMean(p.nextAt(opAt), all)
		if hint == "" {
			hint = "the operators are " + strings.Join(all, " ")
		}
		p.fail(opAt, hint, "expected an operator after %s, not '%s'", left, p.next())
	}
	c.At = p.at(start, p.pos)
	return c
}

// exists parses the operator exists, which has no right side.
func (p *parser) exists() bool {
	const op = "exists"
	if wordOf.Get().FindString(p.text[p.pos:]) != op {
		return false
	}
	p.pos += len(op)
	return true
}

func (p *parser) operator(c *Check, ops []string) bool {
	for _, op := range ops {
		letters := op[0] >= 'a'
		if letters && p.word(op) || !letters && p.is(op) {
			if c.Op = op; op == "==" {
				c.Op = "="
			}
			return true
		}
	}
	return false
}

// rightTerm parses a field or a function on the right side, where a field is written
// val(field).
func (p *parser) rightTerm(c *Check) bool {
	name := wordOf.Get().FindString(p.text[p.pos:])
	if _, ok := transformers[name]; !ok || !strings.HasPrefix(p.text[p.pos+len(name):], "(") {
		return false
	}
	c.Right = p.term()
	return true
}

// list parses a list of values in parentheses, the name of a list, or a field.
func (p *parser) list(c *Check) {
	p.blank()
	if !p.is("(") {
		if p.rightTerm(c) {
			return
		}
		name := wordOf.Get().FindString(p.text[p.pos:])
		if name == "" {
			p.fail(p.pos, "", "expected a list after '%s', not '%s'", c.Op, p.next())
		}
		p.pos += len(name)
		c.Texts = []string{name}
		return
	}
	c.Texts = slices.Grow(c.Texts, 1)
	first := true
	for p.blank(); !p.is(")"); p.blank() {
		if !first {
			if !p.is(",") {
				p.fail(p.pos, "", "expected ',' or ')', not '%s'", p.next())
			}
			p.blank()
			if p.is(")") {
				return
			}
		}
		if !p.value(c) {
			p.fail(p.pos, "", "expected a value, not '%s'", p.next())
		}
		first = false
	}
}

// value parses a quoted or a bare text, and adds it to a comparison. It reports whether
// there is one.
func (p *parser) value(c *Check) bool {
	p.blank()
	if text, ok := p.quoted(); ok {
		c.add(text, true)
		return true
	}
	text := p.bare()
	if text != "" {
		c.add(text, false)
	}
	return text != ""
}

func (p *parser) bare() string {
	text := bareOf.Get().FindString(p.text[p.pos:])
	p.pos += len(text)
	return text
}
