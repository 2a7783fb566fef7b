package codegen

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
)

// dumpChecked is a checked script as text: its maps, and its programs with the
// type of every expression.
func dumpChecked(p *check.Program) string {
	var b strings.Builder
	for _, m := range p.Maps {
		fmt.Fprintf(&b, "map %s", m.Name)
		if m.Keyed {
			fmt.Fprintf(&b, "[%s]", m.Key)
		}
		fmt.Fprintf(&b, ": %s\n", m.Value)
	}
	for _, prog := range p.Progs {
		fmt.Fprintf(&b, "prog %s\n", prog.Name)
		for _, pt := range prog.Points {
			fmt.Fprintf(&b, "  at %s\n", pt.Name)
		}
		if prog.Pred != nil {
			dumpTypes(&b, p, prog.Pred)
		}
		dumpTypes(&b, p, prog.Body)
		for _, f := range prog.Funcs {
			fmt.Fprintf(&b, "fn %s\n", f.Name)
			dumpTypes(&b, p, f.Body)
		}
	}
	return b.String()
}

func dumpTypes(b *strings.Builder, p *check.Program, n ast.Node) {
	depth := map[ast.Node]int{}
	var walk func(n ast.Node, d int)
	walk = func(n ast.Node, d int) {
		first := true
		ast.Inspect(n, func(c ast.Node) bool {
			if first {
				first = false
				return true
			}
			walk(c, d+1)
			return false
		})
		depth[n] = d
	}
	walk(n, 1)
	ast.Walk(n, func(n ast.Node) {
		e, ok := n.(ast.Expr)
		if !ok || p.Info.Types[e] == nil {
			return
		}
		text := strings.Join(strings.Fields(e.Span().Text()), " ")
		if _, ok := n.(*ast.Block); ok {
			text = "{}"
		}
		fmt.Fprintf(b, "%s%s: %s", strings.Repeat("  ", depth[n]), text, p.Info.Types[e])
		if l := p.Info.Lits[e]; l != nil {
			if l.IsStr {
				fmt.Fprintf(b, " = %q", l.Str)
			} else {
				fmt.Fprintf(b, " = %d", l.Int)
			}
		}
		b.WriteByte('\n')
	})
}
