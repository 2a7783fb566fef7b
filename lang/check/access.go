package check

import (
	"errors"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/members"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// index checks x[i] if x is not a map.
func (c *checker) index(e *ast.Index) *types.Type {
	x := c.value(e.X)
	if len(e.Args) != 1 {
		for _, a := range e.Args {
			c.value(a)
		}
		c.errorf(e.Span(), "Only maps take more than one key, found %s", kindName(x))
		return types.TInvalid
	}
	i := c.value(e.Args[0])
	if bad := spoiled(x, i); bad != nil {
		return bad
	}
	l := c.info.Lits[e.Args[0]]
	switch x.Kind {
	case types.Tuple, types.Record:
		if l == nil || l.IsStr || l.IsBool {
			c.errorf(e.Span(), "Array-style access for tuples only valid for integer literals")
			return types.TInvalid
		}
		if l.Int < 0 || int(l.Int) >= len(x.Fields) {
			c.errorf(e.Span(), "Invalid tuple index: %d. Found %d elements in tuple.", l.Int, len(x.Fields))
			return types.TInvalid
		}
		return x.Fields[l.Int].Type
	case types.Array, types.String, types.Pointer, types.Buffer:
	default:
		c.errorf(e.Span(), "The array index operator [] can only be used on arrays, pointers, and tuples, found %s.", x)
		return types.TInvalid
	}
	if !isNumber(i) || l != nil && l.Int < 0 && !l.Unsigned && x.Kind != types.Pointer {
		c.errorf(e.Span(), "The array index operator [] only accepts non-negative integer indices. Got: %s", plain(i))
		return types.TInvalid
	}
	n, elem := x.Len, x.Elem
	switch x.Kind {
	case types.String:
		n, elem = x.Size, types.TInt8
	case types.Buffer:
		elem = types.TUint8
	case types.Pointer:
		if l == nil && isContext(x) && c.viewed() {
			c.errorf(e.Span(), "The program's context is indexed by constants only")
			return types.TInvalid
		}
		return c.pointee(x, e.Span())
	}
	if l != nil && (l.Int >= int64(n) || l.Unsigned) && (n > 0 || x.Kind != types.Array) {
		c.errorf(e.Span(), "the index %d is out of bounds for array of size %d", l.Int, n)
		return types.TInvalid
	}
	if s := c.info.Lits[e.X]; s != nil && s.IsStr && l != nil {
		b := int64(0)
		if int(l.Int) < len(s.Str) {
			b = int64(int8(s.Str[l.Int]))
		}
		c.info.Lits[e] = &builtins.Lit{Int: b}
		return types.TInt8
	}
	return part(elem, x)
}

// pointee returns the type of the object that p points to.
func (c *checker) pointee(p *types.Type, span source.Span) *types.Type {
	t := p.Elem
	switch {
	case t == nil || t.Kind == types.Void:
		c.errorHint(span, "cast it to a pointer to a type first", "A 'void *' cannot be dereferenced")
		return types.TInvalid
	case t.Kind == types.Struct && t.Size == 0:
		c.errorf(span, "'%s' has no members here: its definition is not known", t)
		return types.TInvalid
	}
	return c.current(within(t, p.Space))
}

// part returns the type of a part of obj. If obj is a copy in the program's own memory,
// pointers in it keep their original address space.
func part(t, obj *types.Type) *types.Type {
	if obj.Space != types.NoSpace || obj.Leads == types.NoSpace {
		return within(t, obj.Space)
	}
	switch {
	case t.Kind == types.Pointer:
		return within(t, obj.Leads)
	case t.Kind == types.Struct || t.Kind == types.Array:
		return leading(t, obj.Leads)
	}
	return within(t, obj.Space)
}

// leading returns the type of an object in the program's own memory that is a copy of
// an object in space s.
//
//go:noinline
func leading(t *types.Type, s types.Space) *types.Type {
	s = unverified(s)
	if t.Space == types.NoSpace && t.Leads == s {
		return t
	}
	u := *t
	u.Space, u.Leads = types.NoSpace, s
	return &u
}

// located returns the type written with the address spaces of t. A script cannot
// specify address spaces; they are those of the value that is assigned or passed.
func located(written, t *types.Type) *types.Type {
	if invalid(t) || invalid(written) || written.Kind != t.Kind {
		return written
	}
	switch written.Kind {
	case types.Pointer:
		if s := unverified(t.Space); written.Space == types.NoSpace && s != types.NoSpace && written.Elem != nil {
			return types.NewPointer(within(written.Elem, s), s)
		}
	case types.Struct, types.Array:
		if s := stored(t).Leads; written.Leads == types.NoSpace && s != types.NoSpace {
			return leading(written, s)
		}
	case types.Tuple, types.Record:
		elems, names := make([]*types.Type, len(written.Fields)), make([]string, len(written.Fields))
		changed := false
		for i, f := range written.Fields {
			elems[i], names[i] = f.Type, f.Name
			if g, ok := t.Field(f.Name); ok {
				elems[i] = located(f.Type, g.Type)
			}
			changed = changed || elems[i] != f.Type
		}
		switch {
		case !changed:
		case written.Kind == types.Record:
			return types.NewRecord(names, elems)
		default:
			return types.NewTuple(elems...)
		}
	}
	return written
}

// within returns the type of a part of an object in space s. If the part is a pointer,
// its target is in space s too, unless the type specifies another one, as that of a
// __user pointer in kernel memory does.
func within(t *types.Type, s types.Space) *types.Type {
	switch t.Kind {
	case types.Struct, types.String, types.Array:
		return t.InSpace(s)
	case types.Pointer:
		switch {
		case t.Space == types.User || s == types.NoSpace:
			return t
		case s == types.Ctx:
			if t.Space == types.NoSpace {
				return t.InSpace(types.Kernel)
			}
			return t
		}
		return t.InSpace(s)
	}
	return t
}

// typedRet returns the type of e, a value from which a field is read. If e is the
// result of a user function, the type is that in the program's debug info; otherwise it
// is t.
func (c *checker) typedRet(e ast.Expr, t *types.Type) *types.Type {
	call, ctx := c.info.Calls[e], c.context()
	if call == nil || !call.Def.Ret || t.Kind != types.Int || ctx == nil {
		return t
	}
	var r *types.Type
	if ctx.Ret.Struct != nil {
		c.NeedsPoint()
		r = ctx.Ret.Struct()
	}
	if r == nil && ctx.Ret.Typed != nil {
		r, _ = ctx.Ret.Typed()
	}
	if r == nil {
		return t
	}
	call.Type, c.info.Types[e] = r, r
	return r
}

func (c *checker) field(e *ast.Field) *types.Type {
	ofMember, old := c.memberOf == e, c.memberOf
	c.memberOf = e.X
	x := c.value(e.X)
	c.memberOf = old
	if invalid(x) {
		return x
	}
	x = c.typedRet(e.X, x)
	if n, ok := e.X.(*ast.Typeinfo); ok {
		c.typeinfoField(n, e)
	}
	obj := x
	if x.Kind == types.Pointer && x.Elem != nil {
		obj = x.Elem
		obj = obj.InSpace(x.Space)
	}
	name := e.Name.Text
	switch {
	case obj.Kind == types.Struct:
	case x.Kind == types.Tuple:
		n, err := strconv.Atoi(name)
		if err != nil {
			c.errorf(e.Span(), "Can not access field '%s' on expression of type '%s'", name, x)
			return types.TInvalid
		}
		if n >= len(x.Fields) {
			c.errorf(e.Span(), "Invalid tuple index: %d. Found %d elements in tuple.", n, len(x.Fields))
			return types.TInvalid
		}
		c.info.Fields[e] = x.Fields[n]
		return x.Fields[n].Type
	case x.Kind == types.Record:
		f, ok := x.Field(name)
		if !ok {
			c.errorHint(e.Span(), source.DidYouMean(name, x.FieldNames()), "Record does not contain a field named '%s'", name)
			return types.TInvalid
		}
		c.info.Fields[e] = f
		return f.Type
	default:
		hint := ""
		switch {
		case x.Kind == types.Array && x.Elem.Kind == types.Struct:
			hint = "it is an array: its elements are [0], [1] and so on"
		case x.Kind == types.Int && c.noBTF():
			hint = probes.ErrNoBTF.Error()
		}
		c.errorHint(e.Span(), hint, "Can not access field '%s' on expression of type '%s'", name, plain(x))
		return types.TInvalid
	}
	f, ok := obj.Field(name)
	if !ok {
		if obj.Space == types.Ctx && len(name) > 7 && name[:7] == "common_" {
			c.errorf(e.Span(), "BPF does not support accessing common tracepoint fields")
			return types.TInvalid
		}
		if len(obj.Members()) == 0 {
			c.errorf(e.Span(), "'%s' has no members here: its definition is not known", obj)
			return types.TInvalid
		}
		if call := c.info.Calls[e.X]; call != nil && call.Def.Args && c.ofFunction() {
			hint := source.DidYouMean(name, obj.FieldNames())
			if d := c.builtin(name); d != nil && d.Kind == builtins.Variable {
				hint = name + " is a variable of its own: use it without args"
			}
			c.errorHint(e.Span(), hint, "Can't find function parameter %s", name)
			return types.TInvalid
		}
		c.errorHint(e.Span(), members.Hint(obj, name), "Struct/union of type '%s' does not contain a field named '%s'", obj, name)
		return types.TInvalid
	}
	if f.Loc != nil && f.Loc.Err != "" {
		c.errorf(e.Span(), "%s cannot be read: %s", name, f.Loc.Err)
		return types.TInvalid
	}
	if f.Recorded() && f.Type.Kind == types.String && obj.Space == types.Ctx {
		f.Type = f.Type.InSpace(types.Kernel)
	}
	switch {
	case ofMember:
	case f.Has != 0 && f.Type.Kind == types.Struct:
		return c.onlyMembers(e, f.Type)
	case obj.Space == types.Ctx && c.viewed() && f.Type.Kind == types.Pointer && f.Type.Elem.Kind == types.Struct:
		// The kernel finds the members only if it sees where the pointer is from.
		return c.onlyMembers(e, f.Type.Elem)
	}
	c.info.Fields[e] = f
	return c.current(part(f.Type, obj))
}

// onlyMembers reports that a script uses e as a value, although it can only use the
// members of t, the type of e.
func (c *checker) onlyMembers(e ast.Expr, t *types.Type) *types.Type {
	c.errorHint(e.Span(), "its members are "+strings.Join(t.FieldNames(), ", "), "%s is not a value: use one of its members, as in %[1]s.%s", e.Span().Text(), t.FieldNames()[0])
	return types.TInvalid
}

// recordedAddress converts a string that a tracepoint recorded to a pointer to that
// string, and returns the pointer's type. For any other e it returns t, the type of e.
func (c *checker) recordedAddress(e ast.Expr, t *types.Type) *types.Type {
	x, ok := e.(*ast.Field)
	if !ok || t.Kind != types.String || !c.info.Fields[x].Recorded() {
		return t
	}
	f := c.info.Fields[x]
	f.Type = types.NewPointer(types.TInt8, types.Kernel)
	c.info.Fields[x], c.info.Types[e] = f, f.Type
	return f.Type
}

// kindName returns the name of a class of types for error messages.
func kindName(t *types.Type) string {
	switch t.Kind {
	case types.String:
		return "string"
	case types.Tuple:
		return "tuple"
	case types.Record:
		return "record"
	case types.Void, types.Invalid:
		return "none"
	}
	return plain(t).String()
}

// ofFunction reports whether args are the parameters of a function.
func (c *checker) ofFunction() bool {
	return c.variant != nil && c.variant.prog != nil && c.variant.prog.Ctx != nil && c.variant.prog.Ctx.Kind.FuncArgs
}

// noBTF reports whether the kernel has no type information. Then a pointer to a kernel
// type is a plain number.
func (c *checker) noBTF() bool {
	_, err := c.env.Kernel.Type("struct task_struct")
	return errors.Is(err, probes.ErrNoBTF)
}
