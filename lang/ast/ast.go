// Package ast defines the syntax tree of a gotrace script, exactly as parsed.
// No pass changes it: types and meanings are in side tables of package check,
// keyed by node. Macro expansion, and the compilation of one block for several
// attach points, work on clones (see Clone).
package ast

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Node is any node of the tree.
type Node interface{ Span() source.Span }

// At is embedded in every node and carries its extent in the source.
type At struct {
	Pos source.Span
	// Via is the macro call that the node replaces, or nil if the node is part
	// of the source itself.
	Via *source.Call
}

// Span returns the extent of the node in the source.
func (a At) Span() source.Span { return a.Pos }

func (a *At) at() *At { return a }

// SetFrom records that n replaces a macro call. It does nothing if n already replaces
// another call.
func SetFrom(n Node, call *source.Call) {
	if p, ok := n.(interface{ at() *At }); ok && p.at().Via == nil {
		p.at().Via = call
	}
}

// From returns the macro call that n replaces, or nil if there is none.
func From(n Node) *source.Call {
	if p, ok := n.(interface{ at() *At }); ok {
		return p.at().Via
	}
	return nil
}

// ownMark separates the name of a macro's own variable from the number of the expansion
// that it belongs to.
const ownMark = "\x00"

// OwnName returns the name of a macro's own variable in its nth expansion.
//
//go:noinline
func OwnName(name string, n int) string { return name + ownMark + strconv.Itoa(n) }

// ShownName returns the name of a variable as written in the script.
func ShownName(name string) string {
	name, _, _ = strings.Cut(name, ownMark)
	return name
}

// Program is one parsed file.
type Program struct {
	At
	File     *source.File
	Shebang  string    // the line #!… at the start of the file, possibly after comments; without newline
	C        []*CItem  // the C section, in order
	Config   *Config   // nil if there is none
	Imports  []*Import // in order
	Decls    []Decl    // probes, macros, map declarations, functions, events, in order
	Comments []Comment // in order; the formatter prints them
}

// Comment is a // or /* */ comment with its delimiters.
type Comment struct {
	At
	Text string
}

// CItem is one item of the C section: a preprocessor line or a type definition, as raw
// text. Package lang/cdecl parses it.
type CItem struct {
	At
	Text string
}

// Config is the block config = { key = value; … }.
type Config struct {
	At
	Items []*ConfigItem
}

// ConfigItem is one assignment of the config block.
type ConfigItem struct {
	At
	Key   Name
	Value Expr // *StrLit, *IntLit, *BoolLit or *Ident
}

// Import is import "path".
type Import struct {
	At
	Path string
}

// Name is an identifier with its extent in the source.
type Name struct {
	At
	Text string
}

// Decl is a top-level declaration: *Probe, *Macro, *MapDecl, *Func or *Event.
type Decl interface {
	Node
	decl()
}

// Probe is attach points, an optional predicate, and a block.
type Probe struct {
	At
	Points []*AttachPoint
	Pred   Expr // nil if there is none
	Body   *Block
	Angled bool // the block was written < … >
	// Of is the place of an event if the probe is for one, or nil. Points are then the
	// attach points of the place.
	Of *PlaceOf
}

// AttachPoint is one attach point as written: its parts between colons, with
// quotes and escapes resolved and positional parameters not yet substituted.
type AttachPoint struct {
	At
	Name  string   // the name in "name=kprobe:f", otherwise ""
	Text  string   // the source text, with its quotes
	Parts []string // Parts[0] is the provider
	Alias string   // the event for which the point stands, or ""
	// EveryTask is set if the flags that select processes do not confine the program.
	EveryTask bool
}

// Macro is macro name(params) : result { … }. A macro named record.member is a member of
// a record, which is its first parameter: x.member is a call of it.
type Macro struct {
	At
	Name   Name
	Params []Expr // *Var, *Map (bare) or *Ident
	Result []Name // the records whose members its value has; the first record that has a member counts
	Body   *Block

	Library bool // whether it belongs to the standard library
}

// MapDecl is let @name = type(n).
type MapDecl struct {
	At
	Map  *Map
	Type Name // hash, lruhash, percpuhash, percpulruhash
	N    Expr // *IntLit or *Positional
}

// Func is fn name($a : type, …) : type { … }.
type Func struct {
	At
	Name   Name
	Params []*Param
	Result *Type
	Body   *Block
}

// Param is one parameter of a Func.
type Param struct {
	At
	Var  *Var
	Type *Type
}

func (*Probe) decl()   {}
func (*Macro) decl()   {}
func (*MapDecl) decl() {}
func (*Func) decl()    {}

// Stmt is a statement.
type Stmt interface {
	Node
	stmt()
}

type (
	// ExprStmt evaluates an expression for its effect.
	ExprStmt struct {
		At
		X Expr
	}
	// Assign is target op= value. Op is "" for a plain assignment, otherwise
	// the binary operator ("+", "<<", …). Target is *Var, *Map, *Index of a
	// *Map, or *Discard for "_ = expr".
	Assign struct {
		At
		Target Expr
		Op     string
		Value  Expr
	}
	// Let is let $v [: type] [= value].
	Let struct {
		At
		Var   *Var
		Type  *Type // nil if not given
		Value Expr  // nil if not given
	}
	// For is for ($v : iterable) { … }. Iter is *Map or *Range.
	For struct {
		At
		Var  *Var
		Iter Expr
		Body *Block
	}
	// While is while (cond) { … }.
	While struct {
		At
		Cond Expr
		Body *Block
	}
	// Unroll is unroll (n) { … }.
	Unroll struct {
		At
		Count Expr
		Body  *Block
	}
	// Jump is break, continue or return [value].
	Jump struct {
		At
		Kind  JumpKind
		Value Expr // return only; may be nil
	}
)

// JumpKind distinguishes break, continue and return.
type JumpKind uint8

const (
	Break JumpKind = iota
	Continue
	Return
)

func (*ExprStmt) stmt() {}
func (*Assign) stmt()   {}
func (*Let) stmt()      {}
func (*For) stmt()      {}
func (*While) stmt()    {}
func (*Unroll) stmt()   {}
func (*Jump) stmt()     {}

// Expr is an expression.
type Expr interface {
	Node
	expr()
}

type (
	// Ident is a bare name: a builtin, an enum constant, a #define, a macro
	// parameter, or a call of a macro without arguments.
	Ident struct {
		At
		Name string
	}
	// IntLit is an integer literal in any of its forms. Value is its magnitude.
	IntLit struct {
		At
		Value uint64
		Text  string // as written
	}
	// StrLit is a string literal, escapes resolved. An internet address or a prefix
	// of addresses, such as 10.0.0.0/8, is one that is written Bare.
	StrLit struct {
		At
		Value string
		Bare  bool
	}
	// BoolLit is true or false.
	BoolLit struct {
		At
		Value bool
	}
	// Positional is $1, $2, … (N ≥ 1) or $# (N = 0).
	Positional struct {
		At
		N int
	}
	// Var is a scratch variable, Name without the $.
	Var struct {
		At
		Name string
	}
	// Map is a map by itself, Name without the @ (may be empty).
	Map struct {
		At
		Name string
	}
	// Discard is the _ of "_ = expr".
	Discard struct{ At }
	// Index is x[a, b, …]. On a *Map more than one index means a tuple key.
	Index struct {
		At
		X    Expr
		Args []Expr
	}
	// Field is x.name, x->name or x.0 (Name is then the digits).
	Field struct {
		At
		X     Expr
		Name  Name
		Arrow bool
	}
	// Unary is a prefix operator (! ~ - * & ++ --), or postfix ++ and --.
	Unary struct {
		At
		Op      string
		X       Expr
		Postfix bool
	}
	// Binary is x op y.
	Binary struct {
		At
		Op    string
		OpPos source.Span
		X, Y  Expr
	}
	// Ternary is cond ? x : y; X is nil for the short form cond ?: y.
	Ternary struct {
		At
		Cond, X, Y Expr
	}
	// Call is name(args). An argument may be a *TypeArg where the callee
	// takes a type. If the call was written x op y or x op (y, z), Op is the
	// operator and Fn the function that it stands for.
	Call struct {
		At
		Fn   Name
		Op   string
		Args []Expr
	}
	// Cast is (type) x.
	Cast struct {
		At
		Type *Type
		X    Expr
	}
	// TypeArg is a type where an expression is expected: the argument of a
	// macro or builtin that takes types.
	TypeArg struct {
		At
		Type *Type
	}
	// Sizeof is sizeof(type or expression).
	Sizeof struct {
		At
		Type *Type
		X    Expr
	}
	// Offsetof is offsetof(type or expression, a.b.c).
	Offsetof struct {
		At
		Type *Type
		X    Expr
		Path []Name
	}
	// Typeinfo is typeinfo(type or expression).
	Typeinfo struct {
		At
		Type *Type
		X    Expr
	}
	// Tuple is (), (a,) or (a, b, …).
	Tuple struct {
		At
		Elems []Expr
	}
	// Record is (x=1, y="s").
	Record struct {
		At
		Names []Name
		Elems []Expr
	}
	// Block is { stmts; value } with its own scope. If the last item is an
	// expression without ";" in a place that needs a value, Value holds it and
	// Stmts does not. Otherwise Value is nil.
	Block struct {
		At
		Stmts []Stmt
		Value Expr
	}
	// If is if / else if / else, as a statement (wrapped in ExprStmt) and as
	// an expression. Else is nil, a *Block or an *If.
	If struct {
		At
		Cond Expr
		Then *Block
		Else Expr
	}
	// Comptime is comptime x: x must be known at compile time.
	Comptime struct {
		At
		X Expr
	}
	// Bad replaces an expression that could not be built. The reason has been reported.
	// A parsed tree contains none.
	Bad struct{ At }
	// Range is a..b. It occurs after "for ($i :", where it is without b itself, and
	// in the list of an operator, where it is with b.
	Range struct {
		At
		From, To Expr
	}
)

func (*Ident) expr()      {}
func (*IntLit) expr()     {}
func (*StrLit) expr()     {}
func (*BoolLit) expr()    {}
func (*Positional) expr() {}
func (*Var) expr()        {}
func (*Map) expr()        {}
func (*Discard) expr()    {}
func (*Index) expr()      {}
func (*Field) expr()      {}
func (*Unary) expr()      {}
func (*Binary) expr()     {}
func (*Ternary) expr()    {}
func (*Call) expr()       {}
func (*Cast) expr()       {}
func (*TypeArg) expr()    {}
func (*Sizeof) expr()     {}
func (*Offsetof) expr()   {}
func (*Typeinfo) expr()   {}
func (*Tuple) expr()      {}
func (*Record) expr()     {}
func (*Block) expr()      {}
func (*If) expr()         {}
func (*Comptime) expr()   {}
func (*Bad) expr()        {}
func (*Range) expr()      {}

// Type is a type as written: a base name (or typeof), then suffixes applied
// left to right: "int32*[4]" is an array of four pointers to int32.
type Type struct {
	At
	Keyword  string // "struct", "union", "enum" or ""
	Name     string // "" with Typeof
	Typeof   Expr   // typeof(expr); nil otherwise
	TypeofT  *Type  // typeof(type); nil otherwise
	Suffixes []TypeSuffix
}

// TypeSuffix is "*", "[N]" or "[]".
type TypeSuffix struct {
	Pointer bool
	Len     Expr // array length; nil for []
}

// MethodPrefix begins the name of a called member: x.f(y) is a Call of ".f" with x and y.
const MethodPrefix = "."
