package bpf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
)

// notAlone lists the operations that are parts of others, or of the shape of every
// program.
var notAlone = []ir.Op{ir.OpConst, ir.OpParam, ir.OpPhi, ir.OpSlot, ir.OpMapPtr, ir.OpMapValue, ir.OpFuncAddr, ir.OpCall, ir.OpCallFn, ir.OpKfunc}

// TestEveryOp runs a program with each operation of the table in the kernel and in the
// interpreter. The results must agree.
func TestEveryOp(t *testing.T) {
	skip := map[ir.Op]bool{}
	for _, op := range notAlone {
		skip[op] = true
	}
	for _, op := range ir.Ops() {
		if skip[op] {
			continue
		}
		t.Run(op.String(), func(t *testing.T) {
			info := op.Info()
			if info.Access == ir.Updates && (info.Result != ir.Void || info.With != ir.OpAdd) && !haveFetch() {
				t.Skip("needs Linux 5.12")
			}
			args := []string{"v1", "v2", "v1"}[:info.Args]
			imm := ""
			switch info.Access {
			case ir.NoAccess:
			case ir.Moves:
				args, imm = []string{"v3 +8", "v5"}, " 13"
			case ir.Fills:
				args[0], imm = "v3 +8", " 13"
			default:
				args[0] = "v3 +8"
			}
			line := fmt.Sprintf("%s %s%s", op, strings.Join(args, " "), imm)
			result := "v2"
			if info.Result != ir.Void || info.FromArg {
				line, result = "v6 = "+line, "v6"
			}
			runText(t, outMap+`
prog p kind "raw_tp"
func main(ctx)
b0:
	v0 = param 0
	v1 = load64 v0
	v2 = load64 v0 +8
	v3 = mapvalue out
	store64 v3 +8 v2
	store64 v3 +16 v1
	store64 v3 +32 v1
	store64 v3 +40 v2
	v4 = const 32
	v5:map = add v3 v4
	`+line+`
	store64 v3 `+result+`
	ret v1
`, Target{})
		})
	}
}
