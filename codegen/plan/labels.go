package plan

import (
	"maps"
	"slices"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// nameParts sets the names that maps and the parts of their keys have in other systems. The
// script's settings come first. Otherwise a part has the name of the first expression for
// it that has one: of a builtin, a field or a variable. It returns errors about settings.
func (p *Program) nameParts() error {
	var diags source.Diags
	byName := map[string]*Map{}
	for _, m := range p.Order {
		byName[m.Info.Name] = m
	}
	ast.Walk(p.Source, func(n ast.Node) {
		x, ok := n.(*ast.Index)
		if !ok {
			return
		}
		of, ok := x.X.(*ast.Map)
		if !ok {
			return
		}
		if m := byName["@"+of.Name]; m != nil {
			m.namePart(x.Args)
		}
	})
	for _, name := range slices.Sorted(maps.Keys(p.Config.Labels)) {
		m, labels := byName[name], p.Config.Labels[name]
		switch {
		case m == nil:
			diags.Errorf(p.setting("label"), "label: the script has no map %s that is used", name)
		case parts(m.Key) != len(labels):
			diags.Errorf(p.setting("label"), "label: a key of %s has %d parts, not %d", name, parts(m.Key), len(labels))
		default:
			m.Object.KeyNames = labels
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Config.Metrics)) {
		if m := byName[name]; m != nil {
			m.Object.MetricName = p.Config.Metrics[name]
		} else {
			diags.Errorf(p.setting("metric"), "metric: the script has no map %s that is used", name)
		}
	}
	return diags.Err()
}

// setting returns the span of a setting in the script. It is not valid if the setting
// comes from the environment.
func (p *Program) setting(name string) source.Span {
	if p.Source.Config != nil {
		for _, it := range p.Source.Config.Items {
			if it.Key.Text == name {
				return it.Span()
			}
		}
	}
	return source.Span{}
}

// parts returns the number of parts of a key that are separate labels.
func parts(key *types.Type) int {
	switch {
	case key == nil:
		return 0
	case key.Kind == types.Tuple || key.Kind == types.Record:
		return len(key.Fields)
	}
	return 1
}

// namePart gives names to the parts of m's keys that have none yet, by the expressions of
// a key.
func (m *Map) namePart(key []ast.Expr) {
	n := parts(m.Key)
	if t, ok := key[0].(*ast.Tuple); ok && len(key) == 1 {
		key = t.Elems
	}
	if len(key) != n || m.Key.Kind == types.Record {
		return
	}
	if m.Object.KeyNames == nil {
		m.Object.KeyNames = make([]string, n)
	}
	for i, e := range key {
		if m.Object.KeyNames[i] == "" {
			m.Object.KeyNames[i] = nameOf(e)
		}
	}
}

// nameOf returns the name of the builtin, field or variable in an expression, or "".
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.Var:
		return e.Name
	case *ast.Field:
		if c := e.Name.Text[0]; c >= '0' && c <= '9' {
			return ""
		}
		return e.Name.Text
	case *ast.Cast:
		return nameOf(e.X)
	case *ast.Unary:
		return nameOf(e.X)
	case *ast.Call:
		for _, a := range e.Args {
			if name := nameOf(a); name != "" {
				return name
			}
		}
		return e.Fn.Text
	}
	return ""
}
