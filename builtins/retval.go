package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func retval() *Def {
	return &Def{
		Name:      "retval",
		Ret:       true,
		NotInLoop: true,
		Doc: Doc{
			Summary:  "What the traced function returned.",
			Examples: []string{`kretprobe:vfs_read { @bytes = hist(retval); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			if ctx == nil || ctx.Ret == nil || ctx.RetVal == nil {
				hint := ""
				if ctx != nil && ctx.Args != nil && ctx.RetVal == nil {
					if _, ok := ctx.Args.Field("ret"); ok {
						hint = " (try to use args.ret instead)"
					}
				}
				c.Errorf(call.Span, "The retval builtin can only be used with 'kretprobe' and 'uretprobe' and 'fexit' probes%s", hint)
				return types.TInvalid
			}
			if ctx.TypedRet != nil {
				c.NeedsPoint()
				if t := ctx.TypedRet(); t != nil && t.Kind == types.Int {
					return t // a pointer stays an integer: scripts share maps between it and argN
				}
			}
			return ctx.Ret
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			b := g.B()
			v := g.Context().RetVal(b, g.Ctx())
			if t := call.Type; t.IsInteger() {
				return b.Extend(v, t.Size, t.Signed)
			}
			return v
		},
	}
}
