package falco

import (
	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// maxNodes is the maximum number of comparisons and values of a condition after its macros
// and lists have been replaced.
const maxNodes = 1 << 18

// expansion replaces the names of macros and lists in a condition.
type expansion struct {
	*reader
	nodes   int
	failed  bool
	unknown bool // a field is not known
	quiet   bool // do not report unknown fields
}

func (e *expansion) count(n int, at source.Span) bool {
	if e.nodes += n; e.nodes > maxNodes && !e.failed {
		e.failed = true
		e.diags.Errorf(at, "the condition has more than %d comparisons and values, with its macros and lists in place", maxNodes)
	}
	return !e.failed
}

// expand returns a condition without names of macros and lists.
func (e *expansion) expand(x Expr) Expr {
	switch x := x.(type) {
	case *And:
		out := &And{}
		for _, part := range x.List {
			out.List = append(out.List, e.expand(part))
		}
		return out
	case *Or:
		out := &Or{}
		for _, part := range x.List {
			out.List = append(out.List, e.expand(part))
		}
		return out
	case *Not:
		return &Not{e.expand(x.X)}
	case *Ref:
		return e.ref(x)
	case *Check:
		return e.check(x)
	}
	return x
}

func (e *expansion) ref(x *Ref) Expr {
	m := e.macros[x.Name]
	switch {
	case !e.count(1, x.At):
	case m == nil:
		e.failed = true
		e.noMacro(x)
	case m.open:
		e.failed = true
		e.diags.Errorf(x.At, "the macro '%s' contains itself", x.Name)
	default:
		if m.failed {
			e.failed = true
			return Const(false)
		}
		m.open = true
		out := e.expand(m.parsed)
		m.open = false
		return out
	}
	return Const(false)
}

func (e *expansion) check(x *Check) Expr {
	out := *x
	if !e.count(1, x.At) {
		return Const(false)
	}
	out.Left = e.term(x.Left)
	if x.Right != nil {
		out.Right = e.term(x.Right)
	}
	many := policy.Among(listOps, x.Op) || x.Mod != ""
	if out.Texts = nil; x.Texts != nil {
		out.Texts = make([]string, 0, len(x.Texts))
	}
	for i, text := range x.Texts {
		if e.lists[text] == nil || x.quoted[i] {
			out.Texts = append(out.Texts, text)
			continue
		}
		out.Texts = e.items(out.Texts, text, x.At)
		if n := len(out.Texts); n != 1 && !many && !e.failed {
			e.failed = true
			e.diags.ErrorHint(x.At, "'in' compares with a list", "'%s' compares with one value, and the list '%s' has %d", x.Op, text, n)
		}
	}
	if out.quoted = nil; !e.count(len(x.Texts), x.At) {
		return Const(false)
	}
	if !e.failed && !e.unknown {
		e.checkTypes(&out)
	}
	return &out
}

// items appends the items of a list, and of the lists that it names, to to. Within a list,
// the name of that list is a value, as in Falco.
func (e *expansion) items(to []string, name string, at source.Span) []string {
	l := e.lists[name]
	l.open = true
	defer func() { l.open = false }()
	for _, item := range l.items {
		if !e.count(1, at) {
			return to
		}
		if inner := e.lists[item]; inner != nil && !inner.open {
			to = e.items(to, item, at)
		} else {
			to = append(to, unquote(item))
		}
	}
	return to
}

// term returns a term with its field.
func (e *expansion) term(t *Term) *Term {
	out := *t
	if t.Name == "" {
		return &out
	}
	if _, ok := transformers[t.Name]; ok {
		out.Args = nil
		for _, a := range t.Args {
			out.Args = append(out.Args, e.term(a))
		}
		return &out
	}
	f, arg, hasArg, msg := lookupField(t.Name, t.Arg, t.HasArg)
	if msg != "" {
		e.unknown = true
		if !e.quiet {
			e.failed = true
			e.diags.ErrorHint(t.At, suggest(t.Name), "%s", msg)
		}
		return &out
	}
	out.Field, out.Arg, out.HasArg = f, arg, hasArg
	return &out
}
