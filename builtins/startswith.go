package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/builtins/match"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
)

func startswith() *Def {
	return &Def{
		Name:   "startswith",
		Kind:   Function,
		Syntax: Syntax{Operator: "startswith"},
		Params: matchParams("start"),
		Doc: Doc{
			Summary: "Whether a string starts with a text, or with one of several: x startswith \"a\", x startswith (\"a\", \"b\"). The texts are literals.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_openat /str(args.filename) startswith "/etc/"/ { print(comm); }`,
				`tracepoint:syscalls:sys_enter_openat /str(args.filename) startswith ("/etc/", "/usr/etc/")/ { print(comm); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			return checkMatch(c, call, asLiteral(pattern.AtStart, false), few, strings.HasPrefix)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			return emitMatch(g, call, func(a *Arg, p *ir.Value, text string) *ir.Value {
				if len(text) >= a.Type.Size { // a string ends in a NUL
					return g.B().Const(0)
				}
				return match.Equal(g.B(), p, []byte(text))
			})
		},
	}
}
