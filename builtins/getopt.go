package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/lang/types"
)

// Option is a command line option that a script declares with getopt.
type Option struct {
	Name    string
	Default Lit
	Doc     string
}

// OptionGiven is the value of an option that the command line gives without a value.
const OptionGiven = "\x00"

func getopt() *Def {
	return &Def{
		Name:   "getopt",
		Kind:   Function,
		Params: []Param{{Name: "name", Long: true}, {Name: "default", Optional: true, Long: true}, {Name: "description", Optional: true, Long: true}},
		Doc: Doc{
			Summary:  "The value of the option --name, given after -- on the command line, or else the default: a string, an integer or a boolean. Without a default, whether the option was given.",
			Examples: []string{`begin { $limit = getopt("limit", 10, "how many"); printf("%d\n", $limit); }`},
		},
		Check: checkGetopt,
		Emit:  emitLit,
		Store: storeLit,
	}
}

func checkGetopt(c Checker, call *Call) *types.Type {
	a := call.arg(0)
	if a == nil || a.Lit == nil || !a.Lit.IsStr {
		c.Errorf(call.argSpan(0), "First argument to 'getopt' must be a string literal.")
		return types.TInvalid
	}
	opt := &Option{Name: a.Lit.Str, Default: *boolLit(false)}
	if d := call.arg(1); d != nil {
		if d.Lit == nil {
			c.Errorf(d.Span, "Second argument to 'getopt' must be a string literal, integer literal, or a boolean literal.")
			return types.TInvalid
		}
		opt.Default = *d.Lit
	}
	if d := call.arg(2); d != nil {
		if d.Lit == nil || !d.Lit.IsStr {
			c.Errorf(d.Span, "Third argument to 'getopt' must be a string literal.")
			return types.TInvalid
		}
		opt.Doc = d.Lit.Str
	}
	call.Data = opt
	l := opt.Default
	call.Lit = &l
	given, ok := c.Invocation().Options[opt.Name]
	want := ""
	if ok {
		want = l.set(c, given)
	}
	if want != "" {
		if given == "" || given == OptionGiven { // without a value it means true
			given = "true"
		}
		c.Errorf(call.Span, "program command line option --%s %s (value: %s)", opt.Name, want, given)
		return types.TInvalid
	}
	switch {
	case l.IsStr:
		return types.NewString(len(l.Str) + 1)
	case l.IsBool:
		return types.TBool
	case l.Unsigned:
		return types.TUint64
	}
	return types.TInt64
}

// set sets a literal to a new value of the same kind from the command line. If the text
// is not of that kind, it returns a description of what it expected.
func (l *Lit) set(c Checker, text string) (want string) {
	switch {
	case l.IsStr && text == OptionGiven:
		return "expects a string"
	case l.IsStr:
		l.Str = text
	case l.IsBool:
		switch strings.ToLower(text) {
		case "", OptionGiven, "true", "1", "yes", "on":
			l.Int = 1
		case "false", "0", "no", "off":
			l.Int = 0
		default:
			return "expects a boolean (e.g. 'true')"
		}
	default:
		n, ok := c.Number(text)
		switch {
		case text == "", text == OptionGiven:
			return "expects an integer"
		case !ok:
			return "invalid integer"
		}
		l.Int, l.Unsigned = n.Int, n.Unsigned
	}
	return ""
}
