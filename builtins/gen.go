package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// Dest is memory of the program to be filled: Size bytes at Ptr+Off.
type Dest struct {
	Ptr  *ir.Value
	Off  int64
	Size int
	// Padded says that every byte must be defined afterwards (keys, map values,
	// variables). If it is not set, bytes after a string's NUL may be left as they
	// are.
	Padded bool
	// Len, if it is not nil, takes the number of bytes that a string (with its NUL)
	// or a buffer uses: those after them are not read. A Store that writes fewer
	// than Size bytes may set it.
	Len *ir.Var
}

// Gen is what Emit, Store and Update build code with.
type Gen interface {
	Facts

	// B is the builder at the current place.
	B() *ir.Builder
	// Ctx is the program's context pointer.
	Ctx() *ir.Value

	GenArgs
	GenMemory
	GenMaps
	GenEvents

	// If emits then, which runs if cond is not 0. IfElse emits two branches and
	// returns the value that either of them leaves.
	If(cond *ir.Value, then func())
	IfElse(cond *ir.Value, then, els func() *ir.Value) *ir.Value
	// ReturnNow ends the program here.
	ReturnNow()
}

// GenArgs computes arguments.
type GenArgs interface {
	// Value computes a scalar. Store writes any argument into memory, converted to
	// t. Addr is the address of an argument that is not a scalar, in the program's
	// own memory: it is copied there if need be.
	Value(a *Arg) *ir.Value
	Store(a *Arg, t *types.Type, dst Dest)
	Addr(a *Arg) *ir.Value
	// Ref is the address and space of an argument that is an object or array,
	// without copying it.
	Ref(a *Arg) (*ir.Value, types.Space)
	// Object emits found with the address of the object that an argument is, or
	// points to, as the kernel's verifier knows it. none runs if there is a null
	// pointer on the way to it.
	Object(a *Arg, found func(p *ir.Value), none func())
	// SetVar assigns the variable of a VarArg from memory or a scalar.
	SetVar(a *Arg, t *types.Type, p *ir.Value)
}

// GenMemory reads what programs trace, and provides memory of their own.
type GenMemory interface {
	// Read copies size bytes (a constant) from address src in space to dst. On a
	// fault dst is zeroed and the site counted. The result is the helper's.
	Read(dst *ir.Value, off int64, size int, src *ir.Value, space types.Space, what string) *ir.Value
	// ReadStr copies a NUL-terminated string of at most size bytes, NUL included.
	// The result is its length with the NUL, or negative on a fault, which is
	// counted; dst is then an empty string.
	ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value
	// Temp is scratch memory of a constant size for the rest of the program.
	Temp(size int) *ir.Value
	// Rodata is the address of constant bytes.
	Rodata(data []byte) *ir.Value
	// SessionWord reads the u64 at byte off of object.SessionMap.
	SessionWord(off int) *ir.Value
}

// GenMaps accesses maps.
type GenMaps interface {
	// Lookup is the address of the value of a key, or null. Delete removes an entry;
	// the result is 0 or a negative error. The key is nil for a map without keys.
	Lookup(m *MapInfo, key ast.Expr) *ir.Value
	Delete(m *MapInfo, key ast.Expr) *ir.Value
	// MapLen is the number of entries of a keyed map.
	MapLen(m *MapInfo) *ir.Value
	// StackMap is the kernel map for stacks of that depth, MoreStacks the map for
	// those that it has no room for.
	StackMap(depth int) *ir.Map
	MoreStacks(depth int) *ir.Map
}

// GenEvents sends records to user space and counts what goes wrong.
type GenEvents interface {
	// Event starts a record of the call: header, then the given argument types
	// laid out after it. fill stores the arguments; it runs if the ring buffer has
	// room. lits go into the event's description.
	Event(call *Call, args []*types.Type, lits []any, fill func(rec *ir.Value, offs []int))
	// Send sends the values of some arguments, each as the type given with it.
	Send(call *Call, args []*Arg, ts []*types.Type, lits []any)
	// Count adds one to the counter of a new site.
	Count(kind object.SiteKind, s source.Span, what string)
}
