package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// String returns the plan as text: the uses and the layout of each map, the assignments
// that are sums, and the programs with their pairs.
func (p *Program) String() string {
	var b bytes.Buffer
	for _, m := range p.Order {
		fmt.Fprintf(&b, "map %s", m.Info.Name)
		if m.Key != nil {
			fmt.Fprintf(&b, "[%s]", m.Key)
		}
		fmt.Fprintf(&b, ": %s\n  uses %s\n  kept %s\n", m.Info.Value, m.Uses, m.Object.Kept())
	}
	var sums []string
	for _, a := range slices.SortedFunc(maps.Keys(p.Sums), func(a, b *ast.Assign) int { return a.Span().Start - b.Span().Start }) {
		sums = append(sums, fmt.Sprintf("sum %s: %s\n", p.Sums[a].Op, strings.Join(strings.Fields(a.Span().Text()), " ")))
	}
	for _, line := range slices.Compact(sums) {
		b.WriteString(line)
	}
	for i, prog := range p.Progs {
		fmt.Fprintf(&b, "prog %s\n", prog.Name)
		for _, pair := range p.Pairs {
			if pair.Entry == i {
				fmt.Fprintf(&b, "  one with %s\n", p.Progs[pair.Return].Name)
			}
		}
		for _, r := range p.Forgets[prog] {
			fmt.Fprintf(&b, "  forgets %s of earlier calls\n", strings.Join(strings.Fields(r.Target.Span().Text()), " "))
		}
		for _, r := range p.RetriesAt[prog] {
			fmt.Fprintf(&b, "  completes %s\n", strings.Join(strings.Fields(r.Target.Span().Text()), " "))
		}
	}
	return b.String()
}
