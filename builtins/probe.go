package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

func probe() *Def {
	return &Def{
		Name: "probe",
		Doc: Doc{
			Summary:  "Full name of the attach point that fired.",
			Examples: []string{`tracepoint:syscalls:sys_enter_r* { @[probe] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if ctx := c.Context(); ctx != nil && ctx.Event != nil && !call.Constant && len(c.Points()) != 1 {
				t := newTextTable(pointNames(c.Points()))
				call.Data, call.Lit = t, nil
				return types.NewString(t.row)
			}
			if p := c.NeedsPoint(); p != nil {
				call.Lit = &Lit{Str: p.Shown(), IsStr: true}
			}
			return checkPointText(call)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			if t, ok := call.Data.(textTable); ok {
				t.store(g, g.Context().Event(g.B(), g.Ctx()), dst)
				return
			}
			storeText(g, call.Lit.Str, dst)
		},
	}
}

// pointNames returns the names of points by their Event.
func pointNames(ps []*probes.Point) []string {
	last := uint64(0)
	for _, p := range ps {
		last = max(last, p.Event)
	}
	rows := make([]string, last+2) // no event has the last number
	for _, p := range ps {
		rows[p.Event] = p.Shown()
	}
	return rows
}

// checkPointText returns the type of a text that depends only on the attach point.
func checkPointText(call *Call) *types.Type {
	if call.Lit == nil { // the points still share a program
		return types.NewString(1)
	}
	return types.NewString(len(call.Lit.Str) + 1)
}
