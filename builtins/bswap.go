package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func bswap() *Def {
	return &Def{
		Name:   "bswap",
		Kind:   Function,
		Params: []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "An integer with its bytes in reverse order, such as a port number in network order.",
			Examples: []string{`begin { printf("%x\n", bswap((uint16)0x1234)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			if t.Kind == types.Invalid {
				return types.TUint64
			}
			if t.Kind != types.Int {
				c.Errorf(call.Span, "bswap() only supports integer arguments (%s provided)", className(t))
				return types.TInvalid
			}
			if t.Size == 1 && c.Final() {
				c.Warnf(call.Span, "bswap() of an integer of one byte does nothing")
			}
			return types.NewInt(t.Size, false)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			x := g.Value(&call.Args[0])
			b := g.B()
			switch call.Type.Size {
			case 2:
				return b.Op(ir.OpBswap16, x)
			case 4:
				return b.Op(ir.OpBswap32, x)
			case 8:
				return b.Op(ir.OpBswap64, x)
			}
			return b.Extend(x, 1, false)
		},
	}
}
