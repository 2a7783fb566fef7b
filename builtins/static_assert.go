package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func staticAssert() *Def {
	return &Def{
		Name:   "static_assert",
		Kind:   Action,
		Params: []Param{{Name: "condition"}, {Name: "message", Long: true}},
		Doc: Doc{
			Summary:  "Stops the compilation with a message if a condition known at compile time is false.",
			Examples: []string{`begin { static_assert(sizeof(uint64) == 8, "a word has 8 bytes"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			message, ok := wantString(c, call, 1)
			if !ok || !c.Final() {
				return types.TVoid
			}
			switch l := call.Args[0].Lit; {
			case l == nil:
				c.Errorf(call.Args[0].Span, "Unable to resolve comptime expression")
			case !l.IsStr && l.Int == 0:
				c.Errorf(call.Span, "%s", message)
			}
			return types.TVoid
		},
		Emit: emitNothing,
	}
}
