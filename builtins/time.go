package builtins

import (
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func wallTime() *Def {
	return &Def{
		Name:   "time",
		Kind:   Action,
		Params: []Param{{Name: "format", Optional: true}},
		Doc: Doc{
			Summary:  `Prints the time of day, as strftime(3) formats it; "%H:%M:%S\n" if no format is given.`,
			Examples: []string{`interval:s:1 { time("%H:%M:%S: still here\n"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			call.Data = "%H:%M:%S\n"
			if call.arg(0) != nil {
				if format, ok := wantString(c, call, 0); ok {
					call.Data = format
				}
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			g.Event(call, nil, []any{call.Data}, nil)
			return nil
		},
		Sends: []Sent{{Lits: []any{""}}},
		Handle: func(env Env, rec *object.Record) error {
			env.Out().Printf("time", string(appendTime(nil, rec.Lits[0].(string), time.Now())))
			return nil
		},
	}
}
