package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

func drop() *Def {
	return &Def{
		Name:   "drop",
		Kind:   Action,
		Traits: Traits{AtOnce: true, Ends: true},
		Doc: Doc{
			Summary:  "Drops the packet. The probe ends here. Without --unsafe, the packet passes, and the number of packets that would have been dropped is reported at the end.",
			Examples: []string{`xdp:eth0 /pkt.tcp.dport == 23/ { @[pkt.saddr] = count(); drop(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if ctx := c.Context(); ctx == nil || ctx.Verdict.Drop == nil {
				c.Errorf(call.Span, "drop() can only be used in probes that decide about packets: not in %s", kindOf(c, "these"))
				return types.TInvalid
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			return decide(g, call, func() *ir.Value { return g.Context().Verdict.Drop(g.B()) })
		},
	}
}

// decide ends the program with a result. Without --unsafe, it only counts the event.
func decide(g Gen, call *Call, result func() *ir.Value) *ir.Value {
	if g.Context().FixedResult {
		g.Count(object.Audit, call.Span, call.Def.Name+"()")
		g.Return(nil)
		return nil
	}
	g.Return(result())
	return nil
}
