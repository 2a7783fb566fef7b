package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/value"
)

func report() *Def {
	return &Def{
		Name:   "report",
		Kind:   Action,
		Params: []Param{{Name: "value"}, {Name: "values", Variadic: true, Counted: true}},
		Doc: Doc{
			Summary: "Prints values like print() of a tuple, but sends only the used part of each long string. Use it for events with several paths, or with a command line.",
			Examples: []string{
				`tracepoint:syscalls:sys_exit_renameat2 { report(comm, str(syscall_arg(1), 4096), str(syscall_arg(3), 4096), args.ret); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !c.Final() {
				return types.TVoid
			}
			for i := range call.Args {
				checkPrintable(c, call, &call.Args[i])
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			args, ts := make([]*Arg, len(call.Args)), make([]*types.Type, len(call.Args))
			for i := range call.Args {
				args[i], ts[i] = &call.Args[i], call.Args[i].Type.Decay()
			}
			g.Send(call, args, ts, nil)
			return nil
		},
		Records: Records{
			Shows: true,
			Sends: []Sent{{Args: []int{0}}},
			Handle: func(env Env, rec *object.Record) error {
				t := make(value.Tuple, len(rec.Args))
				for i := range rec.Args {
					t[i] = env.Decoder().Value(rec.Args[i].Type, rec.Arg(i))
				}
				env.Out().Value(t)
				return nil
			},
		},
	}
}
