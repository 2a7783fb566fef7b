package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// value checks an expression whose value is used.
//
//go:noinline
func (c *checker) value(e ast.Expr) *types.Type { return c.expr(e) }

// expr determines the type of an expression and records it in the tables.
func (c *checker) expr(e ast.Expr) *types.Type {
	switch e.(type) {
	case *ast.IntLit, *ast.StrLit, *ast.Var, *ast.Map, *ast.Field:
	default:
		delete(c.info.Lits, e) // from an earlier pass, with less information
	}
	var t *types.Type
	c.noted(e, func() { t = c.exprType(e) })
	if t == nil {
		t = types.TInvalid
	}
	c.info.Types[e] = plain(t)
	return t
}

// exprType checks e. The grammar allows ranges and _ only where they are not values.
func (c *checker) exprType(e ast.Expr) *types.Type {
	switch e := e.(type) {
	case *ast.Bad:
	case *ast.IntLit:
		return c.literal(e, &builtins.Lit{Int: int64(e.Value), Unsigned: int64(e.Value) < 0})
	case *ast.StrLit:
		if e.Bare && e != c.listed {
			c.errorHint(e.Span(), "to use its text, quote it", "Only in compares an internet address, as x in %s", e.Value)
			return types.TInvalid
		}
		return c.literal(e, c.limited(e, &builtins.Lit{Str: e.Value, IsStr: true, IsAddress: e.Bare}))
	case *ast.BoolLit:
		return c.literal(e, boolLit(e.Value))
	case *ast.Positional:
		if e == c.asText {
			return c.literal(e, c.limited(e, c.paramText(e)))
		}
		return c.literal(e, c.limited(e, c.positional(e)))
	case *ast.Ident:
		return c.ident(e)
	case *ast.Var:
		return c.variable(e)
	case *ast.Map:
		return c.readElement(e)
	case *ast.Index:
		if isElement(e) {
			return c.readElement(e)
		}
		return c.index(e)
	case *ast.Field:
		return c.field(e)
	case *ast.Unary:
		return c.unary(e)
	case *ast.Binary:
		return c.binary(e)
	case *ast.Ternary:
		return c.ternary(e)
	case *ast.Call:
		return c.call(e)
	case *ast.Cast:
		return c.cast(e)
	case *ast.TypeArg:
		c.written(e.Type)
		c.errorf(e.Span(), "A type is not a value")
	case *ast.Sizeof:
		return c.sizeof(e)
	case *ast.Offsetof:
		return c.offsetof(e)
	case *ast.Typeinfo:
		return c.typeinfo(e)
	case *ast.Tuple:
		return c.tuple(e)
	case *ast.Record:
		return c.record(e)
	case *ast.Block:
		return c.blockValue(e)
	case *ast.If:
		return c.ifValue(e)
	case *ast.Comptime:
		return c.comptime(e)
	}
	return types.TInvalid
}

// literal records the value of an expression that is known at compile time.
func (c *checker) literal(e ast.Expr, l *builtins.Lit) *types.Type {
	c.info.Lits[e] = l
	switch {
	case l.IsStr && len(l.Str) == c.cfg.MaxStrlen:
		// A full string of MaxStrlen bytes would count as truncated, so leave room.
		return types.NewString(len(l.Str) + 2)
	case l.IsStr:
		return types.NewString(len(l.Str) + 1)
	case l.IsBool:
		return types.TBool
	}
	return literalType(l.Int, l.Unsigned)
}

// limited reports an error if a literal is a longer string than max_strlen allows. It
// returns the literal.
func (c *checker) limited(e ast.Expr, l *builtins.Lit) *builtins.Lit {
	if l.IsStr && len(l.Str) >= c.cfg.MaxStrlen && e != c.long && !c.folded {
		c.errorHint(e.Span(), "max_strlen in config is the largest size of a string, including its NUL", "String is too long (over %d bytes): %s", c.cfg.MaxStrlen, l.Str)
	}
	return l
}

//go:noinline
func boolLit(b bool) *builtins.Lit {
	l := &builtins.Lit{IsBool: true}
	if b {
		l.Int = 1
	}
	return l
}

// truth returns the truth value of a literal used as a condition.
func truth(l *builtins.Lit) bool {
	if l.IsStr {
		return l.Str != ""
	}
	return l.Int != 0
}

// ident resolves a bare name: a builtin, a constant of the script, an enum constant of
// the kernel, or a constant in its headers.
func (c *checker) ident(e *ast.Ident) *types.Type {
	if d := c.builtin(e.Name); d != nil && d.Kind == builtins.Variable {
		return c.invoke(d, e, e.Name, nil)
	}
	if k, ok := c.c.Const(e.Name); ok {
		t := c.literal(e, &builtins.Lit{Int: k.Int, Unsigned: k.Unsigned, Str: k.Str, IsStr: k.IsStr})
		if k.Type != nil {
			return c.enumValue(k.Type)
		}
		return t
	}
	if k := c.env.Kernel; k != nil {
		if n, t, ok := k.EnumConst(e.Name); ok {
			c.literal(e, &builtins.Lit{Int: n, Unsigned: n < 0 && !t.Signed})
			return c.enumValue(t)
		}
	}
	if k, ok := c.c.Known(e.Name); ok {
		return c.literal(e, &builtins.Lit{Int: k.Int, Unsigned: k.Unsigned})
	}
	if d := c.builtin(e.Name); d != nil {
		c.errorHint(e.Span(), "call it: "+e.Name+"()", "%s is a function", e.Name)
		return types.TInvalid
	}
	c.errorHint(e.Span(), c.unknownHint(e.Name, c.nearestName(e.Name)), "Unknown identifier: '%s'", e.Name)
	return types.TInvalid
}

// unknownHint returns the hint for an unknown name. If the C declarations of the script
// explain why the name is missing, it returns that; otherwise it returns near, a hint
// with a similar name.
func (c *checker) unknownHint(name, near string) string {
	if n, err := strconv.Atoi(strings.TrimPrefix(name, "sarg")); err == nil && strings.HasPrefix(name, "sarg") && n >= 0 && n < 1000 {
		return fmt.Sprintf("arguments on the stack are read from it, where a function starts: *(uint64 *)(reg(\"sp\") + %d)", 8*(n+1))
	}
	switch {
	case c.c.IsObjectMacro(name):
		return "#define defines it as itself"
	case c.c.IsFunctionMacro(name):
		return "#define defines it with parameters: " + name + "(…)"
	case near == "" && len(c.c.Missing) > 0:
		return "it may be declared in a header that was not found: " + strings.Join(c.c.Missing, ", ")
	}
	return near
}

// maxNearest is the maximum number of unknown names for which a similar name is
// searched. If there are more, most of them have one common cause.
const maxNearest = 100

// nearestName returns a hint with a known name that is similar to name.
func (c *checker) nearestName(name string) string {
	if !c.final || c.nearest >= maxNearest {
		return ""
	}
	c.nearest++
	names := c.c.ConstNames()
	for _, d := range c.defs.All() {
		names = append(names, d.Name)
	}
	for m := range c.macros {
		names = append(names, m)
	}
	return didYouMeanSorted(name, names)
}

func didYouMeanSorted(name string, names []string) string {
	slices.Sort(names)
	return source.DidYouMean(name, names)
}

// maxParts is the maximum number of elements of tuples and records, and of parts of
// keys.
const maxParts = 1024

// tooMany reports an error if an expression has too many parts. It returns whether it
// has.
//
//go:noinline
func (c *checker) tooMany(n int, at source.Span, what string) bool {
	if n > maxParts {
		c.errorf(at, "%s can have up to %d parts (%d given)", what, maxParts, n)
	}
	return n > maxParts
}

func (c *checker) tuple(e *ast.Tuple) *types.Type {
	if c.tooMany(len(e.Elems), e.Span(), "A tuple") {
		return types.TInvalid
	}
	elems := make([]*types.Type, len(e.Elems))
	for i, x := range e.Elems {
		elems[i] = c.element1(x)
	}
	if bad := spoiled(elems...); bad != nil {
		return bad
	}
	return types.NewTuple(elems...)
}

func (c *checker) record(e *ast.Record) *types.Type {
	if c.tooMany(len(e.Elems), e.Span(), "A record") {
		return types.TInvalid
	}
	elems, names := make([]*types.Type, len(e.Elems)), make([]string, len(e.Elems))
	for i, x := range e.Elems {
		elems[i], names[i] = c.element1(x), e.Names[i].Text
	}
	if bad := spoiled(elems...); bad != nil {
		return bad
	}
	return types.NewRecord(names, elems)
}

// element1 checks an element of a tuple or record: a value that can be stored.
func (c *checker) element1(x ast.Expr) *types.Type {
	t := c.value(x)
	switch t.Kind {
	case types.Void:
		c.errorf(x.Span(), "A tuple or record cannot hold '%s'", kindName(t))
		return types.TInvalid
	case types.Agg:
		if t.Copyable {
			return t
		}
		c.errorf(x.Span(), "Map type %s cannot exist inside a tuple.", t)
		return types.TInvalid
	}
	return storedDeep(t)
}

func (c *checker) blockValue(e *ast.Block) *types.Type { return c.block(e, true) }

func (c *checker) ternary(e *ast.Ternary) *types.Type {
	if e.X == nil { // cond ?: y
		t := c.value(e.Cond)
		if !invalid(t) && t.Kind != types.String {
			c.conditionType(t, e.Cond, e.Span())
		}
		if l := c.info.Lits[e.Cond]; l != nil {
			if truth(l) {
				if c.dropped(e.Cond) == nil {
					c.value(e.Y)
				}
				c.info.Lits[e] = l
				return t
			}
			return c.only(e, e.Y)
		}
		return c.unify(e, t, c.value(e.Y), e.Cond, e.Y)
	}
	c.condition(e.Cond, e.Span())
	if c.undecided(e.Cond) {
		return unknown
	}
	if l := c.info.Lits[e.Cond]; l != nil {
		taken, other := e.X, e.Y
		if !truth(l) {
			taken, other = e.Y, e.X
		}
		if c.dropped(e.Cond) == nil {
			c.value(other)
		}
		return c.only(e, taken)
	}
	x := c.value(e.X)
	return c.unify(e, x, c.value(e.Y), e.X, e.Y)
}

// only returns the type of a conditional expression whose result is known at compile
// time.
func (c *checker) only(e, taken ast.Expr) *types.Type {
	t := c.value(taken)
	if l := c.info.Lits[taken]; l != nil {
		c.info.Lits[e] = l
	}
	return t
}

func (c *checker) ifValue(e *ast.If) *types.Type {
	c.condition(e.Cond, e.Span())
	if c.undecided(e.Cond) {
		return unknown
	}
	if l := c.dropped(e.Cond); l != nil {
		switch {
		case truth(l):
			return c.block(e.Then, true)
		case e.Else == nil:
			return types.TVoid
		}
		return c.value(e.Else)
	}
	x := c.block(e.Then, true)
	if e.Else == nil {
		if x.Kind != types.Void && !invalid(x) {
			c.errorf(e.Span(), "An 'if' that is used as a value needs an 'else'")
			return types.TInvalid
		}
		return x
	}
	y := c.value(e.Else)
	if l := c.info.Lits[e.Cond]; l != nil { // only one of them can be the value
		if truth(l) {
			return x
		}
		return y
	}
	return c.unify(e, x, y, e.Then, e.Else)
}

// unify returns the common type of the two branches of an expression.
func (c *checker) unify(e ast.Expr, x, y *types.Type, xe, ye ast.Expr) *types.Type {
	if bad := spoiled(x, y); bad != nil {
		return bad
	}
	if x.Kind == types.Void && y.Kind == types.Void {
		return types.TVoid
	}
	t, ok := join(stored(x), stored(y))
	if !ok || x.Kind == types.Void || y.Kind == types.Void {
		c.errorf(e.Span(), "Branches must return the same type or compatible types: have '%s' and '%s'", x, y)
		return types.TInvalid
	}
	c.warnLoss(t, x, xe, xe.Span())
	c.warnLoss(t, y, ye, ye.Span())
	return t
}

func (c *checker) comptime(e *ast.Comptime) *types.Type {
	c.constant++
	t := c.value(e.X)
	c.constant--
	if invalid(t) {
		return t
	}
	l := c.info.Lits[e.X]
	if l == nil {
		if _, ok := e.X.(*ast.Block); ok && t.Kind == types.Void {
			return t
		}
		c.errorf(e.Span(), "Unable to resolve comptime expression")
		return types.TInvalid
	}
	c.info.Lits[e] = l
	return t
}
