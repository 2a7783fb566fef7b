package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
)

func icontains() *Def {
	return &Def{
		Name:   "icontains",
		Kind:   Function,
		Syntax: Syntax{Operator: "icontains"},
		Params: matchParams("part"),
		Doc: Doc{
			Summary:  "Whether a string contains a text, or one of several, whatever the case of their ASCII letters: x icontains \"a\", x icontains (\"a\", \"b\"). The texts are literals.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat /str(args.filename) icontains "password"/ { print(comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			return checkMatch(c, call, wantUTF8(asLiteral(pattern.Anywhere, true)), never, nil)
		},
		Emit: func(g Gen, call *Call) *ir.Value { return emitMatch(g, call, nil) },
	}
}
