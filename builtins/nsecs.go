package builtins

import (
	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// These are the clocks of nsecs. The name of the result's type contains the clock, so
// that strftime can convert the result to wall-clock time. Results of arithmetic have a
// plain integer type.
const (
	clockBoot      = "boot"
	clockMonotonic = "monotonic"
	clockTAI       = "tai"
	clockSoftTAI   = "sw_tai"
)

func nsecs() *Def {
	return &Def{
		Name:   "nsecs",
		Traits: Traits{Counts: true, Varies: true},
		Params: []Param{{Name: "clock", Kind: NameArg, Optional: true}},
		Doc: Doc{
			Summary: "Nanoseconds since boot, including the time in which the machine was suspended. nsecs(monotonic) leaves that time out. nsecs(tai) is atomic time since 1970 (Linux 6.1), and nsecs(sw_tai) is the same, computed from the boot clock.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; }
tracepoint:syscalls:sys_exit_read /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start, tid); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			call.Data = clockBoot
			a := call.arg(0)
			if a == nil {
				return types.TUint64
			}
			switch a.Word {
			case clockBoot:
				return types.TUint64
			case clockTAI:
				if k := c.Kernel(); !k.Has(probes.FeatKtimeTai) {
					needs(c, a.Span, "nsecs(tai)", probes.FeatKtimeTai)
					return types.TInvalid
				}
				fallthrough
			case clockMonotonic, clockSoftTAI:
				call.Data = a.Word
				return &types.Type{Kind: types.Int, Size: 8, Name: a.Word}
			case "":
				c.Errorf(call.Span, "nsecs() only supports timestamp_mode arguments (%s provided)", className(call.typeOf(0)))
			default:
				c.Errorf(a.Span, "Invalid timestamp mode: %s", a.Word)
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			b := g.B()
			switch call.Data {
			case clockMonotonic:
				return b.Call(ir.KtimeGetNs)
			case clockTAI:
				return b.Call(ir.KtimeTaiNs)
			case clockSoftTAI:
				return b.Op(ir.OpAdd, b.Call(ir.KtimeBootNs), code.SessionWord(g, object.SessionTAI))
			}
			return b.Call(ir.KtimeBootNs)
		},
	}
}
