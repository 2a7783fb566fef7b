package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func checkKey() *Def {
	return &Def{
		Name:   "check_key",
		Kind:   Action,
		Params: []Param{{Name: "map", Kind: MapArg}, {Name: "key"}, {Name: "function"}},
		Doc: Doc{
			Summary:  "Stops the compilation if a map has no keys, or keys of another type. The message names the function.",
			Examples: []string{`begin { @x[1] = 2; check_key(@x, 1, "mine()"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 2)
			m := call.Args[0].Map
			if !ok || m == nil {
				return types.TVoid
			}
			if c.Final() && !m.Keyed {
				c.Errorf(call.Span, "call to %s expects a map with explicit keys (non-scalar map)", name)
				return types.TVoid
			}
			call.Args[1].KeyOf = m
			return types.TVoid
		},
		Emit: emitNothing,
	}
}
