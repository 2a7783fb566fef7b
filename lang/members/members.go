// Package members returns hints about members that a struct does not have: the name or
// the path of the member in this kernel, or a similar name.
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
		return "it is a member of a nested struct: '" + path + "'"
	}
	names := t.FieldNames()
	for _, n := range names {
		if strings.TrimLeft(n, "_") == strings.TrimLeft(name, "_") {
			return "did you mean '" + n + "'?"
		}
	}
	if len(name) >= 3 { // shorter names are similar to too many others
		if near := source.Nearest(name, names); near != "" {
			return "did you mean '" + near + "'?"
		}
	}
	return ""
}

// nested returns the path to the member with a name in the structs that t contains, or
// "" if there is none or more than one. A member at a lower depth takes precedence. If
// several names refer to the same bytes, the first one is used.
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

// parts returns the members of p that are structs. The members of an anonymous struct
// count as members of p.
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
