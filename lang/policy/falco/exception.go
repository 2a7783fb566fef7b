package falco

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// exception describes when a rule does not apply.
type exception struct {
	at     source.Span
	name   string
	fields []string
	comps  []string
	single bool // fields is one field: values are a flat list
	values []*yaml.Node

	oneComp bool // comps is one comparison
}

// exceptions reads the exceptions of a rule. One that is appended adds values to the
// exception of the same name.
func (r *reader) exceptions(rule *Rule, n *yaml.Node, how string) {
	if n.Kind != yaml.List && n.Kind != yaml.Null {
		r.diags.Errorf(n.At, "the exceptions of a rule are a list, not %s", n.Kind)
		return
	}
	if how == "replace" {
		rule.exceptions = nil
	}
	list := slices.Clone(rule.exceptions)
	named := map[string]bool{}
	for _, item := range n.Items {
		e := r.exception(item)
		if e == nil {
			continue
		}
		if named[e.name] {
			r.diags.Errorf(item.At, "the rule '%s' has two exceptions '%s' here", rule.Name, e.name)
			continue
		}
		named[e.name] = true
		i := slices.IndexFunc(list, func(x *exception) bool { return x.name == e.name })
		switch {
		case i >= 0:
			if item.Has("fields") || item.Has("comps") {
				r.diags.Errorf(item.At, "the exception '%s' has fields and comparisons before: only values can be appended", e.name)
				continue
			}
			merged := *list[i]
			merged.values = slices.Concat(merged.values, e.values)
			list[i] = &merged
		case how == "append" && len(e.values) == 0:
			r.diags.Errorf(item.At, "the new exception '%s' has no values", e.name)
		case r.complete(rule, e):
			list = append(list, e)
		}
	}
	rule.exceptions = list
}

// complete sets the comparisons of an exception that has none. It reports whether the
// exception has fields that exist and as many comparisons.
func (r *reader) complete(rule *Rule, e *exception) bool {
	switch {
	case len(e.fields) == 0:
		r.diags.Errorf(e.at, "the exception '%s' has no fields", e.name)
		return false
	case e.single && e.comps == nil:
		e.comps = []string{"in"}
	case e.comps == nil:
		for range e.fields {
			e.comps = append(e.comps, "=")
		}
	case e.single != e.oneComp:
		r.diags.Errorf(e.at, "the fields and the comparisons of the exception '%s' are both lists or both not", e.name)
		return false
	}
	if len(e.comps) != len(e.fields) {
		r.diags.Errorf(e.at, "the exception '%s' has %d fields and %d comparisons", e.name, len(e.fields), len(e.comps))
		return false
	}
	for i := range e.fields {
		switch c := (&Check{}); {
		case !c.setOp(e.comps[i]):
			r.diags.Errorf(e.at, "'%s' is not a comparison", e.comps[i])
			return false
		case e.single && !policy.Among(listOps, c.Op):
			r.diags.Errorf(e.at, "the exception '%s' has one field, which is compared by one of %s, not '%s'", e.name, strings.Join(listOps, " "), c.Op)
			return false
		}
		t := r.exceptionField(e, i)
		if t == nil {
			return false
		}
		if _, _, _, msg := lookupField(t.Name, t.Arg, t.HasArg); msg != "" && t.Args == nil && rule.Source == sourceSyscall {
			r.diags.ErrorHint(e.at, suggest(t.Name), "%s", msg)
			return false
		}
	}
	return true
}

// exceptionField returns a field of an exception, or nil.
func (r *reader) exceptionField(e *exception, i int) (t *Term) {
	p := &parser{text: e.fields[i], at: func(int, int) source.Span { return e.at }}
	func() {
		defer func() {
			if _, ok := recover().(*syntaxError); ok {
				t = nil
			}
		}()
		t = p.term()
	}()
	if t == nil || p.pos < len(p.text) {
		r.diags.Errorf(e.at, "'%s' is not a field", e.fields[i])
		return nil
	}
	return t
}

func (r *reader) exception(item *yaml.Node) *exception {
	name := item.Get("name")
	if item.Kind != yaml.Map || name.Kind != yaml.Scalar {
		r.diags.Errorf(item.At, "the exception has no name")
		return nil
	}
	e := &exception{at: item.At, name: name.Value}
	texts := func(n *yaml.Node) (out []string) {
		if n.Kind == yaml.Scalar {
			return []string{n.Value}
		}
		for _, it := range n.Items {
			out = append(out, it.Value)
		}
		return out
	}
	fields, comps := item.Get("fields"), item.Get("comps")
	e.fields, e.single = texts(fields), fields.Kind == yaml.Scalar
	e.comps, e.oneComp = texts(comps), comps.Kind == yaml.Scalar
	switch values := item.Get("values"); values.Kind {
	case yaml.List:
		e.values = values.Items
	case yaml.Null:
	default:
		r.diags.Errorf(values.At, "the values of an exception are a list, not %s", values.Kind)
	}
	return e
}

// except returns a condition that its rule's exceptions restrict.
func (r *reader) except(rule *Rule, x Expr) Expr {
	all := []Expr{x}
	for _, e := range rule.exceptions {
		if len(e.values) == 0 {
			continue
		}
		if y := r.exceptionExpr(e); y != nil {
			all = append(all, &Not{y})
		}
	}
	if len(all) == 1 {
		return x
	}
	return &And{all}
}

// exceptionExpr returns the condition under which an exception applies.
func (r *reader) exceptionExpr(e *exception) Expr {
	if e.single {
		left := r.exceptionField(e, 0)
		if left == nil {
			return nil
		}
		c := &Check{At: e.at, Left: left, Op: e.comps[0], Texts: []string{}}
		for _, v := range e.values {
			if v.Kind != yaml.Scalar {
				r.diags.Errorf(v.At, "the exception '%s' has one field: each of its values is a text, not %s", e.name, v.Kind)
				return nil
			}
			r.addValue(c, v, false)
		}
		return c
	}
	any := &Or{}
	for _, row := range e.values {
		if row.Kind != yaml.List || len(row.Items) != len(e.fields) {
			r.diags.Errorf(row.At, "a row of the exception '%s' has %d values, one for each field", e.name, len(e.fields))
			return nil
		}
		all := &And{}
		for i, v := range row.Items {
			c := &Check{At: v.At, Left: r.exceptionField(e, i), Texts: []string{}}
			if c.Left == nil || !c.setOp(e.comps[i]) {
				return nil
			}
			many := policy.Among(listOps, c.Op) || c.Mod != ""
			switch {
			case v.Kind == yaml.List && !many:
				r.diags.Errorf(v.At, "'%s' compares with one value, not with a list", c.Op)
				return nil
			case v.Kind == yaml.List:
				for _, it := range v.Items {
					r.addValue(c, it, false)
				}
			default:
				r.addValue(c, v, many)
			}
			all.List = append(all.List, c)
		}
		any.List = append(any.List, all)
	}
	return any
}

// setOp sets the operator from a text, such as "startswith oneof". It reports whether
// there is such an operator.
func (c *Check) setOp(text string) bool {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return false
	}
	if c.Op = words[0]; c.Op == "==" {
		c.Op = "="
	}
	if len(words) == 2 {
		c.Mod = words[1]
		return policy.Among(textOps, c.Op) && policy.Among(modifiers, c.Mod)
	}
	return policy.Among(slices.Concat(numberOps, textOps, listOps), c.Op)
}

// addValue adds a value of an exception. If many is set, a text is a list as in a
// condition, but its parentheses are optional.
func (r *reader) addValue(c *Check, v *yaml.Node, many bool) {
	text := strings.TrimSpace(v.Value)
	if v.Kind != yaml.Scalar || text == "" {
		r.diags.Errorf(v.At, "a value of an exception is a text that is not empty")
		return
	}
	if !many && !strings.HasPrefix(text, "(") {
		c.add(unquote(text), text[0] == '"' || text[0] == '\'')
		return
	}
	if !strings.HasPrefix(text, "(") {
		text = "(" + text + ")"
	}
	p := &parser{text: text, at: func(int, int) source.Span { return v.At }}
	defer func() {
		if e, ok := recover().(*syntaxError); ok {
			r.diags.Errorf(v.At, "%s", e.msg)
		}
	}()
	p.list(c)
}
