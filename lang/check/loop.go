package check

import (
	"slices"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

func (c *checker) forLoop(s *ast.For) {
	var t *types.Type
	switch it := s.Iter.(type) {
	case *ast.Range:
		head := s.Span()
		head.End = it.Span().End
		t = c.loopRange(it, head)
	case *ast.Map:
		t = c.loopMap(it)
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

// loopRange returns the type of the variable of a loop over a range.
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

// loopMap returns the type of the variable of a loop over a map: (key, value).
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

// undefinedMap reports a map in which nothing is ever stored. It reports nothing if
// there are other errors: the block of an invalid attach point is not checked, and may
// contain the assignment.
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

// minUnroll and maxUnroll are the limits of the count of an unroll statement.
const minUnroll, maxUnroll = 1, 100

func (c *checker) unroll(s *ast.Unroll) {
	t := c.value(s.Count)
	l := c.info.Lits[s.Count]
	switch {
	case invalid(t):
	case l == nil || l.IsStr || l.Int < 0 && !l.Unsigned:
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
