package probes

import (
	"errors"

	"github.com/gotrace/gotrace/lang/types"
)

// ErrNotFound is wrapped by the errors of lookups of names that do not exist in the
// kernel or in a traced file.
var ErrNotFound = errors.New("not found")

// ErrNoBTF is the error of lookups in a kernel without BTF. It is also an
// ErrNotFound.
var ErrNoBTF error = noBTF{}

type noBTF struct{}

func (noBTF) Error() string {
	return "the kernel has no BTF (/sys/kernel/btf/vmlinux is missing: it needs CONFIG_DEBUG_INFO_BTF)"
}

func (noBTF) Is(target error) bool { return target == ErrNotFound }

// TraceFormat is the layout of a tracepoint's records, from tracefs.
type TraceFormat struct {
	ID     int
	Fields []types.Field // without the common ones; offsets are from the start of the record
	Size   int           // size of the fixed part in bytes
	Decls  []string      // C declarations of the fields, as -lv prints them
	Digest string        // identifies the kernel's description, including the ID
}

// FuncProto is the prototype of a kernel function, from BTF.
type FuncProto struct {
	Name     string
	Module   string        // "vmlinux" or a module's name
	ID       uint32        // of the BTF func
	Params   []types.Field // Off is the offset in a tracing program's context
	Result   *types.Type   // TVoid if there is none
	Closed   bool          // as types.Field.Closed, for the result
	Variadic bool
	// Decls returns the C declarations of the parameters, and ResultDecl that of
	// "retval", as -lv prints them.
	Decls      func() []string
	ResultDecl func() string
}

// Kernel provides the facts about the kernel for which scripts are compiled. Everything
// is read on first use. Methods that find nothing return an error that contains the
// name and wraps ErrNotFound.
type Kernel interface {
	// Release returns the kernel's version, and Arch its architecture as in GOARCH.
	Release() Version
	Arch() string
	NumCPU() int // possible CPUs
	PageSize() int
	// Has reports whether the kernel has a feature. Since returns the first release
	// with it, or "", and whether the kernel is older.
	Has(Feature) bool
	Since(Feature) (since string, older bool)

	// Type returns the BTF type with a C name: "struct task_struct", "union u", "enum
	// e", or a typedef or base type by its bare name. Objects are in Space Kernel.
	Type(name string) (*types.Type, error)
	// TypeDecl returns the C declaration of a type as -lv prints it, preceded by the
	// name of the BTF that contains it: vmlinux or a module.
	TypeDecl(name string) (string, error)
	// TypeNames lists the C names of all types of kind "struct", "union", "enum" or
	// "typedef".
	TypeNames(kind string) []string
	// EnumConst looks up an enum constant by its name.
	EnumConst(name string) (int64, *types.Type, bool)
	// FuncProto looks up a function in BTF. If module is "", it searches vmlinux and
	// all modules.
	FuncProto(module, name string) (*FuncProto, error)
	// TracepointProto returns the prototype of a raw tracepoint's arguments
	// (btf_trace_<name>) without the leading void pointer.
	TracepointProto(module, name string) (*FuncProto, error)
	// RawTracepoints lists the raw tracepoints as "module:event", in order.
	RawTracepoints() ([]string, error)
	// Iterators lists the iterators (bpf_iter__*) in BTF.
	Iterators() []string
	// Kfunc returns the BTF ID of a kernel function that programs can call.
	Kfunc(name string) (uint32, bool)

	// Tracepoint returns a tracepoint's format. Tracepoints lists the tracepoints as
	// "category:event", in order.
	Tracepoint(category, event string) (*TraceFormat, error)
	Tracepoints() ([]string, error)
	// Functions lists the traceable functions as "module:function", in order. A name
	// occurs once for each function of that name. If the list cannot be read, Symbol may
	// still find functions.
	Functions() ([]string, error)
	// Homonyms returns the addresses of the functions with a name, in ascending order, if
	// there are several. Otherwise it returns nil. If module is "", it looks in vmlinux
	// and all modules.
	Homonyms(module, name string) []uint64
	// Symbol returns the address of a kernel symbol. SymbolAt returns the symbol that
	// contains an address, and the offset in it.
	Symbol(name string) (addr uint64, ok bool)
	SymbolAt(addr uint64) (name, module string, offset uint64, ok bool)
	Modules() []string
	// SyscallName returns the name of a system call, or "".
	SyscallName(nr int) string
}
