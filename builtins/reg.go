package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func reg() *Def {
	return &Def{
		Name:   "reg",
		Kind:   Function,
		Params: []Param{{Name: "name"}},
		Doc: Doc{
			Summary:  "A register of the probed code; pc and sp have that name on every architecture.",
			Examples: []string{`kprobe:vfs_read { printf("%p %p\n", reg("sp"), reg("pc")); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			ctx := c.Context()
			switch {
			case ctx == nil || ctx.Ctx.Reg == nil:
				c.Errorf(call.Span, `reg can not be used with "%s" probes: they have no registers`, strings.Trim(kindOf(c, "these"), "'"))
			case !ok:
			default:
				// Try to read the register to find out whether it exists.
				b := ir.NewFunc("", ir.PtrCtx)
				if _, err := ctx.Ctx.Reg(b, b.Param(0), name); err != nil {
					c.Errorf(call.Args[0].Span, "'%s' is not a valid register on this architecture (%s)", name, strings.Replace(c.Kernel().Arch(), "amd64", "x86_64", 1))
					return types.TInvalid
				}
				return types.TUint64
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			v, err := g.Context().Ctx.Reg(g.B(), g.Ctx(), call.Args[0].Lit.Str)
			if err != nil {
				panic("builtins: reg: " + err.Error()) // Check has read the register before
			}
			return v
		},
	}
}
