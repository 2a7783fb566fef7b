package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func goid() *Def {
	return &Def{
		Name:   "goid",
		Traits: Traits{NotInLoop: true},
		Doc: Doc{
			Summary:  "Number of the running goroutine, as in Go's stack traces; for uprobes and uretprobes of Go functions.",
			Examples: []string{`uprobe:/proc/self/exe:main.main { printf("goroutine %d\n", goid); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			if ctx == nil || ctx.Goroutine == nil {
				c.Errorf(call.Span, "The goid builtin can only be used with 'uprobe' and 'uretprobe' probes of Go functions")
				return types.TInvalid
			}
			c.NeedsShape()
			if _, err := ctx.Goroutine(call.Def.Name); err != nil {
				c.Errorf(call.Span, "goid cannot be used here: %s", err)
				return types.TInvalid
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			at, err := g.Context().Goroutine(call.Def.Name)
			if err != nil {
				return g.B().Const(0)
			}
			slot := g.B().Slot(8)
			g.Read(slot, 0, 8, at(g.B(), g.Ctx()), types.User, "goid")
			return g.B().Load(slot, 0, 8, false)
		},
	}
}
