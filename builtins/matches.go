package builtins

import (
	"errors"
	"strings"

	"github.com/gotrace/gotrace/builtins/match"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

func matches() *Def {
	return &Def{
		Name:   "matches",
		Kind:   Function,
		Syntax: Syntax{Operator: "=~", NotOperator: "!~"},
		Params: matchParams("expression"),
		Doc: Doc{
			Summary: "Whether a regular expression, or one of several, matches somewhere in a string: x =~ \"a+\", x =~ (\"a+\", \"b$\"); x !~ \"a+\" is the opposite. " +
				"The expressions are literals in the syntax of Go's package regexp (RE2): ^ and $ are the ends of the string, (?i) ignores case, \\d is written \"\\\\d\". Text is UTF-8. Each byte of the string is read once, whatever the expression.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_openat /str(args.filename) =~ "^/proc/[0-9]+/(maps|mem)$"/ { print(comm); }`,
				`tracepoint:syscalls:sys_enter_openat /matches(str(args.filename), "^/home/[a-z]+/", "^/root/")/ { @[comm] = count(); }`,
				`tracepoint:syscalls:sys_enter_openat /str(args.filename) !~ ("^/proc/", "^/sys/")/ { @[comm] = count(); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			return checkMatch(c, call, func(text string) (pattern.Pattern, bool, error) {
				p, err := pattern.Regexp(text)
				return p, true, err
			}, never, nil)
		},
		Emit: func(g Gen, call *Call) *ir.Value { return emitMatch(g, call, nil) },
	}
}

// A matcher is a builtin that compares a string with one or more patterns and is true if
// one of them matches. The patterns are literals and become one automaton, unless the
// comparison with each of them is short.

// matchParams are the parameters of a matcher.
//
//go:noinline
func matchParams(what string) []Param {
	return []Param{{Name: "s", Chars: true}, {Name: what, Variadic: true}}
}

// matchCall is the data that Check passes to Emit. texts holds the patterns if they are
// texts that are compared one by one, otherwise autos are their automata. If shared is set, there
// is one for several calls, and bit is the place of this one in its result.
type matchCall struct {
	texts  []string
	list   []pattern.Pattern
	autos  []*pattern.Automaton
	shared *sharedMatch
	bit    int
}

// sharedMatch is the automaton of several calls on one value. The first one runs it, and the
// others read its result, a word with a bit for each call.
type sharedMatch struct {
	first *Call
	word  *ir.Var
}

// AutomatonStates returns the number of states of the automaton with which the call of a matcher
// reads its first argument, or 0 if it does that otherwise.
func (call *Call) AutomatonStates() int {
	m, ok := call.Data.(*matchCall)
	if !ok || len(m.autos) != 1 || call.Lit != nil {
		return 0
	}
	return m.autos[0].States
}

// ShareAutomaton lets calls that run automata on the same value share one. The first call
// runs it, and must always run before the others. If the automaton would be too large,
// nothing changes.
func ShareAutomaton(cache *pattern.Cache, calls []*Call) {
	var list []pattern.Pattern
	for _, call := range calls {
		list = append(list, pattern.OneOf(call.Data.(*matchCall).list))
	}
	auto, err := cache.Compile(list)
	if err != nil {
		return
	}
	shared := &sharedMatch{first: calls[0]}
	for i, call := range calls {
		m := call.Data.(*matchCall)
		m.autos, m.shared, m.bit = []*pattern.Automaton{auto}, shared, i
	}
}

// MergeMatches makes the first of calls on the same value true if one of them is, and the others
// false. It does the same with parts of calls if there are too many.
func MergeMatches(cache *pattern.Cache, calls []*Call) {
	if len(calls) < 2 {
		return
	}
	var list []pattern.Pattern
	for _, call := range calls {
		list = append(list, call.Data.(*matchCall).list...)
	}
	autos, err := cache.Any(list)
	if err != nil {
		half := len(calls) / 2
		MergeMatches(cache, calls[:half])
		MergeMatches(cache, calls[half:])
		return
	}
	for _, call := range calls[1:] {
		call.Lit = boolLit(false)
	}
	m := calls[0].Data.(*matchCall)
	m.autos, m.list = autos, list
}

// warnTooLong warns of literals that are longer than the result of a builtin that is compared
// with them.
func warnTooLong(c Checker, call *Call, texts []string) {
	t := call.typeOf(0)
	if _, known := call.litStr(0); known || call.Args[0].From == nil || t.Kind != types.String || !c.Final() {
		return
	}
	for _, text := range texts {
		WarnTooLong(c, call.Span, t, text)
	}
}

// WarnTooLong warns if the literal text, which ends at a NUL, is longer than a string of type t.
func WarnTooLong(c Checker, at source.Span, t *types.Type, text string) {
	if known, _, _ := strings.Cut(text, "\x00"); len(known) > t.MaxBytes() {
		c.Warnf(at, "%q never matches: the string has at most %d bytes", text, t.MaxBytes())
	}
}

// checkMatch is the type rule of a matcher. parse parses a pattern; ok is false if it
// cannot be part of an automaton. each reports whether the patterns are better compared
// one by one, and holds computes the result of that comparison for literals.
func checkMatch(c Checker, call *Call, parse func(text string) (p pattern.Pattern, ok bool, err error), each func(texts []string) bool, holds func(s, text string) bool) *types.Type {
	texts, ok := literalTexts(c, call)
	shown := call.typeOf(0).Kind == types.Opaque && call.InPred
	if !shown && !wantStr(c, call, 0) || !ok || !call.known(0) {
		return types.TInvalid
	}
	if !c.Final() {
		return types.TBool
	}
	m := &matchCall{texts: texts}
	call.Data = m
	subject, known := call.litStr(0)
	var list []pattern.Pattern
	for i, text := range texts {
		p, fits, err := parse(text)
		if err != nil {
			c.Errorf(call.Args[i+1].Span, "%s %q: %v", call.operator(), text, err)
			return types.TInvalid
		}
		if fits {
			list = append(list, p)
		}
	}
	if shown {
		if len(list) < len(texts) {
			c.Errorf(call.Span, "%s: %v", call.operator(), errNotUTF8)
		}
		call.Later = pattern.Expr(list)
		return types.TBool
	}
	if holds != nil {
		warnTooLong(c, call, texts)
	}
	if each(texts) || len(list) < len(texts) {
		if known {
			call.Lit = boolLit(false)
			for _, text := range texts {
				if holds(subject, text) {
					call.Lit = boolLit(true)
				}
			}
		}
		return types.TBool
	}
	autos, err := c.Patterns().Any(list)
	if err != nil && call.InPred {
		call.Later = pattern.Expr(list)
		return types.TBool
	}
	if err != nil {
		c.ErrorHint(call.Span, "shorten its repetitions, or match in parts: x … && x …", "%s: %v", call.operator(), err)
		return types.TInvalid
	}
	m.autos, m.list = autos, list
	if known {
		found := uint64(0)
		for _, auto := range autos {
			found |= auto.Match([]byte(subject))
		}
		call.Lit = boolLit(found != 0)
	}
	return types.TBool
}

// operator returns the name of the call's builtin as scripts write it between operands.
func (call *Call) operator() string {
	if call.Def.Operator != "" {
		return call.Def.Operator
	}
	return call.Def.Name
}

// literalTexts returns the arguments of a call after the first, which must be string
// literals.
func literalTexts(c Checker, call *Call) (texts []string, ok bool) {
	if len(call.Args) == 1 {
		c.Errorf(call.Span, "%s() requires at least 2 arguments (1 provided)", call.Def.Name)
		return nil, false
	}
	ok = true
	for i := 1; i < len(call.Args); i++ {
		text, known := call.litStr(i)
		if !known {
			if c.Final() && call.known(i) {
				c.Errorf(call.Args[i].Span, "%s expects a string literal (%s provided)", call.operator(), className(call.Args[i].Type))
			}
			ok = false
		}
		texts = append(texts, text)
	}
	return texts, ok
}

// asLiteral returns a function that parses a text that is searched for literally.
func asLiteral(at pattern.Anchor, fold bool) func(text string) (pattern.Pattern, bool, error) {
	return func(text string) (pattern.Pattern, bool, error) {
		p, ok := pattern.Literal(text, at, fold)
		return p, ok, nil
	}
}

// maxTexts and maxTextBytes are the limits for texts that are compared one by one.
const (
	maxTexts     = 4
	maxTextBytes = 96
)

// few reports whether there are few enough, and short enough, texts to compare them one
// by one.
func few(texts []string) bool {
	return len(texts) <= maxTexts && len(strings.Join(texts, "")) <= maxTextBytes
}

// emitMatch emits a matcher. one emits the comparison with one text, whose result is 0
// or 1.
func emitMatch(g Gen, call *Call, one func(a *Arg, p *ir.Value, text string) *ir.Value) *ir.Value {
	if call.Lit != nil {
		return emitLit(g, call)
	}
	a, m := &call.Args[0], call.Data.(*matchCall)
	if x := m.shared; x != nil {
		if x.first == call {
			x.word = &ir.Var{Name: "matches for all", Type: ir.Int}
			word := match.Run(g, g.Addr(a), a.Type.Size, m.autos[0])
			g.B().Write(x.word, word)
		}
		b := g.B()
		return b.Op(ir.OpAnd, b.Op(ir.OpShr, b.Read(x.word), b.Const(int64(m.bit))), b.Const(1))
	}
	p := g.Addr(a)
	var conds []func() *ir.Value
	for _, auto := range m.autos {
		conds = append(conds, func() *ir.Value {
			return g.B().Op(ir.OpNe, match.Run(g, p, a.Type.Size, auto), g.B().Const(0))
		})
	}
	if len(conds) == 1 {
		return conds[0]()
	}
	if conds == nil {
		for _, text := range m.texts {
			conds = append(conds, func() *ir.Value { return one(a, p, text) })
		}
	}
	return match.Any(g.B(), conds)
}

// wantUTF8 returns parse with an error for patterns that cannot be part of an
// automaton.
func wantUTF8(parse func(string) (pattern.Pattern, bool, error)) func(string) (pattern.Pattern, bool, error) {
	return func(text string) (pattern.Pattern, bool, error) {
		p, ok, err := parse(text)
		if !ok && err == nil {
			err = errNotUTF8
		}
		return p, ok, err
	}
}

var errNotUTF8 = errors.New("it is not valid UTF-8")
