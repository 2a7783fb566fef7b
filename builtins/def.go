// Package builtins defines what the language offers by name: variables (pid,
// comm), functions (str, ntop), aggregations (count, hist) and actions (printf,
// exit). Each has a file with a Def: its type rule, the code it becomes, and what
// user space does with the data it sends. All lists them. No other package knows
// a builtin by its name.
package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/value"
)

// Kind says how a script uses a builtin. A Variable can also be called with (),
// and with arguments if it has Params.
type Kind uint8

const (
	Variable    Kind = iota // read like a variable
	Function                // computes a value
	Aggregation             // only as @map = f(…)
	Action                  // done for its effect; usually in user space, later
)

// ParamKind says what a script may pass for a parameter.
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
	Variadic bool // the last parameter, which takes any number of arguments
	Address  bool // if a tracepoint recorded a string, pass its address
	Text     bool // pass a positional parameter as text, even if it is a number
	Counted  bool // pass a string with a length, as in Go and Rust, as text
	Chars    bool // pass a pointer to characters as the string it points to, as str() reads it

	// Map and Entry say what the builtin does with the map of a MapArg or
	// MapOrEntry: Map if the argument is @m, Entry if it is @m[key]. If @m is read
	// or deleted from, the next argument is the key.
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
//	Aggregation          Check; Update; Merge; Format; Scalar if an expression can read it
//	Action               Check; Handle; Emit if it does more than send all arguments
//	any with an Opaque result type named after it: Format
type Def struct {
	Name   string
	Kind   Kind
	Params []Param
	Unsafe bool // needs --unsafe
	Ends   bool // the program ends here: exit()
	// Acts says that a call does more than compute its result, so a script may
	// ignore the result.
	Acts bool
	// Thread says that no two running threads have the same value at the same
	// time, except 0.
	Thread bool
	// Varies says that the value may change between two reads in one run of a
	// program.
	Varies bool
	// Args says that it reads the probe's arguments. Points with different
	// arguments then need separate programs.
	Args bool
	// KernelStack says that it takes the kernel's stack, which also shows what the kernel
	// called to run the program.
	KernelStack bool
	// Ret says that it returns the probed function's result.
	Ret bool
	// OnlyMembers says that the result is a pointer that a script cannot have: it can
	// only use the members of what it points to.
	OnlyMembers bool
	// NotInLoop says that the body of a for loop cannot use it. The body is a
	// callback, which has no context and cannot end the program. In a macro a
	// builtin that Ends the program can be used in a loop all the same.
	NotInLoop bool
	// Outside says that its Handle acts outside of the session and may take any
	// time. If the user ends the session, its pending records are dropped.
	Outside bool
	// Refusals explain, in terms of the script, why a kernel may refuse a program
	// that calls it.
	Refusals []Refusal
	Doc      Doc

	// Check is the type rule. Argument types are known. It reports errors to the
	// checker and then returns TInvalid. It returns TVoid if there is no value.
	Check func(c Checker, call *Call) *types.Type

	// Emit computes a scalar, or performs an action (result nil).
	Emit func(g Gen, call *Call) *ir.Value
	// Store writes a value that is not a scalar into dst.
	Store func(g Gen, call *Call, dst Dest)
	// Source returns the address that Store copies its string from, of at most the
	// result type's size. ok is false if Store does anything else.
	Source func(g Gen, call *Call) (src *ir.Value, space types.Space, ok bool)
	// Update folds call's arguments into the aggregation at p, a value of
	// call.Type that starts as zeros. It is this CPU's copy, so Update needs no
	// atomic operations.
	Update func(g Gen, call *Call, p *ir.Value)
	// UpdatePart is Update for a value too large for one piece of per-CPU memory.
	// The value is a row of parts of PartSize bytes, and an update touches one of
	// them. part runs use on part n of the value if there is room for it.
	UpdatePart func(g Gen, call *Call, part func(n *ir.Value, use func(p *ir.Value)))
	PartSize   int
	// Scalar merges the aggregation at p, one CPU's copy, into acc, which has
	// Accum bytes and starts as zeros. Result turns acc into the integer that an
	// expression sees. If Result is nil, acc itself is a value of type t: it can be
	// printed and held in a tuple, but is not an operand.
	Accum  int
	Scalar func(g Gen, t *types.Type, acc, p *ir.Value)
	Result func(g Gen, t *types.Type, acc *ir.Value) *ir.Value

	// ShowType returns the text of a type with its parameters. It is set if the
	// name alone does not tell two types of the builtin apart.
	ShowType func(t *types.Type) string
	// Disagree is the error for uses on one map with different literal parameters;
	// "" means the general one.
	Disagree string
	// TypeName is the name of the Opaque or Agg type that Check returns, if any.
	// UnsignedType is the name for an aggregation of unsigned integers, if it
	// differs. Unsigned says that all values of an aggregation are unsigned.
	TypeName     string
	UnsignedType string
	Unsigned     bool
	// TypeSize is the least size in bytes of a type named TypeName; 0: 8.
	TypeSize int
	// AcceptType reports whether Merge, Format and Order expect a type with these
	// parameters. nil: they use no parameters.
	AcceptType func(t *types.Type) bool
	// Metric says what kind of numbers the values of an aggregation are.
	Metric value.Metric
	// KeptStack returns the depth of a stack with frames in a kernel map, and its
	// number there. ok is false if there is none. KeptStack is nil if the type is not
	// a stack.
	KeptStack func(t *types.Type, data []byte) (depth int, number uint32, ok bool)
	// UserSymbols says that Format names addresses in processes, which may have
	// ended by the time it runs.
	UserSymbols bool
	// KernelSymbols says that Format names addresses in the kernel, where BPF programs
	// and modules may have been unloaded by the time it runs.
	KernelSymbols bool
	// OfCgroup says that Format names cgroups, which may have been removed by the time
	// it runs. Different values may have the same text.
	OfCgroup bool
	// Is computes, for ==, whether the value is what a literal names. CheckIs prepares
	// it in call, or reports why that is not possible. nil: values are compared.
	CheckIs func(c Checker, call *Call, text string, s source.Span) bool
	Is      func(g Gen, call *Call) *ir.Value
	// Merge folds src, one CPU's value, into dst.
	Merge func(t *types.Type, dst, src []byte)
	// Format decodes a value of the type TypeName.
	Format func(env Env, t *types.Type, data []byte) value.Value
	// Whole says that print() ignores top and div for maps of such values.
	Whole bool
	// Order compares two merged values to sort a map by value. nil compares their
	// bytes as integers.
	Order func(t *types.Type, a, b []byte) int
	// Rank returns a number that compares as Order does, to sort many values faster. ok
	// is false if none does for this value. nil: there is none for any.
	Rank func(t *types.Type, data []byte) (n uint64, ok bool)
	// Handle acts on a record in user space. Sends lists the forms of the events that
	// it expects.
	Handle func(env Env, rec *object.Record) error
	Sends  []Sent
}

// Call is one use of a builtin in the script, in one program.
type Call struct {
	Def  *Def
	Name string // as written: "arg3" where Def is arg; "" is the same as Def.Name
	Span source.Span
	From source.Span // the macro call that it comes from, if it is in a macro
	Args []Arg
	Type *types.Type // the result; set by the checker from Check
	Data any         // set by Check for Emit, Store and Update
	Lit  *Lit        // set by Check if the result is known when compiling
}

// Arg is one argument.
type Arg struct {
	Span source.Span
	Expr ast.Expr    // for Gen; builtins do not look into it
	Type *types.Type // of the value; MapArg: the map's value type
	Lit  *Lit        // its value if it is known when compiling
	Cast bool        // the script casts it
	Map  *MapInfo    // MapArg, MapOrEntry
	Key  []ast.Expr  // MapOrEntry with a key: its parts; nil: the whole map
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

// MapInfo is a map as the checker knows it. All uses share it.
type MapInfo struct {
	Name  string      // with its @
	Key   *types.Type // nil: no key, or not known yet
	Value *types.Type // nil: not known yet
	Keyed bool
	Decl  string      // declared map type: hash, lruhash …; "" if not declared
	Max   int         // declared entries
	Span  source.Span // first use
	Agg   *Call       // the first aggregation assigned; all others must have the same literal parameters
	Read  bool        // read in an expression somewhere
}

// Invocation holds what the command line says.
type Invocation struct {
	Params   []string          // $1 …
	Options  map[string]string // --name=value after --; "" for flags
	Unsafe   bool
	PID      int  // -p
	HasChild bool // -c
	ChildPID int
	Verbose  bool
	Warnings bool // -k

	IncludeDirs  []string      // -I: where #include and import look first
	Files        *source.Files // reads what they name; nil: from disk
	IncludeFiles []string      // --include

	// Needs records what the code depends on besides the kernel. It may be nil.
	Needs *object.Needs

	// Cgroups are directories of cgroups that programs test: first those of the
	// command line, then those that the script names.
	Cgroups []string
	// Containers finds what the script names; nil: on the running system.
	Containers Containers

	PIDNS *PIDNamespace // the pid namespace that gotrace runs in; nil: the initial one
	// Inner is the process PID as numbered in its own namespace. The kernel tells
	// programs that number and the one in the initial namespace, and no other.
	Inner InnerPID
}

// InnerPID is a process id in a namespace.
type InnerPID struct {
	PIDNamespace
	PID int
}

// PIDNamespace names a pid namespace by its file below /proc/PID/ns.
type PIDNamespace struct{ Dev, Ino uint64 }

// Refusal is a reason for which the verifier refuses calls of a helper.
type Refusal struct {
	Helper string   // as the verifier's log names it
	Why    []string // parts of the reason in the log; one is enough
	Msg    string
	Hint   string // what to do about it, if there is anything
}

// noHelper are the reasons that the verifier gives where the kernel was built
// or locked down without a helper.
var noHelper = []string{"unknown func ", "program of this type cannot use helper "}
