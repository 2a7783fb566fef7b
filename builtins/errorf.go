package builtins

import (
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

func errorMessage() *Def {
	return located("errorf", output.Error, "Reports an error on standard error, with its place in the script. It formats as printf does.",
		`tracepoint:syscalls:sys_exit_read { if (args.ret < 0) { errorf("%s: read failed: %d", comm, args.ret); } }`)
}

func warnMessage() *Def {
	return located("warnf", output.Warning, "Reports a warning on standard error, with its place in the script. It formats as printf does. --no-warnings silences it.",
		`tracepoint:syscalls:sys_exit_read { if (args.ret == 0) { warnf("%s: end of file", comm); } }`)
}

// located returns an action that prints a formatted message with its position in the
// script.
//
//go:noinline
func located(name string, level output.Level, summary, example string) *Def {
	return &Def{
		Name:   name,
		Kind:   Action,
		Params: formatParams,
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check:  checkMessage,
		Emit:   sendMessage,
		Records: Records{
			Shows: true,
			Sends: []Sent{{Lits: []any{(*object.Message)(nil)}}},
			Handle: func(env Env, rec *object.Record) error {
				env.Out().Message(output.Message{Kind: name, Level: level, Text: renderRecord(env, rec), At: rec.Span, From: rec.From})
				return nil
			},
		},
	}
}
