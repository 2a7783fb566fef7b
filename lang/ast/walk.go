package ast

import "slices"

// Inspect calls f for n and, where f returns true, for everything below n, in
// the order of the source. Nil nodes are not visited.
func Inspect(n Node, f func(Node) bool) {
	if isNil(n) || !f(n) {
		return
	}
	children(n, func(c Node) { Inspect(c, f) })
}

// Walk calls f for n and for everything below it, parents first.
func Walk(n Node, f func(Node)) {
	Inspect(n, func(c Node) bool { f(c); return true })
}

// isNil reports whether n is nil or an interface around a nil pointer, which
// is what an absent optional child looks like once it is a Node.
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

// items is all that stands at the top level, in the order of the source.
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
	slices.SortStableFunc(items, func(a, b Node) int { return a.Span().Start - b.Span().Start })
	return items
}

// children calls f for each direct child of n, in the order of the source.
// Names and comments are not children: they have no meaning of their own.
func children(n Node, f func(Node)) {
	one := func(c Node) {
		if !isNil(c) {
			f(c)
		}
	}
	exprs := func(list []Expr) {
		for _, e := range list {
			one(e)
		}
	}
	switch n := n.(type) {
	case *Program:
		for _, i := range n.items() {
			f(i)
		}
	case *Config:
		for _, i := range n.Items {
			f(i)
		}
	case *ConfigItem:
		one(n.Value)
	case *Probe:
		for _, p := range n.Points {
			f(p)
		}
		one(n.Pred)
		one(n.Body)
	case *Macro:
		exprs(n.Params)
		one(n.Body)
	case *MapDecl:
		f(n.Map)
		one(n.N)
	case *Func:
		for _, p := range n.Params {
			f(p)
		}
		one(n.Result)
		one(n.Body)
	case *Param:
		f(n.Var)
		one(n.Type)

	case *ExprStmt:
		one(n.X)
	case *Assign:
		one(n.Target)
		one(n.Value)
	case *Let:
		f(n.Var)
		one(n.Type)
		one(n.Value)
	case *For:
		f(n.Var)
		one(n.Iter)
		one(n.Body)
	case *While:
		one(n.Cond)
		one(n.Body)
	case *Unroll:
		one(n.Count)
		one(n.Body)
	case *Jump:
		one(n.Value)

	case *Index:
		one(n.X)
		exprs(n.Args)
	case *Field:
		one(n.X)
	case *Unary:
		one(n.X)
	case *Binary:
		one(n.X)
		one(n.Y)
	case *Ternary:
		one(n.Cond)
		one(n.X)
		one(n.Y)
	case *Call:
		exprs(n.Args)
	case *Cast:
		one(n.Type)
		one(n.X)
	case *TypeArg:
		one(n.Type)
	case *Sizeof:
		one(n.Type)
		one(n.X)
	case *Offsetof:
		one(n.Type)
		one(n.X)
	case *Typeinfo:
		one(n.Type)
		one(n.X)
	case *Tuple:
		exprs(n.Elems)
	case *Record:
		exprs(n.Elems)
	case *Block:
		for _, s := range n.Stmts {
			f(s)
		}
		one(n.Value)
	case *If:
		one(n.Cond)
		one(n.Then)
		one(n.Else)
	case *Comptime:
		one(n.X)
	case *Range:
		one(n.From)
		one(n.To)
	case *Type:
		one(n.Typeof)
		one(n.TypeofT)
		for _, s := range n.Suffixes {
			one(s.Len)
		}
	}
}
