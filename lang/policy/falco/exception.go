package falco

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// exception says when a rule does not apply.
type exception struct {
	at     source.Span
	name   string
	fields []string
	comps  []string
	single bool // fields is one field: values are a flat list
	values []*yaml.Node
}

// exceptions reads the exceptions of a rule. Those that are appended add values to the
// exceptions of the same name.
func (r *reader) exceptions(rule *Rule, n *yaml.Node, how string) {
	if n.Kind != yaml.List && n.Kind != yaml.Null {
		r.diags.Errorf(n.At, "the exceptions of a rule are a list, not %s", n.Kind)
		return
	}
	if how == "replace" {
		rule.exceptions = nil
	}
	list := slices.Clone(rule.exceptions)
	for _, item := range n.Items {
		e := r.exception(item)
		if e == nil {
			continue
		}
		i := slices.IndexFunc(list, func(x *exception) bool { return x.name == e.name })
		switch {
		case i >= 0 && how == "append":
			if len(e.fields) > 0 && !slices.Equal(e.fields, list[i].fields) || len(e.comps) > 0 && !slices.Equal(e.comps, list[i].comps) {
				r.diags.Errorf(item.At, "the exception '%s' has other fields or comparisons before", e.name)
				continue
			}
			merged := *list[i]
			merged.values = slices.Concat(merged.values, e.values)
			list[i] = &merged
		case len(e.fields) == 0:
			r.diags.Errorf(item.At, "the exception '%s' has no fields", e.name)
		default:
			if e.comps == nil {
				for range e.fields {
					comp := "="
					if e.single {
						comp = "in"
					}
					e.comps = append(e.comps, comp)
				}
			}
			if len(e.comps) != len(e.fields) {
				r.diags.Errorf(item.At, "the exception '%s' has %d fields and %d comparisons", e.name, len(e.fields), len(e.comps))
				continue
			}
			list = append(list, e)
		}
	}
	rule.exceptions = list
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
	fields := item.Get("fields")
	e.fields, e.single, e.comps = texts(fields), fields.Kind == yaml.Scalar, texts(item.Get("comps"))
	if values := item.Get("values"); values.Kind == yaml.List {
		e.values = values.Items
	} else if values.Kind == yaml.Scalar {
		e.values = []*yaml.Node{values}
	} else if values.Kind == yaml.Map {
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
	field := func(i int) *Term {
		p := &parser{text: e.fields[i], at: func(int, int) source.Span { return e.at }}
		t := func() (t *Term) {
			defer func() {
				if _, ok := recover().(*syntaxError); ok {
					t = nil
				}
			}()
			return p.term()
		}()
		if t == nil || p.pos < len(p.text) {
			r.diags.Errorf(e.at, "'%s' is no field", e.fields[i])
			return nil
		}
		return t
	}
	if e.single {
		left := field(0)
		if left == nil {
			return nil
		}
		if !slices.Contains(listOps, e.comps[0]) {
			r.diags.Errorf(e.at, "the exception '%s' has one field, which is compared by one of %s, not '%s'", e.name, strings.Join(listOps, " "), e.comps[0])
			return nil
		}
		c := &Check{At: e.at, Left: left, Op: e.comps[0]}
		for _, v := range e.values {
			c.Texts = r.valueTexts(c.Texts, v)
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
			c := &Check{At: v.At, Left: field(i), Op: e.comps[i]}
			if c.Left == nil {
				return nil
			}
			if words := strings.Fields(c.Op); len(words) == 2 && slices.Contains(modifiers, words[1]) {
				c.Op, c.All, c.Any = words[0], words[1] == "allof", words[1] != "allof"
			}
			if c.Op == "==" {
				c.Op = "="
			}
			if !slices.Contains(slices.Concat(numberOps, textOps, listOps), c.Op) {
				r.diags.Errorf(e.at, "'%s' is no comparison", c.Op)
				return nil
			}
			if v.Kind == yaml.List && !slices.Contains(listOps, c.Op) && !c.Any && !c.All {
				r.diags.Errorf(v.At, "'%s' compares with one value, not with a list", c.Op)
				return nil
			}
			c.Texts = r.valueTexts([]string{}, v)
			all.List = append(all.List, c)
		}
		any.List = append(any.List, all)
	}
	return any
}

// valueTexts appends the values of an exception. They may be in parentheses, as in a
// condition.
func (r *reader) valueTexts(to []string, v *yaml.Node) []string {
	if v.Kind == yaml.List {
		for _, it := range v.Items {
			to = r.valueTexts(to, it)
		}
		return to
	}
	text := strings.TrimSpace(v.Value)
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") {
		c := &Check{}
		p := &parser{text: text, at: func(int, int) source.Span { return v.At }}
		func() {
			defer func() {
				if e, ok := recover().(*syntaxError); ok {
					r.diags.Errorf(v.At, "%s", e.msg)
				}
			}()
			p.list(c)
		}()
		return append(to, c.Texts...)
	}
	return append(to, unquote(text))
}
