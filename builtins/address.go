package builtins

import (
	"os"
	"syscall"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func kaddr() *Def {
	return &Def{
		Name:   "kaddr",
		Kind:   Function,
		Params: []Param{{Name: "symbol"}},
		Doc: Doc{
			Summary:  "Address of a kernel symbol.",
			Examples: []string{`begin { printf("%p\n", kaddr("vfs_read")); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			if !ok {
				return types.TInvalid
			}
			addr, ok := c.Kernel().Symbol(name)
			if !ok {
				c.Errorf(call.Span, "Failed to resolve kernel symbol: %s", name)
				return types.TInvalid
			}
			call.Lit = addrLit(addr)
			return types.TUint64
		},
		Emit: emitLit,
	}
}

func addrLit(addr uint64) *Lit { return &Lit{Int: int64(addr), Unsigned: int64(addr) < 0} }

// perCPUOffsets is the kernel's array of what to add to a per-CPU symbol for
// each CPU.
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
					c.Errorf(call.Span, "Failed to resolve kernel symbol: %s", s)
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
			return g.IfElse(exists, func() *ir.Value {
				b := g.B()
				p := g.Temp(8)
				g.Read(p, 0, 8, b.Op(ir.OpAdd, b.Const(int64(at[1])), b.Op(ir.OpShl, n, b.Const(3))), types.Kernel, "percpu_kaddr")
				b = g.B()
				return b.Op(ir.OpAdd, b.Load(p, 0, 8, false), b.Const(int64(at[0])))
			}, func() *ir.Value { return g.B().Const(0) })
		},
	}
}

// userSymbol is what uaddr knows when compiling: where the symbol is in a
// program that is not moved, or else how far it is from the probed function.
type userSymbol struct {
	fixed bool
	at    int64
}

func uaddr() *Def {
	return &Def{
		Name:   "uaddr",
		Kind:   Function,
		Params: []Param{{Name: "symbol"}},
		Doc: Doc{
			Summary:  "Address of a symbol of the probed program or library, in the current process; a pointer to a signed integer of the symbol's size.",
			Examples: []string{`uprobe:/bin/bash:readline { printf("%s\n", str(*uaddr("ps1_prompt"))); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			if !ok {
				return types.TInvalid
			}
			c.NeedsPoint()
			ctx, p := c.Context(), c.Point()
			if ctx == nil || ctx.Symbol == nil {
				c.Errorf(call.Span, "uaddr can only be used in uprobes, uretprobes and usdt probes")
				return types.TInvalid
			}
			if p == nil {
				return types.NewPointer(types.TInt64, types.User)
			}
			at, symSize, fixed, ok := ctx.Symbol(name)
			if !ok {
				c.Errorf(call.Span, "Could not resolve symbol: %s:%s", p.Target, name)
				return types.TInvalid
			}
			if !fixed && ctx.Func == nil {
				c.Errorf(call.Span, "uaddr in a uretprobe of a program or library that is loaded anywhere needs Linux 6.6")
				return types.TInvalid
			}
			call.Data = userSymbol{fixed, at}
			size := 8
			switch symSize {
			case 1, 2, 4:
				size = int(symSize)
			}
			return types.NewPointer(types.NewInt(size, true), types.User)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			// Program and library are where the probed function is.
			b, sym := g.B(), call.Data.(userSymbol)
			if sym.fixed {
				return b.Const(sym.at)
			}
			return b.Op(ir.OpAdd, g.Context().Func(b, g.Ctx()), b.Const(sym.at))
		},
	}
}

func cgroupID() *Def {
	return &Def{
		Name:   "cgroupid",
		Kind:   Function,
		Params: []Param{{Name: "path"}},
		Doc: Doc{
			Summary:  "ID of the cgroup at a path of the v2 hierarchy, to compare cgroup with.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read /cgroup == cgroupid("/sys/fs/cgroup")/ { @ = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			path, ok := wantString(c, call, 0)
			if !ok {
				return types.TInvalid
			}
			info, err := os.Stat(path)
			if err != nil {
				c.Errorf(call.Span, "Failed to get cgroupid for path %q: %v", path, err.(*os.PathError).Err)
				return types.TInvalid
			}
			// In cgroupfs a directory's inode number is the cgroup's ID.
			call.Lit = addrLit(info.Sys().(*syscall.Stat_t).Ino)
			return types.TUint64
		},
		Emit: emitLit,
	}
}

func kptr() *Def {
	return spaceCast("kptr", types.Kernel, "kernel", `kprobe:vfs_read { print(str(kptr(arg1))); }`)
}

func uptr() *Def {
	return spaceCast("uptr", types.User, "user", `kprobe:do_sys_openat2 { print(str(uptr(arg1))); }`)
}

// spaceCast is a function that says which memory an address means.
func spaceCast(name string, space types.Space, what, example string) *Def {
	return &Def{
		Name:   name,
		Kind:   Function,
		Params: []Param{{Name: "ptr"}},
		Doc: Doc{
			Summary:  "The same address, taken to be one of " + what + " memory.",
			Examples: []string{example},
		},
		Check: func(c Checker, call *Call) *types.Type {
			switch t := call.typeOf(0); t.Kind {
			case types.Pointer:
				return types.NewPointer(t.Elem.InSpace(space), space)
			case types.Int:
				return types.TUint64.InSpace(space)
			case types.Invalid:
			default:
				c.Errorf(call.Span, "%s() only supports integer or pointer arguments (%s provided)", name, className(t))
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value { return g.Value(&call.Args[0]) },
	}
}

func containerOf() *Def {
	return &Def{
		Name:   "container_of",
		Kind:   Function,
		Params: []Param{{Name: "ptr"}, {Name: "type", Kind: TypeParam}, {Name: "member", Kind: NameArg}},
		Doc: Doc{
			Summary:  "The object of a type whose member a pointer points to.",
			Examples: []string{`begin { $t = curtask.group_leader; print(container_of($t, struct task_struct, thread_info)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if len(call.Args) < 3 || !call.known(0) || !call.known(1) {
				return types.TInvalid
			}
			ptr, t := call.typeOf(0), call.typeOf(1)
			if ptr.Kind != types.Pointer && ptr.Kind != types.Int {
				c.Errorf(call.Args[0].Span, "container_of() expects a pointer (%s provided)", className(ptr))
				return types.TInvalid
			}
			if t.Kind != types.Struct {
				c.Errorf(call.Args[1].Span, "container_of() expects a struct or union, not %s", t)
				return types.TInvalid
			}
			off, ok := memberOffset(c, t, &call.Args[2])
			if !ok {
				return types.TInvalid
			}
			call.Data = off
			space := ptr.Space
			if space != types.User { // what is in front of a BTF pointer is not known to the verifier
				space = types.Kernel
			}
			return types.NewPointer(t.InSpace(space), space)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			b := g.B()
			// To the verifier a pointer to a kernel object is one to that type, and
			// what is in front of it is not there.
			return b.Op(ir.OpSub, b.AsInt(g.Value(&call.Args[0])), b.Const(int64(call.Data.(int))))
		},
	}
}
