package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func funcName() *Def {
	return &Def{
		Name: "func",
		Doc: Doc{
			Summary:  "The address of the traced function. It is printed as the function's name.",
			Examples: []string{`kprobe:vfs_* { @[func] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			call.Data, call.Lit = nil, nil
			switch {
			case ctx != nil && ctx.Func.Addr != nil && ctx.Func.User:
				if ctx.Func.OfShape {
					c.NeedsShape()
				}
				return usymType
			case ctx != nil && ctx.Func.Addr != nil:
				return ksymType
			case ctx != nil && ctx.Func.Name != "":
				c.NeedsPoint() // the address or the name is a constant of the program
				if ctx.Func.Here != nil {
					if addr, ok := ctx.Func.Here(); ok {
						call.Data = addr
						return ksymType
					}
				}
				call.Lit = &Lit{Str: ctx.Func.Name, IsStr: true}
				return types.NewString(len(ctx.Func.Name) + 1)
			}
			c.Errorf(call.Span, "The func builtin can not be used with %s probes", kindOf(c, "these"))
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if addr, ok := call.Data.(uint64); ok {
				return g.B().Const(int64(addr))
			}
			return g.Context().Func.Addr(g.B(), g.Ctx())
		},
		Store: func(g Gen, call *Call, dst Dest) {
			if call.Lit != nil {
				storeText(g, call.Lit.Str, dst)
				return
			}
			storeUserAddr(g, g.Context().Func.Addr(g.B(), g.Ctx()), dst)
		},
	}
}
