package lower

import (
	"fmt"
	"strconv"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
)

// The functions of this file answer questions about the syntax tree from the results of
// checking. The answers do not depend on the function that is being lowered, and no code is
// emitted.

// typeOf returns the type of e.
func (u *shared) typeOf(e ast.Expr) *types.Type {
	t := u.info.Types[e]
	if t == nil {
		panic(fmt.Sprintf("lower: %T at %s has no type", e, e.Span()))
	}
	return t
}

// lit returns the value of e if it is known at compile time, or nil.
//
//go:noinline
func (u *shared) lit(e ast.Expr) *builtins.Lit { return u.info.Lits[e] }

// known returns the outcome of a condition that is known at compile time. The branch
// not taken has not been checked and has no meaning.
func (u *shared) known(e ast.Expr) (outcome, ok bool) {
	l := u.lit(e)
	return l != nil && truthOf(l.IsStr, l.Str, l.Int) != 0, l != nil
}

// tupleIndex returns the index of the element that x[i] denotes if x is a tuple.
func (u *shared) tupleIndex(e ast.Expr) int {
	if l := u.lit(e); l != nil {
		return int(l.Int)
	}
	n, err := strconv.Atoi(e.Span().Text())
	if err != nil {
		panic("lower: tuple index at " + e.Span().String() + " is not constant")
	}
	return n
}

// assigns reports whether e may assign to a variable or a map.
func (u *shared) assigns(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Block:
			found = found || len(n.Stmts) > 0
		case *ast.Unary:
			found = found || n.Op == "++" || n.Op == "--"
		case *ast.Call:
			found = found || u.info.FnCalls[n] != nil
		}
		return !found
	})
	return found
}

// changes reports whether e has an effect, so that it must be evaluated even if its
// value is not used.
func (u *shared) changes(e ast.Expr) bool {
	found := u.assigns(e)
	ast.Inspect(e, func(n ast.Node) bool {
		call, ok := n.(*ast.Call)
		found = found || ok && len(call.Args) > 0
		return !found
	})
	return found
}

// leaves reports whether the code of e can leave the function, or calls functions or
// loops.
func (u *shared) leaves(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Block:
			found = found || len(n.Stmts) > 0
		case *ast.Call:
			found = found || u.info.FnCalls[n] != nil
		case *ast.Map:
			m := u.info.Maps[n]
			found = found || m != nil && m.Value != nil && m.Value.Kind == types.Agg
		case *ast.Field:
			found = found || u.info.Fields[n].Has != 0
		}
		return !found
	})
	return found
}

// mayLack reports whether e reads a member that may be absent.
func mayLack(info *check.Info, e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if x, ok := n.(*ast.Field); ok {
			found = found || info.Fields[x].Has != 0
		}
		return !found
	})
	return found
}

// sets returns the variable that s sets regardless of its old value, or nil.
func sets(info *check.Info, s ast.Stmt) *check.Var {
	a, ok := s.(*ast.Assign)
	if !ok || a.Op != "" {
		return nil
	}
	target, ok := a.Target.(*ast.Var)
	if !ok {
		return nil
	}
	v := info.Vars[target]
	used := false
	ast.Inspect(a.Value, func(n ast.Node) bool {
		x, ok := n.(*ast.Var)
		used = used || ok && info.Vars[x] == v
		return true
	})
	if used {
		return nil
	}
	return v
}

// countUses adds the uses of each variable in n to uses.
func countUses(info *check.Info, uses map[*check.Var]int, n ast.Node) {
	ast.Inspect(n, func(c ast.Node) bool {
		if v, ok := c.(*ast.Var); ok {
			uses[info.Vars[v]]++
		}
		return true
	})
}

// constRange returns the bounds of a range if they are constant.
//
//go:noinline
func constRange(info *check.Info, r *ast.Range) (from, to int64, ok bool) {
	a, b := info.LitOf(r.From), info.LitOf(r.To)
	if a == nil || b == nil {
		return 0, 0, false
	}
	return a.Int, b.Int, true
}

// stops reports whether the script itself stops the recording.
func stops(info *check.Info) bool {
	for _, call := range info.Calls {
		if call.Def.StopsRecording {
			return true
		}
	}
	return false
}
