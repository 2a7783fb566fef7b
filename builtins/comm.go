package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// commLen is TASK_COMM_LEN, the NUL included.
const commLen = 16

func comm() *Def {
	return &Def{
		Name: "comm",
		Doc: Doc{
			Summary:  "Name of the current thread.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[comm] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !needsTask(c, call) {
				return types.TInvalid
			}
			return types.NewString(commLen)
		},
		Store: func(g Gen, _ *Call, dst Dest) {
			b := g.B()
			// The helper fills all 16 bytes, zeros behind the name; but between 5.19,
			// which made it stop at the NUL, and 6.4, which mended that, it may not.
			if v := g.Kernel().Release(); dst.Padded && !v.Less(probes.Version{Major: 5, Minor: 19}) && v.Less(probes.Version{Major: 6, Minor: 4}) {
				b.Zero(dst.Ptr, dst.Off, commLen)
			}
			b.Call(ir.CurrentComm, b.AddImm(dst.Ptr, dst.Off), b.Const(commLen))
			padTail(g, dst, commLen)
		},
	}
}

// padTail clears what of dst lies behind its first n bytes, where that matters.
func padTail(g Gen, dst Dest, n int) {
	if dst.Padded && dst.Size > n {
		g.B().Zero(dst.Ptr, dst.Off+int64(n), dst.Size-n)
	}
}

// storeText fills dst with a string known when compiling.
func storeText(g Gen, text string, dst Dest) {
	data := append([]byte(text), 0)
	if len(data) > dst.Size {
		data = append(data[:dst.Size-1:dst.Size-1], 0)
	}
	g.B().Copy(dst.Ptr, dst.Off, g.Rodata(data), len(data))
	padTail(g, dst, len(data))
}
