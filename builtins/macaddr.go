package builtins

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// macType is the type of a word with the six bytes of an address in memory order.
var macType = &types.Type{Kind: types.Opaque, Name: "macaddr_t", Size: 8}

func macaddr() *Def {
	return &Def{
		Name: "macaddr",
		Kind: Function,
		TypeDef: TypeDef{
			TypeName: macType.Name,
			Format: func(_ Env, _ *types.Type, data []byte) value.Value {
				return value.Str{S: fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", data[0], data[1], data[2], data[3], data[4], data[5])}
			},
		},
		Params: []Param{{Name: "bytes"}},
		Doc: Doc{
			Summary:  "A MAC address, of an array of 6 bytes.",
			Examples: []string{`fentry:arp_create { printf("%s\n", macaddr(args.dest_hw)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			switch {
			case t.Kind == types.Invalid, t.Kind == types.Pointer:
			case call.Args[0].Lit != nil && call.Args[0].Lit.IsStr:
				c.Errorf(call.Span, "macaddr() does not support literal string arguments")
				return types.TInvalid
			case t.Kind != types.Array && t.Kind != types.String:
				c.Errorf(call.Span, "macaddr() only supports array or pointer arguments (%s provided)", className(t))
				return types.TInvalid
			case t.Size < 6:
				c.Errorf(call.Span, "macaddr() argument must be at least 6 bytes in size")
				return types.TInvalid
			}
			return macType
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			a := &call.Args[0]
			p := g.Temp(8)
			g.B().Store(p, 0, 8, g.B().Const(0))
			if a.Type.Kind == types.Pointer {
				g.Read(p, 0, 6, g.Value(a), pointee(g, a.Type), "macaddr")
			} else {
				copyObject(g, a, p, 0, 6)
			}
			return g.B().Load(p, 0, 8, false)
		},
	}
}
