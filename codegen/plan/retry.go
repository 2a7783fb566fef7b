package plan

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
)

// Retry is a string that a program at a call keeps for the running thread, as in
// @name[tid] = str(args.filename). If the string is not in memory at that moment, the
// programs at the return of the call read it again before they do anything else: by then
// the kernel has usually read it itself.
type Retry struct {
	Map    *Map
	Target ast.Expr // the entry of the map
	Call   *builtins.Call
	Off    int // offset of the string in the map's value, in bytes
	Number int // from 0
}

// findRetries finds the strings that are read again.
func (p *Program) findRetries(u *uses) {
	if _, err := p.Env.Kernel.Type("struct task_struct"); err != nil {
		return
	}
	for _, entry := range p.Progs {
		exits := p.exits(entry)
		if len(exits) == 0 {
			continue
		}
		ast.Inspect(entry.Body, func(n ast.Node) bool {
			if a, ok := n.(*ast.Assign); ok && a.Op == "" {
				p.keeps(u, a, exits)
			}
			return true
		})
	}
}

// exits returns the programs at the returns of the calls at which a program runs. It
// returns none if not all of the calls have one.
func (p *Program) exits(entry *check.Prog) []*check.Prog {
	calls := callsOf(entry, false)
	if len(calls) == 0 || len(calls) != len(entry.Points) {
		return nil
	}
	var exits []*check.Prog
	covered := map[string]bool{}
	for _, q := range p.Progs {
		returns := callsOf(q, true)
		found := false
		for key := range calls {
			if returns[key] {
				found, covered[key] = true, true
			}
		}
		if found {
			exits = append(exits, q)
		}
	}
	if len(covered) != len(calls) {
		return nil
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

// keeps adds the strings that an assignment keeps for the running thread.
func (p *Program) keeps(u *uses, a *ast.Assign, exits []*check.Prog) {
	m, args := target(a.Target)
	if m == nil || !p.threadKey(u, args) {
		return
	}
	st := p.Stored[p.Info.Maps[m]]
	if st == nil || strings.HasPrefix(st.Info.Decl, "percpu") {
		return
	}
	elems, fields := []ast.Expr{a.Value}, []types.Field{{Type: st.Info.Value}}
	if t, ok := a.Value.(*ast.Tuple); ok && st.Info.Value.Kind == types.Tuple {
		elems, fields = t.Elems, st.Info.Value.Fields
	}
	for i, e := range elems {
		c := p.Info.Calls[e]
		if c == nil || c.Def.Source == nil || c.Lit != nil || len(c.Args) > 1 && c.Args[1].Lit == nil {
			continue
		}
		t := fields[i].Type
		if k := c.Args[0].Type.Kind; k != types.Int && k != types.Pointer || t.Kind != types.String || c.Type.Size > t.Size {
			continue
		}
		r := &Retry{Map: st, Target: a.Target, Call: c, Off: fields[i].Off, Number: len(p.Retries)}
		p.Retries[c] = r
		for _, q := range exits {
			p.RetriesAt[q] = append(p.RetriesAt[q], r)
		}
	}
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
