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
			if g.Invocation().Recorder == 0 {
				g.Event(call, nil, []any{call.Data}, nil)
				return nil
			}
			// Handle may run much later.
			g.Event(call, []*types.Type{types.TUint64}, []any{call.Data}, func(rec *ir.Value, offs []int) {
				g.B().Store(rec, int64(offs[0]), 8, g.B().Call(ir.KtimeBootNs))
			})
			return nil
		},
		Records: Records{
			Shows: true,
			Sends: []Sent{{Lits: []any{""}}},
			Handle: func(env Env, rec *object.Record) error {
				now := time.Now()
				if len(rec.Args) > 0 {
					now = env.BootToWall(word(rec.Arg(0), 0))
				}
				env.Out().Printf("time", string(appendTime(nil, rec.Lits[0].(string), now)))
				return nil
			},
		},
	}
}
