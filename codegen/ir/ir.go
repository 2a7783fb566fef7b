// Package ir is the compiler's SSA form: a module of maps and programs, each
// program a main function and the functions it calls, each function a list of
// basic blocks of values.
//
// Every value is one 64-bit machine word, as BPF registers are. Integers of fewer bits are
// kept sign- or zero-extended to 64 bits according to their type. If the result of an
// operation may not be in that form, an explicit extension follows (OpSext8 … OpZext32).
// Passes remove it if the range of the result is known.
// A pointer's Type says what it points into, so that the verifier of this package and
// the passes can determine which memory plain loads may access and which pointers may
// alias. Larger objects are in memory and handled by address: OpSlot reserves memory of
// fixed size, which the backend puts on the 512-byte BPF stack or in per-CPU scratch
// memory.
//
// The operations are a table in op.go, the kernel's helpers one in helper.go. The
// tests read the text form that String prints (tests/irtest).
package ir

import "github.com/gotrace/gotrace/lang/source"

// Module is the result of compiling one script.
type Module struct {
	Maps  []*Map
	Progs []*Prog
}

// Map is a BPF map that programs refer to.
type Map struct {
	Name       string // unique in the module; the kernel shows its first 15 bytes
	Type       MapType
	KeySize    int
	ValueSize  int
	MaxEntries int    // 0: the runtime sets it when it loads the map (number of CPUs, size of the ring buffer)
	Flags      uint32 // BPF_F_…
	Inner      int    // ArrayOfMaps: value size in bytes of its maps, which are arrays of one element that can be mapped; else 0
	Frozen     bool   // read-only for programs and user space; Contents is the value of key 0
	Contents   []byte // initial value of key 0 of an array, or nil
	Margin     int    // bytes after Contents that programs may read, as far as the kernel's verifier can tell
}

// MapType is the kernel's enum bpf_map_type.
type MapType uint32

const (
	Hash        MapType = 1
	Array       MapType = 2
	PerCPUHash  MapType = 5
	PerCPUArray MapType = 6
	StackTrace  MapType = 7
	CgroupArray MapType = 8
	LRUHash     MapType = 9
	LRUPerCPU   MapType = 10
	ArrayOfMaps MapType = 12
	SkStorage   MapType = 24
	RingBuf     MapType = 27
)

// Prog is one BPF program.
type Prog struct {
	Name string
	Kind string // program type and expected attach type as package probes names them
	Role Role
	Of   int   // ForProbe and ForFetch: index of the script's program; ForMap: index in lower.Result.OfMaps
	Main *Func // one parameter, the context
	Subs []*Func
}

// Role tells what a program is for.
type Role uint8

const (
	ForProbe Role = iota // it runs at the points of a probe
	ForMap               // user space runs it to work on a map
	ForFork              // it runs at every fork, for --follow
	ForTasks             // user space runs it for every task, for --follow
	ForFetch             // it runs before a program of the script, and reads strings that the program reads
)

// Func is a function. Main takes the context and returns the program's result.
type Func struct {
	Name   string
	Params []Type
	Blocks []*Block // Blocks[0] is the entry
	// Global is set if the kernel's verifier checks the function once, separately, and
	// not again at each call. All parameters must then be integers or the context.
	Global bool
	// Forgets is set if each block loads again the values that it needs from memory,
	// and repeats a map lookup unless the last one is near. So the paths do not differ
	// in the next block by the facts that the kernel's verifier derived in this one.
	Forgets bool
	// OwnFrame is set if the function's frame must be on the stack of the task that runs it.
	// From Linux 6.13 on, the frames of programs are in memory that all tasks of a CPU use,
	// although programs of some kinds can be preempted by another task that runs them.
	OwnFrame bool
	nextID   int
	nextB    int
}

// Block is a basic block: values, then one terminator.
type Block struct {
	ID       int
	Values   []*Value // phis first
	Term     Term
	Cond     *Value      // TermBr: condition; TermRet: the result
	Succs    []*Block    // TermJump: 1; TermBr: then, else; TermRet: none
	Preds    []*Block    // kept up to date by the builder and the passes
	Unlikely bool        // a failure path: laid out after the likely ones
	Pos      source.Span // of the terminator
	Func     *Func

	sealed     bool
	incomplete []pendingPhi
	defs       map[*Var]*Value
}

// Term is a block's terminator.
type Term uint8

const (
	TermNone Term = iota // not terminated yet
	TermJump
	TermBr
	TermRet
)

// Value is one SSA value.
type Value struct {
	ID    int
	Op    Op
	Type  Type
	Args  []*Value
	Imm   int64   // constant; offset of a load, store or map value; size of a slot; parameter number
	Imm2  int64   // alignment of a slot; bytes that Fills and Moves access
	Map   *Map    // OpMapPtr, OpMapValue
	Help  *Helper // OpCall
	Fn    *Func   // OpCallFn, OpFuncAddr
	Name  string  // OpKfunc: the kernel function
	Block *Block
	Pos   source.Span
}

// Type is the type of a value: a 64-bit integer, a pointer of some kind, or
// nothing.
type Type uint8

const (
	Void      Type = iota // the op has no result
	Int                   // 64-bit integer; also an address that plain loads must not access
	PtrCtx                // the program's context
	PtrSlot               // into a slot (stack or scratch)
	PtrMap                // into a map's value (not null)
	PtrMapNil             // into a map's value, or null: compare with 0 before use
	PtrRec                // into a reserved ring buffer record (not null)
	PtrRecNil             // the result of a reservation: compare with 0 before use
	PtrBTF                // to a kernel object of a BTF type; plain loads are allowed, and give 0 on a fault
	MapRef                // a map itself, for helper arguments
	FuncRef               // a function, for callback arguments
)

// IsPtr reports whether a value of the type may be the address of a load or store
// (after a null check, if it can be null).
func (t Type) IsPtr() bool { return t >= PtrCtx && t <= PtrBTF }

// NonNil returns the type that a value of type t has after a null check.
func (t Type) NonNil() Type {
	switch t {
	case PtrMapNil:
		return PtrMap
	case PtrRecNil:
		return PtrRec
	}
	return t
}
