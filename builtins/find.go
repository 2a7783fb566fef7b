package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/store"
)

func find() *Def {
	return &Def{
		Name:   "find",
		Kind:   Function,
		Traits: Traits{Acts: true},
		Params: []Param{{Name: "map", Kind: MapArg, Map: store.Read}, {Name: "key"}, {Name: "var", Kind: VarArg}},
		Doc: Doc{
			Summary:  "Looks up a key once. If there is an entry, the result is true and the variable is set to its value.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; } tracepoint:syscalls:sys_exit_read { let $t; if (find(@start, tid, $t)) { @ns = hist(nsecs - $t); delete(@start, tid); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			m := checkEntry(c, call)
			if m == nil || len(call.Args) < 3 {
				return types.TInvalid
			}
			if t := m.Value; t != nil {
				if t.Kind == types.Agg && !t.Castable {
					c.Errorf(call.Args[0].Span, "find() cannot copy a value of type %s", t)
					return types.TInvalid
				}
				call.Args[2].Assigned = t.Decay()
			} else if c.Final() {
				c.Errorf(call.Args[0].Span, "Undefined map: %s", m.Name)
				return types.TInvalid
			}
			return types.TBool
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			p := g.Lookup(entry(call))
			b := g.B()
			return g.B().IfElse(b.Op(ir.OpNe, p, b.Const(0)), func() *ir.Value {
				g.SetVar(&call.Args[2], g.B().NonNil(p))
				return g.B().Const(1)
			}, func() *ir.Value { return g.B().Const(0) })
		},
	}
}
