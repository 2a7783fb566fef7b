package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// userSymbol is the position of a symbol: its address in a program at a fixed address,
// or else its distance from the probed function.
type userSymbol struct {
	fixed bool
	at    int64
}

func uaddr() *Def {
	return &Def{
		Name:   "uaddr",
		Kind:   Function,
		Params: []Param{{Name: "symbol"}},
		Doc: Doc{
			Summary:  "Address of a symbol of the probed program or library, in the current process; a pointer to a signed integer of the symbol's size.",
			Examples: []string{`uprobe:/bin/bash:readline { printf("%s\n", str(*uaddr("ps1_prompt"))); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			if !ok {
				return types.TInvalid
			}
			ctx, p := c.Context(), c.NeedsPoint()
			if ctx == nil || ctx.Func.Symbol == nil {
				c.Errorf(call.Span, "uaddr can only be used in uprobes, uretprobes and usdt probes")
				return types.TInvalid
			}
			if p == nil {
				return types.NewPointer(types.TInt64, types.User)
			}
			at, symSize, fixed, ok := ctx.Func.Symbol(name)
			if !ok {
				c.Errorf(call.Span, "Could not resolve symbol: %s:%s", p.Target, name)
				return types.TInvalid
			}
			if !fixed && ctx.Func.Addr == nil {
				c.Errorf(call.Span, "%s", probes.Needs(c.Kernel(), "uaddr in a uretprobe of a library or a position-independent program", probes.FeatUprobeFuncIP))
				return types.TInvalid
			}
			call.Data = userSymbol{fixed, at}
			size := 8
			switch symSize {
			case 1, 2, 4:
				size = int(symSize)
			}
			return types.NewPointer(types.NewInt(size, true), types.User)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			// The symbol's program or library is mapped where the probed function is.
			b, sym := g.B(), call.Data.(userSymbol)
			if sym.fixed {
				return b.Const(sym.at)
			}
			return b.Op(ir.OpAdd, g.Context().Func.Addr(b, g.Ctx()), b.Const(sym.at))
		},
	}
}
