package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// perCPUOffsets is the kernel's array of the offsets that lead from a per-CPU symbol to
// each CPU's copy.
const perCPUOffsets = "__per_cpu_offset"

func percpuKaddr() *Def {
	return &Def{
		Name:   "percpu_kaddr",
		Kind:   Function,
		Params: []Param{{Name: "symbol"}, {Name: "cpu", Optional: true}},
		Doc: Doc{
			Summary:  "Address of a per-CPU kernel symbol on this or another CPU; 0 for a CPU that does not exist.",
			Examples: []string{`interval:s:1 { printf("%p\n", percpu_kaddr("process_counts", 0)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			if !ok || call.arg(1) != nil && !wantInt(c, call, 1) {
				return types.TInvalid
			}
			var at [2]uint64
			for i, s := range []string{name, perCPUOffsets} {
				addr, ok := c.Kernel().Symbol(s)
				if !ok {
					c.Errorf(call.Span, "Could not resolve variable \"%s\" from BTF or /proc/kallsyms", s)
					return types.TInvalid
				}
				at[i] = addr
			}
			call.Data = at
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			at := call.Data.([2]uint64)
			var n *ir.Value
			if a := call.arg(1); a != nil {
				n = g.Value(a)
			} else {
				n = g.B().Call(ir.SmpProcessorID)
			}
			b := g.B()
			exists := b.Op(ir.OpULt, n, b.Const(int64(g.Kernel().NumCPU())))
			return g.B().IfElse(exists, func() *ir.Value {
				b := g.B()
				p := g.Temp(8)
				g.Read(p, 0, 8, b.Op(ir.OpAdd, b.Const(int64(at[1])), b.Op(ir.OpShl, n, b.Const(3))), types.Kernel, "percpu_kaddr")
				b = g.B()
				return b.Op(ir.OpAdd, b.Load(p, 0, 8, false), b.Const(int64(at[0])))
			}, func() *ir.Value { return g.B().Const(0) })
		},
	}
}
