package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func exit() *Def {
	return &Def{
		Name:   "exit",
		Kind:   Action,
		Traits: Traits{Ends: true, NotInLoop: true},
		Params: []Param{{Name: "code", Optional: true}},
		Doc: Doc{
			Summary:  "Ends the session, with an exit status if one is given. The probe ends here; end probes still run and maps are printed.",
			Examples: []string{`interval:s:10 { exit(); }`, `begin { exit(3); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if call.arg(0) != nil {
				wantInt(c, call, 0)
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			g.Event(call, []*types.Type{types.TInt32}, nil, func(rec *ir.Value, offs []int) {
				code := g.B().Const(0)
				if len(call.Args) > 0 {
					code = g.Value(&call.Args[0])
				}
				g.B().Store(rec, int64(offs[0]), 4, code)
			})
			g.Return(nil)
			return nil
		},
		Records: Records{
			Sends: []Sent{{Args: []int{4}}},
			Handle: func(env Env, rec *object.Record) error {
				env.Exit(int(int32(binary.NativeEndian.Uint32(rec.Arg(0)))))
				return nil
			},
		},
	}
}
