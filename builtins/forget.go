package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// manyTurns is a number of iterations for which forget always hides a value.
const manyTurns = fewTurns + 1

func forgotten() *Def {
	return &Def{
		Name:   "__forget",
		Kind:   Function,
		Traits: Traits{Varies: true},
		Params: []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "The same number, but the kernel's verifier no longer knows its possible values, so it need not follow the rest of the program for each of them. For generated scripts.",
			Examples: []string{`cgroup_skb:egress { $n = (uint64)0; if (pkt.proto == 6) { $n = 1; } $n = __forget($n); if ($n == 1) { @ = count(); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantInt(c, call, 0) {
				return types.TInvalid
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value { return forget(g, g.Value(&call.Args[0]), manyTurns) },
	}
}
