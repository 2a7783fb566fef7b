package cilium

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Labels are the labels of an endpoint. A key is SOURCE:NAME. A label can have several
// values: those of the processes of a cgroup, for example.
type Labels map[string][]string

// Sources of labels. A selector for the source any matches labels of all sources.
const (
	sourceAny      = "any"
	sourceK8s      = "k8s"
	sourceReserved = "reserved"
)

// NamespaceLabel is the name of the label of a pod's namespace.
const NamespaceLabel = "io.kubernetes.pod.namespace"

// sources are the sources of labels that are recognised before a colon.
var sources = []string{sourceAny, sourceK8s, sourceReserved, "container", "cidr", "cidrgroup", "node", "fqdn", "unspec", "mesos", "user", "gotrace"}

// splitKey splits the key of a label into source and name. A key without a known source
// is of any source.
func splitKey(key string) (from, name string) {
	for _, sep := range []string{":", "."} {
		before, after, ok := strings.Cut(key, sep)
		if ok && policy.Among(sources, before) && after != "" && (sep == ":" || before == sourceAny) {
			return before, after
		}
	}
	return sourceAny, key
}

// Add adds a value of a label.
//
//go:noinline
func (l Labels) Add(from, name, value string) {
	key := from + ":" + name
	if !policy.Among(l[key], value) {
		l[key] = append(l[key], value)
	}
}

// values returns the values of a label, of one source or of any. ok is false if there is
// no such label.
func (l Labels) values(key string) (list []string, ok bool) {
	from, name := splitKey(key)
	if from != sourceAny {
		list, ok = l[from+":"+name]
		return list, ok
	}
	for k, v := range l {
		if _, n, _ := strings.Cut(k, ":"); n == name {
			list, ok = append(list, v...), true
		}
	}
	return list, ok
}

// List returns the labels as Cilium prints them, SOURCE:NAME=VALUE, sorted.
func (l Labels) List() (out []string) {
	for k, values := range l {
		for _, v := range values {
			if v != "" {
				v = "=" + v
			}
			out = append(out, k+v)
		}
	}
	slices.Sort(out)
	return out
}

// ParseLabels parses labels separated by commas: app=web, k8s:name=x.
func ParseLabels(text string) (Labels, error) {
	l := Labels{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		from, name := splitKey(strings.TrimSpace(key))
		if from == sourceAny {
			from = sourceK8s
		}
		if name == "" {
			return nil, outline.Errorf("'%s' is not a label: write NAME=VALUE", part)
		}
		l.Add(from, name, strings.TrimSpace(value))
	}
	return l, nil
}

// Selector selects endpoints by labels. All requirements must hold.
type Selector struct {
	Needs []Requirement
	At    source.Span
}

// Operator is the operator of a requirement.
type Operator uint8

const (
	In Operator = iota
	NotIn
	Exists
	DoesNotExist
)

var operators = []string{"In", "NotIn", "Exists", "DoesNotExist"}

// Requirement is a condition for a label.
type Requirement struct {
	Key    string
	Op     Operator
	Values []string
}

func (r *Requirement) holds(l Labels) bool {
	have, ok := l.values(r.Key)
	has := func(v string) bool { return policy.Among(r.Values, v) }
	switch r.Op {
	case In:
		return slices.ContainsFunc(have, has)
	case NotIn:
		return !slices.ContainsFunc(have, has)
	case Exists:
		return ok
	}
	return !ok
}

// Matches reports whether the selector selects an endpoint with the labels l.
//
//go:noinline
func (s *Selector) Matches(l Labels) bool {
	for i := range s.Needs {
		if !s.Needs[i].holds(l) {
			return false
		}
	}
	return true
}

// Names reports whether the selector has a requirement for a label.
func (s *Selector) Names(label string) bool {
	return slices.ContainsFunc(s.Needs, func(r Requirement) bool {
		_, name := splitKey(r.Key)
		return name == label
	})
}

// Entity returns the entity that the selector selects by its reserved label, or "".
func (s *Selector) Entity() string {
	for _, r := range s.Needs {
		if from, name := splitKey(r.Key); from == sourceReserved && (r.Op == Exists || r.Op == In) {
			return name
		}
	}
	return ""
}

// String returns the selector as text.
func (s *Selector) String() string {
	if len(s.Needs) == 0 {
		return "{}"
	}
	var parts []string
	for _, r := range s.Needs {
		switch {
		case r.Op == In && len(r.Values) == 1:
			parts = append(parts, r.Key+"="+r.Values[0])
		case r.Op == Exists || r.Op == DoesNotExist:
			parts = append(parts, r.Key+" "+operators[r.Op])
		default:
			parts = append(parts, r.Key+" "+operators[r.Op]+" ("+strings.Join(r.Values, ", ")+")")
		}
	}
	return strings.Join(parts, ", ")
}
