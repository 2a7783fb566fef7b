// Package check gives a parsed script its meaning: it resolves names, matches
// attach points against the kernel, folds constants and gives every expression
// a type. It does not change the syntax tree; the results are in side tables
// keyed by node.
//
// One probe block becomes one or more Progs. Attach points with contexts of the
// same shape share a Prog, unless the block depends on which of them fired.
// Each Prog has its own clone of the block, so the tables have one result for
// each node.
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
	Name   string          // unique, fit for the kernel: tracepoint_sys_enter_read_1
	Points []*probes.Point // the program is attached to each of them
	Point  *probes.Point   // the point it is compiled for; nil if several points share the program
	Ctx    *probes.Context
	Pred   ast.Expr // nil if none
	Body   *ast.Block
	Funcs  []*Func // the functions it calls
	Span   source.Span
}

// Func is a script function as part of one program.
type Func struct {
	Name   string
	Params []*Var
	Result *types.Type
	Body   *ast.Block
	Span   source.Span
}

// Info holds the results of checking, in tables keyed by node.
type Info struct {
	// Types has the type of every expression. An expression without a value has
	// TVoid.
	Types map[ast.Expr]*types.Type
	// Lits has the value of every expression that is known at compile time. The
	// compiler emits only the constant for it.
	Lits map[ast.Expr]*builtins.Lit
	// Calls has the call for every *ast.Call and *ast.Ident that is a builtin.
	Calls map[ast.Expr]*builtins.Call
	// FnCalls has the function for every *ast.Call of a script function.
	FnCalls map[*ast.Call]*Func
	// Vars has the variable for every use and declaration of one.
	Vars map[*ast.Var]*Var
	// Maps has the map for every use of one.
	Maps map[*ast.Map]*builtins.MapInfo
	// Fields has the member of every member access. Its offset counts from the
	// start of the object; if X is a pointer, from the address in it.
	Fields map[*ast.Field]types.Field
	// Written has the resolved type for every written type.
	Written map[*ast.Type]*types.Type
	// Operands has the type to which both operands of an operator on integers,
	// pointers, strings or tuples are converted. For comparisons it differs
	// from the type of the result. Logical operators and pointer arithmetic
	// have no entry.
	Operands map[*ast.Binary]*types.Type
	// Compound has the same type for compound assignments (target op= value).
	// It is nil if a pointer is moved.
	Compound map[*ast.Assign]*types.Type
	// Implied has the expression that a node stands for where that is not the
	// node itself: str(p) for an argument p that points to the text that the
	// builtin wants, and the value for the name of one where a type may stand.
	Implied map[ast.Node]ast.Expr
}

// Var is a scratch variable or a parameter of a function. Its type is final
// after checking: integers and strings are large enough for every assignment.
type Var struct {
	Name      string
	Type      *types.Type
	Span      source.Span // where it is declared or first assigned
	AddrTaken bool        // &$v: it must live in memory
	Captured  bool        // used inside a for body it was declared outside of
	Depth     int         // for bodies around its declaration

	node         *ast.Var    // declares it
	how          declared    // how it is declared
	fixed        *types.Type // written type; nil if the assignments determine it
	given        *types.Type // for a pointer parameter: type of the first argument
	assigned     bool        // has a value at the place being checked, in this pass
	everAssigned bool
	wrong        bool // something without a type was assigned: reported there
}

// TypeOf returns the type of e, or nil.
func (in *Info) TypeOf(e ast.Expr) *types.Type { return in.Types[e] }

// LitOf returns the value of e if it is known at compile time, or nil.
func (in *Info) LitOf(e ast.Expr) *builtins.Lit { return in.Lits[e] }
