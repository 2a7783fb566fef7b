package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func contextPointer() *Def {
	return &Def{
		Name: "ctx",
		Doc: Doc{
			Summary:  "The program's context, as the kernel passes it: the fields of an iterator, or the registers in kprobes and perf events.",
			Examples: []string{`iter:task { printf("%s %d\n", ctx.task.comm, ctx.task.pid); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			switch {
			case ctx != nil && ctx.Ctx.Type != nil:
				return types.NewPointer(ctx.Ctx.Type.InSpace(types.Ctx), types.Ctx)
			case ctx != nil && ctx.Args.Type != nil:
				c.Errorf(call.Span, "Use args instead of ctx in %s", ctx.Kind.Name)
			case ctx != nil:
				c.Errorf(call.Span, "The ctx builtin can not be used with '%s' probes", ctx.Kind.Name)
			}
			return types.TInvalid
		},
		Emit: func(g Gen, _ *Call) *ir.Value { return g.Ctx() },
	}
}
