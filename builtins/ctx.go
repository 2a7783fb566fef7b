package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func context() *Def {
	return &Def{
		Name: "ctx",
		Doc: Doc{
			Summary:  "The program's context, as the kernel passes it: fields of iterators, registers of kprobes and perf events.",
			Examples: []string{`iter:task { printf("%s %d\n", ctx.task.comm, ctx.task.pid); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			switch {
			case ctx != nil && ctx.CtxType != nil:
				return types.NewPointer(ctx.CtxType.InSpace(types.Ctx), types.Ctx)
			case ctx != nil && ctx.Args != nil:
				c.Errorf(call.Span, "Use args instead of ctx in %s", ctx.Kind.Name)
			case ctx != nil:
				c.Errorf(call.Span, "The ctx builtin can not be used with '%s' probes", ctx.Kind.Name)
			default:
				c.Errorf(call.Span, "The ctx builtin can not be used in functions")
			}
			return types.TInvalid
		},
		Emit: func(g Gen, _ *Call) *ir.Value { return g.Ctx() },
	}
}

func reg() *Def {
	return &Def{
		Name:   "reg",
		Kind:   Function,
		Params: []Param{{Name: "name"}},
		Doc: Doc{
			Summary:  "A register of the probed code; pc and sp have that name on every architecture.",
			Examples: []string{`kprobe:vfs_read { printf("%p %p\n", reg("sp"), reg("pc")); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			ctx := c.Context()
			switch {
			case ctx == nil || ctx.Reg == nil:
				c.Errorf(call.Span, "reg can not be used with %s probes: they have no registers", kindOf(c, "these"))
			case !ok:
			default:
				// Whether there is such a register shows where it is read.
				b := ir.NewFunc("", ir.PtrCtx)
				if _, err := ctx.Reg(b, b.Param(0), name); err != nil {
					c.Errorf(call.Args[0].Span, "'%s' is not a valid register on this architecture (%s)", name, c.Kernel().Arch())
					return types.TInvalid
				}
				return types.TUint64
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			v, err := g.Context().Reg(g.B(), g.Ctx(), call.Args[0].Lit.Str)
			if err != nil {
				panic("builtins: reg: " + err.Error()) // Check has tried it
			}
			return v
		},
	}
}

func usermode() *Def {
	return &Def{
		Name: "usermode",
		Doc: Doc{
			Summary:  "1 if the probe interrupted user code, 0 if it interrupted the kernel; x86 only.",
			Examples: []string{`profile:hz:99 { @[usermode] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			switch {
			case c.Kernel().Arch() != "amd64":
				c.Errorf(call.Span, "'usermode' builtin is only supported on x86")
				return types.TInvalid
			case ctx == nil:
				c.Errorf(call.Span, "The usermode builtin can only be used in probes")
				return types.TInvalid
			case ctx.Kind.Attach == nil: // begin and end: our own process runs the program
				call.Lit = &Lit{Int: 1}
			case ctx.Reg == nil: // the kernel calls the program from its own code
				call.Lit = &Lit{Int: 0}
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			// The lowest bit of the code segment's selector is set in user mode only.
			cs, err := g.Context().Reg(g.B(), g.Ctx(), "cs")
			if err != nil {
				panic("builtins: usermode: " + err.Error())
			}
			return g.B().Op(ir.OpAnd, cs, g.B().Const(1))
		},
	}
}
