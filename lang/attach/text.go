package attach

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
)

// Text returns the blocks as text. For each attach point of the script it lists the
// points that the attach point matches, with the type of their programs and the data
// that programs can read. Points with the same shape offer the same data.
func Text(blocks []Block) string {
	var b bytes.Buffer
	for _, bl := range blocks {
		fmt.Fprintf(&b, "block at line %d\n", bl.Decl.Span().File.Position(bl.Decl.Span().Start).Line)
		for _, pt := range bl.Points {
			fmt.Fprintf(&b, "  %s: %s program", pt.Name, strings.ToLower(pt.Ctx.Load.Type.String()))
			if pt.Ctx.Load.AttachType != ebpf.AttachNone {
				fmt.Fprintf(&b, " at %s", strings.ToLower(pt.Ctx.Load.AttachType.String()))
			}
			if pt.Ctx.Load.AttachTo != "" {
				fmt.Fprintf(&b, " of %s", pt.Ctx.Load.AttachTo)
			}
			b.WriteByte('\n')
			if pt.Ctx.Load.Shape != "" {
				fmt.Fprintf(&b, "    shape %s\n", pt.Ctx.Load.Shape)
			}
			if pt.Ctx.Args.Lines != nil {
				for _, line := range pt.Ctx.Args.Lines() {
					fmt.Fprintf(&b, "    %s\n", line)
				}
			}
		}
	}
	return b.String()
}
