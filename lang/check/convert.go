package check

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// storable reports an error if a variable or map cannot hold a type. It returns whether
// it can.
func (c *checker) storable(t *types.Type, at source.Span, what string) bool {
	switch {
	case t.Kind == types.Void:
		c.errorf(at, "Value 'void' cannot be assigned to a %s.", what)
		return false
	case t.Kind == types.Agg && what != "map":
		c.errorf(at, "Value '%s' cannot be assigned to a %s.", t, what)
		return false
	case t.Kind == types.Struct && t.Size == 0:
		c.errorf(at, "'%s' has no size here: only a pointer to it can be kept", t)
		return false
	}
	if t.Kind == types.Tuple || t.Kind == types.Record {
		for _, f := range t.Fields {
			if f.Type.Kind != types.Agg && !c.storable(f.Type, at, what) {
				return false
			}
		}
	}
	return true
}

// convert checks that a value of type from can be converted to the written type to. If
// it cannot, convert calls mismatch.
func (c *checker) convert(to, from *types.Type, lit ast.Expr, value source.Span, mismatch func()) bool {
	if l := c.info.Lits[lit]; l != nil && isNumber(from) && isNumber(to) && isLiteralType(from) {
		if fits(to, l.Int, l.Unsigned) {
			return true
		}
		mismatch()
		return false
	}
	if isNumber(to) && isNumber(from) {
		c.warnLoss(to, from, lit, value)
		return true
	}
	if to.Kind == types.Pointer && from.Kind == types.Pointer {
		return true
	}
	if growing(to) && from.Kind == to.Kind && (to.Kind == types.String || from.Name == to.Name) {
		return true
	}
	j, ok := join(to, from)
	if !ok || j.Size != to.Size || !joinsInto(to, from) {
		mismatch()
		return false
	}
	return true
}

// joinsInto reports whether joining from into the aggregate type to leaves to
// unchanged.
func joinsInto(to, from *types.Type) bool {
	j, ok := join(to, from)
	return ok && types.Equal(plain(j), plain(to))
}

// warnLoss warns if a conversion may change a value. It does not warn about a
// literal that fits.
func (c *checker) warnLoss(to, from *types.Type, lit ast.Expr, value source.Span) {
	if !c.final || invalid(to) || invalid(from) {
		return
	}
	if tu, ok := lit.(*ast.Tuple); ok && to.Kind == types.Tuple && len(to.Fields) == len(tu.Elems) {
		for i, e := range tu.Elems {
			c.warnLoss(to.Fields[i].Type, from.Fields[i].Type, e, e.Span())
		}
		return
	}
	t, f, bad := loseInts(to, from)
	if !bad {
		return
	}
	if x, ok := lit.(*ast.Cast); ok {
		value = castSpan(x)
	}
	if l := c.info.Lits[lit]; l != nil && isNumber(to) && isLiteralType(from) && fits(to, l.Int, l.Unsigned) {
		return
	}
	c.warnf(value, "Expression of type: %s being cast to type: %s. This may cause unexpected results. Use an explicit cast to suppress this warning.", plain(f), plain(t))
}
