package check

import (
	"fmt"

	"github.com/gotrace/gotrace/lang/types"
)

// join returns the smallest type that holds the values of both a and b, or false if
// there is none. An invalid type (still unknown, or already reported) joins with any
// type to the latter. If the address spaces differ, the result has that of a.
func join(a, b *types.Type) (*types.Type, bool) {
	if a == nil || a.Kind == types.Invalid {
		return b, true
	}
	if b == nil || b.Kind == types.Invalid || a == b {
		return a, true
	}
	if a.Kind == types.Enum && b.Kind == types.Enum && a.Name == b.Name {
		if b.Size > a.Size {
			return b, true
		}
		return a, true
	}
	if isNumber(a) && isNumber(b) {
		return joinInts(a, b), true
	}
	if a.Kind != b.Kind {
		return nil, false
	}
	switch a.Kind {
	case types.String, types.Buffer:
		if b.Size > a.Size || b.Size == a.Size && b.Full {
			return b, true
		}
		return a, true
	case types.Pointer:
		if types.Equal(a.Elem, b.Elem) {
			return a, true
		}
		if isNumber(a.Elem) && isNumber(b.Elem) { // the target is the larger of both
			if b.Elem.Size > a.Elem.Size {
				return types.NewPointer(b.Elem, a.Space), true
			}
			return a, true
		}
	case types.Array:
		if a.Len == b.Len {
			if elem, ok := join(a.Elem, b.Elem); ok && elem.Size == a.Elem.Size {
				return a, true
			}
		}
	case types.Tuple, types.Record:
		return joinFields(a, b)
	case types.Agg:
		// If one aggregation is signed, the result is signed.
		if (a.Name == b.Name || a.Twin != "" && a.Twin == b.Name) && a.SameParams(b) {
			if b.Signed && !a.Signed {
				return b, true
			}
			return a, true
		}
	case types.Opaque:
		switch {
		case a.Name != b.Name:
		case declaredOnly(a):
			return b, true
		case declaredOnly(b):
			return a, true
		case a.SameParams(b):
			if b.Size > a.Size {
				return b, true
			}
			return a, true
		}
	default:
		if types.Equal(a, b) {
			return a, true
		}
	}
	return nil, false
}

// kept returns the type of a variable or map of type old after a value of type t is
// stored in it. changed reports whether that differs from old.
func kept(old, t *types.Type) (j *types.Type, changed, ok bool) {
	if j, ok = join(old, t); !ok {
		return nil, false, false
	}
	l := located(j, t)
	return l, l != j || !same(j, old), true
}

// joinFields joins tuples by position and records by name. The result is in the order
// of a's names.
func joinFields(a, b *types.Type) (*types.Type, bool) {
	if len(a.Fields) != len(b.Fields) {
		return nil, false
	}
	elems := make([]*types.Type, len(a.Fields))
	names := make([]string, len(a.Fields))
	same := true
	for i, f := range a.Fields {
		g := b.Fields[i]
		if a.Kind == types.Record && g.Name != f.Name {
			var ok bool
			if g, ok = b.Field(f.Name); !ok {
				return nil, false
			}
		}
		t, ok := join(f.Type, g.Type)
		if !ok {
			return nil, false
		}
		elems[i], names[i] = t, f.Name
		same = same && t == f.Type
	}
	switch {
	case same:
		return a, true
	case a.Kind == types.Record:
		return types.NewRecord(names, elems), true
	}
	return types.NewTuple(elems...), true
}

// declaredOnly reports whether the script wrote only the name of the type t, as in let
// $t : timestamp. An assignment completes such a type.
func declaredOnly(t *types.Type) bool { return len(t.Params) == 0 && t.Size == 8 }

//go:noinline
func isNumber(t *types.Type) bool { return t.Kind == types.Int || t.Kind == types.Enum }

//go:noinline
func invalid(t *types.Type) bool { return t == nil || t.Kind == types.Invalid }

// same reports whether a and b are equal, including the freedom of literal types. Then
// joining them changes nothing.
func same(a, b *types.Type) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || free(a) != free(b) || a.Word != b.Word || a.Full != b.Full || !types.Equal(a, b) {
		return false
	}
	for i := range a.Fields {
		if !same(a.Fields[i].Type, b.Fields[i].Type) {
			return false
		}
	}
	return true
}

// stored returns the type of a copy of a value in the program's own memory. The target
// of a pointer is not copied.
func stored(t *types.Type) *types.Type {
	switch t.Kind {
	case types.Struct, types.Array:
		if t.Space != types.NoSpace {
			return leading(t, t.Space)
		}
	case types.String:
		return t.InSpace(types.NoSpace)
	}
	return t
}

// loseInts reports whether a conversion between two joinable types can change
// an integer, and returns the two integer types. It ignores conversions from
// uint64 to int64, since no clock, size or count exceeds the range of an int64.
func loseInts(to, from *types.Type) (*types.Type, *types.Type, bool) {
	if isNumber(to) && isNumber(from) {
		return to, from, !holds(to, from) && !(to.Signed && to.Size == 8)
	}
	if (to.Kind == types.Tuple || to.Kind == types.Record) && to.Kind == from.Kind {
		for i, f := range to.Fields {
			if i >= len(from.Fields) {
				break
			}
			g := from.Fields[i]
			if to.Kind == types.Record {
				if h, ok := from.Field(f.Name); ok {
					g = h
				}
			}
			if t, u, bad := loseInts(f.Type, g.Type); bad {
				return t, u, true
			}
		}
	}
	return nil, nil, false
}

// unknown is the type of an expression that depends on a type that is not known yet.
// Unlike TInvalid, it does not mean that an error has been reported.
var unknown = &types.Type{Kind: types.Invalid}

// spoiled returns the type of an expression that has a part without a type, or nil if
// all parts have one.
func spoiled(parts ...*types.Type) *types.Type {
	var bad *types.Type
	for _, t := range parts {
		switch {
		case t == unknown:
			return unknown
		case invalid(t):
			bad = types.TInvalid
		}
	}
	return bad
}

// named returns the names of two types for a message about their difference. If
// the names are equal, it adds the parameters of the types.
func (c *checker) named(a, b *types.Type) (string, string) {
	s, t := plain(a).String(), plain(b).String()
	if s == t {
		s, t = c.withParams(a), c.withParams(b)
	}
	return s, t
}

func (c *checker) withParams(t *types.Type) string {
	if d := c.defs.ForType(t.Name); d != nil && d.ShowType != nil {
		return d.ShowType(t)
	}
	s := plain(t).String()
	if len(t.Params) > 0 {
		s += fmt.Sprint(t.Params)
	}
	return s
}
