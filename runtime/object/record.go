package object

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// A record of the ring buffer starts with a header of HeaderSize bytes: the event's
// number (u32, an index into the object's events) and a u32 for the event's
// builtin. Each argument follows at the offset given by its Arg.
//
// Packed arguments (long strings and buffers) take only as much space as they need.
// At the offset of a packed argument is a u32 with the number of bytes sent. The
// bytes of all packed arguments are at the end of the record, one after the other,
// without padding.
const (
	HeaderSize = 8
	HeaderAux  = 4 // offset of the u32 for the builtin
)

// Event describes one place in the script that sends records.
type Event struct {
	Def  string        // the builtin that handles the record
	Span source.Span   // the call
	From []source.Span // the macro calls that it comes from, the innermost one first
	Size int           // bytes of the record, including the header but not packed values
	Args []Arg
	// Lits are values known at compile time, in a form that the builtin defines:
	// strings, int64s and a *Message.
	Lits []any
	// Stamp is the offset of the event's stamp in the record, or 0 if it has none.
	Stamp int
	// Call is set if the record reports a call or a return of a traced function, and not
	// a call of a builtin.
	Call *Call
	// Later is the part of the predicate that user space decides. If there is none, it
	// has no steps.
	Later Later
	// Parsed caches what the builtin's Handle derives from Lits. It is not encoded.
	Parsed any `object:"-"`
}

// A stamp has the time and the thread of an event. It has StampSize bytes, with these
// fields.
const (
	StampTime = 0  // u64: the boot clock, in ns
	StampTask = 8  // u64: the process ID in the upper 32 bits, the thread ID in the lower ones; 0: none
	StampComm = 16 // the thread's name, 16 bytes
	StampCPU  = 32 // u64
	StampSize = 40
)

// Call describes calls of functions, or returns from them. Programs at both send such
// events, so that the runtime can pair them.
type Call struct {
	Names  []string // names of the functions, indexed by the record's second word if there are several; "": the other side sends no events
	Return bool
	All    bool // the return of every call is reported, without any condition
}

// Arg is one argument of an event: its type and its offset in the record.
type Arg struct {
	Type   *types.Type
	Off    int
	Packed bool
}

// Message is the format of a formatted action and the sources of its arguments.
type Message struct {
	Format string
	Args   []MessageArg
}

// MessageArg is an argument of a Message: either a value known at compile time
// (Fixed has its bytes) or argument Rec of the record.
type MessageArg struct {
	Type  *types.Type
	Fixed []byte
	Rec   int
}

// PackedLen is the size in bytes of the length at a packed value's Off.
const PackedLen = 4

// Record is an event that was sent: its description and its bytes. It is valid only
// until the handler returns.
type Record struct {
	*Event
	Data []byte // the whole record, including the header
}

// Arg returns the bytes of argument i. For a packed argument, these are the bytes
// that were sent.
func (r *Record) Arg(i int) []byte {
	a := &r.Args[i]
	if !a.Packed {
		return r.Data[a.Off : a.Off+a.Type.Size]
	}
	tail := r.Data[r.Size:]
	for j := range r.Args[:i] {
		if b := &r.Args[j]; b.Packed {
			tail = tail[r.packedLen(b, tail):]
		}
	}
	return tail[:r.packedLen(a, tail)]
}

// packedLen returns the number of bytes at the start of tail that belong to a.
func (r *Record) packedLen(a *Arg, tail []byte) int {
	n := binary.NativeEndian.Uint32(r.Data[a.Off:])
	return int(min(uint64(n), uint64(a.Type.Size), uint64(len(tail))))
}

// Aux returns the second word of the header.
func (r *Record) Aux() uint32 { return binary.NativeEndian.Uint32(r.Data[HeaderAux:]) }

// Names of the maps that an object may have in addition to the script's own.
const (
	RingMap    = "events"   // ring buffer
	SlotMap    = "slots"    // array, one element: maps without keys
	CPUSlotMap = "cpuslots" // per-CPU array, one element: aggregations without keys; more are numbered
	TableMap   = "tables"   // array, one element: front and thread tables
	SiteMap    = "sites"    // array, one element: a u64 counter per Site
	ScratchMap = "scratch"  // per-CPU array, one element: temporaries
	RodataMap  = "rodata"   // frozen array: literals and zeros
)

// MoreStacks returns the name of the map for stacks of the given depth that cannot be
// in the kernel's stack map, because their hashes collide with those of other stacks.
// Its entries are numbered from FirstMoreStack.
func MoreStacks(depth int) string { return moreStacks + strconv.Itoa(depth) }

const (
	FirstMoreStack = 1 << 31
	moreStacks     = "morestacks_"
)

// MoreStacksDepth returns the depth for a name returned by MoreStacks.
func MoreStacksDepth(name string) (depth int, ok bool) {
	text, ok := strings.CutPrefix(name, moreStacks)
	depth, err := strconv.Atoi(text)
	return depth, ok && err == nil
}

// The fields of an entry of MoreStacks.
const (
	StackHash   = 0  // a hash of the frames, or GivenUp
	StackUsed   = 8  // time when a program last found or stored the stack, in ns of the monotonic clock
	StackEnd    = 16 // u64: why the frames end, an unwind.Why; 0 if no frame is missing
	StackFrames = 24 // the frames, as many as the map's depth; unused ones are 0
)

// GivenUp is the StackHash of a stack that programs must no longer find. No other stack
// has this hash.
const GivenUp = 0

// StackMap returns the name of the map for stacks of the given depth.
func StackMap(depth int) string { return "stacks_" + strconv.Itoa(depth) }

// FollowMap is the table of --follow, an array of one element. It has a byte for each
// process ID, which is 1 if the process is followed. MaxPIDs is the kernel's limit.
const (
	FollowMap = "followed"
	MaxPIDs   = 1 << 22
)

// FollowStateMap is an array of one element with FollowStateSize bytes. The u64 at
// FollowMode selects what Follow.Walk does with each task. Walk sets the u64 at
// FollowFound to 1 if it has found a task.
const (
	FollowStateMap  = "follow_state"
	FollowMode      = 0
	FollowFound     = 8
	FollowStateSize = 16

	FollowAdd      = 1 // adds the task's process to the table
	FollowChildren = 2 // adds the task's process if its parent is in the table; found: a process was added
	FollowAlive    = 3 // found: a process in the table has not ended
)

// CgroupMap is the map that holds the cgroups of Invocation.Cgroups.
const CgroupMap = "cgroups"

// SampleMap is an array of one element. For each program that can be sampled, it has 8
// bytes with a number n, at most MaxSampling: the program runs at one of 2^n events.
const (
	SampleMap   = "sampling"
	MaxSampling = 31
)

// SessionMap is an array of one element with SessionSize bytes. The runtime writes
// it before it attaches any program.
const (
	SessionMap    = "session"
	SessionStart  = 0  // u64: the boot clock at the start of the session, in ns
	SessionTAI    = 8  // u64: the number of ns to add to the boot clock to get TAI
	SessionSecret = 16 // u64: a random number
	SessionSize   = 24
)

// Map describes one @map of the script and how it is stored. Package runtime/store
// creates and interprets the description.
type Map struct {
	Name  string      // including the @
	Span  source.Span // its first use
	Key   *types.Type // as stored; nil: no key
	Value *types.Type
	Max   int // maximum number of entries; 0: there is none
	// KeyNames are the names of the key's parts for other systems, "" if a part has none.
	// MetricName is the name that the script gives the map there, or "".
	KeyNames   []string
	MetricName string

	Store  string // name of the store kind, in runtime/store
	Kernel string // name of the kernel map
	PerCPU bool   // each CPU has its own value
	LRU    bool   // the kernel may drop entries, so a full map is not an error
	Off    int    // for maps without keys: offset in the element
	Set    int    // for maps without keys: offset of a byte that is 1 once the map was assigned
	Number int    // number in a hash map shared by several maps; 0: not shared
	Short  string // name of the kernel map for entries with short keys; "": Kernel holds all entries
	Part   int    // size in bytes of the parts of a value, each an entry with the part's number as a u64 after the key; 0: entries are whole
	Table  *Table // table that holds some of the entries, or nil
	// Programs are what user space runs to read, clear or zero the map where system calls
	// cannot do so.
	Programs []*Program
}

// Inner reports whether an event of a provider keeps values in the map, so that the map
// is not a result of the script. Such maps are named after the events.
func (m *Map) Inner() bool { return strings.Contains(m.Name, ":") }

// Table is the location of a table in the element of TableMap.
type Table struct {
	Off   int // bytes
	Slots int // number of slots; if CPUs is not 0, for each CPU
	CPUs  int // number of CPUs that have their own slots; 0: all share them
}

// SiteKind is the kind of error at a Site.
type SiteKind uint8

const (
	LostEvent   SiteKind = iota // no room in the ring buffer
	MapFull                     // an update of a map failed
	ReadFault                   // memory could not be read; the value is zero
	DivZero                     // division or modulo by zero; the result is one
	OutOfBounds                 // an index beyond its array; the value is zero
	StackFault                  // a stack could not be taken or stored
	HelperFail                  // another helper returned an error
	NoEntry                     // a map was read at a key without an entry; the value is zero
	UnreadText                  // a string was not in memory, neither at the call nor at its return; it is empty
	Audit                       // no error: the program would have dropped or denied something with --unsafe
)

// Site is a place in the script where an error can occur at run time. Its u64
// counter is at offset 8 × its index in SiteMap.
type Site struct {
	Kind SiteKind
	Span source.Span
	What string // name of the map, helper or function
}
