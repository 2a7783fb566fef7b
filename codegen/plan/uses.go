package plan

import (
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/runtime/store"
)

// uses collects the operations that the programs of a script perform on its maps.
type uses struct {
	info *check.Info
	maps map[*builtins.MapInfo]*use
	sums map[*ast.Assign]*Sum
	prog int // index of the program being searched
	// sockets is set if the program may keep values in the memory of sockets.
	sockets bool
}

type use struct {
	uses     store.Use
	programs []int
	others   bool // a key may not be a socket, or is a socket in a program that cannot keep values with it
}

// findUses searches all programs.
func findUses(p *check.Program) *uses {
	u := &uses{info: p.Info, maps: map[*builtins.MapInfo]*use{}, sums: map[*ast.Assign]*Sum{}}
	for i, prog := range p.Progs {
		u.prog, u.sockets = i, prog.Ctx.Load.KeepsWithSockets()
		if prog.Pred != nil {
			u.value(prog.Pred)
		}
		u.effect(prog.Body)
		for _, f := range prog.Funcs {
			u.value(f.Body)
		}
	}
	return u
}

// note adds how to the uses of a map.
func (u *uses) note(m *builtins.MapInfo, how store.Use) {
	if m == nil {
		return
	}
	s := u.maps[m]
	if s == nil {
		s = &use{}
		u.maps[m] = s
	}
	s.uses |= how
	if !slices.Contains(s.programs, u.prog) {
		s.programs = append(s.programs, u.prog)
	}
}

// access adds a use of @m, or of @m[…] if args, the parts of the key, are given.
func (u *uses) access(m *ast.Map, args []ast.Expr, how store.Use) {
	if len(args) > 0 && !u.ownThread(args) {
		how |= store.OtherThread
	}
	u.note(u.info.Maps[m], how)
	if len(args) > 0 {
		u.keyed(u.info.Maps[m], args)
	}
	for _, a := range args {
		u.value(a)
	}
}

// keyed notes a key of a map.
func (u *uses) keyed(m *builtins.MapInfo, args []ast.Expr) {
	if how := u.maps[m]; how != nil && !(u.sockets && len(args) == 1 && store.IsSocket(u.info.Types[args[0]])) {
		how.others = true
	}
}

// ownThread reports whether a key is the running thread's ID.
func (u *uses) ownThread(args []ast.Expr) bool {
	if len(args) != 1 {
		return false
	}
	c := u.info.Calls[args[0]]
	return c != nil && c.Def.Thread && len(c.Args) == 0
}

// target returns the map and the key that an assignment or ++ to e changes, or nil if e
// is not a map.
//
//go:noinline
func target(e ast.Expr) (*ast.Map, []ast.Expr) {
	switch e := e.(type) {
	case *ast.Map:
		return e, nil
	case *ast.Index:
		if m, ok := e.X.(*ast.Map); ok {
			return m, e.Args
		}
	}
	return nil, nil
}

// effect searches an expression whose value is not used.
func (u *uses) effect(e ast.Expr) {
	if u.info.Lits[e] != nil {
		return
	}
	switch e := e.(type) {
	case *ast.Block:
		u.block(e, u.effect)
	case *ast.If:
		u.branches(e.Cond, u.effect, e.Then, e.Else)
	case *ast.Ternary:
		u.branches(e.Cond, u.effect, e.X, e.Y)
	case *ast.Tuple:
		for _, x := range e.Elems {
			u.effect(x)
		}
	case *ast.Record:
		for _, x := range e.Elems {
			u.effect(x)
		}
	case *ast.Unary:
		if m, args := target(e.X); m != nil && (e.Op == "++" || e.Op == "--") {
			u.access(m, args, store.Add)
			return
		}
		u.value(e)
	default:
		u.value(e)
	}
}

// block searches a block and, with look, its value.
func (u *uses) block(b *ast.Block, look func(ast.Expr)) {
	for _, s := range b.Stmts {
		u.stmt(s)
	}
	if b.Value != nil {
		look(b.Value)
	}
}

// branches searches a condition and, with look, the branches that may be taken. A
// branch that is never taken has not been checked.
func (u *uses) branches(cond ast.Expr, look func(ast.Expr), then, els ast.Expr) {
	l := u.info.Lits[cond]
	if l == nil {
		u.value(cond)
	}
	truth := l != nil && (l.IsStr && l.Str != "" || !l.IsStr && l.Int != 0)
	if then != nil && (l == nil || truth) {
		look(then)
	}
	if els != nil && (l == nil || !truth) {
		look(els)
	}
}

// value searches an expression whose value is used.
func (u *uses) value(e ast.Expr) {
	if u.info.Lits[e] != nil {
		return
	}
	switch e := e.(type) {
	case *ast.Map:
		u.access(e, nil, store.Read)
	case *ast.Index:
		if m, ok := e.X.(*ast.Map); ok {
			u.access(m, e.Args, store.Read)
			return
		}
		u.children(e)
	case *ast.Unary:
		m, args := target(e.X)
		switch {
		case m != nil && (e.Op == "++" || e.Op == "--"):
			u.access(m, args, store.Change)
		case m != nil && args == nil && e.Op == "&":
			u.access(m, nil, store.Address)
		default:
			u.value(e.X)
		}
	case *ast.If:
		u.branches(e.Cond, u.value, e.Then, e.Else)
	case *ast.Ternary:
		u.branches(e.Cond, u.value, e.X, e.Y)
	case *ast.Block:
		u.block(e, u.value)
	case *ast.Typeinfo: // known at compile time
	case *ast.Ident, *ast.Call:
		if c := u.info.Calls[e]; c != nil {
			u.call(c)
			return
		}
		u.children(e)
	default:
		u.children(e)
	}
}

// children searches all expressions and statements directly below n.
//
//go:noinline
func (u *uses) children(n ast.Node) {
	ast.Inspect(n, func(c ast.Node) bool {
		switch c := c.(type) {
		case *ast.Type:
			return false
		case ast.Expr:
			if c == n {
				return true
			}
			u.value(c)
			return false
		case ast.Stmt:
			if c == n {
				return true
			}
			u.stmt(c)
			return false
		}
		return c == n
	})
}

// call searches the arguments of a builtin.
func (u *uses) call(c *builtins.Call) {
	for i := range c.Args {
		a := &c.Args[i]
		p := c.Def.Param(i)
		switch {
		case a.Expr == nil || p.Kind == builtins.TypeParam || p.Kind == builtins.NameArg:
		case a.Map == nil || p.Kind != builtins.MapArg && p.Kind != builtins.MapOrEntry:
			u.value(check.ExprOf(a.Expr))
		case a.Key != nil:
			m, args := target(check.ExprOf(a.Expr))
			u.access(m, args, p.Entry)
		default:
			how := p.Map
			if a.Map.Keyed && how&(store.Read|store.Delete) != 0 && (len(c.Args) <= i+1 || !u.ownThread(check.ExprsOf([]builtins.Node{c.Args[i+1].Expr}))) {
				how |= store.OtherThread
			}
			u.note(a.Map, how)
			if a.Map.Keyed && how&(store.Read|store.Delete) != 0 && len(c.Args) > i+1 {
				u.keyed(a.Map, check.ExprsOf([]builtins.Node{c.Args[i+1].Expr}))
			}
		}
	}
}

func (u *uses) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.ExprStmt:
		u.effect(s.X)
	case *ast.Assign:
		u.assign(s)
	case *ast.For:
		if m, ok := s.Iter.(*ast.Map); ok {
			u.access(m, nil, store.Iterate|store.OtherThread)
		} else {
			u.value(s.Iter)
		}
		u.effect(s.Body)
	case *ast.While:
		u.value(s.Cond)
		u.effect(s.Body)
	case *ast.Unroll:
		u.effect(s.Body)
	default:
		u.children(s)
	}
}

func (u *uses) assign(a *ast.Assign) {
	m, args := target(a.Target)
	if m == nil {
		u.value(a.Value)
		return
	}
	info := u.info.Maps[m]
	call := u.info.Calls[a.Value]
	switch {
	case a.Op == "" && call != nil && call.Def.Kind == builtins.Aggregation:
		u.access(m, args, store.Add)
		u.call(call)
	case a.Op == "":
		if sum := u.sum(a); sum != nil {
			u.sums[a] = sum
			use := store.Change
			if sum.Op == "+" {
				use = store.Add
			}
			u.access(m, args, use)
			for _, t := range sum.Terms {
				u.value(t.X)
			}
			return
		}
		u.access(m, args, store.Assign)
		u.value(a.Value)
	case (a.Op == "+" || a.Op == "-") && info != nil && info.Value != nil && info.Value.IsScalar():
		u.access(m, args, store.Add)
		u.value(a.Value)
	default:
		u.access(m, args, store.Change)
		u.value(a.Value)
	}
}
