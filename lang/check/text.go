package check

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
)

// String returns a checked script as text: its maps, and its programs with the type of
// every expression and the values of constants.
func (p *Program) String() string {
	var b bytes.Buffer
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
			p.Info.print(&b, prog.Pred, 1)
		}
		p.Info.print(&b, prog.Body, 1)
		for _, f := range prog.Funcs {
			fmt.Fprintf(&b, "fn %s\n", f.Name)
			p.Info.print(&b, f.Body, 1)
		}
	}
	return b.String()
}

// print writes a line for n and for each expression in it. Expressions are indented by
// one level more than the one that contains them.
func (in *Info) print(b *bytes.Buffer, n ast.Node, depth int) {
	if e, ok := n.(ast.Expr); ok && in.Types[e] != nil {
		text := strings.Join(strings.Fields(e.Span().Text()), " ")
		if _, ok := n.(*ast.Block); ok {
			text = "{}"
		}
		fmt.Fprintf(b, "%s%s: %s", strings.Repeat("  ", depth), text, in.Types[e])
		if l := in.Lits[e]; l != nil && l.IsStr {
			fmt.Fprintf(b, " = %q", l.Str)
		} else if l != nil {
			fmt.Fprintf(b, " = %d", l.Int)
		}
		if call, ok := in.Implied[n].(*ast.Call); ok {
			fmt.Fprintf(b, ", as %s: %s", strings.TrimPrefix(call.Fn.Text, "__builtin_"), in.Types[call])
		}
		b.WriteByte('\n')
	}
	first := true
	ast.Inspect(n, func(c ast.Node) bool {
		if first {
			first = false
			return true
		}
		in.print(b, c, depth+1)
		return false
	})
}
