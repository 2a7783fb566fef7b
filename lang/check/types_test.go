package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/tests/cases"
)

// TestTypes checks the scripts of testdata/types.txtar and compares the resulting
// tables: the type of every variable and map, and the types in which operators are
// computed.
func TestTypes(t *testing.T) {
	for _, c := range cases.Read(t, "testdata/types.txtar").Cases {
		script := c.Input(t, "source.bt")
		p, diags := checkText("test", script)
		if p == nil {
			t.Errorf("%s: %v", c.At, diags.Err())
			continue
		}
		var b strings.Builder
		dump(&b, p)
		c.Check(t, cases.Section{Name: "types", Text: b.String()})
	}
}

func dump(b *strings.Builder, p *Program) {
	for _, pr := range p.Progs {
		var names []string
		for _, pt := range pr.Points {
			names = append(names, pt.Name)
		}
		fmt.Fprintf(b, "%s: %s\n", pr.Name, strings.Join(names, ","))
		dumpBody(b, p, pr.Body)
		for _, f := range pr.Funcs {
			fmt.Fprintf(b, "fn %s: %s\n", f.Name, f.Result)
			dumpBody(b, p, f.Body)
		}
	}
	for _, m := range p.Maps {
		if m.Keyed {
			fmt.Fprintf(b, "%s[%s]: %s\n", m.Name, m.Key, m.Value)
		} else {
			fmt.Fprintf(b, "%s: %s\n", m.Name, m.Value)
		}
	}
	for _, o := range p.Options {
		fmt.Fprintf(b, "--%s\n", o.Name)
	}
}

func dumpBody(b *strings.Builder, p *Program, body *ast.Block) {
	seen := map[*Var]bool{}
	ast.Walk(body, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Var:
			if v := p.Info.Vars[n]; v != nil && !seen[v] {
				seen[v] = true
				flags := ""
				if v.AddrTaken {
					flags += " addressed"
				}
				if v.Captured {
					flags += " captured"
				}
				if v.Depth > 0 {
					flags += fmt.Sprintf(" depth=%d", v.Depth)
				}
				fmt.Fprintf(b, "  $%s: %s%s\n", v.Name, v.Type, flags)
			}
		case *ast.Binary, *ast.Unary, *ast.Ternary, *ast.If, *ast.Cast, *ast.Field, *ast.Index, *ast.Call, *ast.Sizeof, *ast.Offsetof, *ast.Ident:
			e := n.(ast.Expr)
			t := p.Info.Types[e]
			if t == nil {
				return
			}
			fmt.Fprintf(b, "  %s: %s", strings.Join(strings.Fields(e.Span().Text()), " "), t)
			if x, ok := n.(*ast.Binary); ok && p.Info.Operands[x] != nil {
				fmt.Fprintf(b, " in %s", p.Info.Operands[x])
			}
			if l := p.Info.Lits[e]; l != nil {
				switch {
				case l.IsStr:
					fmt.Fprintf(b, " = %q", l.Str)
				case l.Unsigned:
					fmt.Fprintf(b, " = %d", uint64(l.Int))
				default:
					fmt.Fprintf(b, " = %d", l.Int)
				}
			}
			b.WriteByte('\n')
		}
	})
}
