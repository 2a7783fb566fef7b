// Package check determines the meaning of a parsed script: it resolves names, folds
// constants and assigns a type to every expression. It does not change the syntax tree:
// the results are in side tables keyed by node.
//
// One probe block becomes one or more Progs. Attach points whose contexts have the same
// shape share a Prog, unless the block depends on the attach point. Each Prog has its
// own clone of the block, so the tables have one result for each node.
package check

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// Program is a checked script.
type Program struct {
	Source     *ast.Program
	Config     *config.Config
	Invocation *builtins.Invocation
	Env        *probes.Env
	Defs       *builtins.Registry
	Progs      []*Prog
	Maps       []*builtins.MapInfo // in order of first use
	Info       *Info
	Options    []object.Option // declared by calls of getopt(), for --help
}

// Prog is one BPF program, not yet compiled.
type Prog struct {
	Name   string          // unique and valid in the kernel: tracepoint_sys_enter_read_1
	Points []*probes.Point // the program is attached to each of them
	Point  *probes.Point   // the point it is compiled for; nil if several points share the program
	Ctx    *probes.Context
	Pred   ast.Expr // nil if none
	Body   *ast.Block
	Funcs  []*Func // the functions that it calls
	// Capture, if not nil, is a call that runs at the end: of the builtin that writes the
	// packet to the file of --pcap.
	Capture *builtins.Call
	// Call, if not nil, describes the event that the program sends at its start, if it is
	// at calls whose returns also have a program, or at such returns.
	Call *object.Call
	Span source.Span
}

// Func is a script function in one program.
type Func struct {
	Name   string
	Params []*Var
	Result *types.Type
	Body   *ast.Block
	Span   source.Span
}

// Info holds the results of checking, in tables keyed by node.
type Info struct {
	// Types contains the type of every expression. It is TVoid for an expression
	// without a value.
	Types map[ast.Expr]*types.Type
	// Lits contains the value of every expression that is known at compile time. Only
	// the constant is compiled.
	Lits map[ast.Expr]*builtins.Lit
	// Calls contains the call for every *ast.Call and *ast.Ident that is a builtin.
	Calls map[ast.Expr]*builtins.Call
	// FnCalls contains the function for every *ast.Call of a script function.
	FnCalls map[*ast.Call]*Func
	// Vars contains the variable for every use and declaration of one.
	Vars map[*ast.Var]*Var
	// Maps contains the map for every use of one.
	Maps map[*ast.Map]*builtins.MapInfo
	// Fields contains the member for every member access. Its offset is relative to the
	// start of the object or, if X is a pointer, to the address in it.
	Fields map[*ast.Field]types.Field
	// Written contains the resolved type for every written type.
	Written map[*ast.Type]*types.Type
	// Operands contains the type to which both operands of an operator on integers,
	// pointers, strings or tuples are converted. For comparisons it differs from the
	// type of the result. Logical operators and pointer arithmetic have no entry.
	Operands map[*ast.Binary]*types.Type
	// Compound contains this type for compound assignments (target op= value). It is
	// nil for pointer arithmetic.
	Compound map[*ast.Assign]*types.Type
	// Implied contains the expression that replaces a node: str(p) for an argument p
	// that points to a text that the builtin expects, and the value for a name that
	// could also be a type.
	Implied map[ast.Node]ast.Expr
	// Later contains the parts of predicates that user space decides, and the expressions
	// that they are operands of.
	Later map[ast.Expr]*Later
}

// Var is a scratch variable or a parameter of a function. Its type is final
// after checking: integers and strings are large enough for every assignment.
type Var struct {
	Name      string
	Type      *types.Type
	Span      source.Span // where it is declared or first assigned
	AddrTaken bool        // &$v: it must live in memory
	Captured  bool        // used in the body of a for loop outside of which it is declared
	Depth     int         // number of for bodies around its declaration

	node         *ast.Var    // declares it
	how          declared    // how it is declared
	fixed        *types.Type // written type; nil if the assignments determine it
	given        *types.Type // for a pointer parameter: the type of the first argument
	assigned     bool        // it has a value at the current position, in this pass
	everAssigned bool
	wrong        bool // an expression without a type was assigned, which has been reported
}

// TypeOf returns the type of e, or nil.
func (in *Info) TypeOf(e ast.Expr) *types.Type { return in.Types[e] }

// LitOf returns the value of e if it is known at compile time, or nil.
//
//go:noinline
func (in *Info) LitOf(e ast.Expr) *builtins.Lit { return in.Lits[e] }
