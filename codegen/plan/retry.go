package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
)

// Retry is a string that a program at a call keeps for the running thread, as in
// @name[tid] = str(args.filename). If the string is not in memory at that moment, the
// programs at the return of the call read it again before they do anything else. By then
// the kernel has usually read it itself.
type Retry struct {
	Map    *Map
	Target ast.Expr // the entry of the map
	Call   *builtins.Call
	Off    int // offset of the string in the map's value, in bytes
	Number int // from 0
	exits  []*check.Prog
}

// findRetries finds the strings that are read again, and the programs that delete them. A
// string is not read again if other assignments, which may be of empty strings, could
// follow the one that keeps it.
func (p *Program) findRetries(u *uses) {
	entries := map[string]bool{}
	for _, prog := range p.Progs {
		maps.Copy(entries, callsOf(prog, false))
	}
	others := map[*Map]int{} // assignments that do not keep a string, or more than one in a program
	writers := map[*Map][]*check.Prog{}
	for _, prog := range p.Progs {
		exits := p.exits(prog, entries)
		eachAssign(prog, func(a *ast.Assign) {
			m, _ := target(a.Target)
			if m == nil {
				return
			}
			st := p.Stored[p.Info.Maps[m]]
			if slices.Contains(writers[st], prog) || !p.keeps(u, a, exits) {
				others[st]++
			}
			writers[st] = append(writers[st], prog)
		})
	}
	for c, r := range p.Retries {
		if others[r.Map] > 0 {
			delete(p.Retries, c)
		}
	}
	if len(p.Retries) == 0 { // then the types of the kernel may not have been read yet
		return
	}
	if _, err := p.Env.Kernel.Type("struct task_struct"); err != nil {
		clear(p.Retries)
		return
	}
	list := slices.SortedFunc(maps.Values(p.Retries), func(a, b *Retry) int { return a.Number - b.Number })
	for i, r := range list {
		r.Number = i
		returns := map[string]bool{}
		for _, q := range r.exits {
			p.RetriesAt[q] = append(p.RetriesAt[q], r)
			maps.Copy(returns, callsOf(q, true))
		}
		for _, q := range p.Progs {
			if slices.Contains(writers[r.Map], q) || meet(callsOf(q, false), returns) {
				p.Forgets[q] = append(p.Forgets[q], r)
			}
		}
	}
}

// eachAssign calls f for the assignments of a program, and several times for assignments
// that can be executed more than once in a run.
func eachAssign(p *check.Prog, f func(*ast.Assign)) {
	var look func(ast.Node)
	look = func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Assign:
				f(n)
			case *ast.For:
				look(n.Body)
			case *ast.While:
				look(n.Body)
			case *ast.Unroll:
				look(n.Body)
			}
			return true
		})
	}
	look(p.Body)
	for _, fn := range p.Funcs {
		look(fn.Body)
		look(fn.Body)
	}
}

// meet reports whether a key is in both.
func meet(a, b map[string]bool) bool {
	for key := range a {
		if b[key] {
			return true
		}
	}
	return false
}

// exits returns the programs at the returns of the calls at which a program runs. It
// returns none if not all of the calls have one. entries are the calls at which any
// program runs. A program that also runs at returns of other calls is not returned,
// because at such a return it could find the address of an earlier call.
func (p *Program) exits(entry *check.Prog, entries map[string]bool) []*check.Prog {
	calls := callsOf(entry, false)
	if len(calls) == 0 || len(calls) != len(entry.Points) {
		return nil
	}
	var exits []*check.Prog
	covered := map[string]bool{}
	for _, q := range p.Progs {
		returns := callsOf(q, true)
		if !meet(returns, calls) {
			continue
		}
		known := true
		for key := range returns {
			known = known && entries[key]
		}
		if known {
			exits = append(exits, q)
			maps.Copy(covered, returns)
		}
	}
	for key := range calls {
		if !covered[key] {
			return nil
		}
	}
	return exits
}

// callsOf returns the calls, or with returns set the returns of calls, at which a program
// runs in the thread that makes them.
func callsOf(p *check.Prog, returns bool) map[string]bool {
	calls := map[string]bool{}
	for _, pt := range p.Points {
		if pt.Kind.Call == nil || !p.Ctx.InTask {
			continue
		}
		if key, _, at := pt.Kind.Call(pt); key != "" && at == returns {
			calls[key] = true
		}
	}
	return calls
}

// keeps adds the strings that an assignment keeps for the running thread until the
// programs exits run. It reports whether there are any.
func (p *Program) keeps(u *uses, a *ast.Assign, exits []*check.Prog) bool {
	m, args := target(a.Target)
	if len(exits) == 0 || a.Op != "" || !p.threadKey(u, args) {
		return false
	}
	st := p.Stored[p.Info.Maps[m]]
	if st == nil || strings.HasPrefix(st.Info.Decl, "percpu") {
		return false
	}
	elems, fields := []ast.Expr{a.Value}, []types.Field{{Type: st.Info.Value}}
	if t, ok := a.Value.(*ast.Tuple); ok && st.Info.Value.Kind == types.Tuple {
		elems, fields = t.Elems, st.Info.Value.Fields
	}
	found := false
	for i, e := range elems {
		c := p.Info.Calls[e]
		if c == nil || c.Def.Source == nil || c.Lit != nil || len(c.Args) > 1 && c.Args[1].Lit == nil {
			continue
		}
		t := fields[i].Type
		if k := c.Args[0].Type.Kind; k != types.Int && k != types.Pointer || t.Kind != types.String || c.Type.Size > t.Size {
			continue
		}
		p.Retries[c] = &Retry{Map: st, Target: a.Target, Call: c, Off: fields[i].Off, Number: len(p.Retries), exits: exits}
		found = true
	}
	return found
}

// threadKey reports whether a key has the running thread's ID and otherwise only constants,
// so that only this thread uses the entry.
func (p *Program) threadKey(u *uses, args []ast.Expr) bool {
	thread := false
	for _, e := range args {
		own := u.ownThread([]ast.Expr{e})
		if !own && p.Info.LitOf(e) == nil {
			return false
		}
		thread = thread || own
	}
	return thread
}
