package plan

import (
	"fmt"
	"strings"
)

// String is the decisions as text: a line for each map and pair.
func (p *Program) String() string {
	var b strings.Builder
	for _, m := range p.Order {
		fmt.Fprintf(&b, "map %s", m.Info.Name)
		if m.Key != nil {
			fmt.Fprintf(&b, "[%s]", m.Key)
		}
		fmt.Fprintf(&b, ": %s\n  uses %s\n  kept %s\n", m.Info.Value, m.Uses, m.Object.Kept())
	}
	for i, prog := range p.Progs {
		fmt.Fprintf(&b, "prog %s\n", prog.Name)
		for _, pair := range p.Pairs {
			if pair.Entry == i {
				fmt.Fprintf(&b, "  one with %s\n", p.Progs[pair.Return].Name)
			}
		}
	}
	return b.String()
}
