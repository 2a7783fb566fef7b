package check

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// block checks a block in a new scope. If value is set, it returns the type of the
// expression at the end of the block, or TVoid if the block ends with a statement.
func (c *checker) block(b *ast.Block, value bool) *types.Type {
	c.push()
	defer c.pop()
	over := false
	c.places = append(c.places, blockPos{block: b})
	defer func() { c.places = c.places[:len(c.places)-1] }()
	for i, s := range b.Stmts {
		c.places[len(c.places)-1].at = i
		if over {
			c.warnf(s.Span(), "Unreachable statement.")
			over = false // report it once
		}
		c.hoist(s)
		if c.stmt(s) {
			over = true
		}
	}
	c.places[len(c.places)-1].at = len(b.Stmts)
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

// stmt checks a statement and reports whether control never continues after it.
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

// effect checks an expression that is used as a statement at span. It reports
// whether control never continues after it.
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

// discards reports whether a ternary that is used as a statement has a branch with a
// value. Otherwise its branches are statements.
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
		return false // its last expression has been checked
	case *ast.Call:
		if call := c.info.Calls[e]; call != nil {
			return call.Def.Kind != builtins.Action && !call.Def.Acts
		}
		return c.info.FnCalls[e] == nil // the function may have an effect
	}
	return true
}

// ifStmt checks an if that is used as a statement.
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

// branches checks both branches of a conditional. A branch that cannot be taken is
// checked like any other: its declarations count, and its errors are reported. Only a
// condition with comptime removes the other branch.
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

// dropped returns the value of a comptime condition, which removes one of the branches
// from the script. It returns nil for any other condition.
//
//go:noinline
func (c *checker) dropped(cond ast.Expr) *builtins.Lit {
	if _, ok := cond.(*ast.Comptime); !ok {
		return nil
	}
	return c.info.Lits[cond]
}

// undecided reports whether cond is a comptime condition that is not known yet, because
// types that it depends on have not settled. Until it is known, neither branch is
// checked, since the declarations of a branch that is dropped must not count.
//
//go:noinline
func (c *checker) undecided(cond ast.Expr) bool {
	if _, ok := cond.(*ast.Comptime); !ok || c.defaults || c.info.Types[cond] != unknown {
		return false
	}
	c.pending = true
	return true
}

// condition checks a condition. It reports types that cannot be conditions.
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

//go:noinline
func orInvalid(t *types.Type) *types.Type {
	if t == nil {
		return types.TInvalid
	}
	return t
}

//go:noinline
func (c *checker) varType(v *Var) *types.Type { return orInvalid(v.Type) }

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
		return
	}
}
