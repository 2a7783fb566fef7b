package check

import (
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// block checks a block in a scope of its own. value says that what it ends
// with is wanted; its type is the result, TVoid if it ends with a statement.
func (c *checker) block(b *ast.Block, value bool) *types.Type {
	c.push()
	defer c.pop()
	over := false
	for _, s := range b.Stmts {
		if over {
			c.warnf(s.Span(), "Unreachable statement.")
			over = false // once is enough
		}
		if c.stmt(s) {
			over = true
		}
	}
	t := types.TVoid
	if b.Value != nil {
		if over {
			c.warnf(b.Value.Span(), "Unreachable statement.")
		}
		if value {
			t = c.expr(b.Value)
		} else {
			c.effect(b.Value, b.Value.Span())
		}
	}
	c.info.Types[b] = t
	return t
}

// stmt checks a statement and reports whether control never gets behind it.
func (c *checker) stmt(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt:
		return c.effect(s.X, s.Span())
	case *ast.Assign:
		c.assignment(s)
	case *ast.Let:
		c.let(s)
	case *ast.For:
		c.forLoop(s)
	case *ast.While:
		c.condition(s.Cond, s.Span())
		c.body(s.Body, loop{})
	case *ast.Unroll:
		c.unroll(s)
	case *ast.Jump:
		c.jump(s)
		return true
	}
	return false
}

// body checks the body of a loop.
func (c *checker) body(b *ast.Block, l loop) {
	c.loops = append(c.loops, l)
	c.block(b, false)
	c.loops = c.loops[:len(c.loops)-1]
}

// effect checks an expression that stands as a statement, at span, and reports
// whether control never gets behind it.
func (c *checker) effect(e ast.Expr, span source.Span) bool {
	over, discards := false, false
	c.noted(e, func() { over, discards = c.effectOf(e) })
	if discards {
		c.warnf(span, "Return value discarded.")
	}
	return over
}

func (c *checker) effectOf(e ast.Expr) (over, discards bool) {
	switch e := e.(type) {
	case *ast.Block:
		c.block(e, false)
		return false, false
	case *ast.If:
		c.ifStmt(e)
		return false, false
	case *ast.Ternary:
		if !c.discards(e) {
			c.condition(e.Cond, e.Span())
			c.branches(e.Cond, func() { c.effect(e.X, e.X.Span()) }, func() { c.effect(e.Y, e.Y.Span()) })
			c.info.Types[e] = types.TVoid
			return false, false
		}
	}
	t := c.expr(e)
	call := c.info.Calls[e]
	return call != nil && call.Def.Ends, c.warnsDiscarded(e, t)
}

// discards reports whether a ternary standing as a statement has a value in a
// branch; if it has none its branches are statements.
func (c *checker) discards(e *ast.Ternary) bool {
	for _, b := range []ast.Expr{e.X, e.Y} {
		call, ok := b.(*ast.Call)
		if !ok {
			return true
		}
		if d := c.defs.Lookup(call.Fn.Text); d == nil || d.Kind != builtins.Action {
			return true
		}
	}
	return false
}

func (c *checker) warnsDiscarded(e ast.Expr, t *types.Type) bool {
	if invalid(t) || t.Kind == types.Void {
		return false
	}
	switch e := e.(type) {
	case *ast.Unary:
		return e.Op != "++" && e.Op != "--"
	case *ast.Comptime:
		return false
	case *ast.Block, *ast.If:
		return false // what it ends with has been looked at
	case *ast.Call:
		if call := c.info.Calls[e]; call != nil {
			return call.Def.Kind != builtins.Action && !call.Def.Acts
		}
		return c.info.FnCalls[e] == nil // the function may do something
	}
	return true
}

// ifStmt checks an if whose value is not wanted.
func (c *checker) ifStmt(e *ast.If) {
	c.info.Types[e] = types.TVoid
	c.condition(e.Cond, source.Span{File: e.Span().File, Start: e.Span().Start, End: max(e.Then.Span().End, e.Span().Start)})
	c.branches(e.Cond, func() { c.block(e.Then, false) }, func() {
		switch els := e.Else.(type) {
		case *ast.Block:
			c.block(els, false)
		case *ast.If:
			c.ifStmt(els)
		}
	})
}

// branches checks both parts of a choice. A part that cannot be taken is checked
// like any other: what it declares is declared, and what is wrong in it is wrong.
// Only comptime leaves the other part without a meaning.
func (c *checker) branches(cond ast.Expr, yes, no func()) {
	if c.undecided(cond) {
		return
	}
	l := c.dropped(cond)
	if l == nil || truth(l) {
		yes()
	}
	if l == nil || !truth(l) {
		no()
	}
}

// dropped returns the value of a condition that decides which part of a choice
// the script has at all, or nil: comptime decides that.
func (c *checker) dropped(cond ast.Expr) *builtins.Lit {
	if _, ok := cond.(*ast.Comptime); !ok {
		return nil
	}
	return c.info.Lits[cond]
}

// undecided reports a condition of comptime that is not known yet, because what
// it asks about has not settled. Nothing must be learnt from a branch that may
// turn out to be dropped.
func (c *checker) undecided(cond ast.Expr) bool {
	if _, ok := cond.(*ast.Comptime); !ok || c.defaults || c.info.Types[cond] != unknown {
		return false
	}
	c.pending = true
	return true
}

// condition checks what is asked whether it is true.
func (c *checker) condition(e ast.Expr, span source.Span) {
	t := c.value(e)
	if invalid(t) {
		return
	}
	switch t.Kind {
	case types.Int, types.Enum, types.Bool, types.Pointer:
		return
	case types.String:
		if c.info.Lits[e] != nil {
			return
		}
	}
	c.errorf(span, "Invalid condition: %s", kindName(t))
}

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

// noValue reports an assignment of something that has no value.
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

// aggregateRead is the map whose aggregation e reads, or nil.
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

// copiesAggregate reports @a = @b where @b holds an aggregation.
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

func orInvalid(t *types.Type) *types.Type {
	if t == nil {
		return types.TInvalid
	}
	return t
}

func (c *checker) varType(v *Var) *types.Type { return orInvalid(v.Type) }

// aggregation checks @m = count() and its like, and reports whether s is one.
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
	if old := m.info.Value; old != nil && old.Kind == types.Agg && old.Name == t.Name && !sameParams(old, t) {
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

// compound checks target op= value. A target that has no value yet is a
// variable never declared (an error) or a map that starts from zero.
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

// updatesOther reports an integer that is added to, or the like, what is none.
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

func (c *checker) forLoop(s *ast.For) {
	var t *types.Type
	switch it := s.Iter.(type) {
	case *ast.Range:
		head := s.Span()
		head.End = it.Span().End
		t = c.loopRange(it, head)
	case *ast.Map:
		t = c.loopMap(it)
	default:
		c.errorf(s.Iter.Span(), "Only a map or a range can be looped over")
		t = types.TInvalid
	}
	if old := c.find(s.Var.Name); old != nil {
		c.errorNotes(s.Var.Span(), old.initial(), "Loop declaration shadows existing variable: $%s", ast.ShownName(s.Var.Name))
		return
	}
	c.loops = append(c.loops, loop{callback: true})
	c.push()
	v := c.declare(s.Var, s.Var.Span(), byLoop)
	v.assigned, v.everAssigned = true, true
	if !invalid(t) {
		c.widen(v, t)
		v.fixed = t
	} else {
		v.wrong = t != unknown
	}
	c.info.Types[s.Var] = c.varType(v)
	c.block(s.Body, false)
	c.pop()
	c.loops = c.loops[:len(c.loops)-1]
}

// loopRange is the type of the variable of a loop over a range.
func (c *checker) loopRange(r *ast.Range, span source.Span) *types.Type {
	from, to := c.value(r.From), c.value(r.To)
	if bad := spoiled(from, to); bad != nil {
		return bad
	}
	if !isNumber(from) {
		c.errorf(span, "Loop range requires an integer for the start value")
		return types.TInvalid
	}
	if !isNumber(to) {
		c.errorf(span, "Loop range requires an integer for the end value")
		return types.TInvalid
	}
	t := joinInts(from, to)
	c.warnLoss(t, from, r.From, r.From.Span())
	c.warnLoss(t, to, r.To, r.To.Span())
	c.info.Types[r] = plain(t)
	return plain(t)
}

// loopMap is the type of the variable of a loop over a map: (key, value).
func (c *checker) loopMap(n *ast.Map) *types.Type {
	m := c.useMap(n)
	m.info.Read = true
	if m.keyed && !m.info.Keyed {
		c.errorf(n.Span(), "%s has no explicit keys (scalar map), and cannot be used for iteration", m.info.Name)
		return types.TInvalid
	}
	if invalid(m.info.Key) || invalid(m.info.Value) {
		if c.final && !m.wrong {
			c.undefinedMap(m, n.Span())
			return types.TInvalid
		}
		return unknown
	}
	value := m.info.Value.Decay()
	if value.Kind == types.Agg {
		c.errorf(n.Span(), "Loop expression does not support type: %s", value)
		return types.TInvalid
	}
	return types.NewTuple(m.info.Key, value)
}

// undefinedMap reports a map that nothing is ever stored in. Where an attach
// point is in error its block is not looked into, and may be what stores.
func (c *checker) undefinedMap(m *mapState, span source.Span) {
	if c.diags.HasErrors() {
		return
	}
	var names []string
	for _, o := range c.maps {
		if o.info.Value != nil {
			names = append(names, o.info.Name)
		}
	}
	c.errorHint(span, didYouMeanSorted(m.info.Name, names), "Undefined map: %s", m.info.Name)
}

// The bounds of unroll.
const minUnroll, maxUnroll = 1, 100

func (c *checker) unroll(s *ast.Unroll) {
	t := c.value(s.Count)
	l := c.info.Lits[s.Count]
	switch {
	case invalid(t):
	case l == nil || l.IsStr:
		c.errorf(s.Span(), "invalid unroll value")
	case l.Int < minUnroll && !l.Unsigned:
		c.errorf(s.Span(), "unroll minimum value is %d", minUnroll)
	case l.Int > maxUnroll || l.Unsigned:
		c.errorf(s.Span(), "unroll maximum value is %d", maxUnroll)
	}
	c.body(s.Body, loop{unroll: true})
}

func (c *checker) jump(s *ast.Jump) {
	switch s.Kind {
	case ast.Break, ast.Continue:
		word := "break"
		if s.Kind == ast.Continue {
			word = "continue"
		}
		around := slices.ContainsFunc(c.loops, func(l loop) bool { return !l.unroll })
		switch {
		case len(c.loops) == 0 && c.fn != nil:
			c.errorf(s.Span(), "'%s' statement is not allowed outside of a loop", word)
		case !around:
			c.errorf(s.Span(), "'%s' statement is not allowed in a probe", word)
		}
	case ast.Return:
		c.returns(s)
	}
}

func (c *checker) returns(s *ast.Jump) {
	t := types.TVoid
	if s.Value != nil {
		t = c.value(s.Value)
	}
	if invalid(t) {
		return
	}
	if f := c.fn; f != nil {
		c.returnFrom(f, s, t)
		return
	}
	if s.Value != nil && !t.IsInteger() {
		c.errorf(s.Span(), "Probe return values can only be integers. Found %s", t)
	}
}
