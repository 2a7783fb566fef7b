package check

import "github.com/gotrace/gotrace/lang/ast"

// place is the statement of a block that is being checked.
type place struct {
	block *ast.Block
	at    int
}

// survivor is a variable that lives on after the if that assigns it.
type survivor struct {
	branch *ast.If
	first  *ast.Var // in its first assignment
}

// outlives reports whether the variable n, which no scope has, is assigned in every
// branch of an if before the current statement. Such a variable then lives in the block
// around the if, as in scripts from before variables had blocks. A variable that only
// some branches assign ends with its block.
func (c *checker) outlives(n *ast.Var) bool {
	for i := len(c.places) - 1; i >= 0; i-- {
		p := c.places[i]
		for _, s := range p.block.Stmts[:p.at] {
			branch := ifOf(s)
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
		if h.branch == branch {
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
// it. A branch that leaves the block need not.
func assignedBy(e *ast.If, name string) *ast.Var {
	first := assignedIn(e.Then, name)
	var other *ast.Var
	switch els := e.Else.(type) {
	case *ast.Block:
		other = assignedIn(els, name)
		if leaves(els) {
			other = first
		}
	case *ast.If:
		other = assignedBy(els, name)
	}
	if first == nil && leaves(e.Then) {
		return other
	}
	if other == nil {
		return nil
	}
	return first
}

func assignedIn(b *ast.Block, name string) *ast.Var {
	for _, s := range b.Stmts {
		switch s := s.(type) {
		case *ast.Assign:
			if v, ok := s.Target.(*ast.Var); ok && s.Op == "" && v.Name == name {
				return v
			}
		case *ast.ExprStmt:
			if branch, ok := s.X.(*ast.If); ok {
				if v := assignedBy(branch, name); v != nil {
					return v
				}
			}
		}
	}
	return nil
}

func leaves(b *ast.Block) bool {
	if len(b.Stmts) == 0 {
		return false
	}
	_, ok := b.Stmts[len(b.Stmts)-1].(*ast.Jump)
	return ok
}
