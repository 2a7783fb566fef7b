// Package builtins is what the language offers by name: variables (pid, comm),
// functions (str, ntop), aggregations (count, hist) and actions (printf, exit).
// Each is one file with one Def: its type rule, the code it becomes, and what
// is done in user space with the data it sends. All lists them. Nothing else
// in the tree knows a builtin by its name.
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
	// A macro may end the program (Ends) in a loop all the same.
	NotInLoop bool
	// Outside says that its Handle acts outside of the session, which may take any
	// time. If the user ends the session, records of it that are pending are
	// dropped.
	Outside bool
	// Refusals explain, in terms of the script, why a kernel may refuse a program
	// that calls it.
	Refusals []Refusal
	Doc      Doc

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
	// KeptStack returns the depth of a stack whose frames are kept in a kernel map,
	// and its number there; ok is false where there is none. nil: the type is no
	// stack.
	KeptStack func(t *types.Type, data []byte) (depth int, number uint32, ok bool)
	// UserSymbols says that Format names addresses of processes, which may have
	// ended by then.
	UserSymbols bool
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

// Invocation is what the command line says to the program.
type Invocation struct {
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

// Refusal is a reason for which the verifier refuses calls of a helper.
type Refusal struct {
	Helper string   // as the verifier's log names it
	Why    []string // parts of the reason in the log, of which one is enough
	Msg    string
	Hint   string // what to do about it, if there is anything
}

// noHelper are the reasons that the verifier gives where the kernel was built
// or locked down without a helper.
var noHelper = []string{"unknown func ", "program of this type cannot use helper "}
