package check

import (
	"fmt"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

func (c *checker) unary(e *ast.Unary) *types.Type {
	switch e.Op {
	case "++", "--":
		return c.increment(e)
	case "&":
		return c.address(e)
	}
	t := c.value(e.X)
	if invalid(t) {
		return t
	}
	if l := c.info.Lits[e.X]; l != nil {
		if t, done := c.foldUnary(e, t, l); done {
			return t
		}
	}
	switch {
	case e.Op == "!" && (isNumber(t) || t.Kind == types.Bool || t.Kind == types.Pointer):
		return types.TBool
	case (e.Op == "-" || e.Op == "~") && isNumber(t):
		return types.NewInt(8, asInt(t).Signed)
	case e.Op == "*" && t.Kind == types.Pointer:
		return c.pointee(t, e.Span())
	case e.Op == "*" && isNumber(t):
		return types.TUint64
	}
	c.errorf(e.Span(), "The %s operator can not be used on expressions of type '%s'", e.Op, plain(t))
	return types.TInvalid
}

// increment checks ++ and --. The operand becomes 64 bits wide unless the script
// specifies its type.
func (c *checker) increment(e *ast.Unary) *types.Type {
	var old *types.Type
	var v *Var
	var m *mapState
	switch x := e.X.(type) {
	case *ast.Var:
		old = c.variable(x)
		c.info.Types[x] = orInvalid(old)
		if v = c.find(x.Name); v == nil {
			return types.TInvalid
		}
		v.assigned, v.everAssigned = true, true
	default:
		var ok bool
		if m, ok = c.element(e.X); !ok {
			return types.TInvalid
		}
		if m.info.Value != nil && m.info.Value.Kind == types.Agg {
			c.errorf(e.Span(), "Type mismatch for %s: trying to assign value of type 'int64' when map already has a type '%s'", m.info.Name, m.info.Value)
			return types.TInvalid
		}
		old = c.elementValue(m)
	}
	if invalid(old) {
		return old
	}
	if old.Kind == types.Pointer {
		if c.fixed(old, e.Span()) {
			return types.TInvalid
		}
		return old
	}
	if !isNumber(old) {
		c.holdsOther(e.Span(), e.X, types.TUint64, old)
		return types.TInvalid
	}
	t := types.NewInt(8, asInt(old).Signed || e.Op == "--")
	if free(old) {
		t = litType(8, true, types.FreeSign)
		if e.Op == "--" {
			t = types.TInt64
		}
	}
	switch {
	case m != nil:
		c.joinValue(m, t, nil, e.Span(), e.Span())
		c.checkStorage(m, e.X.Span())
		t = m.info.Value
	case v.fixed != nil:
		t = v.Type
	default:
		c.widen(v, t)
		t = v.Type
	}
	c.info.Types[e.X] = plain(t)
	return t
}

// address checks &$v and &@m.
func (c *checker) address(e *ast.Unary) *types.Type {
	switch x := e.X.(type) {
	case *ast.Var:
		t := c.variable(x)
		c.info.Types[x] = orInvalid(t)
		v := c.find(x.Name)
		if v == nil || invalid(t) {
			return orInvalid(t)
		}
		if !v.AddrTaken {
			v.AddrTaken = true
			c.changed = true
		}
		return types.NewPointer(plain(t), types.NoSpace)
	case *ast.Map:
		m := c.useMap(x)
		m.info.Read = true
		t := m.info.Value
		if invalid(t) {
			if c.final {
				c.undefinedMap(m, x.Span())
				return types.TInvalid
			}
			return unknown
		}
		if c.final && (m.info.Keyed || t.Kind == types.Agg) {
			why := "has keys"
			if !m.info.Keyed {
				why = "is an aggregation"
			}
			c.errorf(x.Span(), "The address-of operator (&) can only be used on maps that hold one value: %s %s", m.info.Name, why)
			return types.TInvalid
		}
		c.info.Types[x] = t
		return types.NewPointer(plain(t), types.NoSpace)
	}
	return types.TInvalid
}

func (c *checker) binary(e *ast.Binary) *types.Type {
	long := c.folded
	c.folded = long || isText(e.X) && isText(e.Y)
	x, y := c.value(e.X), c.value(e.Y)
	c.folded = long
	if bad := spoiled(x, y); bad != nil {
		return bad
	}
	if (e.Op == "==" || e.Op == "!=") && x.Kind == types.Tuple && y.Kind == types.Tuple {
		if _, ok := join(x, y); !ok { // of different shapes, so they are never equal
			return c.literal(e, boolLit(e.Op == "!="))
		}
	}
	if t, done := c.foldBinary(e, x, y); done {
		return t
	}
	if c.namesText(e, x, y) {
		return types.TBool
	}
	operand, t := c.operator(e.Op, e.Span(), e.X, e.Y, x, y)
	if operand != nil {
		c.info.Operands[e] = operand
	}
	return t
}

// isText reports whether e is a string literal, or a sum of some.
func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StrLit:
		return true
	case *ast.Binary:
		return e.Op == "+" && isText(e.X) && isText(e.Y)
	}
	return false
}

// operator returns the type to which both operands of x op y are converted, or
// nil if they are not converted, and the type of the result.
func (c *checker) operator(op string, span source.Span, xe, ye ast.Expr, x, y *types.Type) (operand, result *types.Type) {
	if bad := spoiled(x, y); bad != nil {
		return nil, bad
	}
	switch op {
	case "&&", "||":
		if c.conditional(x, xe) && c.conditional(y, ye) && (x.Kind == types.String) == (y.Kind == types.String) {
			return nil, types.TBool
		}
		return nil, c.unfit(op, span, xe, ye, x, y)
	case "==", "!=", "<", "<=", ">", ">=":
		return c.comparison(op, span, xe, ye, x, y)
	}
	xi, yi := x.IsInteger(), y.IsInteger()
	switch {
	case xi && yi:
		t := arithmetic(op, x, y)
		c.warnOperand(t, x, xe)
		c.warnOperand(t, y, ye)
		if bothBool(op, x, y) {
			return t, types.TBool
		}
		return t, t
	case x.Kind == types.Pointer && isNumber(y) && (op == "+" || op == "-"):
		return nil, c.moved(x, span)
	case y.Kind == types.Pointer && isNumber(x) && op == "+":
		return nil, c.moved(y, span)
	}
	return nil, c.unfit(op, span, xe, ye, x, y)
}

// bothBool reports whether op is bitwise and both operands are booleans, so that the
// result is a boolean.
func bothBool(op string, x, y *types.Type) bool {
	return (op == "&" || op == "|" || op == "^") && x.Kind == types.Bool && y.Kind == types.Bool
}

// unfit reports operands that op does not support.
func (c *checker) unfit(op string, span source.Span, xe, ye ast.Expr, x, y *types.Type) *types.Type {
	d := source.Diag{Span: span, Hint: onlyMember(x, y)}
	switch {
	case x.Kind == types.Array && y.Kind == types.Array && (op == "==" || op == "!="):
		d.Msg = "Only arrays of same size support comparison operators."
	case x.Kind == types.Array && y.Kind == types.Array && (op[0] == '<' || op[0] == '>'):
		d.Msg = fmt.Sprintf("The %s operator cannot be used on arrays.", op)
	case x.Kind == y.Kind && op != "==" && op != "!=", x.Kind == types.Pointer, y.Kind == types.Pointer, d.Hint != "":
		d.Msg = fmt.Sprintf("The %s operator can not be used on expressions of types %s, %s", op, plain(x), plain(y))
	default:
		d.Msg = fmt.Sprintf("Type mismatch for '%s': comparing %s with %s", op, plain(x), plain(y))
		d.Notes = [2]source.Note{
			{Span: xe.Span(), Msg: fmt.Sprintf("left (%s)", plain(x))},
			{Span: ye.Span(), Msg: fmt.Sprintf("right (%s)", plain(y))},
		}
	}
	c.report(d)
	return types.TInvalid
}

// holdsOther reports an update that would assign a value of another type to a variable
// or map.
func (c *checker) holdsOther(span source.Span, target ast.Expr, t, old *types.Type) {
	switch x := target.(type) {
	case *ast.Var:
		c.errorf(span, "Type mismatch for $%s: trying to assign value of type '%s' when variable already has a type '%s'", ast.ShownName(x.Name), t, plain(old))
	default:
		n, ok := target.(*ast.Map)
		if !ok {
			n = target.(*ast.Index).X.(*ast.Map)
		}
		c.errorf(span, "Type mismatch for @%s: trying to assign value of type '%s' when map already has a type '%s'", n.Name, t, plain(old))
	}
}

// moved returns the type of a pointer after arithmetic on it.
func (c *checker) moved(p *types.Type, span source.Span) *types.Type {
	if c.fixed(p, span) {
		return types.TInvalid
	}
	if p.Elem.Kind != types.Void && p.Elem.Size == 0 {
		c.errorf(span, "Arithmetic on a pointer to '%s' is not possible: the size of its target is not known", p.Elem)
		return types.TInvalid
	}
	if p.Space == types.BTF {
		// The verifier does not know the type of such a pointer any more.
		return types.NewPointer(p.Elem.InSpace(types.Kernel), types.Kernel)
	}
	return p
}

// fixed reports arithmetic on a pointer to the program's context, which does not allow
// it. It returns whether p is such a pointer.
func (c *checker) fixed(p *types.Type, span source.Span) bool {
	if p.Space == types.Ctx {
		c.errorf(span, "Arithmetic on a pointer to the program's context is not possible")
	}
	return p.Space == types.Ctx
}

// arithmetic returns the 64-bit type in which op is computed. It is signed for every
// subtraction, and if an operand is signed.
func arithmetic(op string, x, y *types.Type) *types.Type {
	if op == "-" {
		return types.TInt64
	}
	t := joinInts(x, y)
	if x.Kind == types.Bool && y.Kind == types.Bool {
		return types.TUint64
	}
	if x.Kind == types.Bool && free(asInt(y)) || y.Kind == types.Bool && free(asInt(x)) {
		return types.TUint64
	}
	return types.NewInt(8, t.Signed)
}

func (c *checker) warnOperand(to, from *types.Type, e ast.Expr) { c.warnLoss(to, from, e, e.Span()) }

func (c *checker) comparison(op string, span source.Span, xe, ye ast.Expr, x, y *types.Type) (operand, result *types.Type) {
	equality := op == "==" || op == "!="
	if equality && (x.Kind == types.String || y.Kind == types.String) {
		if t := c.namesOwner(xe, ye); t != nil {
			return nil, t
		}
	}
	if equality && c.final {
		c.warnTooLong(span, xe, x, ye)
		c.warnTooLong(span, ye, y, xe)
	}
	switch {
	case x.IsInteger() && y.IsInteger():
		t := joinInts(x, y)
		c.warnOperand(t, x, xe)
		c.warnOperand(t, y, ye)
		return plain(t), types.TBool
	case x.Kind == types.Pointer && y.Kind == types.Pointer:
		if !types.Equal(x.Elem, y.Elem) && x.Elem.Kind != types.Void && y.Elem.Kind != types.Void {
			c.warnf(span, "comparison of distinct pointer types: %s, %s", x.Elem, y.Elem)
		}
		return types.TUint64, types.TBool
	case x.Kind == types.Pointer && isNumber(y), y.Kind == types.Pointer && isNumber(x):
		return types.TUint64, types.TBool
	case equality && x.Kind == y.Kind:
		switch x.Kind {
		case types.String, types.Array, types.Tuple, types.Record, types.Opaque, types.Buffer, types.Struct:
			if t, ok := join(stored(x), stored(y)); ok {
				if bad := incomparable(t); bad != nil {
					if bad.Kind == types.Array {
						c.errorf(span, "Only arrays of same sized integer support comparison operators.")
						return nil, types.TInvalid
					}
					c.errorf(span, "The %s operator can not be used on expressions of types %s, %s", op, x, y)
					return nil, types.TInvalid
				}
				return t, types.TBool
			}
		}
	}
	return nil, c.unfit(op, span, xe, ye, x, y)
}

// warnTooLong warns if x, the result of a builtin of type t, is compared with a literal that
// is longer. The size of a variable depends on what is assigned to it, which may be an
// argument of the script.
func (c *checker) warnTooLong(span source.Span, x ast.Expr, t *types.Type, literal ast.Expr) {
	lit := c.info.LitOf(literal)
	if c.info.Calls[x] == nil || c.info.LitOf(x) != nil || t.Kind != types.String || lit == nil || !lit.IsStr {
		return
	}
	builtins.WarnTooLong(c, span, t, lit.Str)
}

// namesOwner checks a comparison of a builtin with a literal that is the name of a
// possible value. It returns nil for other comparisons.
func (c *checker) namesOwner(xe, ye ast.Expr) *types.Type {
	if c.info.LitOf(xe) != nil {
		xe, ye = ye, xe
	}
	call, lit := c.info.Calls[xe], c.info.LitOf(ye)
	if call == nil || call.Def.CheckIs == nil {
		return nil
	}
	if lit == nil {
		c.errorf(ye.Span(), "%s can only be compared with a literal: the name is looked up when the script starts", call.Def.Name)
		return types.TInvalid
	}
	if !call.Def.CheckIs(c, call, lit.Str, ye.Span()) {
		return types.TInvalid
	}
	return types.TBool
}

// incomparable returns the part of t that cannot be compared with ==, or nil.
func incomparable(t *types.Type) *types.Type {
	switch t.Kind {
	case types.Array:
		if !isNumber(t.Elem) {
			return t
		}
	case types.Tuple, types.Record:
		for _, f := range t.Fields {
			if bad := incomparable(f.Type); bad != nil {
				return bad
			}
		}
	case types.Agg, types.Void:
		return t
	}
	return nil
}

// conditionType reports an error if t cannot be the type of a condition. It returns
// whether it can.
func (c *checker) conditionType(t *types.Type, e ast.Expr, span source.Span) bool {
	if c.conditional(t, e) {
		return true
	}
	c.errorf(span, "Invalid condition: %s", kindName(t))
	return false
}

// conditional reports whether e can be a condition.
//
//go:noinline
func (c *checker) conditional(t *types.Type, e ast.Expr) bool {
	switch t.Kind {
	case types.Int, types.Enum, types.Bool, types.Pointer:
		return true
	case types.String:
		return c.info.Lits[e] != nil
	}
	return false
}

// onlyMember returns a hint if one of the operands is a struct with a single integer
// member. Newer kernels have such structs in place of an integer.
func onlyMember(operands ...*types.Type) string {
	for _, t := range operands {
		if t.Kind != types.Struct {
			continue
		}
		if m := t.Members(); len(m) == 1 && m[0].Name != "" && m[0].Type.IsInteger() {
			return "it is a struct on this kernel: the value is in its member '" + m[0].Name + "'"
		}
	}
	return ""
}
