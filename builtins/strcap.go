package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func strcap() *Def {
	return &Def{
		Name:   "strcap",
		Kind:   Function,
		Params: []Param{{Name: "s"}},
		Doc: Doc{
			Summary:  "Most bytes a string can hold, its NUL included; known when compiling.",
			Examples: []string{`begin { print(strcap(comm)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantStr(c, call, 0) {
				return types.TInvalid
			}
			call.Lit = &Lit{Int: int64(call.typeOf(0).Size)}
			return types.TUint64
		},
		Emit: emitLit,
	}
}
