package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// Dest is the program's own memory that a Store writes: Size bytes at Ptr+Off.
type Dest struct {
	Ptr  *ir.Value
	Off  int64
	Size int
	// Padded is set if Store must define every byte, which keys, map values and
	// variables require. Otherwise it may leave the bytes after a string's NUL
	// undefined.
	Padded bool
	// Len, if not nil, receives the number of bytes in use by a string (including its
	// NUL) or a buffer. The bytes after them are not read. A Store that writes fewer
	// than Size bytes may set Len.
	Len *ir.Var
}

// Gen is the code generator that Emit, Store and Update use.
type Gen interface {
	Facts

	// B returns the builder at the current position.
	B() *ir.Builder
	// Ctx returns the program's context pointer. ArgsBase returns the address to which
	// offsets in args are relative. The two are often equal.
	Ctx() *ir.Value
	ArgsBase() *ir.Value

	GenArgs
	GenMemory
	GenMaps
	GenEvents
	GenFunctions

	// Sampling returns the binary logarithm of the number of events for which this one
	// stands in a sampled program. It returns nil if the program runs at all events.
	Sampling() *ir.Value
	// ReturnNow ends the program here. Return ends it with a result, on which the kernel
	// acts.
	ReturnNow()
	Return(result *ir.Value)
}

// GenArgs emits code for arguments.
type GenArgs interface {
	// Value computes a scalar. Store converts any argument to t and writes it to
	// memory. Addr returns the address in the program's own memory of an argument that
	// is not a scalar. If the argument is elsewhere, Addr copies it first.
	Value(a *Arg) *ir.Value
	Store(a *Arg, t *types.Type, dst Dest)
	Addr(a *Arg) *ir.Value
	// Ref returns the address and address space of an argument that is an object or
	// array. It does not copy it.
	Ref(a *Arg) (*ir.Value, types.Space)
	// Object emits found with the address of the object that an argument is or points
	// to, in the form that the verifier requires. It emits none for the case that a
	// pointer to the object is null.
	Object(a *Arg, found func(p *ir.Value), none func())
	// SetVar assigns memory or a scalar to the variable of a VarArg.
	SetVar(a *Arg, t *types.Type, p *ir.Value)
}

// GenMemory reads traced memory and allocates the program's own memory.
type GenMemory interface {
	// Read copies size bytes (a constant) from address src in space to dst. On a fault
	// it zeroes dst and counts the error. It returns the helper's result.
	Read(dst *ir.Value, off int64, size int, src *ir.Value, space types.Space, what string) *ir.Value
	// ReadStr copies a NUL-terminated string of at most size bytes, including the NUL.
	// It returns the length including the NUL. On a fault it counts the error, makes
	// dst an empty string and returns a negative number.
	ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value
	// Temp returns the address of size bytes that are valid for the rest of the
	// program.
	Temp(size int) *ir.Value
	// Untracked returns the address of size bytes of unused memory, for the rest of the
	// program. If the program has so many branches that the kernel's verifier could not
	// follow all paths, the memory is of a kind whose content it does not track.
	Untracked(size int) *ir.Value
	// Rodata returns the address of constant bytes.
	Rodata(data []byte) *ir.Value
	// Table is Rodata for a table that a program may read up to span bytes from its
	// start, as far as the kernel's verifier can tell.
	Table(data []byte, span int) *ir.Value
	// SessionWord reads the u64 at byte off of object.SessionMap.
	SessionWord(off int) *ir.Value
}

// GenMaps accesses maps.
type GenMaps interface {
	// Lookup returns the address of the value of a key, or null. Delete removes an
	// entry and returns 0 or a negative error. key holds the parts of the key; it is
	// nil for a map without keys.
	Lookup(m *MapInfo, key []Node) *ir.Value
	Delete(m *MapInfo, key []Node) *ir.Value
	// MapLen returns the number of entries of a keyed map.
	MapLen(m *MapInfo) *ir.Value
	// StackMap returns the kernel map for stacks of a depth. MoreStacks returns the map
	// for stacks that cannot be in StackMap.
	StackMap(depth int) *ir.Map
	MoreStacks(depth int) *ir.Map
	// KernelMap returns the additional kernel map with the name of m. The first call
	// creates it with the properties of m.
	KernelMap(m ir.Map) *ir.Map
}

// GenFunctions builds code that is long or is used many times.
type GenFunctions interface {
	// Function returns the program's function with a name. The first call emits it with
	// build. It has no parameters. The verifier checks it once, however often it is
	// called.
	Function(name string, build func(g Gen) *ir.Value) *ir.Func
	// Calls returns the number of calls of a builtin that the program has.
	Calls(def *Def) int
	// Once returns the result of build, whose code runs once at the start of the
	// function, however often Once is called with the name.
	Once(name string, build func() *ir.Value) *ir.Value
	// Repeat runs body up to turns times. p is memory that the iterations and the code
	// after the loop share. body may become a function of its own, so it must use only
	// its own g and p, and no other value.
	Repeat(turns int, p *ir.Value, body func(g Gen, p *ir.Value, leave Leave))
}

// Leave ends a loop if cond is not 0. It runs last first, unless that is nil.
type Leave func(cond *ir.Value, last func())

// GenEvents sends records to user space and counts failures.
type GenEvents interface {
	// Event emits a record of the call: a header, followed by arguments of the given
	// types. If the ring buffer has room, fill stores the arguments at offs. lits
	// become part of the event's description.
	Event(call *Call, args []*types.Type, lits []any, fill func(rec *ir.Value, offs []int))
	// Send sends the values of some arguments, each converted to the given type.
	Send(call *Call, args []*Arg, ts []*types.Type, lits []any)
	// Count increments the counter of a new error site.
	Count(kind object.SiteKind, s source.Span, what string)
}
