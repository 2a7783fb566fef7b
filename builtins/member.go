package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// MissingMember is the hint about a member that t does not have: what this
// kernel calls it, in which member of t there is one of that name, or what may
// have been meant.
func MissingMember(t *types.Type, name string) string {
	if hint := renamed(t, name); hint != "" {
		return hint
	}
	if path := nested(t, name); path != "" {
		return "there is one in a member of it: '" + path + "'"
	}
	names := t.FieldNames()
	for _, n := range names {
		if strings.TrimLeft(n, "_") == strings.TrimLeft(name, "_") {
			return "did you mean '" + n + "'?"
		}
	}
	if len(name) >= 3 { // anything is near to less
		if near := source.Nearest(name, names); near != "" {
			return "did you mean '" + near + "'?"
		}
	}
	return ""
}

// nested is the path to the only member called name in the structs that t
// consists of, or "". Of those in different depths the nearest counts, of
// several names for the same bytes the first.
func nested(t *types.Type, name string) string {
	level := []part{{t: t}}
	for range 3 {
		var next, found []part
		for _, p := range level {
			for _, q := range p.parts() {
				if m, ok := q.t.Field(name); ok {
					found = append(found, part{q.path + name, q.off + m.Off, m.Type})
				}
				next = append(next, q)
			}
		}
		for _, p := range found {
			if p.off != found[0].off {
				return ""
			}
		}
		if len(found) > 0 {
			return found[0].path
		}
		level = next
	}
	return ""
}

// part is something in an object: the path to it, and how far in it is.
type part struct {
	path string
	off  int
	t    *types.Type
}

// parts are the members of p that have a name and are structs themselves.
func (p part) parts() []part {
	var all []part
	for _, f := range p.t.Members() {
		q := part{p.path, p.off + f.Off, f.Type}
		switch {
		case f.Type.Kind != types.Struct:
		case f.Name == "":
			all = append(all, q.parts()...)
		default:
			q.path += f.Name + "."
			all = append(all, q)
		}
	}
	return all
}
