// Package object is what the compiler makes of a script and the runtime takes:
// plain data, without a syntax tree and without anything of the process that
// compiled it. It can be printed (String), and saved and opened again (Encode,
// Decode).
//
// The package also fixes what compiled programs and the process that reads them
// have to agree on: the layout of ring buffer records, of map values and of the
// error counters. The compiler writes by it, the runtime reads by it, and
// nothing else knows an offset.
//
// All integers are in the machine's byte order.
package object

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
)

// Object is a compiled script.
type Object struct {
	Programs   []*Program  // in the order of the script
	Kernel     []KernelMap // the kernel maps to create, by name
	Maps       []Map       // the script's maps, in order of first use
	Events     []Event     // by event number
	Sites      []Site      // by site number
	Settings   Settings
	Invocation Invocation
	Options    []Option // what the script's getopt calls declare
	Needs      Needs
}

// Program is one BPF program.
type Program struct {
	Name string // unique, fit for the kernel: tracepoint_sys_enter_read_1
	Span source.Span

	// How it is loaded: AttachTo names the kernel function, iterator or security
	// hook that BTF types the program by, "" if there is none. Where AttachProg is
	// not 0 it is a function of the BPF program with that ID.
	Type       ebpf.ProgramType
	AttachType ebpf.AttachType
	AttachTo   string
	AttachProg ebpf.ProgramID
	Flags      uint32
	License    string

	// Insns are the instructions of all functions, main first. Maps and functions
	// are referred to by name.
	Insns asm.Instructions
	Funcs []Func
	Lines []source.Span // by instruction, as the kernel counts them: a 64-bit constant load counts twice
	Stack int           // bytes of main's stack frame

	Points []Point // it is attached to each of them

	// Partner, if not nil, is the return probe that can be attached together with
	// this entry probe.
	Partner *Partner
}

// Partner describes two programs that a kernel can attach as one, which enters
// each call once instead of twice. Both is in addition to them, so that they can
// be attached one by one where attaching both fails.
type Partner struct {
	Program int // index in Object.Programs of the return probe
	Both    *Program
}

// Func is a function of a program.
type Func struct {
	Name   string
	First  int  // index of its first instruction
	Params int  // all of them are 64-bit integers, as is the result
	Global bool // the kernel's verifier reads it once, by itself, and not at each call
}

// Point is a place to attach a program to. Kind names the kind of probe; which
// of the other fields mean something depends on it.
type Point struct {
	Kind     string
	Name     string // canonical text, the value of the builtin probe
	Span     source.Span
	Target   string // category, module, interface, cgroup, unit of a rate …
	Func     string // function, event, hook, iterator, signal …
	Mode     string // watchpoint mode, ingress or egress, pin path …
	Offset   uint64 // in bytes from the start of Func
	Addr     uint64 // absolute address, where HasAddr
	HasAddr  bool
	Count    uint64 // rate, sample count, watchpoint length …
	Event    uint64 // number of the kernel's event, in the namespace of the kind
	PID      int    // only this process; 0: all
	Multi    bool   // the program is loaded for a link to many places at once
	OnReturn bool   // the program runs when Func returns
	Matched  bool   // one of those that a pattern matches

	// Where the point is in a file: its path, the offset of the instruction, and
	// that of the USDT semaphore or 0.
	File       string
	FileOffset uint64
	Semaphore  uint64
}

// KernelMap is a BPF map to create.
type KernelMap struct {
	Name       string
	Type       ebpf.MapType
	KeySize    int
	ValueSize  int
	MaxEntries int
	Flags      uint32
	Contents   []byte // the value of key 0; nil: zeros
	Frozen     bool   // neither programs nor this process write to it once it is filled
}

// Settings are those of the configuration that matter while a script runs.
type Settings struct {
	CacheUserSymbols string // PER_PID, PER_PROGRAM, NONE or ""
	CPPDemangle      bool
	LogSize          int // bytes of the verifier's log
	MaxCatBytes      int
	MaxStrlen        int    // bytes of a string, its NUL included
	MissingProbes    string // error, warn or ignore
	PerfRBPages      int    // pages of the ring buffer; 0: by the size of the memory
	PrintMapsOnExit  bool
	StrTruncTrailer  string
	Warnings         bool // -k: report faults that give 0
}

// Invocation is what the command line said when the script was compiled. The code
// depends on all of it.
type Invocation struct {
	Params   []string // $1 …
	Options  []Option // --name=value, by name; Default is the value
	Unsafe   bool
	PID      int  // -p
	HasChild bool // -c
	ChildPID int
	Warnings bool
}

// Option is a command line option of a script.
type Option struct {
	Name, Doc string
	Default   string
}

// Program returns the program with that name, or nil.
func (o *Object) Program(name string) *Program {
	for _, p := range o.Programs {
		if p.Name == name {
			return p
		}
	}
	return nil
}
