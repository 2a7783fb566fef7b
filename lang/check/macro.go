package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
)

// maxExpansion bounds the nodes that macros add to one block: nested macros
// that use a parameter twice double them at every level.
const maxExpansion = 200_000

// macro is a macro definition.
type macro struct {
	decl *ast.Macro
	own  map[string]bool // variables it assigns: each expansion has its own
}

// collectMacros lists the macros by name. Definitions of one name differ in
// the number or the kinds of their parameters.
func (c *checker) collectMacros(p *ast.Program) map[string][]*macro {
	macros := map[string][]*macro{}
	for _, d := range p.Decls {
		d, ok := d.(*ast.Macro)
		if !ok {
			continue
		}
		if !c.macroParams(d) {
			c.wrongMacros[d.Name.Text] = true
			continue
		}
		taken := false
		for _, m := range macros[d.Name.Text] {
			if signature(m.decl) == signature(d) {
				c.diags.Add(source.Diag{Span: heading(d), Msg: "Redefinition of macro: " + d.Name.Text,
					Notes: [2]source.Note{{Span: heading(m.decl), Msg: "This is the original definition."}}})
				taken = true
			}
		}
		if taken {
			continue
		}
		m := &macro{decl: d, own: map[string]bool{}}
		c.inspectMacro(m)
		macros[d.Name.Text] = append(macros[d.Name.Text], m)
	}
	return macros
}

// heading is the word macro and the name.
func heading(d *ast.Macro) source.Span {
	s := d.Span()
	s.End = d.Name.Span().End
	return s
}

func (c *checker) macroParams(d *ast.Macro) bool {
	seen := map[string]bool{}
	for _, p := range d.Params {
		name := paramName(p)
		if seen[name] {
			c.diags.Errorf(p.Span(), "Ident for macro argument has already been used: %s", name)
			return false
		}
		seen[name] = true
		if n, ok := p.(*ast.Ident); ok {
			if def := c.defs.Lookup(n.Name); def != nil && def.Kind == builtins.Variable {
				c.diags.Errorf(p.Span(), "syntax: builtin '%s' can't be used as a macro argument", n.Name)
				return false
			}
		}
	}
	return true
}

// paramName is a parameter as written: $v, @m or ident.
func paramName(p ast.Expr) string {
	switch p := p.(type) {
	case *ast.Var:
		return "$" + p.Name
	case *ast.Map:
		return "@" + p.Name
	case *ast.Ident:
		return p.Name
	}
	return ""
}

// signature tells the definitions of one name apart: a letter a parameter.
func signature(d *ast.Macro) string {
	var b strings.Builder
	for _, p := range d.Params {
		switch p.(type) {
		case *ast.Var:
			b.WriteByte('$')
		case *ast.Map:
			b.WriteByte('@')
		default:
			b.WriteByte('x')
		}
	}
	return b.String()
}

// inspectMacro finds the variables a macro assigns, and what it may not hold.
func (c *checker) inspectMacro(m *macro) {
	params := map[string]bool{}
	for _, p := range m.decl.Params {
		params[paramName(p)] = true
	}
	own := func(v *ast.Var) {
		if v != nil && !params["$"+v.Name] {
			m.own[v.Name] = true
		}
	}
	looped := map[*ast.Jump]bool{}
	loops := func(body *ast.Block) {
		ast.Walk(body, func(n ast.Node) {
			if j, ok := n.(*ast.Jump); ok {
				looped[j] = true
			}
		})
	}
	ast.Walk(m.decl.Body, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Let:
			own(n.Var)
		case *ast.For:
			own(n.Var)
			loops(n.Body)
		case *ast.While:
			loops(n.Body)
		case *ast.Assign:
			if v, ok := n.Target.(*ast.Var); ok && n.Op == "" {
				own(v)
			}
		case *ast.Jump:
			switch {
			case n.Kind == ast.Return:
				c.diags.Errorf(n.Span(), "'return' statement is not allowed in a macro")
			case looped[n]:
			case n.Kind == ast.Break:
				c.diags.Errorf(n.Span(), "'break' statement is not allowed in a macro")
			default:
				c.diags.Errorf(n.Span(), "'continue' statement is not allowed in a macro")
			}
		case *ast.Map:
			if !params["@"+n.Name] {
				c.diags.Errorf(n.Span(), "Unhygienic access to map: @%s. Maps must be passed into the macro as arguments.", n.Name)
			}
		}
	})
}

// expander replaces the macro calls in a block, which it changes: it works on
// a unit's own clone.
type expander struct {
	c     *checker
	unit  *unit
	chain []*expansion // macros being expanded, outermost first
	nodes int
	full  bool // maxExpansion has been reported
}

// expansion is one call of a macro being expanded.
type expansion struct {
	macro  *macro
	at     source.Span // the call
	id     int
	params map[string]ast.Expr // arguments by parameter as written, expanded
}

// expand replaces the macro calls in a block of u.
func (c *checker) expand(u *unit, b *ast.Block) *ast.Block {
	if len(c.macros)+len(c.wrongMacros) > 0 {
		(&expander{c: c, unit: u}).block(b)
	}
	return b
}

func (c *checker) expandExpr(u *unit, e ast.Expr) ast.Expr {
	if len(c.macros)+len(c.wrongMacros) == 0 {
		return e
	}
	return (&expander{c: c, unit: u}).expr(e)
}

// inner is the expansion whose body is being walked, or nil.
func (x *expander) inner() *expansion {
	if len(x.chain) == 0 {
		return nil
	}
	return x.chain[len(x.chain)-1]
}

func (x *expander) block(b *ast.Block) {
	if b == nil {
		return
	}
	for _, s := range b.Stmts {
		x.stmt(s)
	}
	b.Value = x.expr(b.Value)
}

func (x *expander) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.ExprStmt:
		s.X = x.expr(s.X)
	case *ast.Assign:
		s.Value = x.expr(s.Value)
		s.Target = x.expr(s.Target)
	case *ast.Let:
		x.variable(s.Var)
		x.typ(s.Type)
		s.Value = x.expr(s.Value)
	case *ast.For:
		s.Iter = x.expr(s.Iter)
		x.variable(s.Var)
		x.block(s.Body)
	case *ast.While:
		s.Cond = x.expr(s.Cond)
		x.block(s.Body)
	case *ast.Unroll:
		s.Count = x.expr(s.Count)
		x.block(s.Body)
	case *ast.Jump:
		s.Value = x.expr(s.Value)
	}
}

// variable gives a variable of a macro's body the name it has where the macro
// is called: that of the argument, or one of its own.
func (x *expander) variable(v *ast.Var) {
	e := x.inner()
	if e == nil {
		return
	}
	if arg, ok := e.params["$"+v.Name].(*ast.Var); ok {
		v.Name = arg.Name
		return
	}
	if e.macro.own[v.Name] {
		v.Name += mangled + strconv.Itoa(e.id)
	}
}

func (x *expander) typ(t *ast.Type) {
	if t == nil {
		return
	}
	x.typ(t.TypeofT)
	t.Typeof = x.expr(t.Typeof)
	for i := range t.Suffixes {
		t.Suffixes[i].Len = x.expr(t.Suffixes[i].Len)
	}
	e := x.inner()
	if e == nil || t.Keyword != "" || t.Name == "" {
		return
	}
	switch arg := e.params[t.Name].(type) {
	case nil:
	case *ast.Ident:
		t.Name = arg.Name // a type, or a builtin: as if it had been written here
	case *ast.TypeArg:
		t.Name, t.TypeofT = "", ast.Clone(arg.Type)
	default:
		t.Name, t.Typeof = "", x.paste(arg)
	}
}

func (x *expander) list(es []ast.Expr) {
	for i := range es {
		es[i] = x.expr(es[i])
	}
}

// expr expands e and returns what takes its place.
func (x *expander) expr(e ast.Expr) ast.Expr {
	if len(x.chain) > 0 {
		if x.nodes++; x.nodes > maxExpansion {
			if !x.full {
				x.full = true
				x.c.diags.Errorf(x.chain[0].macro.decl.Name.Span(), "The macros of this block expand to more than %d expressions", maxExpansion)
			}
			return e
		}
	}
	switch e := e.(type) {
	case nil:
	case *ast.Ident:
		if in := x.inner(); in != nil {
			if arg, ok := in.params[e.Name]; ok {
				return x.paste(arg)
			}
		}
		return x.call(e, e.Name, nil)
	case *ast.Var:
		x.variable(e)
	case *ast.Map:
		if in := x.inner(); in != nil {
			if arg, ok := in.params["@"+e.Name].(*ast.Map); ok {
				e.Name = arg.Name
			}
		}
	case *ast.Index:
		e.X = x.expr(e.X)
		x.list(e.Args)
	case *ast.Field:
		e.X = x.expr(e.X)
	case *ast.Unary:
		e.X = x.expr(e.X)
	case *ast.Binary:
		e.X, e.Y = x.expr(e.X), x.expr(e.Y)
	case *ast.Ternary:
		e.Cond, e.X, e.Y = x.expr(e.Cond), x.expr(e.X), x.expr(e.Y)
	case *ast.Call:
		x.list(e.Args)
		return x.call(e, e.Fn.Text, e.Args)
	case *ast.Cast:
		x.typ(e.Type)
		e.X = x.expr(e.X)
	case *ast.TypeArg:
		x.typ(e.Type)
	case *ast.Sizeof:
		x.typ(e.Type)
		e.X = x.expr(e.X)
	case *ast.Offsetof:
		x.typ(e.Type)
		e.X = x.expr(e.X)
	case *ast.Typeinfo:
		x.typ(e.Type)
		e.X = x.expr(e.X)
	case *ast.Tuple:
		x.list(e.Elems)
	case *ast.Record:
		x.list(e.Elems)
	case *ast.Block:
		x.block(e)
	case *ast.If:
		e.Cond = x.expr(e.Cond)
		x.block(e.Then)
		e.Else = x.expr(e.Else)
	case *ast.Comptime:
		e.X = x.expr(e.X)
	case *ast.Range:
		e.From, e.To = x.expr(e.From), x.expr(e.To)
	}
	return e
}

// paste is a copy of an argument, for one use of its parameter.
func (x *expander) paste(arg ast.Expr) ast.Expr {
	ast.Walk(arg, func(ast.Node) { x.nodes++ })
	if x.nodes > maxExpansion {
		return x.expr(arg) // reports
	}
	return ast.Clone(arg)
}

// call expands a call whose arguments have been expanded, if a macro is meant.
func (x *expander) call(e ast.Expr, name string, args []ast.Expr) ast.Expr {
	list := x.c.macros[name]
	if x.full || x.c.wrongMacros[name] {
		x.unit.fail(e)
		return e
	}
	if len(list) == 0 {
		return e
	}
	m := pick(list, args)
	if m == nil {
		if x.c.defs.Lookup(name) == nil {
			x.mismatch(e, name, list, args)
			x.unit.fail(e)
		}
		return e
	}
	for _, running := range x.chain {
		if running.macro == m {
			x.recursion(e, m)
			x.unit.fail(e)
			return e
		}
	}
	x.c.expansions++
	in := &expansion{macro: m, at: e.Span(), id: x.c.expansions, params: map[string]ast.Expr{}}
	for i, p := range m.decl.Params {
		in.params[paramName(p)] = args[i]
	}
	body := ast.Clone(m.decl.Body)
	x.chain = append(x.chain, in)
	x.block(body)
	x.chain = x.chain[:len(x.chain)-1]
	var out ast.Expr = body
	if len(body.Stmts) == 0 && body.Value != nil && !isElement(body.Value) {
		out = body.Value
	}
	if _, ok := x.unit.calls[out]; !ok {
		x.unit.calls[out] = e.Span()
	}
	return out
}

// fail notes a call that could not be expanded.
func (u *unit) fail(e ast.Expr) {
	if u.broken == nil {
		u.broken = map[ast.Expr]bool{}
	}
	u.broken[e] = true
}

// pick is the definition that the arguments fit best: a variable or map goes to
// a parameter of its kind before one that takes any expression.
func pick(list []*macro, args []ast.Expr) *macro {
	var best *macro
	bestScore := -1
	for _, m := range list {
		if len(m.decl.Params) != len(args) {
			continue
		}
		score := 0
		for i, p := range m.decl.Params {
			switch p.(type) {
			case *ast.Var:
				if _, ok := args[i].(*ast.Var); !ok {
					score = -1 << 30
				}
				score++
			case *ast.Map:
				if _, ok := args[i].(*ast.Map); !ok {
					score = -1 << 30
				}
				score++
			}
		}
		if score > bestScore {
			best, bestScore = m, score
		}
	}
	return best
}

// mismatch reports a call that no definition fits.
func (x *expander) mismatch(e ast.Expr, name string, list []*macro, args []ast.Expr) {
	closest := list[0]
	for _, m := range list {
		if len(m.decl.Params) == len(args) {
			closest = m
		}
	}
	d := source.Diag{Span: e.Span(), Msg: "Call to " + name + "() has arguments that do not match any definition."}
	if n := len(closest.decl.Params); n != len(args) {
		d.Notes[0] = source.Note{Span: heading(closest.decl), Msg: fmt.Sprintf("The closest definition of %s() has a different number of arguments. Expected: %d but got %d", name, n, len(args))}
	} else {
		for i, p := range closest.decl.Params {
			want := ""
			switch p.(type) {
			case *ast.Var:
				if _, ok := args[i].(*ast.Var); !ok {
					want = "variable"
				}
			case *ast.Map:
				if _, ok := args[i].(*ast.Map); !ok {
					want = "map"
				}
			}
			if want != "" {
				d.Notes[0] = source.Note{Span: args[i].Span(), Msg: fmt.Sprintf("Mismatched arg. %s() expects a %s for arg %s but got an expression.", name, want, paramName(p))}
				d.Notes[1] = source.Note{Span: p.Span(), Msg: "This is the argument in the closest definition."}
				break
			}
		}
	}
	x.c.diags.Add(d)
}

// recursion reports a macro that comes to call itself.
func (x *expander) recursion(e ast.Expr, m *macro) {
	var names []string
	for _, in := range x.chain {
		names = append(names, in.macro.decl.Name.Text)
	}
	names = append(names, m.decl.Name.Text)
	x.c.diags.Add(source.Diag{Span: e.Span(), Msg: "Recursive macro call detected. Call chain: " + strings.Join(names, " > "), From: x.chain[0].at})
}

// noted runs check, whose diagnostics come from e, which a macro call may have
// become.
func (c *checker) noted(e ast.Expr, check func()) {
	if len(c.unit.calls) == 0 || c.calledAt.IsValid() {
		check()
		return
	}
	span, ok := c.unit.calls[e]
	if !ok {
		check()
		return
	}
	c.calledAt = span
	check()
	c.calledAt = source.Span{}
}
