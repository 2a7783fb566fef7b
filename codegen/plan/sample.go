package plan

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/store"
)

// Sample finds the programs of p that can be sampled, and numbers them in p.Sampled. Such
// a program only adds to aggregations that can count an event several times. It sends no
// events, does not change maps in another way, and does not read aggregations.
func (p *Program) Sample() {
	p.Sampled = map[*check.Prog]int{}
	for _, prog := range p.Progs {
		if p.samplable(prog) {
			p.Sampled[prog] = len(p.Sampled)
		}
	}
}

func (p *Program) samplable(prog *check.Prog) bool {
	if prog.Capture != nil || prog.Ctx.Kind.Runs != probes.OnEvent {
		return false
	}
	s := &sampling{info: p.Info, ok: true, added: map[ast.Expr]bool{}}
	s.search(prog.Pred)
	s.search(prog.Body)
	s.function = true
	for _, f := range prog.Funcs {
		s.search(f.Body)
	}
	// A program without such an aggregation has no effect at all.
	return s.ok && len(s.added) > 0
}

// sampling is a search for code that must run at each event.
type sampling struct {
	info  *check.Info
	ok    bool              // no such code has been found
	added map[ast.Expr]bool // the aggregations of assignments

	function bool // it is in a function of the script
}

//go:noinline
func (s *sampling) search(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Assign:
			m, args := target(n.Target)
			if m == nil {
				return true
			}
			c := s.info.Calls[n.Value]
			if n.Op != "" || c == nil || c.Def.Kind != builtins.Aggregation || !c.Def.Weighs {
				s.ok = false
				return false
			}
			s.added[n.Value] = true
			for _, a := range args {
				s.search(a)
			}
			s.search(n.Value)
			return false
		case *ast.Unary:
			if m, _ := target(n.X); m != nil && (n.Op == "++" || n.Op == "--" || n.Op == "&") {
				s.ok = false
			}
		case *ast.Map:
			if m := s.info.Maps[n]; m != nil && m.Value != nil && m.Value.Kind == types.Agg {
				s.ok = false
			}
		case *ast.Jump: // the result of a program may decide something
			s.ok = s.ok && (n.Kind != ast.Return || n.Value == nil || s.function)
		}
		if e, ok := n.(ast.Expr); ok {
			s.call(s.info.Calls[e])
		}
		return s.ok
	})
}

// call checks a call of a builtin. Builtins that compute a value send at most warnings.
func (s *sampling) call(c *builtins.Call) {
	if c == nil {
		return
	}
	d := c.Def
	pure := d.Kind == builtins.Variable || d.Kind == builtins.Function || d.Kind == builtins.Aggregation
	if !pure || d.Acts || d.Ends || d.Unsafe {
		s.ok = false
	}
	for i := range c.Args {
		p := d.Param(i)
		if how := p.Map | p.Entry; c.Args[i].Map != nil && how&^(store.Read|store.Count|store.OtherThread) != 0 {
			s.ok = false
		}
	}
}
