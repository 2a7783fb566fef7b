// Package builtins is what the language offers by name: variables (pid, comm),
// functions (str, ntop), aggregations (count, hist) and actions (printf, exit).
// Each is one file with one Def: its type rule, the code it becomes, and what
// is done in user space with the data it sends. All lists them. Nothing else
// in the tree knows a builtin by its name.
package builtins

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/value"
)

// Kind is what a builtin is used as. A Variable can also be called with (), and
// with arguments if it has Params.
type Kind uint8

const (
	Variable    Kind = iota // read like a variable
	Function                // computes a value
	Aggregation             // only as @map = f(…)
	Action                  // done for its effect; usually in user space, later
)

// ParamKind is what may stand for a parameter.
type ParamKind uint8

const (
	Expr       ParamKind = iota // any expression
	Literal                     // an integer, string or boolean known when compiling
	MapArg                      // a map itself: @m
	MapOrEntry                  // @m or @m[key]; any other expression leaves Arg.Map nil
	VarArg                      // a scratch variable to be written
	TypeParam                   // a type, or an expression standing for its type
	NameArg                     // a bare word (modes such as perf, raw)
)

// Param is one parameter.
type Param struct {
	Name     string
	Kind     ParamKind
	Optional bool
	Variadic bool // last one: any number of it
	Address  bool // of a string that a tracepoint recorded the address is wanted
	Text     bool // a positional parameter stands for its text, even if that is a number
	Chars    bool // a pointer to characters stands for the string there, as by str()

	// What the builtin does with the map of a MapArg or MapOrEntry: with @m, and with
	// @m[key]. What @m is read or deleted by is the key that the next argument gives.
	Map, Entry store.Use
}

// Doc is a builtin's documentation; the reference is generated from it.
type Doc struct {
	Summary  string   // one or two sentences
	Examples []string // whole programs; each must compile
}

// Def is one builtin. Which functions it needs depends on its kind:
//
//	Variable, Function   Check; Emit (scalar result) or Store (anything else)
//	Aggregation          Check; Update; Merge; Format; Scalar where it can be read in an expression
//	Action               Check; Handle, and Emit where sending all arguments is not what it does
//	any with an Opaque result type named after it: Format
type Def struct {
	Name   string
	Kind   Kind
	Params []Param
	Unsafe bool // needs --unsafe
	Ends   bool // control does not get behind it: exit()
	// Acts says that a call does something besides computing its result, which may
	// be left alone therefore.
	Acts bool
	// Thread says that its value is the running thread's alone: no other has it at
	// the same time, but 0.
	Thread bool
	// Varies says that it has another value each time it is read, in one run of a
	// program too.
	Varies bool
	// Args says that it reads the probe's arguments, so that points whose
	// arguments differ need programs of their own.
	Args bool
	// Ret says that it is the probed function's result.
	Ret bool
	// NotInLoop says that it may not stand in the body of a for loop, which
	// runs as a callback: it reads the program's context or ends the program.
	NotInLoop bool
	// Outside says that its Handle acts outside of the session, which may take any
	// time. If the user ends the session, records of it that are pending are
	// dropped.
	Outside bool
	Doc     Doc

	// Check is the type rule. Argument types are known; errors are reported
	// through the checker; the result is TInvalid then, TVoid for no value.
	Check func(c Checker, call *Call) *types.Type

	// Emit computes a scalar, or performs an action (result nil).
	Emit func(g Gen, call *Call) *ir.Value
	// Store writes a value that is not a scalar into dst.
	Store func(g Gen, call *Call, dst Dest)
	// Source, where a Store copies a string of at most the result type's size
	// from an address, is that address; not ok where it does something else.
	Source func(g Gen, call *Call) (src *ir.Value, space types.Space, ok bool)
	// Update folds call's arguments into the aggregation at p (a value of
	// call.Type, zeroed when new; this CPU's copy, so no atomics needed).
	Update func(g Gen, call *Call, p *ir.Value)
	// UpdatePart is Update for a value larger than a CPU can keep in one piece: a
	// row of parts of PartSize bytes, of which an update touches one. part runs
	// use on part n of the value, unless there is no room for it.
	UpdatePart func(g Gen, call *Call, part func(n *ir.Value, use func(p *ir.Value)))
	PartSize   int
	// Scalar reads the aggregation at p (one CPU's copy) into acc, a running
	// merge over the CPUs held in a slot of Accum bytes (zeroed at the start);
	// Result turns it into the integer an expression sees.
	Accum  int
	Scalar func(g Gen, t *types.Type, acc, p *ir.Value)
	Result func(g Gen, t *types.Type, acc *ir.Value) *ir.Value

	// ShowType is a type with its parameters, where its name does not tell it from
	// another one of the builtin's.
	ShowType func(t *types.Type) string
	// Disagree is what is said of uses on one map whose literal parameters differ;
	// "" says it in general.
	Disagree string
	// TypeName is the name of the Opaque or Agg type that Check returns, if any.
	// UnsignedType is that of an aggregation of unsigned integers, where it
	// differs; Unsigned says that all values of an aggregation are unsigned.
	TypeName     string
	UnsignedType string
	Unsigned     bool
	// Metric says what kind of numbers the values of an aggregation are.
	Metric value.Metric
	// Merge folds src, one CPU's value, into dst.
	Merge func(t *types.Type, dst, src []byte)
	// Format decodes a value of the type TypeName.
	Format func(env Env, t *types.Type, data []byte) value.Value
	// Whole says that print() shows maps of such values whole and as they are,
	// whatever its top and div are.
	Whole bool
	// Order compares two merged values for sorting maps by value; nil: by
	// their bytes as integers.
	Order func(t *types.Type, a, b []byte) int
	// Handle acts on a record in user space.
	Handle func(env Env, rec *object.Record) error
}

// Call is one use of a builtin in the script, in one program.
type Call struct {
	Def  *Def
	Name string // as written: "arg3" where Def is arg; "" is the same as Def.Name
	Span source.Span
	From source.Span // the macro call that it comes from, if it is in a macro
	Args []Arg
	Type *types.Type // the result; set by the checker from Check
	Data any         // what Check leaves for Emit, Store and Update
	Lit  *Lit        // set by Check where the result is known when compiling
}

// Arg is one argument.
type Arg struct {
	Span source.Span
	Expr ast.Expr    // to be handed back to Gen; builtins do not look into it
	Type *types.Type // of the value; MapArg: the map's value type
	Lit  *Lit        // its value where it is known when compiling
	Map  *MapInfo    // MapArg, MapOrEntry
	Key  ast.Expr    // MapOrEntry with a key; nil: the whole map
	Word string      // NameArg
}

// Lit is a literal known when compiling.
type Lit struct {
	Int      int64 // also 0 or 1 for booleans
	Unsigned bool  // Int holds a uint64 above the signed range
	Str      string
	IsStr    bool
	IsBool   bool
}

// MapInfo is a map as the checker knows it; shared by all uses.
type MapInfo struct {
	Name  string      // with its @
	Key   *types.Type // nil: no key, or not known yet
	Value *types.Type // nil: not known yet
	Keyed bool
	Decl  string      // declared map type: hash, lruhash …; "" if not declared
	Max   int         // declared entries
	Span  source.Span // first use
	Agg   *Call       // the first aggregation assigned, whose literal parameters all others must share
	Read  bool        // read in an expression somewhere
}

// Checker is what type rules may ask and say.
type Checker interface {
	Errorf(s source.Span, format string, args ...any)
	ErrorHint(s source.Span, hint, format string, args ...any)
	Warnf(s source.Span, format string, args ...any)
	// Unstable reports the use of a feature that may change, as the
	// configuration wants it; false: it may not be used.
	Unstable(feature string, s source.Span) bool
	Kernel() probes.Kernel
	Config() *config.Config
	Context() *probes.Context // of the probe; nil inside fn
	Point() *probes.Point     // nil inside fn, or when several share a program
	// Final reports whether types have settled: only then errors count and
	// missing types are errors.
	Final() bool
	// MapUse notes that the call gives the map a value type (find's variable,
	// tseries …) or key; types may be nil.
	UseKey(m *MapInfo, key *types.Type, s source.Span)
	// Number reads an integer as the command line gives it, in any form that a
	// script can write one in.
	Number(text string) (*Lit, bool)
	// DeclareVar gives the variable behind a VarArg a type.
	DeclareVar(a *Arg, t *types.Type)
	// LookupType resolves a type name as written in the script.
	LookupType(name string, s source.Span) *types.Type
	// NeedsPoint says that the program must know which attach point it runs
	// for, so it is not shared.
	NeedsPoint()
	// StackLens reports whether stacks are stored with their lengths, as they
	// are in a program where any call has said need.
	StackLens(need bool) bool
	// Session facts: positional parameters, command line options, and so on.
	Session() *Session
}

// Session is what the command line says to the program.
type Session struct {
	Params   []string          // $1 …
	Options  map[string]string // --name=value behind --; "" value for flags
	Unsafe   bool
	PID      int  // -p
	HasChild bool // -c
	ChildPID int
	Verbose  bool
	Warnings bool // -k

	IncludeDirs  []string      // -I: where #include and import look first
	Files        *source.Files // reads what they name; nil: from disk
	IncludeFiles []string      // --include

	// Needs takes down what the code depends on besides the kernel; nil: it is not
	// noted.
	Needs *object.Needs

	PIDNS *PIDNamespace // the pid namespace we live in; nil: the initial one
	// Inner is the process PID as the namespace counts it that it lives in. The
	// kernel tells no other number of a process, except the initial one.
	Inner InnerPID
}

// InnerPID is a process id in a namespace.
type InnerPID struct {
	PIDNamespace
	PID int
}

// PIDNamespace names a pid namespace by its file below /proc/PID/ns.
type PIDNamespace struct{ Dev, Ino uint64 }

// Dest is memory of the program to be filled: Size bytes at Ptr+Off.
type Dest struct {
	Ptr  *ir.Value
	Off  int64
	Size int
	// Padded: every byte must be defined afterwards (keys, map values,
	// variables). Otherwise bytes behind a string's NUL may be left as they are.
	Padded bool
	// Len, where it is not nil, takes how many bytes are in use of a string, its
	// NUL included, or a buffer: those behind them will not be looked at. Who
	// stores something shorter than Size may set it.
	Len *ir.Var
}

// Gen is what Emit, Store and Update build code with.
type Gen interface {
	// B is the builder at the current place.
	B() *ir.Builder
	// Ctx is the program's context pointer.
	Ctx() *ir.Value
	Context() *probes.Context
	Point() *probes.Point
	Kernel() probes.Kernel
	Config() *config.Config
	Session() *Session

	// Value computes a scalar argument; Store writes any argument into memory,
	// converted to t; Addr is the address of an argument that is not a scalar,
	// in the program's own memory (copied there if it must be).
	Value(a *Arg) *ir.Value
	Store(a *Arg, t *types.Type, dst Dest)
	Addr(a *Arg) *ir.Value
	// Ref is where an argument that is an object or array lives, without
	// copying it: its address and space.
	Ref(a *Arg) (*ir.Value, types.Space)
	// Object emits found with the address of the object that an argument is, or
	// points to, as the kernel's verifier knows it; where a null pointer is on
	// the way there, none is what happens.
	Object(a *Arg, found func(p *ir.Value), none func())
	// Truth is a's value as a condition: 0 or not.
	Truth(a *Arg) *ir.Value
	// SetVar assigns the variable of a VarArg from memory or a scalar.
	SetVar(a *Arg, t *types.Type, p *ir.Value)

	// Read copies size bytes (a constant) from address src in space to dst; on
	// a fault dst is zeroed and the site counted. The result is the helper's.
	Read(dst *ir.Value, off int64, size int, src *ir.Value, space types.Space, what string) *ir.Value
	// ReadStr copies a NUL-terminated string of at most size bytes, NUL
	// included; the result is its length with the NUL, or negative on a fault
	// (counted; dst is then an empty string).
	ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value

	// Temp is scratch memory of a constant size for the rest of the program.
	Temp(size int) *ir.Value
	// Rodata is the address of constant bytes; Zeros of n zero bytes.
	Rodata(data []byte) *ir.Value
	Zeros(n int) *ir.Value

	// Lookup is the address of the value of a key, or null; Delete removes an entry:
	// 0 or a negative error. The key is nil for a map without keys.
	Lookup(m *MapInfo, key ast.Expr) *ir.Value
	Delete(m *MapInfo, key ast.Expr) *ir.Value

	// Event starts a record of the call: header, then the given argument types
	// laid out after it. fill stores the arguments; it runs where the ring
	// buffer had room. lits go into the event's description.
	Event(call *Call, args []*types.Type, lits []any, fill func(rec *ir.Value, offs []int))
	// SendArgs sends all value arguments of the call: what Action does without
	// an Emit of its own.
	SendArgs(call *Call, lits []any)
	// Send sends the values of some arguments, each as the type given with it.
	Send(call *Call, args []*Arg, ts []*types.Type, lits []any)
	// Count adds one to the counter of a new site.
	Count(kind object.SiteKind, s source.Span, what string)
	// ReturnNow ends the program here.
	ReturnNow()
	// If emits then only where cond is not 0.
	If(cond *ir.Value, then func())
	// IfElse is the same with two branches and a value merged from both.
	IfElse(cond *ir.Value, then, els func() *ir.Value) *ir.Value
	// MapLen is the number of entries of a keyed map.
	MapLen(m *MapInfo) *ir.Value
	// SessionWord reads the u64 at byte off of object.SessionMap.
	SessionWord(off int) *ir.Value
	// StackMap is the kernel map for stacks of that depth.
	StackMap(depth int) *ir.Map
	// MoreStacks is the map for those that the kernel's has no place for.
	MoreStacks(depth int) *ir.Map
	// CgroupID, Symbol … need no code: ask Kernel().
}

// ErrGivenUp is the error of a Handle that ended its work because Env.Outside was
// done.
var ErrGivenUp = errors.New("given up: the session was ended")

// Env is what user-space halves may use.
type Env interface {
	// Out is where results go.
	Out() output.Sink
	// Err is where errors and warnings for the user go.
	Err() io.Writer
	// Decoder turns the bytes of values into something printable.
	Decoder() *decode.Decoder
	// Text is a value as %s and print show it.
	Text(v value.Value) string
	Settings() *object.Settings
	// Kernel answers questions about symbols and syscalls.
	Kernel() probes.Kernel
	// Symbolize an address of a process: "func+off" as usym prints it.
	UserSymbol(pid int, addr uint64) string
	KernelSymbol(addr uint64) string
	// Frames are the texts of a stack's frames as kstack and ustack print them
	// in a mode (bpftrace, perf, raw); pid is 0 for kernel stacks.
	Frames(pid int, addrs []uint64, mode string) []string
	// Stack reads the frames of a stack id; nil if it is gone.
	Stack(depth int, id int64) []uint64
	// BootToWall is the wall-clock time of a boot-clock timestamp in ns.
	BootToWall(ns uint64) time.Time
	MonoToWall(ns uint64) time.Time
	// Print, clear and zero a map by its name, and Exit the session.
	PrintMap(name string, top, div int64) error
	ClearMap(name string) error
	ZeroMap(name string) error
	Exit(code int)
	// Outside is done when what a builtin does outside of the session is to be
	// given up, because the user has ended it. Its Handle then returns ErrGivenUp.
	Outside() context.Context
	// Unwatch detaches the watchpoint probes at an address.
	Unwatch(addr uint64) error
	// Cgroup paths, user names: read once and cached.
	CgroupPath(id uint64, filter string) string
	UserName(uid uint32) string
	// Warn reports a problem of an event at run time on stderr; Fail that
	// something outside is not as the script wants it: it may come often.
	Warn(s source.Span, format string, args ...any)
	Fail(format string, args ...any)
}
