package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func override() *Def {
	return &Def{
		Name: "override",
		Kind: Action,
		Traits: Traits{
			AtOnce: true,
			Unsafe: true,
			Refusals: []Refusal{{
				Helper: "bpf_override_return", Why: noHelper,
				Msg: "the kernel does not offer override(): it needs CONFIG_BPF_KPROBE_OVERRIDE",
			}},
		},
		Params: []Param{{Name: "result"}},
		Doc: Doc{
			Summary:  "Makes the traced function return a value at once instead of running. For kprobes on functions that allow error injection. Needs --unsafe.",
			Examples: []string{`kprobe:should_failslab { override(12); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if ctx := c.Context(); ctx == nil || !ctx.Kind.Overrides {
				c.Errorf(call.Span, "override can only be used in kprobes")
				return types.TInvalid
			}
			wantInt(c, call, 0)
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			rc := g.Value(&call.Args[0])
			g.B().Call(ir.OverrideReturn, g.Ctx(), rc)
			return nil
		},
	}
}
