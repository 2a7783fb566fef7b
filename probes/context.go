package probes

import (
	"strings"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
)

// Context describes a program at a point: how it is loaded and what it can read.
type Context struct {
	Kind *Kind
	// Shared is the context of a program for this point and others, if it differs from
	// that of a program for this point alone. Otherwise it is nil.
	Shared *Context
	Load   Load
	Args   Args
	Ret    Ret
	Func   TracedFunc
	Ctx    RawContext
	Only   Only
	// Packet describes how the program reads the packet for which it runs. It is nil if
	// there is none.
	Packet *Packet

	// Event emits code that reads the Event of the point for which a program of several
	// points runs. It is nil if the context does not contain it.
	Event func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Syscall emits code that reads the address of the registers that the process had
	// when it entered the system call for which the program runs. It is nil if only the
	// task contains them.
	Syscall func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Goroutine returns a function that emits code for the address of the number of the
	// running goroutine, or an error. member is the number's name in Go's runtime. It
	// is nil except for Go programs. Its result is valid only at points with the same
	// Load.Shape.
	Goroutine func(member string) (at func(b *ir.Builder, ctx *ir.Value) *ir.Value, err error)

	// Type returns a type of the traced program by its C name, or nil. It takes
	// precedence over the kernel's type with that name. Type may be nil.
	Type func(name string) *types.Type
	// Result is the default result of the program.
	Result int64
	// FixedResult is set if the program returns Result regardless of the script. The
	// kernel interprets the results of tracing programs as requests: to call the
	// program again, to skip the return probe, or to remove the probe.
	FixedResult bool
	// Verdict has the results that refuse what the program sees, if its kind Decides.
	Verdict Verdict
	// InTask is set if the current task is related to the event. It is false for packet
	// probes.
	InTask bool
	// Preemptible is set if, on a kernel with preemption, another task may run the same
	// program on the same CPU before this run ends.
	Preemptible bool
	// Stacks is set if kstack and ustack can be used. NoKernelStack is the reason why
	// kstack may nevertheless be empty, or "".
	Stacks        bool
	NoKernelStack string
	// Pinned is set if the program runs when other processes read the file of its
	// iterator, after the session has ended.
	Pinned bool
	// OtherTasks is set if programs may sleep and so read the memory of processes other
	// than the current one.
	OtherTasks bool
}

// NeedsOwnFrame reports whether the frame of a program must be on the stack of the task
// that runs it. On kernels with private stacks, frames are in memory that all tasks of a
// CPU use. On a kernel with preemption, that is wrong for uprobes. Programs of other
// types do not run again on a CPU before they end, because the kernel skips them.
func (c *Context) NeedsOwnFrame(k Kernel) bool {
	return c.Preemptible && c.Load.Type == ebpf.Kprobe && k.Has(FeatPreempt) && k.Has(FeatPrivateStack)
}

// Load describes how programs are loaded, and which points can share a program.
type Load struct {
	Type       ebpf.ProgramType
	AttachType ebpf.AttachType
	// AttachTo is the kernel function, iterator or security hook that gives the
	// program its BTF type (fentry, fexit, iter, lsm, rawtracepoint), or "". If
	// AttachProg is not 0, it is a function of that BPF program.
	AttachTo   string
	AttachProg ebpf.ProgramID
	// Shape identifies the context. Two points of one block with the same Shape can
	// share a program, unless Shape is "" or the program depends on the point.
	// BareShape is used instead for programs that use neither args nor argN.
	Shape, BareShape string
	// Multi is set if the program is loaded for a link to many points (object.Point.Multi).
	Multi bool
	// Sleeps returns whether a program at these points may sleep, and so wait until memory
	// of the process has been read from a file. Nil: it may not.
	Sleeps func() bool
	// Joins is set if the program may be part of a session with one at the returns, or at
	// the calls, of the same functions.
	Joins bool
}

// KeepsWithSockets reports whether the program can keep values in the memory of sockets
// that its arguments lead to.
func (l *Load) KeepsWithSockets() bool {
	switch l.AttachType {
	case ebpf.AttachTraceRawTp, ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit:
		return l.Type == ebpf.Tracing && l.AttachProg == 0 && !strings.HasPrefix(l.AttachTo, "bpf_sk_storage")
	}
	return l.Type == ebpf.LSM
}

// Args describes the arguments at a point: the builtins args and argN.
type Args struct {
	// Type is the type of args, with offsets from the program's context or from Base
	// (Space Ctx). It may be nil. Then Err may contain the reason.
	Type *types.Type
	Err  error
	// Base emits code that reads the address of the kernel object to which the offsets
	// in Type are relative. If it is nil, that is the context.
	Base func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Typed returns Type if finding it takes time. It is called only for programs that
	// use args. The result is valid only for this point, so each point of a wildcard
	// needs its own program. TypedOne does the same for the type of argN. It returns nil
	// if the type is not known. Both may be nil.
	Typed    func() (*types.Type, error)
	TypedOne func(n int) *types.Type
	// N is the number of argN: arg0 … arg(N-1). Read emits code that reads argN from
	// the context as a 64-bit integer. It is nil if there is no argN.
	N    int
	Read func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value
	// TypeOf returns the type of argN, and a warning about it or "". It returns an
	// error if argN cannot be read. If TypeOf is nil, all are uint64.
	TypeOf func(n int) (t *types.Type, warning string, err error)
	// Place returns the size in bytes of argN in the memory of the process, and emits code
	// that computes its address. It returns an error if argN is elsewhere. It is nil if
	// arguments cannot be written.
	Place func(n int) (size int, addr func(b *ir.Builder, ctx *ir.Value) *ir.Value, err error)
	// Space is the address space of pointers that argN, retval and reg return:
	// Kernel or User.
	Space types.Space
	// Lines returns the declarations that -lv prints below the name of the probe. It
	// may be nil.
	Lines func() []string
}

// Addr emits code that returns the address to which the offsets in Type are relative.
func (a *Args) Addr(b *ir.Builder, ctx *ir.Value) *ir.Value {
	if a.Base == nil {
		return ctx
	}
	return a.Base(b, ctx)
}

// Ret describes the result of the traced function: the builtin retval.
type Ret struct {
	Type *types.Type // nil: there is no retval
	// Typed returns a better Type if finding it takes time, or nil if there is none, or
	// an error if Read does not read the result. It may be nil. As for Args.Typed, the
	// result is valid only for this point. A struct with Space Ctx is spread over several
	// registers.
	Typed func() (*types.Type, error)
	// Struct returns the type of retval in retval.MEMBER, a struct with Space Ctx, or nil
	// if it is that of retval alone. It may be nil.
	Struct func() *types.Type
	// Read emits code that reads the result from the context as a 64-bit integer.
	Read func(b *ir.Builder, ctx *ir.Value) *ir.Value
}

// TracedFunc describes the function at a point: the builtins func and uaddr.
type TracedFunc struct {
	// Addr emits code that reads the function's address. It is nil if the address is
	// not known.
	Addr func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Here returns the function's address in this boot of the kernel. It is nil if Addr is
	// not. As for Name, the result is valid only for this point. ok is false if the
	// address is not known.
	Here func() (addr uint64, ok bool)
	Name string // the function's name if it is known at compile time, or ""
	User bool   // Addr is an address in a process
	// OfShape is set if Addr is valid only at points with the same Load.Shape.
	OfShape bool
	// Symbol returns the location of a symbol of the traced file: its distance in bytes
	// from Addr or, if fixed is true, its address. It is nil if there is no such file.
	Symbol func(name string) (at int64, size uint64, fixed, ok bool)
}

// RawContext describes the context that the kernel passes to the program: the
// builtins ctx and reg.
type RawContext struct {
	Type *types.Type // the struct that ctx points to; nil: there is no ctx
	// Word is the size in bytes of the smallest load that the kernel accepts. It is set
	// if the kernel replaces loads from the context by others, so that Type is not the
	// layout in memory. 0: Type is the layout in memory.
	Word int
	// Nullable is set if pointers loaded from Type or from Args.Type may be null, and
	// the verifier requires a check before they are followed.
	Nullable bool
	// EndMark is the offset of a pointer that is null when the kernel calls the program
	// once more after the last object. The program does nothing in that call. It is 0
	// if there is no such call.
	EndMark int64
	// Reg emits code that reads a register. It is nil if there are no registers.
	Reg func(b *ir.Builder, ctx *ir.Value, name string) (*ir.Value, error)
	// SetReg emits code that changes a register. It is nil if programs cannot do that on
	// any kernel.
	SetReg func(b *ir.Builder, ctx *ir.Value, name string, v *ir.Value) error
}

// Kfuncs reports whether programs of this type may call the kernel functions for
// tracing. If not, lacks is the feature with which they may, or "" if there is none.
func (c *Context) Kfuncs(k Kernel) (lacks Feature, ok bool) {
	switch c.Load.Type {
	case ebpf.Tracing, ebpf.LSM, ebpf.XDP, ebpf.SchedCLS:
		return "", true
	case ebpf.TracePoint, ebpf.PerfEvent:
		return FeatTracepointKfunc, k.Has(FeatTracepointKfunc)
	}
	return "", false
}

// regsType returns the type of a context that is struct pt_regs.
func regsType(e *Env, a *binary.Arch) *types.Type {
	return lazyStruct(e, "struct pt_regs", a.RegsSize)
}

// lazyStruct returns a struct in the context. It is looked up in BTF when one of its
// members is used.
//
//go:noinline
func lazyStruct(e *Env, name string, size int) *types.Type {
	return &types.Type{Kind: types.Struct, Name: name, Size: size, Space: types.Ctx, Comp: types.NewComposite(strings.HasPrefix(name, "union "), func() []types.Field {
		t, err := e.Kernel.Type(name)
		if err != nil {
			return nil
		}
		return t.Members()
	})}
}
