package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/builtins/match"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
)

func endswith() *Def {
	return &Def{
		Name:   "endswith",
		Kind:   Function,
		Syntax: Syntax{Operator: "endswith"},
		Params: matchParams("ending"),
		Doc: Doc{
			Summary:  "Whether a string ends with a text, or with one of several: x endswith \"a\", x endswith (\"a\", \"b\"). The texts are literals.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat /str(args.filename) endswith (".so", ".ko")/ { print(comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			return checkMatch(c, call, asLiteral(pattern.AtEnd, false), never, strings.HasSuffix)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			return emitMatch(g, call, func(a *Arg, p *ir.Value, text string) *ir.Value {
				return endsIn(g, a, p, text)
			})
		},
	}
}

// never reports false: texts are not compared one by one.
func never([]string) bool { return false }

// endsIn computes whether the string a at p ends with a text: 0 or 1. It compares the
// text, including its NUL, at each position.
func endsIn(g Gen, a *Arg, p *ir.Value, text string) *ir.Value {
	want := append([]byte(text), 0)
	places := a.Type.Size - len(want) + 1
	b := g.B()
	found := &ir.Var{Name: "ends", Type: ir.Int}
	b.Write(found, b.Const(0))
	if places <= 0 {
		return b.Read(found)
	}
	b.Count(places, func(i *ir.Value, out *ir.Block) {
		at := b.Op(ir.OpAdd, p, i)
		b.Write(found, match.Equal(g.B(), at, want))
		b.Leave(b.Read(found), out)
		b.Leave(b.Op(ir.OpEq, b.Load(at, 0, 1, false), b.Const(0)), out)
	})
	return b.Read(found)
}
