// Package builtins defines the named parts of the language: variables (pid, comm),
// functions (str, ntop), aggregations (count, hist) and actions (printf, exit). Each
// has a file with a Def: its type rule, the code that it is compiled to, and what user
// space does with the data that it sends. All lists them. No other package refers to a
// builtin by name.
package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/value"
)

// Kind is the way in which a script uses a builtin. A Variable can also be called with
// (), and with arguments if it has Params.
type Kind uint8

const (
	Variable    Kind = iota // used like a variable
	Function                // computes a value
	Aggregation             // only as @map = f(…)
	Action                  // has an effect, usually later and in user space
)

// ParamKind is the kind of argument that a parameter accepts.
type ParamKind uint8

const (
	Expr       ParamKind = iota // any expression
	Literal                     // an integer, string or boolean known at compile time
	MapArg                      // a map itself: @m
	MapOrEntry                  // @m or @m[key]; any other expression leaves Arg.Map nil
	VarArg                      // a scratch variable to be written
	TypeParam                   // a type, or an expression that stands for its type
	NameArg                     // a bare word, such as the stack modes perf and raw
)

// Param is one parameter.
type Param struct {
	Name     string
	Kind     ParamKind
	Optional bool
	Variadic bool // the last parameter, which accepts any number of arguments
	Address  bool // if a tracepoint recorded a string, pass its address
	Text     bool // pass a positional parameter as text, even if it is a number
	Counted  bool // pass a string with a length, as in Go and Rust, and an interface of Go as text
	Ranges   bool // a range a..b may be passed
	Long     bool // a literal string may be longer than max_strlen: it is not a value of the program
	Chars    bool // pass a pointer to characters as the string it points to, as str() reads it
	// Keep reports whether Chars does not apply to an argument of type t if the arguments
	// after it are the literals after. nil: it always applies.
	Keep func(t *types.Type, after []string) bool

	// Map and Entry are the uses that the builtin makes of the map of a MapArg or
	// MapOrEntry: Map if the argument is @m, Entry if it is @m[key]. If @m is read or
	// deleted from, the next argument is the key.
	Map, Entry store.Use
}

// Doc is a builtin's documentation. The reference is generated from it.
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
//
// The fields that only some builtins have are in groups.
type Def struct {
	Name   string
	Kind   Kind
	Params []Param
	Doc    Doc
	// Check is the type rule. Argument types are known. It reports errors to the
	// checker and then returns TInvalid. If there is no value, it returns TVoid.
	Check func(c Checker, call *Call) *types.Type
	// Emit emits code for a scalar. For an action, it returns nil.
	Emit func(g Gen, call *Call) *ir.Value
	// Store emits code that writes a value that is not a scalar to dst.
	Store func(g Gen, call *Call, dst Dest)
	// Source returns the address from which Store copies its string, and at most the
	// result type's size of it. ok is false if Store does anything else.
	Source func(g Gen, call *Call) (src *ir.Value, space types.Space, ok bool)

	Syntax
	Traits
	Aggregator
	TypeDef
	Records
}

// Syntax describes how scripts write a builtin if it is not written as NAME or NAME(…).
type Syntax struct {
	// Written returns the expression, as text, that replaces a call with a literal text. Such
	// a builtin has no other functions.
	Written func(text string) (string, error)
	// Prefix is set if the parentheses around a literal argument may be omitted.
	Prefix bool
	// Operator is a word or sign by which a script can call a function of two or more
	// arguments: x op y, or x op (y, z). NotOperator is the same for the opposite result.
	Operator, NotOperator string
}

// Traits has the properties of calls that the compiler uses.
type Traits struct {
	Unsafe bool // needs --unsafe
	Ends   bool // the program ends here, as with exit()
	// Unstable is set if the builtin may change. The configuration specifies whether it may
	// be used.
	Unstable bool
	// Acts is set if a call has an effect besides its result. A script may ignore the
	// result of such a call.
	Acts bool
	// AtOnce is set if a call has an effect other than to send events, or if its result
	// depends on earlier calls.
	AtOnce bool
	// Thread is set if no two running threads have the same value at the same time,
	// except for the value 0.
	Thread bool
	// Counts is set if the value is a number, such as an ID or a time, and never an internet address.
	Counts bool
	// Varies is set if the value may change between two reads in one run of a program.
	Varies bool
	// Args is set if the builtin reads the probe's arguments. Attach points with
	// different arguments then need separate programs.
	Args bool
	// AllArgs is set if the builtin is a struct of the arguments. In probes of events
	// they are those that the event declares.
	AllArgs bool
	// KernelStack is set if the builtin takes the kernel stack. That stack also
	// contains the functions that the kernel called to run the program.
	KernelStack bool
	// Ret is set if the builtin returns the probed function's result.
	Ret bool
	// OnlyMembers is set if the result is a pointer that a script cannot use itself: it
	// can only use the members of the object that it points to.
	OnlyMembers bool
	// Branches is the number of branches in the code of a call, if there are many: loops
	// over bytes have more than the kernel's verifier can follow several times.
	Branches int
	// NotInLoop is set if the body of a for loop cannot use the builtin. The body is a
	// callback, which has no context and cannot end the program. In a macro, a builtin
	// that Ends the program can nevertheless be used in a loop.
	NotInLoop bool
	// Captures is set for the builtin that writes a packet to a file. With --pcap, probes
	// call it implicitly, see check.Prog.
	Captures bool
	// Dynamic is set for the builtin that returns the value in an interface of Go. It is
	// called for an interface that is passed as text, see Param.Counted.
	Dynamic bool
	// StopsRecording is set for the builtin that ends the recording of --recorder: no
	// event after it is recorded.
	StopsRecording bool
	// Refusals explain in terms of the script why a kernel may refuse a program that
	// calls the builtin.
	Refusals []Refusal
}

// Aggregator has the functions that add a value to an aggregation and read it in an
// expression.
type Aggregator struct {
	// Update adds call's arguments to the aggregation at p, a value of call.Type that
	// starts as zeros. It is this CPU's value, so Update needs no atomic operations.
	Update func(g Gen, call *Call, p *ir.Value)
	// UpdatePart is Update for a value that is too large for one piece of per-CPU
	// memory. The value consists of parts of PartSize bytes, and an update changes one
	// of them. part calls use for part n of the value if there is room for the part.
	UpdatePart func(g Gen, call *Call, part func(n *ir.Value, use func(p *ir.Value)))
	PartSize   int
	// Scalar merges the aggregation at p, one CPU's value, into acc, which has Accum
	// bytes and starts as zeros. Result converts acc to the integer that an expression
	// uses. If Result is nil, acc itself is a value of type t: it can be printed and be
	// part of a tuple, but it is not an operand.
	Accum  int
	Scalar func(g Gen, t *types.Type, acc, p *ir.Value)
	Result func(g Gen, t *types.Type, acc *ir.Value) *ir.Value
	// Weighs is set if Update counts an event as often as Gen.Sampling specifies. A
	// program with only such effects can be sampled.
	Weighs bool
	// Disagree is the error for several uses on one map with different literal
	// parameters; "" selects a general one.
	Disagree string
}

// TypeDef is the Opaque or Agg type that a builtin defines, with the functions with which
// user space handles its values.
type TypeDef struct {
	// TypeName is the name of the Opaque or Agg type that Check returns, if any.
	// UnsignedType is the name for an aggregation of unsigned integers, if it differs.
	// Unsigned is set if all values of an aggregation are unsigned.
	TypeName     string
	UnsignedType string
	Unsigned     bool
	// TypeSize is the minimum size in bytes of a type named TypeName; 0 means 8.
	TypeSize int
	// ShowType returns the text of a type with its parameters. It is set if the name
	// alone does not distinguish two types of the builtin.
	ShowType func(t *types.Type) string
	// AcceptType reports whether Merge, Format and Rank support a type with its
	// parameters. It is nil if they use no parameters.
	AcceptType func(t *types.Type) bool
	// Metric is the kind of an aggregation's values: counters, gauges or histograms.
	Metric value.Metric
	// KeptStack returns the depth and the number of a stack whose frames are in a
	// kernel map. ok is false if there is no such stack. KeptStack is nil if the type
	// is not a stack.
	KeptStack func(t *types.Type, data []byte) (depth int, number uint32, ok bool)
	// UserSymbols is set if Format looks up the names of addresses in processes. These
	// may have ended by then.
	UserSymbols bool
	// KernelSymbols is set if Format looks up the names of addresses in the kernel. BPF
	// programs and modules may have been unloaded by then.
	KernelSymbols bool
	// OfCgroup is set if Format looks up the names of cgroups. These may have been
	// removed by then. Different values may have the same text.
	OfCgroup bool
	// OfProcess is set if Format reads data of processes. These may have ended by then.
	OfProcess bool
	// Is emits code for == that compares the value with the object that a literal
	// names. CheckIs prepares it in call, or reports why it is not possible. If they
	// are nil, the values are compared.
	CheckIs func(c Checker, call *Call, text string, s source.Span) bool
	Is      func(g Gen, call *Call) *ir.Value
	// Merge adds src, one CPU's value, to dst.
	Merge func(t *types.Type, dst, src []byte)
	// Format decodes a value of the type TypeName.
	Format func(env Env, t *types.Type, data []byte) value.Value
	// Whole is set if print() ignores top and div for maps of such values.
	Whole bool
	// Rank returns numbers by which maps of aggregations are sorted. data is a merged
	// value.
	Rank func(t *types.Type, data []byte) Rank
}

// Records describes the records that an action sends to user space, and has the function
// that handles them there.
type Records struct {
	// Handle handles a record in user space. Sends describes the events that it
	// handles.
	Handle func(env Env, rec *object.Record) error
	Sends  []Sent
	// Outside is set if Handle acts outside of the session and may take any time. If
	// the user ends the session, its pending records are dropped.
	Outside bool
	// InPinned is set for an action that also has its effect in a pinned iterator, where
	// no session handles records.
	InPinned bool
	// Shows is set if Handle only shows the record. With --recorder, such a record is
	// kept and shown later. ShowsNow, if it is not nil, reports whether a call also shows
	// other data, in its state at the time of Handle. Such a call cannot be recorded.
	Shows    bool
	ShowsNow func(call *Call) bool
}

// Call is one use of a builtin in the script, in one program.
type Call struct {
	Def  *Def
	Name string // as written: "arg3" where Def is arg; "" is the same as Def.Name
	Span source.Span
	From []source.Span // the macro calls that it comes from, the innermost one first
	// Constant is set if the result must be known at compile time. InPred is set if the
	// call is part of a predicate and need not be known then, so that user space can
	// decide it: see Later.
	Constant, InPred bool
	Args             []Arg
	Type             *types.Type // the result; set by the checker from Check
	Data             any         // set by Check for Emit, Store and Update
	// Later is the regular expression that the text of the first argument has to match. Check
	// may set it if InPred is set. Then user space decides the result, and the call has no
	// code.
	Later string
	Lit   *Lit // set by Check if the result is known at compile time
	Calls int  // number of calls of Def in the program, set after Check
}

// Node is an expression of the script. Only the checker and the code generator know its
// syntax, see check.ExprOf, so that programs without the compiler do not need it.
type Node interface{ Span() source.Span }

// Arg is one argument.
type Arg struct {
	Span source.Span
	Expr Node        // nil: the builtin has added the argument
	Made bool        // the argument is itself a call with at most one number, not a value that was stored
	Type *types.Type // of the value; MapArg: the map's value type
	Lit  *Lit        // its value if it is known at compile time
	Cast bool        // the script casts it
	From *Def        // the builtin whose result it is, if it is one
	To   *Arg        // the other end if it is a range
	// Value is the value of an argument that the builtin adds to the script's arguments:
	// a word for Send.
	Value *ir.Value
	// Fill writes the value of such an argument that is not a word.
	Fill func(g Gen, dst Dest)
	// Assigned is the type of the values that the builtin assigns to the variable of a
	// VarArg. Check sets it.
	Assigned *types.Type
	// KeyOf is the map of which the argument is a key. Check sets it.
	KeyOf *MapInfo
	Map   *MapInfo // MapArg, MapOrEntry
	Key   []Node   // MapOrEntry with a key: its parts; nil: the whole map
	Word  string   // NameArg
}

// Lit is a literal known at compile time.
type Lit struct {
	Int      int64 // also 0 or 1 for booleans
	Unsigned bool  // Int holds a uint64 above the signed range
	Str      string
	IsStr    bool
	IsBool   bool
	// IsAddress is set if Str is an internet address or a prefix that is not quoted.
	IsAddress bool
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

// Invocation holds the options of the command line that affect compilation.
type Invocation struct {
	Params   []string          // $1 …
	Options  map[string]string // --name=value after --; OptionGiven for flags
	Unsafe   bool
	PID      int  // -p
	HasChild bool // -c
	ChildPID int
	Verbose  bool
	Timeline bool // events contain their time and thread, and calls and returns are events
	Warnings bool // -k
	Capture  bool // --pcap: packets are written to a file

	// Recorder is the size of the memory of --recorder in bytes; 0: it is not given.
	Recorder int64
	// Dated is set if the recorder's events contain their time.
	Dated bool
	// Until is the condition of --until, or a probe without its body; "": it is not given.
	Until string

	IncludeDirs  []string      // -I: directories that #include and import search first
	Files        *source.Files // reads the included and imported files; nil: from disk
	IncludeFiles []string      // --include

	// Needs records the facts on which the code depends, besides the kernel. It may be
	// nil.
	Needs *object.Needs

	// Cgroups are directories of cgroups that programs test: first those of the
	// command line, then those that the script names.
	Cgroups []string
	// Containers finds the containers that the script names; nil: on the running system.
	Containers Containers

	PIDNS *PIDNamespace // the pid namespace that gotrace runs in; nil: the initial one
	// Inner is the process PID as numbered in its own namespace. Programs can get from
	// the kernel only this number and the one in the initial namespace.
	Inner InnerPID
}

// Rank holds the numbers by which a value is sorted, most significant first.
type Rank [3]uint64

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
	Hint   string // the remedy, if there is one
}

// noHelper are the reasons that the verifier gives where the kernel was built
// or locked down without a helper.
var noHelper = []string{"unknown func ", "program of this type cannot use helper "}
