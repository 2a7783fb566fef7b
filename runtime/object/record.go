package object

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// A record of the ring buffer starts with a header of HeaderSize bytes: the
// event's number (u32, an index into the object's events) and a u32 that the
// event's builtin may use. Arguments follow, each at the offset its Arg says.
//
// Packed arguments, long strings and buffers, take no more room than they need:
// at the offset is a u32, how many bytes of the value were sent; the bytes
// themselves stand at the end of the record, those of all packed arguments one
// behind the other, without padding.
const (
	HeaderSize = 8
	HeaderAux  = 4 // offset of the u32 for the builtin
)

// Event describes one place in the script that sends records.
type Event struct {
	Def  string      // the builtin whose Handle takes the record
	Span source.Span // the call
	From source.Span // the macro call that it comes from, if it is in a macro
	Size int         // bytes of the record, header included and packed values not
	Args []Arg
	// Lits is what was known when compiling, by the builtin's own convention:
	// strings, int64s, and a *Message.
	Lits []any
	// Parsed is where the builtin's Handle may keep what it makes of Lits. It is
	// no part of the object.
	Parsed any `object:"-"`
}

// Arg is one argument of an event: its type and where it is in the record.
type Arg struct {
	Type   *types.Type
	Off    int
	Packed bool
}

// Message is the format of a formatted action and where its arguments come from.
type Message struct {
	Format string
	Args   []MessageArg
}

// MessageArg is known when compiling (Fixed has its bytes), or argument Rec of
// the record.
type MessageArg struct {
	Type  *types.Type
	Fixed []byte
	Rec   int
}

// PackedLen is the size of what stands for a packed value at its Off.
const PackedLen = 4

// Record is one event that fired: its description and its bytes, valid only
// until the handler returns.
type Record struct {
	*Event
	Data []byte // whole record, header included
}

// Arg returns the bytes of argument i; of a packed one, those that were sent.
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

// packedLen is how many bytes of a are at the start of tail.
func (r *Record) packedLen(a *Arg, tail []byte) int {
	n := binary.NativeEndian.Uint32(r.Data[a.Off:])
	return int(min(uint64(n), uint64(a.Type.Size), uint64(len(tail))))
}

// Aux is the header's second word.
func (r *Record) Aux() uint32 { return binary.NativeEndian.Uint32(r.Data[HeaderAux:]) }

// Names of the maps every object may have beside the script's own.
const (
	RingMap    = "events"   // ring buffer
	SlotMap    = "slots"    // array, one element: maps without keys
	CPUSlotMap = "cpuslots" // per-CPU array, one element: aggregations without keys; more are numbered
	TableMap   = "tables"   // array, one element: front and thread tables
	SiteMap    = "sites"    // array, one element: a u64 counter per Site
	ScratchMap = "scratch"  // per-CPU array, one element: temporaries
	RodataMap  = "rodata"   // frozen array: literals and zeros
)

// MoreStacks is the name of the map for stacks of a depth that the kernel's map
// has no place for, as their hashes agree with those of others. Its entries are
// numbered from FirstMoreStack.
func MoreStacks(depth int) string { return moreStacks + strconv.Itoa(depth) }

const (
	FirstMoreStack = 1 << 31
	moreStacks     = "morestacks_"
)

// MoreStacksDepth returns the depth of the map that MoreStacks gives a name.
func MoreStacksDepth(name string) (depth int, ok bool) {
	text, ok := strings.CutPrefix(name, moreStacks)
	depth, err := strconv.Atoi(text)
	return depth, ok && err == nil
}

// The fields of an entry of MoreStacks.
const (
	StackHash   = 0  // a hash of the frames, or GivenUp
	StackUsed   = 8  // when the stack was last met, in ns of the monotonic clock
	StackFrames = 16 // the frames, as many as the map's depth; the rest are 0
)

// GivenUp is the StackHash of a stack that programs are not to find any more. No
// other stack has it.
const GivenUp = 0

// StackMap is the name of the map for stacks of a depth.
func StackMap(depth int) string { return "stacks_" + strconv.Itoa(depth) }

// SessionMap is an array of one element of SessionSize bytes that the runtime
// writes before it attaches anything.
const (
	SessionMap   = "session"
	SessionStart = 0 // u64: the boot clock when the session starts, ns
	SessionTAI   = 8 // u64: what must be added to the boot clock to get TAI, ns
	SessionSize  = 16
)

// Map describes one @map of the script and how it is kept. Package runtime/store
// writes the description and reads it.
type Map struct {
	Name  string      // with its @
	Span  source.Span // its first use
	Key   *types.Type // as it is stored; nil: no key
	Value *types.Type
	Max   int // most entries

	Store  string // the way it is kept, by its name in runtime/store
	Kernel string // the kernel map
	PerCPU bool   // there is a value for each CPU
	LRU    bool   // the kernel may drop entries: full is not an error
	Off    int    // without keys: bytes into the element
	Set    int    // without keys: offset of a byte that is 1 once the map was assigned
	Number int    // the map's number in a hash map that several share; 0: it is not shared
	Short  string // name of the kernel map that holds the entries with short keys; "": Kernel holds all
	Part   int    // bytes of an entry's value, which is a part of one, and whose number follows the key as a u64; 0: entries are whole
	Table  *Table // the table that holds a part of the entries, or nil
	// Reset is a program that sets the value of the CPU it runs on to zero. If its
	// first argument is not 0, the byte at Set becomes 0 as well. nil: the map is
	// never cleared or zeroed, or user space needs no program for it.
	Reset *Program
}

// Table is where in the element of TableMap a table is.
type Table struct {
	Off   int // bytes
	Slots int // of a CPU, if CPUs is not 0
	CPUs  int // how many CPUs have slots of their own; 0: all share them
}

// SiteKind is what goes wrong at a Site.
type SiteKind uint8

const (
	LostEvent   SiteKind = iota // no room in the ring buffer
	MapFull                     // an update of a map failed
	ReadFault                   // memory could not be read; the value is zero
	DivZero                     // division or modulo by zero; the result is one
	OutOfBounds                 // an index beyond its array; the value is zero
	StackFault                  // a stack could not be taken or stored
	HelperFail                  // another helper returned an error
	NoEntry                     // a map was read where it has nothing; the value is zero
)

// Site is a place in the script where something can go wrong at run time, and
// a u64 counter of how often it did, at 8 × its index in SiteMap.
type Site struct {
	Kind SiteKind
	Span source.Span
	What string // the map, helper or function concerned
}
