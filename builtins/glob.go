package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
)

func glob() *Def {
	return &Def{
		Name:   "glob",
		Kind:   Function,
		Syntax: Syntax{Operator: "glob"},
		Params: matchParams("pattern"),
		Doc: Doc{
			Summary: "Whether a whole string has the form of a pattern, or of one of several: x glob \"a*\", x glob (\"a*\", \"b?\"). * stands for any text, also one with slashes, ? for any character, [a-z] for one of a set, [!a-z] for one that is not in it; \\ makes a character stand for itself, which a string literal writes as \\\\. " +
				"The patterns are literals.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat /str(args.filename) glob "/home/*/.ssh/*"/ { print(comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			return checkMatch(c, call, func(text string) (pattern.Pattern, bool, error) {
				p, err := pattern.Glob(text, false)
				return p, true, err
			}, never, nil)
		},
		Emit: func(g Gen, call *Call) *ir.Value { return emitMatch(g, call, nil) },
	}
}
