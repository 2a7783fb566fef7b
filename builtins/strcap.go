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
			Summary:  "The maximum number of bytes of a string, including its NUL; known at compile time.",
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
