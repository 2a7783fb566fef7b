// Package probes knows the kinds of probes: how their attach points are
// written, which places on a system they match, what a program attached there
// can read, and how it is attached. Each kind is one file with one Kind value;
// Kinds lists them all.
//
// What a kind needs to know of a kernel it asks a Kernel: the live one or a
// frozen one (package probes/kernel).
package probes

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
)

// Kind is one kind of probe.
type Kind struct {
	Name    string
	Aliases []string
	Syntax  string // for help and errors: "kprobe:[module:]function[+offset]"
	Doc     string // one or two sentences
	Since   string // first kernel release it works on, "" if 5.10

	// Parse checks the parts of an attach point (parts[0] is the provider) and
	// returns the point they describe, not yet expanded.
	Parse func(e *Env, parts []string) (*Point, error)
	// Expand returns the points on this system that p matches, in a stable
	// order; p itself where it holds no wildcard. An empty result means no match.
	Expand func(e *Env, p *Point) ([]*Point, error)
	// Context says what a program attached to p can do. It may read BTF,
	// tracefs or an ELF file, so it is called only for points in use.
	Context func(e *Env, p *Point) (*Context, error)
	// Attach attaches a loaded program. The closer detaches it. It is nil where
	// Runs is not OnEvent.
	Attach func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error)
	// AttachMany attaches one program to all of ps at once where that is
	// faster; nil, or an error wrapping ebpf.ErrNotSupported: one by one.
	AttachMany func(e *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error)
	// List yields the names of all attach points that match a search pattern
	// (parts as in Parse, wildcards allowed).
	List func(e *Env, parts []string, yield func(name string) bool) error
	// Reverse says that of several programs attached to one place the kernel runs
	// the one attached last first.
	Reverse bool
	// Return is the name of the kind for the returns of the same functions, where the
	// kernel can run one program at both; "": there is none.
	Return string
	// Alone says that such a probe, with one attach point, is all of a script.
	Alone bool
	// Suggest is the nearest name to one that Expand did not find, or "". It may
	// read long lists, so it is for error messages only. May be nil.
	Suggest func(e *Env, p *Point) string
	// Doubt is a warning about a point that is written out, "" if there is
	// nothing to say. It is also asked about points that Expand does not find.
	// May be nil.
	Doubt func(e *Env, p *Point) string
	// Outermost says that no filter of probes applies to the kind (begin, end).
	Outermost bool
	// OnReturn says that the program runs when the function at the point returns.
	OnReturn bool
	// ChildOnly says that with -c its programs run in the child but in no process
	// that the child forks.
	ChildOnly bool
	// Confine is how -p confines the kind's programs to a process.
	Confine Confinement
	// Runs is when its programs run.
	Runs Moment
	// Class is what the builtin probetype is, where that is not Name.
	Class string
	// Detachable says that a script can detach single probes, by their address.
	Detachable bool
	// FollowsCalls says that the kernel follows calls to their return, only so
	// many at a time, and misses the others.
	FollowsCalls bool
	// FuncArgs says that args are the parameters of a function.
	FuncArgs bool
	// NoteArgs says that the arguments are those that a note in the file lists,
	// so that they can be numbered at run time.
	NoteArgs bool
	// Overrides says that a program can end the function with a result of its own.
	Overrides bool
	// Paths is the first release whose programs may ask the kernel for the path of
	// a file (bpf_d_path); the zero Version: none may.
	Paths Version
}

// Shown returns the kind as the builtin probetype has it.
func (k *Kind) Shown() string { return cmp.Or(k.Class, k.Name) }

// Point is one place to attach to. Which fields mean something depends on Kind.
type Point struct {
	Kind    *Kind
	Name    string // canonical full text, the value of the builtin probe
	Span    source.Span
	Target  string // module, category, binary path, interface, cgroup, unit of a rate …
	Func    string // function, event, symbol, iterator, signal, software event …
	NS      string // USDT provider
	Offset  uint64 // from Func
	Addr    uint64 // absolute address, where HasAddr
	HasAddr bool
	Count   uint64 // rate, sample count, watchpoint length …
	Mode    string // watchpoint mode, ingress/egress, pin path …
	PID     int    // only this process; 0: all
	Implied bool   // a part that was left out stands for any: as if it held a wildcard
	Matched bool   // a pattern matched it: where it can't be had the others still are
	Event   uint64 // number of the kernel's event, in the namespace of the kind
	Multi   bool   // the program is loaded for a link to many places at once

	// Where the point is in a file: its path as the kernel takes it, the offset
	// of the instruction, and that of the USDT semaphore or 0.
	File       string
	FileOffset uint64
	Semaphore  uint64

	Aux any // what the kind keeps from Expand to Context
}

// Data is what an attachment takes of the point.
func (p *Point) Data() object.Point {
	return object.Point{
		Kind: p.Kind.Name, Name: p.Name, Span: p.Span, Target: p.Target, Func: p.Func, Mode: p.Mode,
		Offset: p.Offset, Addr: p.Addr, HasAddr: p.HasAddr, Count: p.Count, Event: p.Event, PID: p.PID, Multi: p.Multi, Matched: p.Matched,
		File: p.File, FileOffset: p.FileOffset, Semaphore: p.Semaphore, OnReturn: p.Kind.OnReturn,
	}
}

// Env is what the kinds may use.
type Env struct {
	Kernel             Kernel
	Unsafe             bool
	PID                int                    // -p, 0 if not given
	ChildPID           int                    // -c, 0 if not given or not started yet
	ForeignPIDs        bool                   // process ids are not those of the initial pid namespace
	Filter             func(name string) bool // --probe-filter, by names of points; nil: all
	NoFeature          map[string]bool        // --no-feature: uprobe_multi, kprobe_multi, kprobe_session
	USDTFileActivation bool
	FetchDebug         func(buildID string) string // path of a debug file from elsewhere, or ""; may be nil
	DebugInfo          string                      // --debuginfo: where to look for separate debug files before /usr/lib/debug

	// Needs takes down what is read outside of Kernel; nil: it is not noted.
	Needs *object.Needs

	opened  map[string]*binary.File // by path
	defined int                     // probes defined in tracefs so far
}

// traced is the process that a session is about (-p or -c), 0 if there is none.
// Kinds that the kernel can confine to a process do so.
func (e *Env) traced() int { return cmp.Or(e.PID, e.ChildPID) }

// Context is what a program sees where it is attached.
type Context struct {
	Kind *Kind
	// Prog is the program type, AttachType the expected attach type, AttachTo
	// the BTF function or iterator (fentry, fexit, iter, lsm, tp_btf), Flags the
	// program flags to load with (sleepable …).
	Prog       ebpf.ProgramType
	AttachType ebpf.AttachType
	AttachTo   string
	Flags      uint32
	// Shape identifies the context: two points of one block whose Shape is equal
	// and not "" can share a program, unless the program asks which one fired.
	Shape string

	// AttachID is the BTF id of AttachTo, 0 if it is to be looked up by name.
	AttachID uint32
	// AttachProg is the BPF program that AttachTo is a function of
	// (fentry:bpf:…); 0: AttachTo is the kernel's.
	AttachProg ebpf.ProgramID
	// BareShape is as Shape, for programs that use neither args nor argN.
	BareShape string

	// Args is the struct behind the builtin args: its fields' offsets count
	// from the program's context (Space Ctx), or nil. ArgsErr says why not.
	Args    *types.Type
	ArgsErr error
	// TypedArgs is Args where finding them is work: it is asked only for programs
	// that use args. It is of the point alone, so each point of a wildcard needs
	// a program of its own. TypedRet is the same for retval, TypedArg for argN;
	// they return nil where Ret, or that it is a word, is all that is known.
	TypedArgs func() (*types.Type, error)
	TypedRet  func() *types.Type
	TypedArg  func(n int) *types.Type
	// Type finds a type of the traced program by its C name, or returns nil; it
	// comes before the kernel's of that name. May be nil.
	Type func(name string) *types.Type
	// OnlyPID is the process to which the program has to confine itself; 0: none.
	// It is compared with what Owner reads from the context, in the initial pid
	// namespace, or, where Owner is nil, with the current task's process.
	OnlyPID int
	Owner   func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Unconfined is what to tell users whose -p does not apply here, "" if it does.
	Unconfined string
	// Ret is the type of retval; nil: the probe has none.
	Ret *types.Type
	// NArgs is how many argN there are: arg0 … arg(NArgs-1).
	NArgs int
	// Arg, RetVal, Func, Reg emit code that reads argN, retval, the address of
	// the traced function, a register, from the context. nil: not available.
	// The results are 64-bit integers.
	Arg    func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value
	RetVal func(b *ir.Builder, ctx *ir.Value) *ir.Value
	Func   func(b *ir.Builder, ctx *ir.Value) *ir.Value
	Reg    func(b *ir.Builder, ctx *ir.Value, name string) (*ir.Value, error)
	// ArgType is the type of argN, with a warning about it or "", or why it can't
	// be had; nil: all are uint64.
	ArgType func(n int) (t *types.Type, warning string, err error)
	// FuncName is func's value where it is known when compiling ("" otherwise),
	// FuncIsUser says that Func gives a user address.
	FuncName   string
	FuncIsUser bool
	// Symbol finds a symbol of the traced file: how far it lies from the address
	// that Func gives, or, where fixed, its address. nil: there is no such file.
	Symbol func(name string) (at int64, size uint64, fixed, ok bool)
	// ArgSpace is the address space that pointers from argN, retval and reg
	// point into: Kernel or User.
	ArgSpace types.Space
	// CtxType is the type of the builtin ctx as a struct, or nil.
	CtxType *types.Type
	// Nullable says that pointers loaded from CtxType or Args may be null and
	// that the kernel's verifier wants that checked before they are followed.
	Nullable bool
	// EndMark is where in the context the pointer is that is null when the kernel
	// calls the program once more after the last object, for which it is not to
	// run; 0: there is no such call.
	EndMark int64
	// ArgLines are the lines -lv prints below the name of a probe: declarations
	// of its arguments. nil: it has none.
	ArgLines func() []string
	// Result is what the program returns by default.
	Result int64
	// Sleepable, InTask: whether user memory may fault in, and whether the
	// current task is meaningful (false for packet probes).
	Sleepable, InTask bool
	// Preemptible says that on a kernel with preemption another task may run
	// the same program on the same CPU before this run has ended.
	Preemptible bool
	// Stacks says that kstack and ustack can be taken (bpf_get_stackid works);
	// NoKernelStack why kstack may be empty all the same, or "".
	Stacks        bool
	NoKernelStack string
}

// Kfuncs is the first release whose programs of this kind may call the kernel
// functions that are offered to tracing; ok is false where none may.
func (c *Context) Kfuncs() (since Version, ok bool) {
	switch c.Prog {
	case ebpf.Tracing, ebpf.LSM, ebpf.XDP, ebpf.SchedCLS:
		return Version{}, true
	case ebpf.TracePoint, ebpf.PerfEvent:
		return Version{Major: 6, Minor: 12}, true
	}
	return Version{}, false
}

// Feature names something a kernel may lack.
type Feature string

// The features that compilation and attaching ask for. Versions are in
// package kernel.
const (
	FeatRingBuf       Feature = "ringbuf"
	FeatLoop          Feature = "bpf_loop"
	FeatForEachMap    Feature = "bpf_for_each_map_elem"
	FeatTaskBTF       Feature = "bpf_get_current_task_btf"
	FeatTaskRegs      Feature = "bpf_task_pt_regs"
	FeatFuncIP        Feature = "bpf_get_func_ip"
	FeatCookie        Feature = "bpf_get_attach_cookie"
	FeatLookupPerCPU  Feature = "bpf_map_lookup_percpu_elem"
	FeatKtimeTai      Feature = "bpf_ktime_get_tai_ns"
	FeatRdonlyCast    Feature = "bpf_rdonly_cast"
	FeatKprobeMulti   Feature = "kprobe_multi"
	FeatKprobeSession Feature = "kprobe_session"
	FeatUprobeMulti   Feature = "uprobe_multi"
	FeatFentry        Feature = "fentry"
	FeatKprobe        Feature = "kprobe"
	FeatISAv4         Feature = "cpu v4 instructions"
	FeatAtomicFetch   Feature = "atomic fetch instructions"
	FeatTCX           Feature = "tcx"
	FeatPreempt       Feature = "preemption"
)

// Version is a kernel release.
type Version struct{ Major, Minor, Patch int }

// Less reports whether v is older than o.
func (v Version) Less(o Version) bool {
	if v.Major != o.Major {
		return v.Major < o.Major
	}
	if v.Minor != o.Minor {
		return v.Minor < o.Minor
	}
	return v.Patch < o.Patch
}

// String is the release as people write it; a patch level of 0 is left out.
func (v Version) String() string {
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// ErrNotFound is wrapped by the errors of lookups of names that the kernel, or
// a traced file, does not have.
var ErrNotFound = errors.New("not found")

// ErrNoBTF is the lookup of a type in a kernel that tells of none. It is an
// ErrNotFound.
var ErrNoBTF error = noBTF{}

type noBTF struct{}

func (noBTF) Error() string {
	return "the kernel has no BTF (/sys/kernel/btf/vmlinux is missing: it needs CONFIG_DEBUG_INFO_BTF)"
}

func (noBTF) Is(target error) bool { return target == ErrNotFound }

// TraceFormat is a tracepoint's record layout from tracefs.
type TraceFormat struct {
	ID     int
	Fields []types.Field // without the common_ ones; offsets from the start of the record
	Size   int           // bytes of the fixed part
	Decls  []string      // the fields' C declarations, as -lv prints them
	Digest string        // identifies the kernel's description, the ID included
}

// FuncProto is a kernel function's parameters and result, from BTF.
type FuncProto struct {
	Name     string
	Module   string        // "vmlinux" or a module's name
	ID       uint32        // of the BTF func
	Params   []types.Field // Off is where the parameter is in a tracing program's context
	Result   *types.Type   // TVoid if none
	Closed   bool          // as types.Field.Closed, of the result
	Variadic bool
	// Decls are the parameters' C declarations, ResultDecl that of "retval", as
	// -lv prints them.
	Decls      func() []string
	ResultDecl func() string
}

// Kernel is all that is known of the kernel to compile for. Everything is read
// on first use. Methods that find nothing return an error that names what was
// asked for and wraps ErrNotFound.
type Kernel interface {
	// Release is the kernel's version, Arch GOARCH's name for its architecture.
	Release() Version
	Arch() string
	NumCPU() int // possible CPUs
	PageSize() int
	// Has reports a feature; Since is the release that brought it.
	Has(Feature) bool
	Since(Feature) string

	// Type looks a type up by its C name in BTF: "struct task_struct",
	// "union u", "enum e", or a typedef or base type by its bare name. Objects
	// come in Space Kernel.
	Type(name string) (*types.Type, error)
	// TypeDecl is the C declaration of a type behind the name of what has it,
	// vmlinux or a module, as -lv prints it.
	TypeDecl(name string) (string, error)
	// TypeNames lists the C names of all types of kind "struct", "union",
	// "enum" or "typedef", for -l and did-you-mean.
	TypeNames(kind string) []string
	// EnumConst finds an enum constant by its name.
	EnumConst(name string) (int64, *types.Type, bool)
	// FuncProto finds a function in BTF; module "" means anywhere.
	FuncProto(module, name string) (*FuncProto, error)
	// TracepointProto is the prototype of a raw tracepoint's arguments
	// (btf_trace_<name>), without its leading void pointer.
	TracepointProto(module, name string) (*FuncProto, error)
	// RawTracepoints lists "module:event", in order.
	RawTracepoints() ([]string, error)
	// Iterators lists the iterators (bpf_iter__*) BTF knows.
	Iterators() []string
	// Kfunc returns the BTF id of a kernel function callable from programs.
	Kfunc(name string) (uint32, bool)

	// Tracepoint returns a tracepoint's format; Tracepoints lists
	// "category:event" in order.
	Tracepoint(category, event string) (*TraceFormat, error)
	Tracepoints() ([]string, error)
	// Functions lists the traceable functions as "module:function", in order.
	// An error says why the list can't be had; Symbol may still know one.
	Functions() ([]string, error)
	// Symbol is the address of a kernel symbol; SymbolAt the symbol that covers
	// an address (offset from its start).
	Symbol(name string) (addr uint64, ok bool)
	SymbolAt(addr uint64) (name, module string, offset uint64, ok bool)
	Modules() []string
	// SyscallName and Syscalls translate syscall numbers.
	SyscallName(nr int) string
}
