package check

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/members"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// maxTypeSize is the maximum size in bytes of arrays, strings and buffers that a script
// declares.
const maxTypeSize = 1 << 20

// basicType returns the type with a name that needs no declaration, or nil. The size of
// string and similar types is 0 unless a length follows.
func basicType(name string) *types.Type {
	switch name {
	case "void":
		return types.TVoid
	case "bool":
		return types.TBool
	case "int8":
		return types.TInt8
	case "int16":
		return types.TInt16
	case "int32":
		return types.TInt32
	case "int64":
		return types.TInt64
	case "uint8":
		return types.TUint8
	case "uint16":
		return types.TUint16
	case "uint32":
		return types.TUint32
	case "uint64":
		return types.TUint64
	case "string":
		return types.NewString(0)
	case "buffer":
		return types.NewBuffer(0)
	}
	return nil
}

// sized returns the basic type t with the length n if t is a type such as string, for
// which [N] is a length and does not denote an array. It returns nil for other types.
func sized(t *types.Type, n int) *types.Type {
	switch {
	case t.Kind == types.String && t.Size == 0:
		return types.NewString(n)
	case t.Kind == types.Buffer && t.Len == 0:
		return types.NewBuffer(n)
	}
	return nil
}

// written resolves a type as the script writes it.
func (c *checker) written(t *ast.Type) *types.Type {
	r := c.writtenBase(t)
	for i := range t.Suffixes {
		if invalid(r) {
			break
		}
		r = c.suffixed(r, &t.Suffixes[i], t)
	}
	c.info.Written[t] = r
	return r
}

func (c *checker) writtenBase(t *ast.Type) *types.Type {
	switch {
	case t.TypeofT != nil:
		return c.operandType(t.TypeofT, nil)
	case t.Typeof != nil:
		return plain(c.typeOf(t.Typeof))
	}
	return c.namedType(t.Keyword, t.Name, t.Span())
}

// unevaluated returns the type of an expression that is not evaluated, as in
// sizeof.
func (c *checker) unevaluated(e ast.Expr) *types.Type {
	c.quiet++
	defer func() { c.quiet-- }()
	if m, ok := e.(*ast.Map); ok {
		// This does not count as a use without a key: a map with keys stands for its
		// key.
		st := c.useMap(m)
		if st.keyed && st.info.Keyed {
			if !invalid(st.info.Key) {
				return st.info.Key
			}
			return unknown
		}
		if !st.keyed && !c.defaults {
			return unknown
		}
		return c.elementValue(st)
	}
	return c.expr(e)
}

// typeOf returns the type of an expression that is not evaluated, and reports one
// without a value.
func (c *checker) typeOf(e ast.Expr) *types.Type {
	t := c.unevaluated(e)
	if t.Kind == types.Void {
		c.errorf(e.Span(), "The expression has no type: it has no value")
		return types.TInvalid
	}
	return t
}

func (c *checker) suffixed(t *types.Type, s *ast.TypeSuffix, at *ast.Type) *types.Type {
	if s.Pointer {
		return types.NewPointer(t, types.NoSpace)
	}
	if t.Kind == types.Void {
		c.errorf(at.Span(), "Arrays of void do not exist")
		return types.TInvalid
	}
	n := 0
	if s.Len != nil {
		lt := c.expr(s.Len)
		l := c.info.Lits[s.Len]
		switch {
		case invalid(lt):
			return lt
		case l == nil || l.IsStr || l.IsBool || l.Unsigned || l.Int < 0:
			c.errorf(s.Len.Span(), "The length of an array must be a non-negative integer known at compile time")
			return types.TInvalid
		case l.Int > maxTypeSize || int(l.Int)*max(1, t.Size) > maxTypeSize:
			c.errorf(s.Len.Span(), "A type may not take more than %d bytes", maxTypeSize)
			return types.TInvalid
		}
		n = int(l.Int)
		if r := sized(t, n); r != nil {
			return r
		}
	}
	return types.NewArray(t, n)
}

// namedType returns the type with a name and keyword (struct, union, enum or "").
func (c *checker) namedType(keyword, name string, span source.Span) *types.Type {
	if keyword == "" {
		if t := basicType(name); t != nil {
			return t
		}
		if t := c.defs.Type(name); t != nil {
			return t
		}
	}
	full := name
	if keyword != "" {
		full = keyword + " " + name
	}
	if t := c.c.Type(full); t != nil {
		return c.enumValue(t)
	}
	if t := c.programType(keyword, name); t != nil {
		return t
	}
	if k := c.env.Kernel; k != nil {
		if t, err := k.Type(full); err == nil && t != nil {
			return c.enumValue(t)
		}
		if keyword == "" { // C++ and old scripts omit the keyword
			for _, kw := range []string{"struct ", "union ", "enum "} {
				if t := c.c.Type(kw + name); t != nil {
					return t
				}
				if t, err := k.Type(kw + name); err == nil && t != nil {
					return t
				}
			}
		}
	}
	if c.variant == nil || c.context() != nil { // otherwise a program may define it
		hint := c.unknownHint(name, c.nearestType(keyword, name))
		if hint == "" && c.noBTF() {
			hint = probes.ErrNoBTF.Error()
		}
		c.errorHint(span, hint, "Cannot resolve unknown type \"%s\"", full)
	}
	return types.TInvalid
}

// programType returns a type of the traced program, or nil. If a block is for several
// programs, it is compiled once for each of them.
func (c *checker) programType(keyword, name string) *types.Type {
	ctx := c.context()
	if ctx == nil || ctx.Type == nil {
		return nil
	}
	points := c.variant.prog.Points
	for _, p := range points[1:] {
		if p.Target != points[0].Target {
			c.variant.named = true
			break
		}
	}
	if keyword != "" {
		return ctx.Type(keyword + " " + name)
	}
	for _, kw := range []string{"", "struct ", "union ", "enum "} {
		if t := ctx.Type(kw + name); t != nil {
			return t
		}
	}
	return nil
}

func (c *checker) nearestType(keyword, name string) string {
	if !c.final {
		return ""
	}
	var names []string
	for _, n := range c.c.TypeNames() {
		kw, bare, ok := strings.Cut(n, " ")
		if !ok {
			kw, bare = "", n
		}
		if kw == keyword {
			names = append(names, bare)
		}
	}
	kind := keyword
	if kind == "" {
		kind = "typedef"
		names = append(names, "bool", "void", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "string", "buffer")
	}
	if k := c.env.Kernel; k != nil {
		for _, n := range k.TypeNames(kind) {
			names = append(names, strings.TrimPrefix(n, kind+" "))
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	return didYouMeanSorted(name, names)
}

// operandType returns the type of the operand of sizeof and similar operators. A bare
// name denotes a type, unless it is the name of a builtin or a constant.
func (c *checker) operandType(t *ast.Type, x ast.Expr) *types.Type {
	if t == nil {
		return c.typeOf(x)
	}
	if t.Keyword == "" && t.Name != "" && len(t.Suffixes) == 0 {
		if c.isValueName(t.Name) {
			value := c.implied(t, func() ast.Expr { return &ast.Ident{At: t.At, Name: t.Name} })
			r := plain(c.typeOf(value))
			c.info.Written[t] = r
			return r
		}
	}
	return c.written(t)
}

// isValueName reports whether a bare name that could be a type is the name of a builtin
// or a constant.
func (c *checker) isValueName(name string) bool {
	if basicType(name) != nil {
		return false
	}
	if _, ok := c.c.Const(name); ok {
		return true
	}
	if d := c.builtin(name); d != nil {
		return d.Kind == builtins.Variable
	}
	if c.c.Type(name) != nil || c.env.Kernel == nil {
		return false
	}
	if _, err := c.env.Kernel.Type(name); err == nil {
		return false
	}
	if _, _, ok := c.env.Kernel.EnumConst(name); ok {
		return true
	}
	_, ok := c.c.Known(name)
	return ok
}

// enumValue returns the type of a value of enum t, which is 64 bits wide even if a
// field with that type is narrower. It returns other types unchanged.
//
//go:noinline
func (c *checker) enumValue(t *types.Type) *types.Type {
	if t.Kind != types.Enum || t.Size == 8 {
		return t
	}
	w := c.enums[t.Name]
	if w == nil {
		w = &types.Type{}
		*w = *t
		w.Size = 8
		c.enums[t.Name] = w
	}
	return w
}

// current returns the script's definition of t if t is a kernel struct that the script
// redefines, and otherwise t. The verifier does not know the script's definition, so
// such an object is not read with plain loads.
func (c *checker) current(t *types.Type) *types.Type {
	if t == nil || len(c.c.TypeNames()) == 0 {
		return t
	}
	switch t.Kind {
	case types.Struct:
		if d := c.c.Type(t.Name); d != nil {
			if t.Space == types.NoSpace && t.Leads != types.NoSpace {
				return leading(d, t.Leads)
			}
			return d.InSpace(unverified(t.Space))
		}
	case types.Pointer:
		if t.Elem != nil && t.Elem.Kind == types.Struct {
			if d := c.c.Type(t.Elem.Name); d != nil {
				s := unverified(t.Space)
				return types.NewPointer(d.InSpace(s), s)
			}
		}
	}
	return t
}

func unverified(s types.Space) types.Space {
	if s == types.BTF {
		return types.Kernel
	}
	return s
}

// aggSize is the sizeof of aggregations in bytes. It is the size of the integer as which
// expressions read some of them, and bpftrace's value for all of them.
const aggSize = 8

func (c *checker) sizeof(e *ast.Sizeof) *types.Type {
	var t *types.Type
	if e.X != nil {
		t = c.unevaluated(e.X)
	} else {
		t = c.operandType(e.Type, nil)
	}
	if invalid(t) {
		return t
	}
	size := t.Size
	if t.Kind == types.Agg {
		size = aggSize
	}
	if l := c.info.Lits[e.X]; e.X != nil && l != nil && l.IsStr && len(l.Str) == c.cfg.MaxStrlen {
		size = len(l.Str) + 1
	}
	return c.literal(e, &builtins.Lit{Int: int64(size)})
}

func (c *checker) offsetof(e *ast.Offsetof) *types.Type {
	t := c.operandType(e.Type, e.X)
	if invalid(t) {
		return t
	}
	off := 0
	for _, name := range e.Path {
		if t.Kind == types.Pointer && t.Elem != nil && off == 0 {
			t = t.Elem
		}
		if t.Kind != types.Struct && t.Kind != types.Record && t.Kind != types.Tuple {
			c.errorf(e.Span(), "'%s' is not of a struct type, so it has no field '%s'", t, name.Text)
			return types.TInvalid
		}
		f, ok := t.Field(name.Text)
		if !ok {
			c.errorHint(e.Span(), members.Hint(t, name.Text), "'%s' has no field named '%s'", t, name.Text)
			return types.TInvalid
		}
		off += f.Off + f.BitOff/8 // for a bitfield: the byte that contains its first bit
		t = f.Type
	}
	return c.literal(e, &builtins.Lit{Int: int64(off)})
}

// typeinfo returns the type of typeinfo(): a record (btf_id, base_type,
// full_type).
func (c *checker) typeinfo(e *ast.Typeinfo) *types.Type {
	t := c.operandType(e.Type, e.X)
	if invalid(t) {
		return t
	}
	c.unstable("typeinfo", e.Span())
	base := baseName(t)
	full := t.String()
	return types.NewRecord([]string{"btf_id", "base_type", "full_type"},
		[]*types.Type{types.TUint32, types.NewString(len(base) + 1), types.NewString(len(full) + 1)})
}

func baseName(t *types.Type) string {
	switch t.Kind {
	case types.Int:
		return "int"
	case types.Pointer:
		return "pointer"
	case types.Array:
		return "array"
	case types.String:
		return "string"
	case types.Struct:
		return "c_type"
	case types.Tuple:
		return "tuple"
	case types.Record:
		return "record"
	case types.Enum:
		return "enum"
	}
	return t.String()
}

// unstable reports the use of a feature that may change, if the configuration requires
// that. It returns false if the feature may not be used. It reports each warning once.
func (c *checker) unstable(feature string, span source.Span) bool {
	switch c.cfg.Unstable[feature] {
	case "error":
		c.errorf(span, "%s feature is not enabled by default. To enable this unstable feature, set the config flag to enable. unstable_%s=enable", feature, feature)
		return false
	case "warn":
		if c.final && !c.warned[feature] {
			c.warned[feature] = true
			c.warnf(span, "Script is using an unstable feature: %s. To prevent this warning you must explicitly enable it in the config e.g. unstable_%s=enable", feature, feature)
		}
	}
	return true
}
