package macro

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
)

// maxExpansion is the maximum number of nodes that macros may add to one block: nested
// macros that use a parameter twice double the number at every level.
const maxExpansion = 200_000

// expander replaces the macro calls of one declaration in place.
type expander struct {
	c     *script
	walk  ast.Rewriter
	chain []*expansion // macros being expanded, outermost first
	nodes int
	full  bool                    // maxExpansion has been reported
	of    map[ast.Expr][]ast.Name // the records whose members expanded calls have
	event *eventProbe             // the event that the probe is for, or nil
}

// expansion is one call of a macro being expanded.
type expansion struct {
	macro  *macro
	call   *source.Call
	id     int
	params map[string]ast.Expr // expanded arguments, by parameter as written
}

//go:noinline
func (c *script) newExpander() *expander {
	x := &expander{c: c, of: map[ast.Expr][]ast.Name{}}
	x.walk = ast.Rewriter{Expr: x.expr, Stmt: x.stmt, Type: x.typ}
	return x
}

// inner returns the innermost expansion being walked, or nil.
func (x *expander) inner() *expansion {
	if len(x.chain) == 0 {
		return nil
	}
	return x.chain[len(x.chain)-1]
}

// stmt handles an assignment to a map of a block that ends in a call of an aggregation.
// It moves the assignment into the block, since only the form @m = count() is allowed.
func (x *expander) stmt(s ast.Stmt) ast.Stmt {
	a, ok := s.(*ast.Assign)
	if !ok || a.Op != "" || !isElement(a.Target) {
		return s
	}
	b, ok := a.Value.(*ast.Block)
	if !ok || !x.aggregates(b) {
		return s
	}
	last := b
	for {
		next, ok := last.Value.(*ast.Block)
		if !ok {
			break
		}
		last = next
	}
	a.Value, last.Value = last.Value, nil
	last.Stmts = append(last.Stmts, a)
	for outer := b; outer != last; {
		next := outer.Value.(*ast.Block)
		outer.Value = nil
		outer.Stmts = append(outer.Stmts, &ast.ExprStmt{At: next.At, X: next})
		outer = next
	}
	return &ast.ExprStmt{At: a.At, X: b}
}

// aggregates reports whether the value of b is a call of an aggregation.
func (x *expander) aggregates(b *ast.Block) bool {
	switch v := b.Value.(type) {
	case *ast.Block:
		return x.aggregates(v)
	case *ast.Call:
		d := x.c.defs.Lookup(v.Fn.Text)
		return d != nil && d.Kind == builtins.Aggregation
	}
	return false
}

// variable renames a variable in a macro's body: to the variable that was passed for
// it, or to a new one of this expansion.
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
		v.Name = ast.OwnName(v.Name, e.id)
	}
}

// typ replaces a parameter in a written type by its argument.
func (x *expander) typ(t *ast.Type) {
	e := x.inner()
	if e == nil || t.Keyword != "" || t.Name == "" {
		return
	}
	switch arg := e.params[t.Name].(type) {
	case nil:
	case *ast.Ident:
		t.Name = arg.Name // the name of a type or a builtin, as if it had been written here
	case *ast.TypeArg:
		t.Name, t.TypeofT = "", ast.Clone(arg.Type)
	default:
		t.Name, t.Typeof = "", x.paste(arg)
	}
}

// expr returns the replacement of e. The operands of e have been expanded.
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
	case *ast.Ident:
		if in := x.inner(); in != nil {
			if arg, ok := in.params[e.Name]; ok {
				return x.paste(arg)
			}
		}
		if x.event != nil {
			if out, ok := x.eventIdent(e); ok {
				return out
			}
		}
		return x.call(e, e.Name, nil)
	case *ast.Field:
		if x.event != nil {
			if out, ok := x.eventField(e); ok {
				return out
			}
		}
		if name := x.member(e.X, e.Name.Text); name != "" {
			return x.call(e, name, []ast.Expr{e.X})
		}
	case *ast.Var:
		x.variable(e)
	case *ast.Map:
		if in := x.inner(); in != nil {
			if arg, ok := in.params["@"+e.Name].(*ast.Map); ok {
				e.Name = arg.Name
			}
		}
	case *ast.Call:
		if strings.HasPrefix(e.Fn.Text, ast.MethodPrefix) {
			return x.method(e)
		}
		return x.call(e, e.Fn.Text, e.Args)
	}
	return e
}

// member returns the name of the macro for a member of e, or "" if e is not a record with
// such a member.
func (x *expander) member(e ast.Expr, name string) string {
	for _, record := range x.of[e] {
		if full := record.Text + "." + name; x.c.macros[full] != nil {
			return full
		}
	}
	return ""
}

// method expands a call of a member of a record.
func (x *expander) method(e *ast.Call) ast.Expr {
	name := strings.TrimPrefix(e.Fn.Text, ast.MethodPrefix)
	if member := x.member(e.Args[0], name); member != "" {
		return x.call(e, member, e.Args)
	}
	records := x.of[e.Args[0]]
	if len(records) == 0 {
		x.c.diags.ErrorHint(e.Fn.Span(), "only members of records, as task, can be called", "'%s' is not a function", name)
		return bad(e)
	}
	x.c.diags.ErrorHint(e.Fn.Span(), source.DidYouMean(name, x.c.members(records)), "%s has no member '%s'", records[0].Text, name)
	return bad(e)
}

// members returns the names of the members of records.
func (c *script) members(records []ast.Name) (names []string) {
	for name := range c.macros {
		for _, r := range records {
			if member, ok := strings.CutPrefix(name, r.Text+"."); ok {
				names = append(names, member)
			}
		}
	}
	slices.Sort(names)
	return names
}

// paste returns a copy of an argument for one use of its parameter.
func (x *expander) paste(arg ast.Expr) ast.Expr {
	ast.Walk(arg, func(ast.Node) { x.nodes++ })
	if x.nodes > maxExpansion {
		return x.expr(arg) // reports the error
	}
	return ast.Clone(arg)
}

// call expands a call of a macro and returns the result. The arguments have
// been expanded.
func (x *expander) call(e ast.Expr, name string, args []ast.Expr) ast.Expr {
	list := x.c.macros[name]
	if x.full || x.c.wrong[name] {
		return bad(e)
	}
	if len(list) == 0 {
		if d := x.c.defs.Lookup(name); d != nil && d.Written != nil {
			return x.written(d, e, args)
		}
		return e
	}
	m := pick(list, args)
	if m == nil {
		if x.c.defs.Lookup(name) == nil {
			x.mismatch(e, name, list, args)
			return bad(e)
		}
		return e
	}
	for _, running := range x.chain {
		if running.macro == m {
			x.recursion(e, m)
			return bad(e)
		}
	}
	return x.run(m, e.Span(), args)
}

// written returns the expression that replaces a call of a builtin whose argument is a text
// in another language.
func (x *expander) written(d *builtins.Def, e ast.Expr, args []ast.Expr) ast.Expr {
	lit := (*ast.StrLit)(nil)
	if len(args) == 1 {
		lit, _ = args[0].(*ast.StrLit)
	}
	if lit == nil {
		x.c.diags.Errorf(e.Span(), "%s() takes one text in quotes", d.Name)
		return bad(e)
	}
	text, err := d.Written(lit.Value)
	if err != nil {
		x.c.diags.Errorf(lit.Span(), "%v", err)
		return bad(e)
	}
	out, err := parse.Expr(text, e.Span(), x.c.defs)
	if err != nil {
		x.c.diags.Errorf(lit.Span(), "%s() becomes an expression that is too large: %v", d.Name, err)
		return bad(e)
	}
	return out
}

// run expands a call, at a place in the source, of a macro with arguments that fit it.
func (x *expander) run(m *macro, at source.Span, args []ast.Expr) ast.Expr {
	x.c.count++
	in := &expansion{macro: m, call: &source.Call{At: at}, id: x.c.count, params: map[string]ast.Expr{}}
	if outer := x.inner(); outer != nil {
		in.call.From = outer.call
	}
	for i, p := range m.decl.Params {
		in.params[paramName(p)] = args[i]
	}
	body := ast.Clone(m.decl.Body)
	x.chain = append(x.chain, in)
	x.walk.Block(body)
	x.chain = x.chain[:len(x.chain)-1]
	var out ast.Expr = body
	if len(body.Stmts) == 0 && body.Value != nil && !isElement(body.Value) {
		out = body.Value
	}
	ast.SetFrom(out, in.call)
	if len(m.decl.Result) > 0 {
		x.of[out] = m.decl.Result
	}
	return out
}

// bad returns the replacement of a call that could not be expanded.
//
//go:noinline
func bad(e ast.Expr) ast.Expr { return &ast.Bad{At: ast.At{Pos: e.Span()}} }

// pick returns the definition that matches the arguments best: for a variable or map, a
// parameter of its kind is better than one that accepts any expression.
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

// mismatch reports a call that matches no definition.
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
			if want := argKind(p); want != anyArg && want != argKind(args[i]) {
				d.Notes[0] = source.Note{Span: args[i].Span(), Msg: fmt.Sprintf("Mismatched arg. %s() expects %s for arg %s but got %s.", name, want, paramName(p), argKind(args[i]))}
				d.Notes[1] = source.Note{Span: p.Span(), Msg: "This is the argument in the closest definition."}
				break
			}
		}
	}
	x.c.diags.Add(d)
}

// recursion reports a macro that calls itself, directly or through other
// macros.
func (x *expander) recursion(e ast.Expr, m *macro) {
	var names []string
	for _, in := range x.chain {
		names = append(names, in.macro.decl.Name.Text)
	}
	names = append(names, m.decl.Name.Text)
	x.c.diags.Add(source.Diag{Span: e.Span(), Msg: "Recursive macro call detected. Call chain: " + strings.Join(names, " > "), From: x.chain[0].call})
}
