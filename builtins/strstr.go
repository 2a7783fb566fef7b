package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func strstr() *Def {
	return &Def{
		Name:   "strstr",
		Kind:   Function,
		Params: []Param{{Name: "haystack", Chars: true}, {Name: "needle", Chars: true}},
		Doc: Doc{
			Summary:  "The position, counted from 0, of the first occurrence of a string in another; -1 if there is none.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @ = lhist(strstr(str(args.filename), "/lib"), 0, 100, 10); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			at, known, ok := checkSearch(c, call)
			if !ok {
				return types.TInvalid
			}
			if known {
				call.Lit = &Lit{Int: int64(at)}
			}
			return types.TInt64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			return search(g, call)
		},
	}
}
