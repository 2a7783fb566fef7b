package check

import (
	"maps"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/pattern"
)

// Conditions that match the same value with patterns share one automaton, which reads the
// value once. In x =~ "a" && !(x contains "b"), the first call runs it for both. In
// x =~ "a" || x contains "b", the first call matches both patterns, and the second is false.

// sharer finds such conditions in a program.
type sharer struct {
	*checker
	seen   map[ast.Expr]bool
	merged map[ast.Expr]bool // operands of a list of conditions that merge has seen
	groups []*sharedGroup
}

// sharedGroup is calls on one value, of which the first is always evaluated before the others.
type sharedGroup struct {
	calls  []*builtins.Call
	states int // of their own automata
}

// maxSharedStates is the number of states of the automata of calls for which one automaton is
// tried. It is rarely too large for one if they match texts.
const maxSharedStates = 600

// ran has the groups whose first call has been evaluated, by their values.
type ran map[string]*sharedGroup

// shareAutomata finds the conditions of a program that can share automata.
func (c *checker) shareAutomata(u *variant) {
	if !c.final {
		return
	}
	s := sharer{checker: c, seen: map[ast.Expr]bool{}, merged: map[ast.Expr]bool{}}
	if pred := u.prog.Pred; pred != nil && c.info.Later[pred] == nil {
		s.in(pred)
	}
	s.in(u.prog.Body)
	for _, g := range s.groups {
		if len(g.calls) > 1 {
			builtins.ShareAutomaton(&c.patterns, g.calls)
		}
	}
}

// in finds the conditions in a part of a program.
func (s *sharer) in(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		if f, ok := n.(*ast.If); ok {
			for no := (ran{}); f != nil && !s.seen[f.Cond]; f, _ = f.Else.(*ast.If) {
				_, no = s.condition(f.Cond, no)
			}
		} else if e, ok := n.(*ast.Binary); ok && (e.Op == "&&" || e.Op == "||") && !s.seen[e] {
			s.condition(e, ran{})
		}
		return true
	})
}

// condition adds the calls in a condition to groups. before has the groups whose first
// call was evaluated before. yes and no have the groups whose first call has been
// evaluated when e is true and when e is false.
func (s *sharer) condition(e ast.Expr, before ran) (yes, no ran) {
	s.seen[e] = true
	if s.info.Lits[e] != nil {
		return before, before
	}
	switch n := e.(type) {
	case *ast.Unary:
		if n.Op == "!" {
			yes, no = s.condition(n.X, before)
			return no, yes
		}
	case *ast.Binary:
		if (n.Op == "&&" || n.Op == "||") && !s.merged[n] {
			s.merge(n)
		}
		switch n.Op {
		case "&&":
			x, out := s.condition(n.X, before)
			yes, no = s.condition(n.Y, x)
			return yes, common(out, no)
		case "||":
			in, x := s.condition(n.X, before)
			yes, no = s.condition(n.Y, x)
			return common(in, yes), no
		}
	case *ast.Call:
		if call := s.info.Calls[e]; call != nil && call.AutomatonStates() > 0 && s.pure(n.Args[0]) {
			after := s.add(call, valueKey(n.Args[0]), before)
			return after, after
		}
	}
	if !s.pure(e) {
		return ran{}, ran{}
	}
	return before, before
}

// merge merges calls on the same value in x || y || … and !x && !y && … that follow each other.
func (s *sharer) merge(n *ast.Binary) {
	var calls []*builtins.Call
	last := ""
	for _, e := range s.operands(nil, n, n.Op) {
		if n.Op == "&&" {
			not, ok := e.(*ast.Unary)
			if !ok || not.Op != "!" {
				last = ""
				continue
			}
			e = not.X
		}
		value := ""
		call := s.info.Calls[e]
		if call != nil && call.AutomatonStates() > 0 && s.pure(e.(*ast.Call).Args[0]) {
			value = valueKey(e.(*ast.Call).Args[0])
		}
		if value != last {
			builtins.MergeMatches(&s.patterns, calls)
			calls = nil
		}
		if last = value; value != "" {
			calls = append(calls, call)
		}
	}
	builtins.MergeMatches(&s.patterns, calls)
}

// operands adds the operands of a chain of op to list.
func (s *sharer) operands(list []ast.Expr, e ast.Expr, op string) []ast.Expr {
	if b, ok := e.(*ast.Binary); ok && b.Op == op {
		s.merged[b] = true
		return s.operands(s.operands(list, b.X, op), b.Y, op)
	}
	return append(list, e)
}

// add adds a call to the group of its value. It creates the group if there is none.
func (s *sharer) add(call *builtins.Call, value string, before ran) ran {
	states := call.AutomatonStates()
	if g := before[value]; g != nil && len(g.calls) < pattern.MaxPatterns && g.states+states <= maxSharedStates {
		g.calls = append(g.calls, call)
		g.states += states
		return before
	}
	after := maps.Clone(before)
	after[value] = &sharedGroup{calls: []*builtins.Call{call}, states: states}
	s.groups = append(s.groups, after[value])
	return after
}

// common returns the groups that are in both a and b.
func common(a, b ran) ran {
	both := ran{}
	for value, g := range a {
		if b[value] == g {
			both[value] = g
		}
	}
	return both
}

// own returns the variables that are declared in e.
func own(e ast.Expr) map[string]bool {
	list := map[string]bool{}
	ast.Inspect(e, func(n ast.Node) bool {
		if l, ok := n.(*ast.Let); ok && l.Var != nil {
			list[l.Var.Name] = true
		}
		return true
	})
	return list
}

// valueKey returns a text that is the same for expressions with the same value.
func valueKey(e ast.Expr) string {
	key, mine := ast.Shape(e), own(e)
	ast.Inspect(e, func(n ast.Node) bool {
		if v, ok := n.(*ast.Var); ok && !mine[v.Name] {
			key += "$" + v.Name + "\n"
		}
		return true
	})
	return key
}

// pure reports whether e changes only variables that it declares.
func (s *sharer) pure(e ast.Expr) bool {
	ok, mine := true, own(e)
	changes := func(target ast.Expr) {
		v, isVar := target.(*ast.Var)
		ok = ok && isVar && mine[v.Name]
	}
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Assign:
			changes(n.Target)
		case *ast.Unary:
			if n.Op == "++" || n.Op == "--" {
				changes(n.X)
			}
		case *ast.Jump:
			ok = false
		case *ast.Call:
			ok = ok && s.info.FnCalls[n] == nil
		}
		if x, isExpr := n.(ast.Expr); isExpr {
			if call := s.info.Calls[x]; call != nil {
				_, variable := x.(*ast.Ident) // such as comm, which sends records only if it has an argument
				ok = ok && !call.Def.Acts && !call.Def.AtOnce && (variable || call.Def.Handle == nil)
			}
		}
		return ok
	})
	return ok
}
