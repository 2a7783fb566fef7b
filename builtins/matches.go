package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
)

func matches() *Def {
	return &Def{
		Name:   "matches",
		Kind:   Function,
		Syntax: Syntax{Operator: "=~", NotOperator: "!~"},
		Params: matchParams("expression"),
		Doc: Doc{
			Summary: "Whether a regular expression, or one of several, matches somewhere in a string: x =~ \"a+\", x =~ (\"a+\", \"b$\"); x !~ \"a+\" is the opposite. " +
				"The expressions are literals in the syntax of Go's package regexp (RE2): ^ and $ are the ends of the string, (?i) ignores case, \\d is written \"\\\\d\". Text is UTF-8. Each byte of the string is read once, whatever the expression.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_openat /str(args.filename) =~ "^/proc/[0-9]+/(maps|mem)$"/ { print(comm); }`,
				`tracepoint:syscalls:sys_enter_openat /matches(str(args.filename), "^/home/[a-z]+/", "^/root/")/ { @[comm] = count(); }`,
				`tracepoint:syscalls:sys_enter_openat /str(args.filename) !~ ("^/proc/", "^/sys/")/ { @[comm] = count(); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			return checkMatch(c, call, func(text string) (pattern.Pattern, bool, error) {
				p, err := pattern.Regexp(text)
				return p, true, err
			}, never, nil)
		},
		Emit: func(g Gen, call *Call) *ir.Value { return emitMatch(g, call, nil) },
	}
}
