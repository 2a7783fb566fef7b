package check

import (
	"fmt"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

func (c *checker) assignment(s *ast.Assign) {
	if isAggCall := c.aggregation(s); isAggCall {
		return
	}
	if s.Op != "" {
		c.compound(s)
		return
	}
	switch target := s.Target.(type) {
	case *ast.Discard:
		c.expr(s.Value)
	case *ast.Var:
		t := c.value(s.Value)
		c.noValue(s, t)
		v := c.find(target.Name)
		if v == nil {
			v = c.declare(target, s.Span(), byAssign)
		}
		c.use(target, v)
		if t.Kind == types.Void {
			v.wrong = true
			return
		}
		c.assign(v, t, s.Value, s.Span(), s.Value.Span())
		c.info.Types[target] = c.varType(v)
	default:
		m, ok := c.element(s.Target)
		t := c.value(s.Value)
		c.noValue(s, t)
		if m == nil {
			return
		}
		if t.Kind == types.Void {
			m.wrong = true
			return
		}
		if from := c.aggregateRead(s.Value); from != nil {
			c.copiesAggregate(s, from)
			m.wrong = true
			return
		}
		if ok {
			c.joinValue(m, t, s.Value, s.Span(), s.Value.Span())
			c.checkStorage(m, s.Target.Span())
			c.info.Types[s.Target] = orInvalid(m.info.Value)
		}
	}
}

// noValue reports an assignment of an expression without a value.
func (c *checker) noValue(s *ast.Assign, t *types.Type) {
	if t.Kind == types.Void {
		c.noValueAt(s.Span(), s.Value, s.Target)
	}
}

func (c *checker) noValueAt(span source.Span, value, target ast.Expr) {
	what := "map"
	if _, ok := target.(*ast.Var); ok {
		what = "scratch variable"
	}
	switch value.(type) {
	case *ast.Block, *ast.If:
		c.errorHint(span, "the last expression of a block is its value if no ';' follows it", "Invalid expression for assignment: it has no value")
	default:
		c.errorf(span, "Value 'void' cannot be assigned to a %s.", what)
	}
}

// aggregateRead returns the map whose aggregation e reads, or nil.
func (c *checker) aggregateRead(e ast.Expr) *builtins.MapInfo {
	if !isElement(e) {
		return nil
	}
	n, ok := e.(*ast.Map)
	if !ok {
		n = e.(*ast.Index).X.(*ast.Map)
	}
	if m := c.info.Maps[n]; m != nil && m.Value != nil && m.Value.Kind == types.Agg {
		return m
	}
	return nil
}

// copiesAggregate reports @a = @b if @b contains an aggregation.
func (c *checker) copiesAggregate(s *ast.Assign, from *builtins.MapInfo) {
	hint := ""
	if from.Value.Decay() != from.Value {
		hint = fmt.Sprintf("Add a cast to integer if you want the value of the aggregate, e.g. `%s = (int64)%s;`.", s.Target.Span().Text(), s.Value.Span().Text())
	}
	example := "retval"
	if len(from.Agg.Def.Params) == 0 {
		example = ""
	}
	c.errorHint(s.Span(), hint, "Map value '%s' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. `%s = %s(%s);`.",
		from.Value, s.Target.Span().Text(), from.Agg.Def.Name, example)
}

// aggregation checks assignments such as @m = count(). It reports whether s is one.
func (c *checker) aggregation(s *ast.Assign) bool {
	call, ok := s.Value.(*ast.Call)
	if !ok || s.Op != "" || !isElement(s.Target) {
		return false
	}
	d := c.defs.Lookup(call.Fn.Text)
	if d == nil || d.Kind != builtins.Aggregation || c.funcs[call.Fn.Text] != nil {
		return false
	}
	m, ok := c.element(s.Target)
	t := c.invoke(d, call, call.Fn.Text, call.Args)
	c.info.Types[call] = t
	if !ok {
		return true
	}
	if invalid(t) {
		m.wrong = m.wrong || t != unknown
		return true
	}
	use := c.info.Calls[call]
	if m.info.Agg == nil {
		m.info.Agg = use
	}
	if old := m.info.Value; old != nil && old.Kind == types.Agg && old.Name == t.Name && !old.SameParams(t) {
		what := d.Disagree
		if what == "" {
			what = "Different parameters of " + d.Name + "() in a single map unsupported"
		}
		c.errorNotes(call.Span(), [2]source.Note{{Span: m.info.Agg.Span, Msg: "This is the first use."}}, "%s", what)
		return true
	}
	c.joinValue(m, t, nil, call.Span(), call.Span())
	c.checkStorage(m, s.Target.Span())
	if _, ok := join(t, m.info.Value); ok {
		use.Type = m.info.Value
	}
	c.info.Types[s.Target] = orInvalid(m.info.Value)
	return true
}

// compound checks target op= value. If the target has no value yet, it is an error for
// a variable, and a map starts from zero.
func (c *checker) compound(s *ast.Assign) {
	value := c.value(s.Value)
	if v, ok := s.Target.(*ast.Var); ok {
		old := c.variable(v)
		vv := c.find(v.Name)
		if vv == nil {
			return
		}
		c.info.Types[v] = c.varType(vv)
		if c.updatesOther(s, old, value) {
			return
		}
		operand, t := c.operator(s.Op, s.Span(), s.Target, s.Value, old, value)
		c.info.Compound[s] = operand
		c.assign(vv, t, nil, s.Span(), s.Span())
		return
	}
	m, ok := c.element(s.Target)
	if !ok {
		return
	}
	old := c.elementValue(m)
	c.info.Types[s.Target] = orInvalid(m.info.Value)
	if c.updatesOther(s, old, value) {
		return
	}
	operand, t := c.operator(s.Op, s.Span(), s.Target, s.Value, old, value)
	c.info.Compound[s] = operand
	c.joinValue(m, t, nil, s.Span(), s.Span())
	c.checkStorage(m, s.Target.Span())
}

// updatesOther reports a compound assignment of an integer to a target that contains no
// integer.
func (c *checker) updatesOther(s *ast.Assign, old, value *types.Type) bool {
	if invalid(old) || !isNumber(value) || old.IsInteger() || old.Kind == types.Pointer || onlyMember(old) != "" {
		return false
	}
	c.holdsOther(s.Span(), s.Target, types.TInt64, old)
	return true
}

func (c *checker) let(s *ast.Let) {
	var t *types.Type
	if s.Value != nil {
		t = c.value(s.Value)
		if t.Kind == types.Void {
			c.noValueAt(s.Span(), s.Value, s.Var)
			t = types.TInvalid
		}
	}
	var written *types.Type
	if s.Type != nil {
		written = c.written(s.Type)
		if !invalid(written) && (written.Kind == types.Void || written.Kind == types.Agg) {
			c.errorf(s.Type.Span(), "Invalid variable declaration type: %s", written)
			written = types.TInvalid
		}
	}
	span := source.Span{File: s.Span().File, Start: s.Span().Start, End: s.Var.Span().End}
	if !c.mayDeclare(s.Var, span) {
		return
	}
	v := c.declare(s.Var, span, byLet)
	if written != nil {
		if invalid(written) {
			v.wrong = v.wrong || written != unknown
		} else {
			v.fixed = written
			if v.Type == nil && written.Size > 0 {
				v.Type = written
				c.changed = true
			}
		}
	}
	if s.Value != nil {
		c.assign(v, t, s.Value, s.Span(), s.Value.Span())
	}
	c.info.Types[s.Var] = c.varType(v)
}
