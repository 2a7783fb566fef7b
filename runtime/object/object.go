// Package object defines the output of the compiler, which the runtime loads. An
// Object is plain data without a syntax tree, and independent of the process that
// compiled it. It can be printed (String), encoded and decoded (Encode, Decode).
//
// The package also defines what compiled programs and the process that reads their
// results must agree on: the layout of ring buffer records, map values and error
// counters. Their offsets are defined only here.
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
	Programs   []*Program  // in script order
	Kernel     []KernelMap // kernel maps to create, by name
	Maps       []Map       // the script's maps, in order of first use
	Events     []Event     // by event number
	Sites      []Site      // by site number
	Settings   Settings
	Invocation Invocation
	Options    []Option // options that the script's getopt calls declare
	Needs      Needs
	Follow     *Follow   // nil: --follow was not given, or no program needs it
	Recorder   *Recorder // nil: --recorder was not given

	// Fetchers bring memory of processes into the machine's memory for other programs.
	Fetchers []Fetcher

	// Dispatchers run the programs whose points have Multi set, if the kind of the points
	// has such programs.
	Dispatchers []Dispatcher
}

// Dispatcher is a program that runs one of Object.Programs at each event. It selects the
// program by a number that the event has.
type Dispatcher struct {
	Program *Program // to attach
	Array   string   // the kernel map in which Program looks up the program for a number
	Entries []Entry
}

// Entry is the program for one number: an index in Object.Programs, and the index of the
// point in its Points.
type Entry struct {
	Number         uint64
	Program, Point int
}

// Size returns the number of entries that the array of a dispatcher needs.
func (d *Dispatcher) Size() int {
	size := 0
	for _, e := range d.Entries {
		size = max(size, int(e.Number)+1)
	}
	return size
}

// Follow holds the programs of --follow, which maintain the table FollowMap.
type Follow struct {
	Fork *Program // to attach; it adds the children of processes in the table to the table
	Walk *Program // runs for each task, in one of the modes FollowAdd, FollowChildren and FollowAlive
}

// Fetcher is a program that reads memory of a process for another program, which runs
// next at the same points. Unlike the other program, it may sleep until the memory has
// been read from a file. If the kernel refuses the fetcher, the other program may find
// that the memory is not present.
type Fetcher struct {
	Program *Program // its Points are empty
	For     int      // index in Object.Programs
}

// Program is one BPF program.
type Program struct {
	Name string // unique and valid in the kernel: tracepoint_sys_enter_read_1
	Span source.Span

	// How the program is loaded. AttachTo names the kernel function, iterator or
	// security hook that gives the program its BTF type, or is "". If AttachProg is
	// not 0, AttachTo is a function of the BPF program with that ID.
	Type       ebpf.ProgramType
	AttachType ebpf.AttachType
	AttachTo   string
	AttachProg ebpf.ProgramID
	License    string
	Sleeps     bool // the program may sleep

	// Insns are the instructions of all functions, with main first. They refer to
	// maps and functions by name.
	Insns asm.Instructions
	Funcs []Func
	Lines []source.Span // source of each instruction as the kernel counts: a 64-bit constant load counts twice
	Stack int           // size of main's stack frame in bytes

	// Rare is set for the instructions, numbered like Lines, that run only after a
	// failure or for the first time. It is used to estimate costs, and is not encoded.
	Rare []bool `object:"-"`

	// Sampled is the number, counted from 1, of the program's value in SampleMap if the
	// program can be sampled; otherwise 0.
	Sampled int

	Points []Point // attach points of the program

	// Partner is the return probe that can be attached together with this entry
	// probe, or nil.
	Partner *Partner
}

// Partner describes two programs that a kernel can attach as one, so that each call
// enters a program once instead of twice. Both is the combined program. If it cannot
// be attached, the two are attached separately.
type Partner struct {
	Program int // index of the return probe in Object.Programs
	Both    *Program
}

// Func is a function of a program.
type Func struct {
	Name   string
	First  int  // index of its first instruction
	Params int  // number of parameters; all are 64-bit integers, as is the result
	Global bool // the verifier checks it once on its own, not at each call

	// Context reports whether the first parameter is the program's context. The
	// verifier must be told so for a global function.
	Context bool
}

// Point is an attach point of a program. Kind names the kind of probe and
// determines which of the other fields are used.
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
	Event    uint64 // number of the kernel's event, in the namespace of the probe kind
	PID      int    // process to trace; 0: all
	Multi    bool   // the program is loaded for a link to many attach points at once
	OnReturn bool   // the program runs when Func returns
	AtInsn   bool   // if OnReturn: the probe is at a return instruction of Func, at Offset
	Matched  bool   // the point comes from a pattern
	Anywhere bool   // Func is searched for in the files of all processes, see probes.CodeFiles

	// The location of the point in a file: the path, the offset of the instruction,
	// and the offset of the USDT semaphore or 0.
	File       string
	FileOffset uint64
	Semaphore  uint64

	// Library is the name by which the script denotes File, if that is a library that
	// other processes may find at other paths. Operands are those of a static probe.
	// Bound is set if the program depends on facts about File, such as types, that
	// other builds of the library need not share.
	Library  string
	Operands string
	Bound    bool
}

// KernelMap is a BPF map to create.
type KernelMap struct {
	Name       string
	Type       ebpf.MapType
	KeySize    int
	ValueSize  int
	MaxEntries int
	Flags      uint32
	Inner      int    // for an array of maps: the size in bytes of the only element of each of its arrays
	Contents   []byte // value of key 0; nil: zeros
	Frozen     bool   // not written by programs or this process after it is filled
}

// Settings are the settings of the configuration that the runtime uses.
type Settings struct {
	ShowDebugInfo    bool
	CacheUserSymbols string // PER_PID, PER_PROGRAM, NONE or ""
	CPPDemangle      bool
	LogSize          int // size of the verifier's log in bytes
	MaxCatBytes      int
	MaxSeries        int    // maximum number of series of a map that are exported
	MaxStrlen        int    // size of a string in bytes, including the NUL
	MissingProbes    string // error, warn or ignore
	PerfRBPages      int    // size of the ring buffer in pages; 0: depends on the memory
	PrintMapsOnExit  bool
	StrTruncTrailer  string
	Warnings         bool // -k: report faults whose result is 0
}

// Invocation holds the command line arguments that the code depends on.
type Invocation struct {
	Params   []string // $1 …
	Options  []Option // --name=value, by name; Default is the value
	Unsafe   bool
	PID      int  // -p
	HasChild bool // -c
	ChildPID int
	Cgroups  []string // directories of the cgroups in CgroupMap
	Chosen   int      // number of Cgroups, from the first, that restrict all programs
	Warnings bool
}

// Option is a command line option of a script.
type Option struct {
	Name, Doc string
	Default   string
}

// Program returns the program with the given name, or nil.
func (o *Object) Program(name string) *Program {
	for _, p := range o.Programs {
		if p.Name == name {
			return p
		}
	}
	return nil
}
