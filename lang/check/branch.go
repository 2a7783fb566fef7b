package check

import "github.com/gotrace/gotrace/lang/ast"

// blockPos is the statement of a block that is being checked.
type blockPos struct {
	block *ast.Block
	at    int
}

// survivor is a variable that exists after the if that assigns it.
type survivor struct {
	branch *ast.If
	first  *ast.Var // in its first assignment
}

// outlives reports whether the variable n, which no scope has, is assigned in every
// branch of an if before the current statement. If there are several ifs, the nearest
// counts. The variable is then declared in the block around the if, as in old scripts, in
// which variables had no block scope. A variable that only some branches assign ends with
// its block.
func (c *checker) outlives(n *ast.Var) bool {
	for i := len(c.places) - 1; i >= 0; i-- {
		p := c.places[i]
		for at := p.at - 1; at >= 0; at-- {
			branch := ifOf(p.block.Stmts[at])
			if branch == nil {
				continue
			}
			if first := assignedBy(branch, n.Name); first != nil {
				c.hoisted = append(c.hoisted, survivor{branch, first})
				c.changed = true
				return true
			}
		}
	}
	return false
}

// hoist declares the variables that outlive s, if it is an if.
func (c *checker) hoist(s ast.Stmt) {
	branch := ifOf(s)
	for _, h := range c.hoisted {
		if h.branch == branch && c.find(h.first.Name) == nil {
			c.declare(h.first, h.first.Span(), byAssign)
		}
	}
}

func ifOf(s ast.Stmt) *ast.If {
	if e, ok := s.(*ast.ExprStmt); ok {
		branch, _ := e.X.(*ast.If)
		return branch
	}
	return nil
}

// assignedBy returns the first assignment of a variable in e if every branch of e assigns
// it before any other use, or leaves the block without using it.
func assignedBy(e *ast.If, name string) *ast.Var {
	if uses(e.Cond, name) {
		return nil
	}
	first, left := assignedIn(e.Then, name)
	var other *ast.Var
	switch els := e.Else.(type) {
	case *ast.Block:
		v, elseLeft := assignedIn(els, name)
		if other = v; elseLeft {
			other = first
		}
	case *ast.If:
		other = assignedBy(els, name)
	}
	if left {
		return other
	}
	if other == nil {
		return nil
	}
	return first
}

// assignedIn returns the assignment of a variable in b if no other use is before it, and
// otherwise whether b leaves the block around it and does not use the variable.
func assignedIn(b *ast.Block, name string) (v *ast.Var, left bool) {
	for _, s := range b.Stmts {
		switch s := s.(type) {
		case *ast.Assign:
			v, ok := s.Target.(*ast.Var)
			if ok && s.Op == "" && v.Name == name && !uses(s.Value, name) {
				return v, false
			}
		case *ast.ExprStmt:
			if branch, ok := s.X.(*ast.If); ok {
				if v := assignedBy(branch, name); v != nil {
					return v, false
				}
			}
		}
		if uses(s, name) {
			return nil, false
		}
	}
	return nil, leaves(b)
}

func uses(n ast.Node, name string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		v, ok := n.(*ast.Var)
		found = found || ok && v.Name == name
		return !found
	})
	return found
}

func leaves(b *ast.Block) bool {
	if len(b.Stmts) == 0 {
		return false
	}
	_, ok := b.Stmts[len(b.Stmts)-1].(*ast.Jump)
	return ok
}
