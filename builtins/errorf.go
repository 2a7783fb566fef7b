package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/wire"
)

func errorMessage() *Def {
	return located("errorf", "Reports an error on standard error, with its place in the script; formats as printf.",
		`tracepoint:syscalls:sys_exit_read { if (args.ret < 0) { errorf("%s: read failed: %d", comm, args.ret); } }`)
}

func warnMessage() *Def {
	return located("warnf", "Reports a warning on standard error, with its place in the script; formats as printf. --no-warnings silences it.",
		`tracepoint:syscalls:sys_exit_read { if (args.ret == 0) { warnf("%s: end of file", comm); } }`)
}

// located is a formatted message that comes with its place.
func located(name, summary, example string) *Def {
	return &Def{
		Name:   name,
		Kind:   Action,
		Params: formatParams,
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check:  checkMessage,
		Emit:   sendMessage,
		Handle: func(env Env, rec *wire.Record) error {
			env.Out().Message(output.Message{Kind: name, Text: renderRecord(env, rec), At: rec.Span})
			return nil
		},
	}
}

func assert() *Def {
	return &Def{
		Name:   "assert",
		Kind:   Action,
		Params: []Param{{Name: "condition"}, {Name: "message"}},
		Doc: Doc{
			Summary:  "Ends the session with status 1 and the message if the condition does not hold.",
			Examples: []string{`begin { @n = 1; assert(@n == 1, "the map was written"); exit(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			text, _ := wantString(c, call, 1)
			call.Data = text
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			b := g.B()
			g.If(b.Op(ir.OpEq, g.Truth(&call.Args[0]), b.Const(0)), func() {
				g.Event(call, nil, []any{call.Data}, nil)
				g.ReturnNow()
			})
			return nil
		},
		Handle: func(env Env, rec *wire.Record) error {
			env.Out().Message(output.Message{Kind: "errorf", Text: "assert failed: " + rec.Lits[0].(string), At: rec.Span})
			env.Exit(1)
			return nil
		},
	}
}
