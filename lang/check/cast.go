package check

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

func (c *checker) cast(e *ast.Cast) *types.Type {
	to := c.written(e.Type)
	from := c.value(e.X)
	if bad := spoiled(to, from); bad != nil {
		return bad
	}
	if to.Kind == types.Pointer || isNumber(to) {
		from = c.recordedAddress(e.X, from)
	}
	t := c.castType(to, from)
	if t == nil {
		c.errorf(castSpan(e), "Cannot cast from \"%s\" to \"%s\"", plain(from), asWritten(to))
		return types.TInvalid
	}
	if l := c.info.Lits[e.X]; l != nil && l.IsStr && t.Kind == types.Bool {
		c.info.Lits[e] = boolLit(l.Str != "")
	} else if l != nil && !l.IsStr {
		switch t.Kind {
		case types.Int:
			n, u := truncate(t, l.Int)
			c.info.Lits[e] = &builtins.Lit{Int: n, Unsigned: u}
		case types.Bool:
			c.info.Lits[e] = boolLit(l.Int != 0)
		case types.Pointer: // an address is not negative
			if from.Kind != types.Pointer {
				n, u := truncate(types.NewInt(max(from.Size, 1), false), l.Int)
				c.info.Lits[e] = &builtins.Lit{Int: n, Unsigned: u}
			}
		case types.Enum:
			c.info.Lits[e] = &builtins.Lit{Int: l.Int}
			if t.Consts != nil && t.Consts.Name(l.Int) == "" {
				c.errorf(castSpan(e), "Enum: %s doesn't contain a variant value of %d", strings.TrimPrefix(t.Name, "enum "), l.Int)
			}
		}
	}
	return t
}

// asWritten returns the name of a type as a script writes it. A string without a length
// is written without one.
func asWritten(t *types.Type) string {
	switch {
	case t.Kind == types.String && t.Size == 0:
		return "string"
	case t.Kind == types.Buffer && t.Len == 0:
		return "buffer"
	}
	return t.String()
}

// castSpan returns the (type) of a cast.
func castSpan(e *ast.Cast) source.Span {
	s := e.Span()
	if end := e.Type.Span().End; s.File != nil && end > s.Start && end < s.End {
		s.End = end + 1
	}
	return s
}

// castType returns the type of (to)x for x of type from, or nil if the cast is not
// allowed.
func (c *checker) castType(to, from *types.Type) *types.Type {
	word := isNumber(from) || from.Kind == types.Bool || from.Kind == types.Pointer
	switch to.Kind {
	case types.Bool:
		if word || from.Kind == types.String { // as in a condition: not 0, not empty
			return to
		}
	case types.Int, types.Enum:
		switch {
		case word:
			return to
		case from.Kind == types.Array && isNumber(from.Elem) && from.Size == to.Size:
			return to
		case from.Kind == types.Agg && from.Decay() != from:
			return to
		}
	case types.Pointer:
		switch from.Kind {
		case types.String:
			return charsAddress(to, from)
		case types.Tuple, types.Record:
			return types.NewPointer(to.Elem, types.Kernel)
		}
		if word || from.Kind == types.Array && from.Size == 8 {
			if from.Kind == types.Pointer && types.Equal(to.Elem, from.Elem) && from.Space == types.BTF {
				return from // the verifier still knows its type
			}
			return types.NewPointer(to.Elem, c.pointerSpace(from))
		}
	case types.Array:
		return castArray(to, from)
	case types.String, types.Buffer:
		if from.Kind != to.Kind {
			return nil
		}
		if to.Len == 0 && to.Kind == types.Buffer || to.Size == 0 {
			return from
		}
		if from.Size <= to.Size {
			return to
		}
	}
	return nil
}

// charsAddress returns the type of (to)x for an array of characters x: the address of
// the array, which is often space reserved for another struct. A string of the program
// itself is on its stack or in a map, in kernel memory.
func charsAddress(to, from *types.Type) *types.Type {
	if from.Space == types.User {
		return types.NewPointer(to.Elem, types.User)
	}
	return types.NewPointer(to.Elem, types.Kernel)
}

// castArray returns the type of an integer, array or string that is cast to an array of
// integers. If to has no length, it is derived from the size of from. If an integer is
// smaller than the array, zeros follow it.
func castArray(to, from *types.Type) *types.Type {
	if !isNumber(to.Elem) && to.Elem.Kind != types.Bool {
		return nil
	}
	if !isNumber(from) && from.Kind != types.String && !(from.Kind == types.Array && isNumber(from.Elem)) {
		return nil
	}
	if to.Elem.Name == "char" { // show numbers: in the type of a member, char is text
		to = types.NewArray(types.TInt8, to.Len)
	}
	size := from.Size
	if to.Len == 0 {
		if size%to.Elem.Size != 0 {
			return nil
		}
		return types.NewArray(to.Elem, size/to.Elem.Size)
	}
	if to.Size == size || isNumber(from) && to.Size >= size && to.Size <= 8 {
		return to
	}
	return nil
}

// pointerSpace returns the address space of a pointer made from a value of type from:
// the space of that value or, if it has none, that of the probe's arguments.
func (c *checker) pointerSpace(from *types.Type) types.Space {
	switch {
	case from.Kind == types.Pointer && from.Space == types.BTF:
		return types.Kernel // the object is in kernel memory after any cast
	case isContext(from) && c.viewed():
		return types.Ctx
	}
	if from.Space != types.NoSpace && from.Space != types.BTF && from.Space != types.Ctx && from.Kind != types.Array {
		return from.Space
	}
	if from.Kind == types.Pointer && from.Space == types.NoSpace && from.Elem.Kind != types.Void {
		return types.NoSpace // of the program's own memory
	}
	if ctx := c.context(); ctx != nil && ctx.Args.Space == types.User {
		return types.User
	}
	return types.Kernel
}
