package ast

import (
	"fmt"
	"slices"
)

// Clone returns a deep copy of n with the same spans. The copies share nothing
// but the source file, so side tables keyed by node can hold different facts
// for each of them.
func Clone[T Node](n T) T {
	if isNil(n) {
		return n
	}
	return clone(n).(T)
}

// list clones each element of a slice. A nil slice stays nil.
func list[T Node](in []T) []T {
	if in == nil {
		return nil
	}
	out := make([]T, len(in))
	for i, n := range in {
		out[i] = Clone(n)
	}
	return out
}

// of returns a shallow copy of *p. The caller then replaces its children.
func of[T any](p *T) *T {
	c := *p
	return &c
}

func clone(n Node) Node {
	switch n := n.(type) {
	case Stmt:
		return cloneStmt(n)
	case Expr:
		return cloneExpr(n)
	case *Program:
		c := of(n)
		c.C, c.Config, c.Imports = list(n.C), Clone(n.Config), list(n.Imports)
		c.Decls, c.Comments = list(n.Decls), slices.Clone(n.Comments)
		return c
	case *CItem:
		return of(n)
	case *Config:
		c := of(n)
		c.Items = list(n.Items)
		return c
	case *ConfigItem:
		c := of(n)
		c.Value = Clone(n.Value)
		return c
	case *Import:
		return of(n)
	case Name:
		return n
	case *Probe:
		c := of(n)
		c.Points, c.Pred, c.Body = list(n.Points), Clone(n.Pred), Clone(n.Body)
		return c
	case *Event:
		c := of(n)
		c.Args, c.Places = list(n.Args), list(n.Places)
		return c
	case *EventArg:
		c := of(n)
		c.Type, c.Value = Clone(n.Type), Clone(n.Value)
		return c
	case *Place:
		c := of(n)
		c.Entry, c.When, c.Saved, c.Points = list(n.Entry), Clone(n.When), list(n.Saved), list(n.Points)
		c.Before, c.Pred, c.Args = list(n.Before), Clone(n.Pred), list(n.Args)
		return c
	case *AttachPoint:
		c := of(n)
		c.Parts = slices.Clone(n.Parts)
		return c
	case *Macro:
		c := of(n)
		c.Params, c.Body = list(n.Params), Clone(n.Body)
		return c
	case *MapDecl:
		c := of(n)
		c.Map, c.N = Clone(n.Map), Clone(n.N)
		return c
	case *Func:
		c := of(n)
		c.Params, c.Result, c.Body = list(n.Params), Clone(n.Result), Clone(n.Body)
		return c
	case *Param:
		c := of(n)
		c.Var, c.Type = Clone(n.Var), Clone(n.Type)
		return c
	case *Type:
		c := of(n)
		c.Typeof, c.TypeofT = Clone(n.Typeof), Clone(n.TypeofT)
		c.Suffixes = slices.Clone(n.Suffixes)
		for i := range c.Suffixes {
			c.Suffixes[i].Len = Clone(c.Suffixes[i].Len)
		}
		return c
	}
	panic(fmt.Sprintf("ast: cannot clone %T", n))
}

func cloneStmt(n Stmt) Stmt {
	switch n := n.(type) {
	case *ExprStmt:
		c := of(n)
		c.X = Clone(n.X)
		return c
	case *Assign:
		c := of(n)
		c.Target, c.Value = Clone(n.Target), Clone(n.Value)
		return c
	case *Let:
		c := of(n)
		c.Var, c.Type, c.Value = Clone(n.Var), Clone(n.Type), Clone(n.Value)
		return c
	case *For:
		c := of(n)
		c.Var, c.Iter, c.Body = Clone(n.Var), Clone(n.Iter), Clone(n.Body)
		return c
	case *While:
		c := of(n)
		c.Cond, c.Body = Clone(n.Cond), Clone(n.Body)
		return c
	case *Unroll:
		c := of(n)
		c.Count, c.Body = Clone(n.Count), Clone(n.Body)
		return c
	case *Jump:
		c := of(n)
		c.Value = Clone(n.Value)
		return c
	}
	panic(fmt.Sprintf("ast: cannot clone %T", n))
}

func cloneExpr(n Expr) Expr {
	switch n := n.(type) {
	case *Ident:
		return of(n)
	case *IntLit:
		return of(n)
	case *StrLit:
		return of(n)
	case *BoolLit:
		return of(n)
	case *Positional:
		return of(n)
	case *Var:
		return of(n)
	case *Map:
		return of(n)
	case *Bad:
		return of(n)
	case *Discard:
		return of(n)
	case *Index:
		c := of(n)
		c.X, c.Args = Clone(n.X), list(n.Args)
		return c
	case *Field:
		c := of(n)
		c.X = Clone(n.X)
		return c
	case *Unary:
		c := of(n)
		c.X = Clone(n.X)
		return c
	case *Binary:
		c := of(n)
		c.X, c.Y = Clone(n.X), Clone(n.Y)
		return c
	case *Ternary:
		c := of(n)
		c.Cond, c.X, c.Y = Clone(n.Cond), Clone(n.X), Clone(n.Y)
		return c
	case *Call:
		c := of(n)
		c.Args = list(n.Args)
		return c
	case *Cast:
		c := of(n)
		c.Type, c.X = Clone(n.Type), Clone(n.X)
		return c
	case *TypeArg:
		c := of(n)
		c.Type = Clone(n.Type)
		return c
	case *Sizeof:
		c := of(n)
		c.Type, c.X = Clone(n.Type), Clone(n.X)
		return c
	case *Offsetof:
		c := of(n)
		c.Type, c.X, c.Path = Clone(n.Type), Clone(n.X), slices.Clone(n.Path)
		return c
	case *Typeinfo:
		c := of(n)
		c.Type, c.X = Clone(n.Type), Clone(n.X)
		return c
	case *Tuple:
		c := of(n)
		c.Elems = list(n.Elems)
		return c
	case *Record:
		c := of(n)
		c.Names, c.Elems = slices.Clone(n.Names), list(n.Elems)
		return c
	case *Block:
		c := of(n)
		c.Stmts, c.Value = list(n.Stmts), Clone(n.Value)
		return c
	case *If:
		c := of(n)
		c.Cond, c.Then, c.Else = Clone(n.Cond), Clone(n.Then), Clone(n.Else)
		return c
	case *Comptime:
		c := of(n)
		c.X = Clone(n.X)
		return c
	case *Range:
		c := of(n)
		c.From, c.To = Clone(n.From), Clone(n.To)
		return c
	}
	panic(fmt.Sprintf("ast: cannot clone %T", n))
}
