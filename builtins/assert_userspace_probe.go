package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func assertUserspaceProbe() *Def {
	return &Def{
		Name:   "assert_userspace_probe",
		Kind:   Action,
		Params: []Param{{Name: "function"}},
		Doc: Doc{
			Summary:  "Stops the compilation outside of uprobes, uretprobes and USDT probes. The message names the function.",
			Examples: []string{`uprobe:/bin/bash:readline { assert_userspace_probe("mine"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			if ok && !inUserspaceProbe(c) {
				c.Errorf(call.Span, "%s can not be used for this probetype: %s", name, kindName(c))
			}
			return types.TVoid
		},
		Emit: emitNothing,
	}
}
