package builtins

import (
	"bytes"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// maxDebugArgs is the number of arguments that bpf_trace_printk takes.
const maxDebugArgs = 3

func debugf() *Def {
	return &Def{
		Name:   "debugf",
		Kind:   Action,
		Traits: Traits{AtOnce: true},
		Params: formatParams,
		Doc: Doc{
			Summary:  "Writes to the kernel's trace pipe, with at most 3 arguments. Use it only for debugging: it is slow and all users share the pipe.",
			Examples: []string{`interval:s:1 { debugf("tick on CPU %d", cpu); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			c.Warnf(call.Span, "The debugf() builtin is not recommended for production use. For more information see bpf_trace_printk in bpf-helpers(7).")
			m := checkFormat(c, call, 0)
			if m == nil {
				return types.TVoid
			}
			if len(call.Args)-1 > maxDebugArgs {
				c.Errorf(call.Span, "cannot use more than %d conversion specifiers", maxDebugArgs)
				return types.TVoid
			}
			var text bytes.Buffer
			n := 0
			for i := range m.format.Pieces {
				p := &m.format.Pieces[i]
				if !p.Takes() {
					text.WriteString(p.Text)
					continue
				}
				n++
				a := &call.Args[n]
				conversion, ok := kernelConversion(p, a.Type)
				if !ok {
					c.Errorf(a.Span, "debugf() cannot print a value of type '%s' with %s", a.Type, p.Text)
					return types.TVoid
				}
				text.WriteString("%" + conversion)
			}
			call.Data = text.String()
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			format := append([]byte(call.Data.(string)), 0)
			var vals []*ir.Value
			for i := range call.Args[1:] {
				a := &call.Args[i+1]
				if a.Type.IsScalar() {
					vals = append(vals, g.Value(a))
				} else {
					vals = append(vals, g.Addr(a))
				}
			}
			b := g.B()
			b.Call(ir.TracePrintk, append([]*ir.Value{g.Rodata(format), b.Const(int64(len(format)))}, vals...)...)
			return nil
		},
	}
}
