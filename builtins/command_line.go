package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// commandLine defines command_line. The lower half of a value is the ID of a process, and
// the upper half the time at which it started, in units of startUnit.
func commandLine() *Def {
	t := &types.Type{Kind: types.Opaque, Name: "command_line_t", Size: 8}
	return &Def{
		Name: "command_line",
		Kind: Function,
		TypeDef: TypeDef{
			TypeName:  t.Name,
			OfProcess: true,
			Format: func(env Env, _ *types.Type, data []byte) value.Value {
				n := word(data, 0)
				return value.Str{S: env.Names().CommandLine(uint32(n), uint32(n>>32))}
			},
		},
		Params: []Param{{Name: "process"}, {Name: "start"}},
		Doc: Doc{
			Summary: "The command line of any process, given its ID and the time at which it started, in nanoseconds since boot. It is read from /proc when the script starts, four times a second, and when it is printed. " +
				"It is empty for a process that existed at none of these times. A predicate can compare it if the block only sends events. task.parent.cmdline and similar members use it.",
			Examples: []string{`tracepoint:sched:sched_process_exit /command_line(curtask.tgid, curtask.start_boottime) contains "cron"/ { print(comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantInt(c, call, 0) || !wantInt(c, call, 1) {
				return types.TInvalid
			}
			return t
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			pid, start := g.Value(&call.Args[0]), g.Value(&call.Args[1])
			b := g.B()
			start = b.Op(ir.OpShl, b.Op(ir.OpUDiv, start, b.Const(startUnit)), b.Const(32))
			return b.Op(ir.OpOr, start, b.Extend(pid, 4, false))
		},
	}
}

// startUnit is the unit of start times of processes in /proc, in nanoseconds.
const startUnit = 10_000_000
