package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func stopRecording() *Def {
	return &Def{
		Name:   "stop_recording",
		Kind:   Action,
		Traits: Traits{StopsRecording: true},
		Doc: Doc{
			Summary:  "With --recorder, ends the recording and the session: the events before this one are printed, in order of time, and then the maps. No event after it is recorded; the rest of the probe still runs. Without --recorder, it ends the session. --until calls it when its condition holds.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read { printf("%s %d\n", comm, args.ret); if (args.ret < -100) { stop_recording(); } }`},
		},
		Check: func(Checker, *Call) *types.Type { return types.TVoid },
		Emit: func(g Gen, call *Call) *ir.Value {
			g.Event(call, nil, nil, nil)
			return nil
		},
		Records: Records{
			Sends: []Sent{{}},
			Handle: func(env Env, _ *object.Record) error {
				env.Exit(0)
				return nil
			},
		},
	}
}
