package builtins

import (
	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
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
	code.Gen

	GenArgs
	GenMaps
	GenEvents

	// Sampling returns the binary logarithm of the number of events for which this one
	// stands in a sampled program. It returns nil if the program runs at all events.
	Sampling() *ir.Value
	// Return ends the program here, with a result on which the kernel acts. If result is
	// nil, that is the probe's default.
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
	// SetVar assigns memory or a scalar of the type a.Assigned to the variable of a VarArg.
	SetVar(a *Arg, p *ir.Value)
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
}

// GenEvents sends records to user space.
type GenEvents interface {
	// Event emits a record of the call: a header, followed by arguments of the given
	// types. If the ring buffer has room, fill stores the arguments at offs. lits
	// become part of the event's description.
	Event(call *Call, args []*types.Type, lits []any, fill func(rec *ir.Value, offs []int))
	// Send sends the values of some arguments, each converted to the given type.
	Send(call *Call, args []*Arg, ts []*types.Type, lits []any)
}
