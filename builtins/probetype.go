package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func probeType() *Def {
	return &Def{
		Name: "probetype",
		Doc: Doc{
			Summary:  `Kind of the probe that fired: "kprobe", "tracepoint", …; "special" for begin and end.`,
			Examples: []string{`tracepoint:syscalls:sys_enter_read, kprobe:vfs_read { @[probetype] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if c.Context() != nil {
				call.Lit = &Lit{Str: kindShown(c), IsStr: true}
			}
			return checkPointText(call)
		},
		Store: func(g Gen, call *Call, dst Dest) { storeText(g, call.Lit.Str, dst) },
	}
}
