package builtins

import (
	"bytes"
	"fmt"

	"github.com/gotrace/gotrace/lang/types"
)

func fail() *Def {
	return &Def{
		Name:   "fail",
		Kind:   Action,
		Traits: Traits{AtOnce: true},
		Params: formatParams,
		Doc: Doc{
			Summary:  "Stops the compilation with a message, unless a condition that is known at compile time excludes the call. The arguments are literals.",
			Examples: []string{`begin { if comptime (!is_integer(pid)) { fail("pid is not a number"); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !c.Final() {
				return types.TVoid
			}
			m := checkFormat(c, call, 0)
			if m == nil {
				return types.TVoid
			}
			for i := range call.Args[1:] {
				if a := &call.Args[i+1]; a.Lit == nil {
					c.Errorf(a.Span, "fail() only takes literals after the format")
					return types.TVoid
				}
			}
			c.Errorf(call.Span, "%s", m.renderLits(call.Args[1:]))
			return types.TVoid
		},
		Emit: emitNothing,
	}
}

// renderLits returns the message if all arguments are literals.
func (m *message) renderLits(args []Arg) string {
	var out bytes.Buffer
	n := 0
	for i := range m.format.Pieces {
		switch p := &m.format.Pieces[i]; {
		case p.Verb == 0:
			out.WriteString(p.Text)
		case p.Verb == '%':
			out.WriteByte('%')
		case args[n].Lit.IsStr:
			start := []byte(args[n].Lit.Str)
			out.Write(p.Fill(start, 0, 0))
			n++
		case args[n].Lit.IsBool && p.Verb == 's':
			out.WriteString(fmt.Sprint(args[n].Lit.Int != 0))
			n++
		default:
			q := *p
			if q.Verb == 's' {
				q.Verb = 'd'
			}
			out.Write(q.AppendInt(nil, m.Args[n].Type, m.Args[n].Fixed))
			n++
		}
	}
	return out.String()
}
