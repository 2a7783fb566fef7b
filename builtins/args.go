package builtins

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/binary"
)

func args() *Def {
	return &Def{
		Name:   "args",
		Traits: Traits{Args: true, AllArgs: true, NotInLoop: true},
		Doc: Doc{
			Summary:  "The probe's arguments by name: args.filename.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args.filename)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			switch {
			case ctx != nil && ctx.Args.Type != nil:
				return withCopies(ctx.Args.Type, c.Config().MaxStrlen+1)
			case ctx != nil && ctx.Args.Typed != nil:
				c.NeedsPoint()
				t, err := ctx.Args.Typed()
				if err == nil {
					return t
				}
				c.Errorf(call.Span, "%s", err)
			case ctx != nil && ctx.Args.Err != nil:
				c.Errorf(call.Span, "%s", ctx.Args.Err)
			default:
				c.ErrorHint(call.Span, argsElsewhere(ctx), "The args builtin can only be used with tracepoint, rawtracepoint, fentry/fexit, and uprobe probes (%s used here)", kindShown(c))
			}
			return types.TInvalid
		},
		Emit:  func(g Gen, _ *Call) *ir.Value { return g.Context().Args.Addr(g.B(), g.Ctx()) },
		Store: func(g Gen, call *Call, dst Dest) { storeContext(g, call.Type, dst) },
	}
}

// argsElsewhere returns a hint for a probe without args: which kind of probe has args,
// and what this probe has instead. ctx may be nil.
func argsElsewhere(ctx *probes.Context) string {
	if ctx == nil {
		return ""
	}
	var hints []string
	if ctx.Kind.Named != "" {
		hints = append(hints, "probes of kind "+ctx.Kind.Named+" have the arguments by name")
	}
	switch {
	case ctx.Args.N > 0:
		hints = append(hints, "here they are arg0, arg1 and so on")
	case ctx.Ret.Type != nil:
		hints = append(hints, "here there is only retval")
	}
	return strings.Join(hints, "; ")
}

// withCopies returns the type of args for t, the struct in the context. It adds members
// for copies of the texts that members of t locate, of up to size bytes each.
func withCopies(t *types.Type, size int) *types.Type {
	if !slices.ContainsFunc(t.Members(), types.Field.Recorded) {
		return t
	}
	end := types.RoundUp(t.Size, 8)
	fields := slices.Clone(t.Members())
	for i := range fields {
		f := &fields[i]
		if !f.Recorded() {
			continue
		}
		if f.Type.Kind == types.Pointer && f.Type.Elem.Kind == types.Int && f.Type.Elem.Name == "char" {
			f.Type = types.NewString(size)
		}
		f.Copy = end
		end += types.RoundUp(f.Type.Size, 8)
	}
	full := *t
	full.Size, full.Comp = end, types.NewComposite(false, func() []types.Field { return fields })
	return &full
}

// storeContext copies a struct in the context, field by field: the verifier accepts
// only aligned loads from the context.
func storeContext(g Gen, t *types.Type, dst Dest) {
	b := g.B()
	b.Zero(dst.Ptr, dst.Off, dst.Size)
	base := g.Context().Args.Addr(b, g.Ctx())
	for _, f := range t.Members() {
		if f.Recorded() {
			storeRecorded(g, f, dst)
			continue
		}
		if f.Closed {
			g.Read(dst.Ptr, dst.Off+int64(f.Off), f.Type.Size, b.AddImm(b.AsInt(g.Ctx()), int64(f.Off)), types.Kernel, "")
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
			b.Store(dst.Ptr, dst.Off+int64(off), n, b.Load(base, int64(off), n, false))
			off, left = off+n, left-n
		}
	}
}

// storeRecorded copies the data whose location in the context is in f: a text, or the
// address of any other data.
func storeRecorded(g Gen, f types.Field, dst Dest) {
	b := g.B()
	loc := b.Op(ir.OpAnd, b.Load(g.Ctx(), int64(f.Off), 4, false), b.Const(0xffff))
	if f.RelLoc {
		loc = b.AddImm(loc, int64(f.Off)+4)
	}
	addr := b.Op(ir.OpAdd, b.AsInt(g.Ctx()), loc)
	if f.Type.Kind == types.Pointer {
		b.Store(dst.Ptr, dst.Off+int64(f.Copy), 8, addr)
		return
	}
	g.ReadStr(dst.Ptr, dst.Off+int64(f.Copy), b.Const(int64(f.Type.Size)), f.Type.Size, addr, types.Kernel)
}
