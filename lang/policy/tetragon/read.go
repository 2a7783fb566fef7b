package tetragon

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// fields are the keys that a mapping may have.
type fields []field

// field is a key and the function that reads its value, or nil if that has no meaning here.
type field struct {
	key  string
	read func(*yaml.Node)
}

// object reads a mapping. A key that is not in fs is an error.
func (p *policyReader) object(n *yaml.Node, what string, fs fields) bool {
	if n.Kind != yaml.Map {
		p.diags.Errorf(n.At, "%s must be a mapping, not %s", what, n.Kind)
		return false
	}
	for _, f := range n.Fields {
		i := slices.IndexFunc(fs, func(x field) bool { return x.key == f.Key })
		if i < 0 {
			var possible []string
			for _, x := range fs {
				possible = append(possible, x.key)
			}
			slices.Sort(possible)
			p.unknown(f.At, what+" has no key", f.Key, possible)
		} else if fs[i].read != nil {
			fs[i].read(f.Value)
		}
	}
	return true
}

func keys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// unknown reports a word that is not among the possible ones.
func (p *policyReader) unknown(at source.Span, what, word string, possible []string) {
	hint := ""
	if near := source.Nearest(word, possible); near != "" {
		hint = "did you mean '" + near + "'?"
	} else if len(possible) > 0 && len(possible) <= 16 {
		hint = "possible are " + strings.Join(possible, ", ")
	}
	p.diags.ErrorHint(at, hint, "%s '%s'", what, word)
}

// items returns the items of a list, which may be missing.
func (p *policyReader) items(n *yaml.Node) []*yaml.Node {
	switch {
	case n == nil || n.Kind == yaml.Null:
		return nil
	case n.Kind != yaml.List:
		p.diags.Errorf(n.At, "this must be a list, not %s", n.Kind)
		return nil
	}
	return n.Items
}

// variable matches a variable of the environment in a value.
var variable = lazy.Regexp{Expr: `\$\{([A-Za-z_][A-Za-z0-9_]*)\}`}

// text returns the value of a scalar, with variables of the environment replaced.
func (p *policyReader) text(n *yaml.Node) string {
	s, ok := p.replaced(n)
	if !ok {
		p.diags.Errorf(n.At, "the environment has no variable for %s", n.Value)
	}
	return s
}

// replaced is like text, but returns false instead of reporting an error if a variable is
// missing.
func (p *policyReader) replaced(n *yaml.Node) (string, bool) {
	if n.Kind == yaml.List || n.Kind == yaml.Map {
		p.diags.Errorf(n.At, "this must be a value, not %s", n.Kind)
		return "", true
	}
	ok := true
	s := variable.Get().ReplaceAllStringFunc(n.Value, func(v string) string {
		value, found := os.LookupEnv(v[2 : len(v)-1])
		ok = ok && found
		return value
	})
	return s, ok
}

func (p *policyReader) boolean(n *yaml.Node) bool {
	b, ok := n.Bool()
	if !ok && n.Kind != yaml.Null {
		p.diags.Errorf(n.At, "this must be true or false")
	}
	return b
}

func (p *policyReader) integer(n *yaml.Node) int64 {
	s := p.text(n)
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		p.diags.Errorf(n.At, "'%s' is not a number", s)
	}
	return v
}

// word is a value of a list in a policy, and its place.
type word struct {
	text string
	at   source.Span
}

// values returns the values of a list. If a variable in a value is not in the
// environment, it leaves out the value or, if the policy may act, reports an error.
func (p *policyReader) values(n *yaml.Node) (out []word) {
	for _, item := range p.items(n) {
		s, ok := p.replaced(item)
		switch {
		case !ok && p.unsafe():
			p.diags.Errorf(item.At, "the environment has no variable for %s", item.Value)
		case !ok:
			p.diags.Warnf(item.At, "the environment has no variable for %s: this value is left out", item.Value)
		default:
			out = append(out, word{s, item.At})
		}
	}
	return out
}
