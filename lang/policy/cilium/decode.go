package cilium

import (
	"strconv"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// reader reads policies. Errors are added to diags.
type reader struct {
	diags *source.Diags
	terms *policy.Terms
	// leftOut is set if the current rule uses something that is not supported.
	leftOut bool
}

// field is a key of a mapping and the function that reads its value.
type field struct {
	key  string
	read func(n *yaml.Node)
}

// object reads a mapping with the given fields. Other keys are errors. A key without a
// value is ignored. It returns false if n is not a mapping.
func (r *reader) object(n *yaml.Node, what string, fields ...field) bool {
	if n.Kind != yaml.Map {
		r.diags.Errorf(n.At, "%s must be a mapping, not %s", what, n.Kind)
		return false
	}
	for _, f := range n.Fields {
		known := false
		for _, want := range fields {
			if want.key == f.Key {
				known = true
				if f.Value.Kind != yaml.Null && want.read != nil {
					want.read(f.Value)
				}
			}
		}
		if known {
			continue
		}
		var keys []string
		for _, want := range fields {
			keys = append(keys, want.key)
		}
		hint := ""
		if near := source.Nearest(f.Key, keys); near != "" {
			hint = "did you mean " + near + "?"
		}
		r.diags.ErrorHint(f.At, hint, "%s has no field '%s'", what, f.Key)
	}
	return true
}

// list reads the items of a list.
func (r *reader) list(n *yaml.Node, what string, read func(i int, n *yaml.Node)) {
	if n.Kind != yaml.List {
		r.diags.Errorf(n.At, "%s must be a list, not %s", what, n.Kind)
		return
	}
	for i, item := range n.Items {
		read(i, item)
	}
}

// text returns the value of a scalar.
//
//go:noinline
func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.Scalar {
		r.diags.Errorf(n.At, "%s must be a text, not %s", what, n.Kind)
	}
	return n.Value
}

// texts returns the items of a list of scalars.
func (r *reader) texts(n *yaml.Node, what string) (out []string) {
	r.list(n, what, func(_ int, n *yaml.Node) { out = append(out, r.text(n, "an item of "+what)) })
	return out
}

// bool returns the value of a boolean.
func (r *reader) bool(n *yaml.Node, what string) bool {
	v, ok := n.Bool()
	if !ok {
		r.diags.Errorf(n.At, "%s must be true or false", what)
	}
	return v
}

// number returns an integer from lo to hi, which may be quoted.
func (r *reader) number(n *yaml.Node, what string, lo, hi int) int {
	if n.Kind == yaml.Scalar {
		if v, err := strconv.Atoi(n.Value); err == nil && lo <= v && v <= hi {
			return v
		}
	}
	r.diags.Errorf(n.At, "%s must be a number from %d to %d", what, lo, hi)
	return lo
}

// one returns the position of a text in a list.
func (r *reader) one(n *yaml.Node, what string, list []string) int {
	text := r.text(n, what)
	for i, s := range list {
		if s == text {
			return i
		}
	}
	hint := ""
	if near := source.Nearest(text, list); near != "" {
		hint = "did you mean " + near + "?"
	}
	if n.Kind == yaml.Scalar {
		r.diags.ErrorHint(n.At, hint, "%s cannot be '%s'", what, text)
	}
	return -1
}

// anything accepts every value. It is for parts of a file that do not change what a
// policy does.
func anything(*yaml.Node) {}

// unsupported reports a part of the current rule that is not supported.
//
//go:noinline
func (r *reader) unsupported(at source.Span, format string, args ...any) {
	r.leftOut = true
	r.terms.Unsupported(r.diags, at, format, args...)
}
