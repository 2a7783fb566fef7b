package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func writeUser() *Def {
	return &Def{
		Name:   "write_user",
		Kind:   Function,
		Traits: Traits{Acts: true, Unsafe: true, Refusals: overwriteRefused},
		Params: []Param{{Name: "dst"}, {Name: "src"}, {Name: "size"}},
		Doc: Doc{
			Summary:  "Overwrites memory of the current process with the first size bytes of a variable. size is a literal. The result is true if that succeeds. Needs --unsafe.",
			Examples: []string{`uprobe:/bin/bash:readline { $x = (uint64)1; $ok = write_user(arg0, $x, 8); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !needsTask(c, call) || len(call.Args) < 3 || !wantAddress(c, call, 0) {
				return types.TInvalid
			}
			size := call.Args[2]
			src := call.typeOf(1)
			switch {
			case size.Lit == nil || size.Lit.IsStr || size.Lit.Int < 1:
				c.Errorf(size.Span, "write_user: invalid size value (must be a positive literal)")
			case src.Kind == types.Agg || src.Kind == types.Opaque:
				c.Errorf(call.Args[1].Span, "write_user: a %s has no bytes of its own to write", src)
			case c.Final() && call.known(1) && src.Kind != types.Pointer && size.Lit.Int > int64(src.Size):
				c.Errorf(size.Span, "write_user: the size is %d, but %s has only %d bytes", size.Lit.Int, src, src.Size)
			default:
				return types.TBool
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			src, size := &call.Args[1], int(call.Args[2].Lit.Int)
			dst := g.Value(&call.Args[0])
			var p *ir.Value
			switch {
			case src.Type.Kind == types.Pointer: // copy the bytes at its target first
				p = g.Temp(size)
				g.Read(p, 0, size, g.Value(src), pointee(g, src.Type), "write_user")
			case src.Type.IsScalar():
				p = g.Temp(src.Type.Size)
				g.Store(src, src.Type, Dest{Ptr: p, Size: src.Type.Size})
			default:
				p = g.Addr(src)
			}
			b := g.B()
			r := b.Call(ir.ProbeWriteUser, dst, p, b.Const(int64(size)))
			return b.Op(ir.OpEq, r, b.Const(0))
		},
	}
}

// overwriteRefused explains why a program may not overwrite the memory of processes.
var overwriteRefused = []Refusal{{
	Helper: "bpf_probe_write_user", Why: noHelper,
	Msg: "the kernel does not offer to overwrite the memory of processes: it is locked down",
}}
