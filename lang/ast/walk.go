package ast

import "github.com/gotrace/gotrace/runtime/sorted"

// Inspect calls f for n. If f returns true, it calls f for everything below n
// too, in the order of the source. It skips nil nodes.
func Inspect(n Node, f func(Node) bool) {
	if isNil(n) || !f(n) {
		return
	}
	children(n, func(c Node) { Inspect(c, f) })
}

// Walk calls f for n and for everything below it, parents first.
//
//go:noinline
func Walk(n Node, f func(Node)) {
	Inspect(n, func(c Node) bool { f(c); return true })
}

// isNil reports whether n is nil or an interface that holds a nil pointer. An
// absent optional child is such an interface after conversion to Node.
//
//go:noinline
func isNil(n Node) bool {
	switch n := n.(type) {
	case nil:
		return true
	case *Block:
		return n == nil
	case *Type:
		return n == nil
	case *Config:
		return n == nil
	case *Program:
		return n == nil
	}
	return false
}

// items returns all top-level items in the order of the source.
func (n *Program) items() []Node {
	var items []Node
	for _, c := range n.C {
		items = append(items, c)
	}
	for _, i := range n.Imports {
		items = append(items, i)
	}
	if n.Config != nil {
		items = append(items, n.Config)
	}
	for _, d := range n.Decls {
		items = append(items, d)
	}
	sortBySpan(items)
	return items
}

// sortBySpan sorts nodes by their place in the source.
func sortBySpan(list []Node) {
	sorted.By(list, func(n *Node) uint64 { return uint64((*n).Span().Start) })
}

// children calls f for each direct child of n, in the order of the source.
// Names and comments do not count as children.
func children(n Node, f visitor) {
	switch n := n.(type) {
	case Stmt:
		stmtChildren(n, f)
	case Expr:
		exprChildren(n, f)
	case *Program:
		for _, i := range n.items() {
			f(i)
		}
	case *Config:
		for _, i := range n.Items {
			f(i)
		}
	case *ConfigItem:
		f.one(n.Value)
	case *Probe:
		for _, p := range n.Points {
			f(p)
		}
		f.one(n.Pred)
		f.one(n.Body)
	case *Event:
		for _, a := range n.Args {
			f(a)
		}
		for _, p := range n.Places {
			f(p)
		}
	case *EventArg:
		f.one(n.Type)
		f.one(n.Value)
	case *Place:
		for _, p := range n.Entry {
			f(p)
		}
		f.one(n.When)
		for _, a := range n.Saved {
			f(a)
		}
		for _, p := range n.Points {
			f(p)
		}
		f.exprs(n.Before)
		f.one(n.Pred)
		for _, a := range n.Args {
			f(a)
		}
	case *Macro:
		f.exprs(n.Params)
		f.one(n.Body)
	case *MapDecl:
		f(n.Map)
		f.one(n.N)
	case *Func:
		for _, p := range n.Params {
			f(p)
		}
		f.one(n.Result)
		f.one(n.Body)
	case *Param:
		f(n.Var)
		f.one(n.Type)
	case *Type:
		f.one(n.Typeof)
		f.one(n.TypeofT)
		for _, s := range n.Suffixes {
			f.one(s.Len)
		}
	}
}

func stmtChildren(n Stmt, f visitor) {
	switch n := n.(type) {
	case *ExprStmt:
		f.one(n.X)
	case *Assign:
		f.one(n.Target)
		f.one(n.Value)
	case *Let:
		f(n.Var)
		f.one(n.Type)
		f.one(n.Value)
	case *For:
		f(n.Var)
		f.one(n.Iter)
		f.one(n.Body)
	case *While:
		f.one(n.Cond)
		f.one(n.Body)
	case *Unroll:
		f.one(n.Count)
		f.one(n.Body)
	case *Jump:
		f.one(n.Value)
	}
}

func exprChildren(n Expr, f visitor) {
	switch n := n.(type) {
	case *Index:
		f.one(n.X)
		f.exprs(n.Args)
	case *Field:
		f.one(n.X)
	case *Unary:
		f.one(n.X)
	case *Binary:
		f.one(n.X)
		f.one(n.Y)
	case *Ternary:
		f.one(n.Cond)
		f.one(n.X)
		f.one(n.Y)
	case *Call:
		f.exprs(n.Args)
	case *Cast:
		f.one(n.Type)
		f.one(n.X)
	case *TypeArg:
		f.one(n.Type)
	case *Sizeof:
		f.one(n.Type)
		f.one(n.X)
	case *Offsetof:
		f.one(n.Type)
		f.one(n.X)
	case *Typeinfo:
		f.one(n.Type)
		f.one(n.X)
	case *Tuple:
		f.exprs(n.Elems)
	case *Record:
		f.exprs(n.Elems)
	case *Block:
		for _, s := range n.Stmts {
			f(s)
		}
		f.one(n.Value)
	case *If:
		f.one(n.Cond)
		f.one(n.Then)
		f.one(n.Else)
	case *Comptime:
		f.one(n.X)
	case *Range:
		f.one(n.From)
		f.one(n.To)
	}
}

// visitor is a function that is called for each node that is not nil.
type visitor func(Node)

// one visits a child that may be absent.
//
//go:noinline
func (f visitor) one(n Node) {
	if !isNil(n) {
		f(n)
	}
}

func (f visitor) exprs(list []Expr) {
	for _, e := range list {
		f.one(e)
	}
}
