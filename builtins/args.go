package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
)

func args() *Def {
	return &Def{
		Name:      "args",
		Args:      true,
		NotInLoop: true,
		Doc: Doc{
			Summary:  "The probe's arguments by name: args.filename.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args.filename)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			switch {
			case ctx != nil && ctx.Args != nil:
				return ctx.Args
			case ctx != nil && ctx.TypedArgs != nil:
				c.NeedsPoint()
				t, err := ctx.TypedArgs()
				if err == nil {
					return t
				}
				c.Errorf(call.Span, "%s", err)
			case ctx != nil && ctx.ArgsErr != nil:
				c.Errorf(call.Span, "%s", ctx.ArgsErr)
			default:
				hint := ""
				if ctx != nil && ctx.FuncName != "" {
					hint = "fentry:" + ctx.FuncName + " has the arguments by name; here they are arg0, arg1 and so on"
				}
				c.ErrorHint(call.Span, hint, "The args builtin can only be used with tracepoint, rawtracepoint, fentry/fexit, and uprobe probes (%s used here)", kindShown(c))
			}
			return types.TInvalid
		},
		Emit:  func(g Gen, _ *Call) *ir.Value { return g.Ctx() },
		Store: func(g Gen, call *Call, dst Dest) { storeContext(g, call.Type, dst) },
	}
}

// storeContext copies a struct in the context, field by field: the kernel's
// verifier accepts only aligned loads of what the context holds.
func storeContext(g Gen, t *types.Type, dst Dest) {
	b := g.B()
	b.Zero(dst.Ptr, dst.Off, dst.Size)
	for _, f := range t.Members() {
		if f.DataLoc || f.RelLoc {
			continue
		}
		if l := f.Loc; l != nil {
			if l.Memory {
				addr := b.AddImm(b.Load(g.Ctx(), int64(l.Base), 8, false), l.Disp)
				g.Read(dst.Ptr, dst.Off+int64(f.Off), f.Type.Size, addr, types.User, "")
			}
			binary.StoreParts(b, g.Ctx(), l.Parts, dst.Ptr, dst.Off+int64(f.Off))
			continue
		}
		for off, left := f.Off, f.Type.Size; left > 0; {
			n := 8
			for n > left || off%n != 0 {
				n /= 2
			}
			if off+n > dst.Size {
				return
			}
			b.Store(dst.Ptr, dst.Off+int64(off), n, b.Load(g.Ctx(), int64(off), n, false))
			off, left = off+n, left-n
		}
	}
}
