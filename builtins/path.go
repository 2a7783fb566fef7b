package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

func path() *Def {
	return &Def{
		Name:   "path",
		Kind:   Function,
		Params: []Param{{Name: "path"}, {Name: "size", Optional: true}},
		Doc: Doc{
			Summary:  "The full path of a struct path, in fentry, fexit and iterators; at most max_strlen characters, or size.",
			Examples: []string{`fentry:filp_close { printf("%s\n", path(args.filp.f_path)); }`},
		},
		Refusals: []Refusal{{
			Helper: "bpf_d_path", Why: []string{"helper call is not allowed in probe"},
			Msg:  "the kernel does not allow path() in this function",
			Hint: "it does in filp_close, dentry_open, vfs_truncate, vfs_fallocate, vfs_getattr, security_file_open, security_file_permission and iterators",
		}, {
			Helper: "bpf_d_path", Why: []string{"R1 type=", "R1 must"},
			Msg:  "the kernel does not trust this pointer: path() takes what args or curtask lead to, not what comes from a map or, on newer kernels, retval",
			Hint: "call path() where args has the file",
		}},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			if ctx == nil || ctx.Kind.Paths == (probes.Version{}) {
				c.Errorf(call.Span, "The path function can only be used with 'fentry', 'fexit', 'iter' probes")
				return types.TInvalid
			}
			if since := ctx.Kind.Paths; c.Kernel().Release().Less(since) {
				c.Errorf(call.Span, "%s", probes.NeedsRelease(c.Kernel(), "path() in "+ctx.Kind.Name+" probes", since.String()))
				return types.TInvalid
			}
			t := call.typeOf(0)
			if t.Kind == types.Pointer {
				t = t.Elem
			}
			if t.Kind != types.Struct && t.Kind != types.Invalid || t.Kind == types.Struct && (t.Name != "struct path" || t.Space != types.BTF && t.Space != types.Ctx) {
				c.Errorf(call.Args[0].Span, "path() only supports pointers to a struct path of the kernel, as args gives them (%s provided)", t)
				return types.TInvalid
			}
			size := c.Config().MaxStrlen
			if a := call.arg(1); a != nil {
				if a.Lit == nil || a.Lit.IsStr || a.Lit.Int < 1 {
					c.Errorf(a.Span, "path: invalid size value, need non-negative literal")
					return types.TInvalid
				}
				size = int(min(a.Lit.Int, int64(size)))
			}
			return types.NewString(size)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			size := call.Type.Size
			if dst.Padded {
				g.B().Zero(dst.Ptr, dst.Off, dst.Size)
			}
			empty := func() { g.B().Store(dst.Ptr, dst.Off, 1, g.B().Const(0)) }
			g.Object(&call.Args[0], func(p *ir.Value) {
				b := g.B()
				n := b.Call(ir.DPath, p, b.AddImm(dst.Ptr, dst.Off), b.Const(int64(size)))
				g.B().If(b.Op(ir.OpSLt, n, b.Const(0)), func() {
					empty()
					g.Count(object.HelperFail, call.Span, "path")
				})
				SetStrLen(g, dst, n)
			}, func() {
				empty()
				SetStrLen(g, dst, g.B().Const(1))
			})
		},
	}
}
