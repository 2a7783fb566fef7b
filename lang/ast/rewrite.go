package ast

// Rewriter replaces parts of a tree in place. Children are replaced before
// their parents.
type Rewriter struct {
	Expr func(Expr) Expr // returns the replacement of an expression
	Stmt func(Stmt) Stmt // returns the replacement of a statement in a block; nil: statements stay
	Type func(*Type)     // changes a type as written; nil: types stay
}

// Block rewrites the contents of a block. The block stays the same node.
func (r *Rewriter) Block(b *Block) {
	if b == nil {
		return
	}
	for i, s := range b.Stmts {
		r.stmt(s)
		if r.Stmt != nil {
			b.Stmts[i] = r.Stmt(s)
		}
	}
	b.Value = r.Any(b.Value)
}

// Any rewrites an expression and returns its replacement.
func (r *Rewriter) Any(e Expr) Expr {
	if isNil(e) {
		return e
	}
	r.operands(e)
	return r.Expr(e)
}

//go:noinline
func (r *Rewriter) list(es []Expr) {
	for i := range es {
		es[i] = r.Any(es[i])
	}
}

func (r *Rewriter) stmt(s Stmt) {
	switch s := s.(type) {
	case *ExprStmt:
		s.X = r.Any(s.X)
	case *Assign:
		s.Value = r.Any(s.Value)
		s.Target = r.Any(s.Target)
	case *Let:
		r.Any(s.Var)
		r.typ(s.Type)
		s.Value = r.Any(s.Value)
	case *For:
		s.Iter = r.Any(s.Iter)
		r.Any(s.Var)
		r.Block(s.Body)
	case *While:
		s.Cond = r.Any(s.Cond)
		r.Block(s.Body)
	case *Unroll:
		s.Count = r.Any(s.Count)
		r.Block(s.Body)
	case *Jump:
		s.Value = r.Any(s.Value)
	}
}

func (r *Rewriter) typ(t *Type) {
	if t == nil {
		return
	}
	r.typ(t.TypeofT)
	t.Typeof = r.Any(t.Typeof)
	for i := range t.Suffixes {
		t.Suffixes[i].Len = r.Any(t.Suffixes[i].Len)
	}
	if r.Type != nil {
		r.Type(t)
	}
}

// operands rewrites the children of an expression.
func (r *Rewriter) operands(e Expr) {
	switch e := e.(type) {
	case *Index:
		e.X = r.Any(e.X)
		r.list(e.Args)
	case *Field:
		e.X = r.Any(e.X)
	case *Unary:
		e.X = r.Any(e.X)
	case *Binary:
		e.X, e.Y = r.Any(e.X), r.Any(e.Y)
	case *Ternary:
		e.Cond, e.X, e.Y = r.Any(e.Cond), r.Any(e.X), r.Any(e.Y)
	case *Call:
		r.list(e.Args)
	case *Cast:
		r.typ(e.Type)
		e.X = r.Any(e.X)
	case *TypeArg:
		r.typ(e.Type)
	case *Sizeof:
		r.typ(e.Type)
		e.X = r.Any(e.X)
	case *Offsetof:
		r.typ(e.Type)
		e.X = r.Any(e.X)
	case *Typeinfo:
		r.typ(e.Type)
		e.X = r.Any(e.X)
	case *Tuple:
		r.list(e.Elems)
	case *Record:
		r.list(e.Elems)
	case *Block:
		r.Block(e)
	case *If:
		e.Cond = r.Any(e.Cond)
		r.Block(e.Then)
		e.Else = r.Any(e.Else)
	case *Comptime:
		e.X = r.Any(e.X)
	case *Range:
		e.From, e.To = r.Any(e.From), r.Any(e.To)
	}
}
