package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func unwatch() *Def {
	return &Def{
		Name:   "unwatch",
		Kind:   Action,
		Params: []Param{{Name: "addr"}},
		Doc: Doc{
			Summary:  "Removes the watchpoint at an address. User space does it shortly after the call.",
			Examples: []string{`watchpoint:0x10000000:8:rw { print("hit"); unwatch(0x10000000); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if t := call.typeOf(0); t.Kind != types.Pointer {
				wantInt(c, call, 0)
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			g.Event(call, []*types.Type{types.TUint64}, nil, func(rec *ir.Value, offs []int) {
				addr := g.Value(&call.Args[0])
				g.B().Store(rec, int64(offs[0]), 8, addr)
			})
			return nil
		},
		Records: Records{
			Sends: []Sent{{Args: []int{8}}},
			Handle: func(env Env, rec *object.Record) error {
				return env.Unwatch(binary.NativeEndian.Uint64(rec.Arg(0)))
			},
		},
	}
}
