package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/outline"
)

func contains() *Def {
	return &Def{
		Name:   "contains",
		Kind:   Function,
		Syntax: Syntax{Operator: "contains"},
		Params: matchParams("part"),
		Doc: Doc{
			Summary:  "Whether a string contains a text, or one of several: x contains \"a\", x contains (\"a\", \"b\"). The texts are literals; strcontains() takes any string.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat /str(args.filename) contains ("passwd", "shadow")/ { print(comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			return checkMatch(c, call, func(text string) (pattern.Pattern, bool, error) {
				p, ok := pattern.Literal(text, pattern.Anywhere, false)
				if !ok && len(text) > bitNeedle {
					return p, false, outline.Errorf("it is not valid UTF-8, and has more than %d bytes", bitNeedle)
				}
				return p, ok, nil
			}, never, strings.Contains)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			return emitMatch(g, call, func(a *Arg, _ *ir.Value, text string) *ir.Value {
				return g.B().Op(ir.OpSLe, g.B().Const(0), searchText(g, a, text))
			})
		},
	}
}
