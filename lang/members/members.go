// Package members helps with a member that a struct does not have: it finds the
// name or the place that the member has in this kernel, or a similar name.
package members

import (
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// Hint returns a hint for a member that t does not have, or "".
func Hint(t *types.Type, name string) string {
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
	if len(name) >= 3 { // shorter names resemble anything
		if near := source.Nearest(name, names); near != "" {
			return "did you mean '" + near + "'?"
		}
	}
	return ""
}

// nested returns the path to the member called name in the structs that t
// contains, or "" if there is none or more than one. A less deep member takes
// precedence; of several names for the same bytes, the first.
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

// part is a member of an object: the path to it and its offset.
type part struct {
	path string
	off  int
	t    *types.Type
}

// parts returns the members of p that are structs. The members of a struct
// without a name count as members of p.
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
