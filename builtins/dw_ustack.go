package builtins

import (
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/types"
)

func dwUstack() *Def {
	return &Def{
		Name:    "dw_ustack",
		Params:  stackParams,
		Traits:  Traits{Unstable: true},
		TypeDef: TypeDef{UserSymbols: true},
		Doc: Doc{
			Summary:  "The user stack of the current process by DWARF: ustack(dwarf), as bpftrace spells it. It covers all processes.",
			Examples: []string{`profile:hz:99 { @[dw_ustack] = count(); }`, `profile:hz:99 { @[dw_ustack(perf, 5)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := checkStack(c, call)
			if data, ok := call.Data.(stackCall); ok && t != types.TInvalid {
				if t.Size > 8 {
					c.Errorf(call.Span, "%s: the kernel translates addresses to build IDs, which follows frame pointers only", call.Def.Name)
					return types.TInvalid
				}
				if data.by = config.StackDWARF; !canUnwind(c, call) {
					return types.TInvalid
				}
				call.Data = data
			}
			return t
		},
		Emit: emitUserStack,
	}
}
