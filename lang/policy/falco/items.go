package falco

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// macro is a named condition.
type macro struct {
	at        source.Span
	name      string
	condition text
	first     int // number of the item that defined it first
	last      int // number of the item that changed it last
	parsed    Expr
	failed    bool
	open      bool // it is being expanded
}

// list is a named list.
type list struct {
	at     source.Span
	items  []string
	places []source.Span
	open   bool
}

// truth returns the value of a boolean, which may be quoted, as in Falco.
func truth(n *yaml.Node) (value, ok bool) {
	plain := *n
	plain.Quoted = false
	return plain.Bool()
}

// override returns the mode for each key of an item, "append", "replace" or "", according to
// the item's keys "append" and "override". "append: true" applies to the keys in plain.
// present is set if the item changes an earlier one.
func (r *reader) override(item *yaml.Node, plain, appendable, replaceable []string) (of map[string]string, present, ok bool) {
	of, ok = map[string]string{}, true
	if n := item.Get("append"); n.Kind != yaml.Null {
		yes, isBool := truth(n)
		if !isBool {
			r.diags.Errorf(n.At, "'append' is true or false")
			return of, true, false
		}
		if yes {
			present = true
			for _, key := range plain {
				of[key] = "append"
			}
		}
	}
	n := item.Get("override")
	if n.Kind == yaml.Null || n.Kind == yaml.Map && len(n.Fields) == 0 {
		return of, present, ok
	}
	if n.Kind != yaml.Map {
		r.diags.Errorf(n.At, "'override' is a mapping of keys to 'append' or 'replace', not %s", n.Kind)
		return of, true, false
	}
	if present {
		r.diags.Errorf(n.At, "'override' and 'append' exclude each other")
		return of, true, false
	}
	for _, f := range n.Fields {
		allowed := appendable
		if f.Value.Value == "replace" {
			allowed = replaceable
		}
		switch {
		case f.Value.Value != "append" && f.Value.Value != "replace":
			r.diags.Errorf(f.Value.At, "expected 'append' or 'replace', not '%s'", f.Value.Value)
			ok = false
		case !policy.Among(allowed, f.Key):
			hint := source.DidYouMean(f.Key, allowed)
			if hint == "" && policy.Among(replaceable, f.Key) {
				hint = "'replace' is possible"
			}
			r.diags.ErrorHint(f.At, hint, "'%s' is nothing to %s", f.Key, f.Value.Value)
			ok = false
		case !item.Has(f.Key):
			r.diags.Errorf(f.At, "'override' names '%s', which the item does not have", f.Key)
			ok = false
		}
		of[f.Key] = f.Value.Value
	}
	for _, f := range item.Fields {
		if of[f.Key] == "" && policy.Among(replaceable, f.Key) {
			r.diags.Errorf(f.At, "'override' does not say whether '%s' is appended or replaced", f.Key)
			ok = false
		}
	}
	return of, true, ok
}

func (r *reader) list(item *yaml.Node) {
	name, ok := r.name(item, "list")
	keys := []string{"items"}
	of, present, good := r.override(item, keys, keys, keys)
	n := item.Get("items")
	if !ok || !good {
		return
	}
	if n.Kind != yaml.List {
		r.diags.Errorf(n.At, "the items of the list '%s' are %s", name, n.Kind)
		return
	}
	if bareOf.Get().FindString(name) != name {
		r.diags.Errorf(item.Get("list").At, "the name of a list has no blanks, quotes, parentheses, commas or '='")
		return
	}
	l := &list{at: item.At}
	if present && of["items"] == "append" {
		old := r.lists[name]
		if old == nil {
			r.diags.Errorf(item.At, "there is no list '%s' before this to append to", name)
			return
		}
		l.items, l.places = slices.Clone(old.items), slices.Clone(old.places)
	}
	for _, it := range n.Items {
		if it.Kind != yaml.Scalar {
			r.diags.Errorf(it.At, "an item of a list is a value, not %s", it.Kind)
			continue
		}
		l.items, l.places = append(l.items, it.Value), append(l.places, it.At)
	}
	r.lists[name] = l
}

func (r *reader) macro(item *yaml.Node) {
	name, ok := r.name(item, "macro")
	keys := []string{"condition"}
	of, present, good := r.override(item, keys, keys, keys)
	n := item.Get("condition")
	if !ok || !good {
		return
	}
	if n.Kind != yaml.Scalar || strings.TrimSpace(n.Value) == "" {
		r.diags.Errorf(n.At, "the macro '%s' has no condition", name)
		return
	}
	if identifierOf.Get().FindString(name) != name {
		r.diags.Errorf(item.Get("macro").At, "the name of a macro has letters, digits and '_', and begins with a letter")
		return
	}
	m := r.macros[name]
	if m == nil {
		if present && of["condition"] == "append" {
			r.diags.Errorf(item.At, "there is no macro '%s' before this to append to", name)
			return
		}
		m = &macro{name: name, first: r.items}
		r.macros[name] = m
		r.order = append(r.order, m)
	}
	if of["condition"] != "append" {
		m.condition = text{}
	}
	m.at, m.last, m.condition = item.At, r.items, m.condition.with(n)
}

// checkMacros parses all macros and looks up the names that they use. A macro can use
// those that are defined before it, or before the item that changed it last.
func (r *reader) checkMacros() {
	for _, m := range r.order {
		if m.parsed = parse(m.condition.String(), m.condition.at, r.diags); m.parsed == nil {
			m.failed = true
			continue
		}
		eachRef(m.parsed, func(x *Ref) {
			other := r.macros[x.Name]
			switch {
			case m.failed:
			case other == nil:
				r.noMacro(x)
				m.failed = true
			case other.first >= m.last && other != m:
				r.diags.ErrorHint(x.At, "put its definition before", "the macro '%s' is defined after '%s', which uses it", x.Name, m.name)
				m.failed = true
			}
		})
	}
}

// noMacro reports that there is no macro with a name.
func (r *reader) noMacro(x *Ref) {
	names := make([]string, 0, len(r.macros))
	for name := range r.macros {
		names = append(names, name)
	}
	slices.Sort(names)
	r.diags.ErrorHint(x.At, source.DidYouMean(x.Name, names), "there is no macro '%s'", x.Name)
}
