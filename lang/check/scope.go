package check

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

//go:noinline
func (c *checker) push() { c.scopes = append(c.scopes, map[string]*Var{}) }

// pop ends the innermost scope.
func (c *checker) pop() {
	n := len(c.scopes) - 1
	for name, v := range c.scopes[n] {
		if c.final && c.closed != nil && name == v.Name { // not the variable of a macro
			c.closed[name] = v
		}
		if v.how == byLet && !v.everAssigned && !v.wrong && !v.AddrTaken {
			c.warnf(v.Span, "Variable $%s was never assigned to.", v.Name)
		}
	}
	c.scopes = c.scopes[:n]
}

// find looks up a variable, from the innermost scope outwards.
//
//go:noinline
func (c *checker) find(name string) *Var {
	for i := len(c.scopes) - 1; i >= 0; i-- {
		if v := c.scopes[i][name]; v != nil {
			return v
		}
	}
	return nil
}

// depth counts the enclosing loop bodies that run as callbacks.
func (c *checker) depth() int {
	n := 0
	for _, l := range c.loops {
		if l.callback {
			n++
		}
	}
	return n
}

// declare adds the variable n to the innermost scope. It uses the same Var in every
// pass, so that the type found so far is kept.
func (c *checker) declare(n *ast.Var, span source.Span, how declared) *Var {
	v := c.info.Vars[n]
	if v == nil || v.node != n {
		v = &Var{Name: ast.ShownName(n.Name), Span: span, Depth: c.depth(), node: n, how: how}
		c.info.Vars[n] = v
		c.changed = true
	}
	v.assigned = false
	c.scopes[len(c.scopes)-1][n.Name] = v
	return v
}

// use records that n is a use of v.
//
//go:noinline
func (c *checker) use(n *ast.Var, v *Var) {
	c.info.Vars[n] = v
	if c.depth() > v.Depth && !v.Captured {
		v.Captured = true
		c.changed = true
	}
}

// declared is the way in which a variable was declared, for the error about a second
// declaration.
type declared string

const (
	byLet    declared = "declaration"
	byAssign declared = "assignment"
	byLoop   declared = "loop"
	byParam  declared = "parameter"
)

// mayDeclare reports an error if the name is already in use: variables cannot be
// shadowed. It returns whether the name is free.
func (c *checker) mayDeclare(n *ast.Var, span source.Span) bool {
	old := c.find(n.Name)
	if old == nil {
		return true
	}
	c.errorNotes(span, old.initial(), "Variable $%s was already declared. Variable shadowing is not allowed.", ast.ShownName(n.Name))
	return false
}

// initial returns a note with the position where v was declared.
func (v *Var) initial() [2]source.Note {
	if v.how == byLoop {
		return [2]source.Note{{Span: v.Span, Msg: "This is the loop variable."}}
	}
	return [2]source.Note{{Span: v.Span, Msg: "This is the initial " + string(v.how) + "."}}
}

// variable returns the type of a variable in an expression.
func (c *checker) variable(n *ast.Var) *types.Type {
	v := c.find(n.Name)
	if v == nil && !c.final && c.outlives(n) {
		return unknown
	}
	if v == nil {
		c.undefined(n)
		return types.TInvalid
	}
	c.use(n, v)
	if !v.assigned && v.how == byLet {
		c.warnf(n.Span(), "Variable used before it was assigned: $%s", v.Name)
	}
	if invalid(v.Type) {
		if v.fixed != nil && v.fixed.Kind == types.String && !v.wrong {
			if c.defaults && !c.final { // never assigned: it is empty
				v.Type = types.NewString(1)
				c.changed = true
				return v.Type
			}
			c.unsized = true
		}
		if !c.final {
			return unknown
		}
		if !v.wrong {
			c.errorf(n.Span(), "Could not resolve the type of this variable")
		}
		return types.TInvalid
	}
	return v.Type
}

func (c *checker) undefined(n *ast.Var) {
	name := ast.ShownName(n.Name)
	if v := c.closed[name]; v != nil {
		hint := "declare it before that block: let $" + name + ";"
		if v.how == byLoop {
			hint = "assign it to a variable that is declared before the loop"
		}
		c.report(source.Diag{Span: n.Span(), Msg: "Undefined or undeclared variable: $" + name, Hint: hint,
			Notes: [2]source.Note{{Span: v.Span, Msg: "This $" + name + " ends with its block."}}})
		return
	}
	var names []string
	for _, s := range c.scopes {
		for name := range s {
			names = append(names, "$"+ast.ShownName(name))
		}
	}
	c.errorHint(n.Span(), didYouMeanSorted("$"+ast.ShownName(n.Name), names), "Undefined or undeclared variable: $%s", ast.ShownName(n.Name))
}

// assign joins the type of a value into v. at is the assignment, and value the position
// of the value.
func (c *checker) assign(v *Var, t *types.Type, lit ast.Expr, at, value source.Span) {
	v.assigned = true
	v.everAssigned = true
	switch {
	case invalid(t):
		v.wrong = v.wrong || t != unknown
		return
	case v.fixed != nil:
		c.convert(v.fixed, t, lit, value, func() {
			c.errorf(at, "Type mismatch for $%s: trying to assign value of type '%s' when variable already has a type '%s'", v.Name, t, v.fixed)
		})
		if growing(v.fixed) {
			c.widen(v, t)
		} else if v.Type != nil {
			if l := located(v.Type, t); l != v.Type {
				v.Type, c.changed = l, true
			}
		}
		return
	}
	if !c.storable(t, at, "scratch variable") {
		v.wrong = true
		return
	}
	if !c.widen(v, t) {
		got, have := c.named(t, v.Type)
		c.errorf(at, "Type mismatch for $%s: trying to assign value of type '%s' when variable already has a type '%s'", v.Name, got, have)
		return
	}
	c.warnLoss(v.Type, t, lit, value)
}

// widen joins t into v's type. It reports whether that is possible.
func (c *checker) widen(v *Var, t *types.Type) bool {
	j, changed, ok := kept(v.Type, stored(t))
	if !ok {
		return false
	}
	if changed {
		v.Type = j
		c.changed = true
	}
	return true
}
