package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// Dest is memory of the program that a Store fills: Size bytes at Ptr+Off.
type Dest struct {
	Ptr  *ir.Value
	Off  int64
	Size int
	// Padded says that a Store must define every byte, as keys, map values and
	// variables need. Otherwise it may leave the bytes after a string's NUL alone.
	Padded bool
	// Len, if not nil, receives the number of bytes that a string (with its NUL) or
	// a buffer uses; the bytes after them are not read. A Store that writes fewer
	// than Size bytes may set it.
	Len *ir.Var
}

// Gen builds the code of Emit, Store and Update.
type Gen interface {
	Facts

	// B returns the builder at the current place.
	B() *ir.Builder
	// Ctx returns the program's context pointer. ArgsBase returns the address that the
	// offsets in args count from, which is often the same.
	Ctx() *ir.Value
	ArgsBase() *ir.Value

	GenArgs
	GenMemory
	GenMaps
	GenEvents
	GenFunctions

	// ReturnNow ends the program here.
	ReturnNow()
}

// GenArgs computes arguments.
type GenArgs interface {
	// Value computes a scalar. Store converts any argument to t and writes it into
	// memory. Addr returns the address in the program's own memory of an argument
	// that is not a scalar, after copying it there if it is elsewhere.
	Value(a *Arg) *ir.Value
	Store(a *Arg, t *types.Type, dst Dest)
	Addr(a *Arg) *ir.Value
	// Ref returns the address and space of an argument that is an object or array.
	// It does not copy it.
	Ref(a *Arg) (*ir.Value, types.Space)
	// Object emits found, with the address of the object that an argument is or
	// points to, in the form that the kernel's verifier knows. It emits none for
	// the case of a null pointer on the way there.
	Object(a *Arg, found func(p *ir.Value), none func())
	// SetVar assigns the variable of a VarArg from memory or a scalar.
	SetVar(a *Arg, t *types.Type, p *ir.Value)
}

// GenMemory reads traced memory and provides memory of the program's own.
type GenMemory interface {
	// Read copies size bytes (a constant) from address src in space to dst. On a
	// fault it zeroes dst and counts the site. It returns the helper's result.
	Read(dst *ir.Value, off int64, size int, src *ir.Value, space types.Space, what string) *ir.Value
	// ReadStr copies a NUL-terminated string of at most size bytes, NUL included.
	// It returns the length with the NUL. On a fault it counts the site, makes dst
	// an empty string and returns a negative number.
	ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value
	// Temp returns scratch memory of size bytes for the rest of the program.
	Temp(size int) *ir.Value
	// Rodata returns the address of constant bytes.
	Rodata(data []byte) *ir.Value
	// SessionWord reads the u64 at byte off of object.SessionMap.
	SessionWord(off int) *ir.Value
}

// GenMaps accesses maps.
type GenMaps interface {
	// Lookup returns the address of the value of a key, or null. Delete removes an
	// entry and returns 0 or a negative error. key holds the parts of the key; it is
	// nil for a map without keys.
	Lookup(m *MapInfo, key []ast.Expr) *ir.Value
	Delete(m *MapInfo, key []ast.Expr) *ir.Value
	// MapLen returns the number of entries of a keyed map.
	MapLen(m *MapInfo) *ir.Value
	// StackMap returns the kernel map for stacks of a depth, MoreStacks the map for
	// those that StackMap has no room for.
	StackMap(depth int) *ir.Map
	MoreStacks(depth int) *ir.Map
	// KernelMap returns the map of gotrace's own with the name of m. It is made like m
	// when first asked for.
	KernelMap(m ir.Map) *ir.Map
}

// GenFunctions builds code that is long or runs many times.
type GenFunctions interface {
	// Function returns the function of the program with a name, which build emits when
	// it is first asked for. It has no parameters. The kernel's verifier reads it once,
	// however often it is called.
	Function(name string, build func(g Gen) *ir.Value) *ir.Func
	// Once returns the result of build. Its code runs once, when the function starts,
	// however often Once is called with the name.
	Once(name string, build func() *ir.Value) *ir.Value
	// Repeat runs body up to so many times. p is memory for what turns leave to each
	// other and to the code after the loop. body may become a function of its own, so
	// it must use its own g and p, and no other value.
	Repeat(turns int, p *ir.Value, body func(g Gen, p *ir.Value, leave Leave))
	// Mapping runs body with the kernel's struct vm_area_struct for an address of the
	// current process, if there is one and it is not locked. The kernel must have
	// FeatFindVMA. p and body are as in Repeat.
	Mapping(addr, p *ir.Value, body func(g Gen, p, vma *ir.Value))
}

// Leave ends a loop if cond is not 0, after it has run last, which may be nil.
type Leave func(cond *ir.Value, last func())

// GenEvents sends records to user space and counts failures.
type GenEvents interface {
	// Event starts a record of the call: a header, followed by arguments of the
	// given types. If the ring buffer has room, fill stores the arguments at offs.
	// lits go into the event's description.
	Event(call *Call, args []*types.Type, lits []any, fill func(rec *ir.Value, offs []int))
	// Send sends the values of some arguments, each as the type given with it.
	Send(call *Call, args []*Arg, ts []*types.Type, lits []any)
	// Count adds one to the counter of a new site.
	Count(kind object.SiteKind, s source.Span, what string)
}
