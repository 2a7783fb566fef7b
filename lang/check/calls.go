package check

import (
	"github.com/gotrace/gotrace/runtime/object"
)

// sides are the probes of a script at a function.
type sides struct {
	calls, returns bool
	sometimes      bool // a probe at returns has a condition
}

// calls sets Prog.Call if events have to report calls. It does so for the points of a
// program at the call or the return of a function, if the script also has a probe at the
// other side.
func (c *checker) calls(u *variant) {
	p := u.prog
	if !c.sess.Timeline || len(p.Points) == 0 || p.Points[0].Kind.Call == nil {
		return
	}
	if c.traced == nil {
		c.traced = c.sides()
	}
	call := &object.Call{All: true}
	for _, at := range p.Points {
		key, name, returns := at.Kind.Call(at)
		s := c.traced[key]
		if s == nil || !s.calls || !s.returns {
			continue
		}
		call.Return = returns
		call.All = call.All && !returns && !s.sometimes
		n := 0
		if len(p.Points) > 1 && p.Ctx.Event != nil {
			n = int(at.Event)
		}
		for len(call.Names) <= n {
			call.Names = append(call.Names, "")
		}
		call.Names[n] = name
	}
	switch {
	case call.Names == nil:
	case len(p.Points) > 1 && p.Ctx.Event == nil:
		u.named = true // only a separate program knows its function
	default:
		p.Call = call
	}
}

// sides returns the probes of the script at functions, by their keys.
func (c *checker) sides() map[string]*sides {
	all := map[string]*sides{}
	for _, u := range c.variants {
		for _, at := range u.prog.Points {
			if at.Kind.Call == nil {
				continue
			}
			key, _, returns := at.Kind.Call(at)
			if key == "" {
				continue
			}
			s := all[key]
			if s == nil {
				s = &sides{}
				all[key] = s
			}
			if returns {
				s.returns = true
				s.sometimes = s.sometimes || u.prog.Pred != nil
			} else {
				s.calls = true
			}
		}
	}
	return all
}
