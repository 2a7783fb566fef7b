package builtins

import (
	"slices"

	"github.com/gotrace/gotrace/builtins/paths"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/object"
	"golang.org/x/sys/unix"
)

func path() *Def {
	return &Def{
		Name:   "path",
		Kind:   Function,
		Params: []Param{{Name: "path"}, {Name: "size", Optional: true}},
		Doc: Doc{
			Summary: "The full path of a struct path, struct file or struct linux_binprm of the kernel, as the current task sees it. If the path is longer than max_strlen, or size, its beginning is cut off. " +
				"A struct dentry does not record where its file system is mounted, so its path starts at the root of that file system. " +
				"If the kernel has no helper for it, the program follows the names itself. A rename at the same time may then mix old and new names. " +
				"Before Linux 5.17 it follows at most 256 names, and fewer in a program with more than 7 calls. The beginning of a path with more names is cut off.",
			Examples: []string{
				`fentry:filp_close { printf("%s\n", path(args.filp.f_path)); }`,
				`fexit:do_filp_open { $p = retval->f_path; @[path($p, 48)] = count(); }`,
				`lsm:bprm_check_security { printf("%s\n", path(args.bprm)); }`,
			},
		},
		Traits: Traits{
			Refusals: []Refusal{{
				Helper: "bpf_d_path", Why: []string{"helper call is not allowed in probe"},
				Msg:  "the kernel does not allow path() in this function",
				Hint: "assign the struct path to a variable first: $p = …; path($p)",
			}, {
				Helper: "bpf_d_path", Why: []string{"R1 type=", "R1 must"},
				Msg:  "the kernel does not trust this pointer",
				Hint: "assign the struct path to a variable first: $p = …; path($p)",
			}},
		},
		Check: checkPath,
		Store: storePath,
	}
}

// pathObjects are the structs that path() accepts. Each function calls whole with the
// address of the struct path in the object at p, or bare with that of its struct dentry.
var pathObjects = lazy.Table[map[string]func(g Gen, lay *paths.Layout, p *ir.Value, whole, bare func(p *ir.Value))]{New: func() map[string]func(g Gen, lay *paths.Layout, p *ir.Value, whole, bare func(p *ir.Value)) {
	return map[string]func(g Gen, lay *paths.Layout, p *ir.Value, whole, bare func(p *ir.Value)){
		"struct path": func(_ Gen, _ *paths.Layout, p *ir.Value, whole, _ func(p *ir.Value)) { whole(p) },
		"struct file": func(g Gen, lay *paths.Layout, p *ir.Value, whole, _ func(p *ir.Value)) {
			whole(g.B().AddImm(p, lay.FilePath))
		},
		"struct linux_binprm": func(g Gen, lay *paths.Layout, p *ir.Value, whole, _ func(p *ir.Value)) {
			b := g.B()
			word := b.Slot(8)
			b.Call(ir.ReadKernel, word, b.Const(8), b.AsInt(b.AddImm(p, lay.ProgramFile)))
			whole(b.AddImm(b.Load(word, 0, 8, false), lay.FilePath))
		},
		"struct dentry": func(_ Gen, _ *paths.Layout, p *ir.Value, _, bare func(p *ir.Value)) { bare(p) },
	}
}}

func checkPath(c Checker, call *Call) *types.Type {
	if c.Context() == nil {
		return types.TInvalid
	}
	if !needsTask(c, call) {
		return types.TInvalid
	}
	t := call.typeOf(0)
	space := t.Space
	if t.Kind == types.Pointer {
		t = t.Elem
		space = t.Space
	}
	switch {
	case t.Kind == types.Invalid:
	case t.Kind != types.Struct || pathObjects.Get()[t.Name] == nil:
		c.Errorf(call.Args[0].Span, "path() only supports a struct path, file, dentry or linux_binprm of the kernel and pointers to one (%s provided)", t)
		return types.TInvalid
	case space == types.User:
		c.Errorf(call.Args[0].Span, "path() only supports a %s of the kernel, not one in user memory", t.Name)
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
	lay, err := paths.New(c.Kernel())
	if err != nil {
		c.Errorf(call.Span, "path() needs the kernel's BTF: %v", err)
		return types.TInvalid
	}
	call.Data = lay
	return types.NewString(size)
}

// pathFuncs are the functions in which the kernel lets programs call bpf_d_path. They
// hold none of the locks that bpf_d_path takes (btf_allowlist_d_path in
// kernel/trace/bpf_trace.c).
var pathFuncs = []string{
	"security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate",
	"vfs_truncate", "vfs_fallocate", "dentry_open", "vfs_getattr", "filp_close",
}

// ownNameMax is the most bytes of a name that is not in a directory, such as that of a
// pipe. With a buffer of that size, bpf_d_path does not truncate it.
const ownNameMax = 64

// helperFindsPath reports whether to call bpf_d_path for a struct path at p. The kernel
// trusts an address only if it was loaded from the arguments without any other
// operation.
func helperFindsPath(g Gen, call *Call, p *ir.Value) bool {
	ctx := g.Context()
	switch {
	case !ctx.Kind.Paths, ctx.Load.AttachProg != 0,
		ctx.Kind.FuncArgs && !slices.Contains(pathFuncs, ctx.Load.AttachTo),
		!g.Kernel().Has(probes.FeatPathTail), call.Type.Size < ownNameMax,
		ctx.Ret.Read != nil, p.Type != ir.PtrBTF:
		return false
	}
	for p.Derives() || p.Loads(8) {
		if p = p.Args[0]; p.Type == ir.PtrCtx {
			return true
		}
	}
	return false
}

func storePath(g Gen, call *Call, dst Dest) {
	if dst.Padded {
		g.B().Zero(dst.Ptr, dst.Off, dst.Size)
	}
	empty := func() {
		g.B().Store(dst.Ptr, dst.Off, 1, g.B().Const(0))
		SetStrLen(g, dst, g.B().Const(1))
	}
	t := call.typeOf(0)
	if t.Kind == types.Pointer {
		t = t.Elem
	}
	lay := call.Data.(*paths.Layout)
	walk := func(p *ir.Value, bare bool) {
		w := paths.Walk{Layout: lay, Size: call.Type.Size, Calls: call.Calls, Bare: bare, Failed: func() { g.Count(object.HelperFail, call.Span, call.Def.Name) }}
		SetStrLen(g, dst, w.Emit(g, p, dst.Ptr, dst.Off))
	}
	g.Object(&call.Args[0], func(p *ir.Value) {
		pathObjects.Get()[t.Name](g, lay, p, func(p *ir.Value) {
			if helperFindsPath(g, call, p) {
				callPath(g, call, dst, p)
			} else {
				walk(p, false)
			}
		}, func(p *ir.Value) { walk(p, true) })
	}, empty)
}

// callPath emits a call of bpf_d_path.
func callPath(g Gen, call *Call, dst Dest, p *ir.Value) {
	size := call.Type.Size
	b := g.B()
	to := b.AddImm(dst.Ptr, dst.Off)
	if dst.Padded { // the helper leaves remains of the path after its NUL
		to = g.Temp(size)
	}
	if !g.Kernel().Has(probes.FeatUnwrittenStack) {
		b.Zero(to, 0, size)
	}
	n := b.Call(ir.DPath, p, to, b.Const(int64(size)))
	n = b.IfElse(b.Op(ir.OpSLt, n, b.Const(0)), func() *ir.Value {
		b := g.B()
		b.Cur.Unlikely = true
		return b.IfElse(b.Op(ir.OpEq, n, b.Const(-int64(unix.ENAMETOOLONG))), func() *ir.Value {
			return g.B().Const(int64(size))
		}, func() *ir.Value {
			b := g.B()
			b.Store(to, 0, 1, b.Const(0))
			g.Count(object.HelperFail, call.Span, call.Def.Name)
			return g.B().Const(1)
		})
	}, func() *ir.Value { return n })
	if dst.Padded {
		g.ReadStr(dst.Ptr, dst.Off, g.B().Const(int64(size)), size, to, types.Kernel)
	}
	SetStrLen(g, dst, n)
}
