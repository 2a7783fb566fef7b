package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// maxParams is the maximum number of parameters of a function. Those that do not fit
// into registers are passed on the caller's stack, eight bytes each.
const maxParams = 32

// fnDef is the definition of a script function.
type fnDef struct {
	decl  *ast.Func // as parsed
	index int       // in order of declaration
	used  bool
}

// fnState is a script function in one program. Its body is checked in the context of
// that program.
type fnState struct {
	*fnDef
	decl  *ast.Func // its own clone
	fn    *Func
	calls map[*fnState]bool // other functions that it calls
	loop  bool              // part of a cycle of calls that has been reported

	located *types.Type // the result type, with the address spaces of the returned values
}

func (c *checker) declareFuncs(p *ast.Program) {
	for _, d := range p.Decls {
		d, ok := d.(*ast.Func)
		if !ok {
			continue
		}
		name := d.Name.Text
		switch {
		case c.funcs[name] != nil:
			c.diags.Add(source.Diag{Span: d.Name.Span(), Msg: "Redefinition of function: " + name,
				Notes: [2]source.Note{{Span: c.funcs[name].decl.Name.Span(), Msg: "This is the original definition."}}})
			continue
		case c.defs.Lookup(name) != nil:
			c.diags.Errorf(d.Name.Span(), "%s is a builtin: choose another name for the function", name)
			continue
		case c.macros[name]:
			c.diags.Errorf(d.Name.Span(), "%s is a macro: choose another name for the function", name)
			continue
		case len(d.Params) > maxParams:
			c.diags.Errorf(d.Params[maxParams].Span(), "A function has at most %d parameters", maxParams)
			continue
		}
		c.funcs[name] = &fnDef{decl: d, index: len(c.funcs)}
	}
}

// function returns the state of d in the current program.
func (c *checker) function(d *fnDef) *fnState {
	u := c.variant
	for _, f := range u.funcs {
		if f.fnDef == d {
			return f
		}
	}
	f := &fnState{fnDef: d, decl: ast.Clone(d.decl), calls: map[*fnState]bool{}}
	f.fn = &Func{Name: d.decl.Name.Text, Result: types.TVoid, Span: d.decl.Span()}
	u.funcs = append(u.funcs, f)
	defer func(old *fnState, scopes []map[string]*Var, loops []loop) {
		c.fn, c.scopes, c.loops = old, scopes, loops
	}(c.fn, c.scopes, c.loops)
	c.fn, c.scopes, c.loops = f, nil, nil
	f.fn.Body = f.decl.Body
	c.signature(f)
	return f
}

// signature determines the types of a function's parameters and result.
func (c *checker) signature(f *fnState) {
	c.push()
	defer c.pop()
	f.fn.Params = f.fn.Params[:0]
	for _, p := range f.decl.Params {
		v := c.parameter(p)
		if v == nil {
			continue
		}
		f.fn.Params = append(f.fn.Params, v)
	}
	if f.decl.Result != nil {
		t := c.written(f.decl.Result)
		if !invalid(t) && t.Kind != types.Void && !c.storable(t, f.decl.Result.Span(), "function's result") {
			t = types.TInvalid
		}
		if t.Kind != types.String || !growing(t) || invalid(f.fn.Result) || f.fn.Result.Kind == types.Void {
			f.fn.Result = t
			if f.located != nil && types.Equal(f.located, t) {
				f.fn.Result = f.located
			}
		}
	}
}

// growing reports whether t is a written type that a value completes: a string without
// a size, or a timestamp without a format.
//
//go:noinline
func growing(t *types.Type) bool {
	return t != nil && (t.Kind == types.String && t.Size == 0 || t.Kind == types.Opaque && declaredOnly(t))
}

func (c *checker) parameter(p *ast.Param) *Var {
	if old := c.find(p.Var.Name); old != nil {
		c.errorf(p.Span(), "Parameter $%s is declared twice", p.Var.Name)
		return nil
	}
	v := c.declare(p.Var, p.Span(), byParam)
	v.assigned, v.everAssigned = true, true
	t := types.TInvalid
	if p.Type != nil {
		t = c.written(p.Type)
	}
	if !invalid(t) && !c.storable(t, p.Span(), "parameter") {
		t = types.TInvalid
	}
	if invalid(t) {
		v.wrong = true
	} else {
		v.fixed = t
		c.widen(v, t)
	}
	c.info.Types[p.Var] = c.varType(v)
	return v
}

func (c *checker) funcsInOrder() []*fnDef {
	return slices.SortedFunc(maps.Values(c.funcs), func(a, b *fnDef) int { return a.index - b.index })
}

// checkUnused checks the functions that no probe calls. It reports only errors that do
// not depend on a context.
func (c *checker) checkUnused() {
	if c.unused == nil {
		c.unused = &variant{}
	}
	c.variant = c.unused
	for _, d := range c.funcsInOrder() {
		if !d.used {
			c.function(d)
		}
	}
	c.checkFuncs()
}

func (c *checker) checkFuncs() {
	u := c.variant
	for i := 0; i < len(u.funcs); i++ { // they may call more functions
		c.checkFunc(u.funcs[i])
	}
}

// checkFunc checks the body of a function of the current program.
func (c *checker) checkFunc(f *fnState) {
	c.fn, c.scopes, c.loops = f, nil, nil
	defer func() { c.fn, c.scopes = nil, nil }()
	c.signature(f)
	c.push()
	for _, v := range f.fn.Params {
		c.scopes[0][v.node.Name] = v
	}
	c.block(f.fn.Body, false)
	if t := f.fn.Result; !invalid(t) && t.Kind != types.Void && !returns(f.fn.Body) {
		c.errorf(f.decl.Name.Span(), "Function %s can end without a 'return'", f.fn.Name)
	}
}

// returns reports whether every path through a block ends in a return.
func returns(b *ast.Block) bool {
	if b == nil || len(b.Stmts) == 0 {
		return false
	}
	switch s := b.Stmts[len(b.Stmts)-1].(type) {
	case *ast.Jump:
		return s.Kind == ast.Return
	case *ast.ExprStmt:
		return returnsExpr(s.X)
	}
	return false
}

func returnsExpr(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Block:
		return returns(e)
	case *ast.If:
		return e.Else != nil && returns(e.Then) && returnsExpr(e.Else)
	}
	return false
}

func (c *checker) returnFrom(f *fnState, s *ast.Jump, t *types.Type) {
	want := f.fn.Result
	switch {
	case invalid(want):
	case want.Kind == types.Void && s.Value != nil:
		c.errorf(s.Span(), "Function %s returns nothing", f.fn.Name)
	case want.Kind != types.Void && s.Value == nil:
		c.errorf(s.Span(), "Function %s returns '%s'", f.fn.Name, want)
	case s.Value != nil && f.decl.Result != nil && growing(c.info.Written[f.decl.Result]) && t.Kind == types.String:
		if t.Size > want.Size {
			f.fn.Result, c.changed = stored(t), true
		}
	case s.Value != nil:
		if c.convert(want, t, s.Value, s.Value.Span(), func() {
			c.errorf(s.Span(), "Function %s returns '%s', not '%s'", f.fn.Name, want, plain(t))
		}) {
			if l := located(want, t); l != want {
				f.fn.Result, f.located, c.changed = l, l, true
			}
		}
	}
}

// callFn checks a call of a script function.
func (c *checker) callFn(d *fnDef, e *ast.Call) *types.Type {
	f := c.function(d)
	c.info.FnCalls[e] = f.fn
	d.used = d.used || c.variant != c.unused
	if c.fn != nil {
		c.fn.calls[f] = true
		c.recursion(f, e)
	}
	args := make([]*types.Type, len(e.Args))
	for i, a := range e.Args {
		args[i] = c.value(a)
	}
	if len(args) != len(f.decl.Params) {
		c.errorNotes(e.Span(), [2]source.Note{{Span: f.decl.Name.Span(), Msg: "This is its definition."}}, "%s() takes %d arguments (%d provided)", f.fn.Name, len(f.decl.Params), len(args))
		return types.TInvalid
	}
	for i, p := range f.fn.Params {
		if i >= len(args) || invalid(args[i]) || p.fixed == nil {
			continue
		}
		span := e.Args[i].Span()
		if c.convert(p.fixed, args[i], e.Args[i], span, func() {
			c.errorf(span, "%s() expects '%s' for $%s, not '%s'", f.fn.Name, asWritten(p.fixed), p.Name, plain(args[i]))
		}) {
			c.give(f, p, args[i], span)
		}
	}
	if invalid(f.fn.Result) {
		return types.TInvalid
	}
	return f.fn.Result
}

// give completes the type of a parameter with the facts that only the argument has: the
// length of a string, and the address space of a pointer.
func (c *checker) give(f *fnState, p *Var, t *types.Type, span source.Span) {
	switch {
	case growing(p.fixed):
		c.widen(p, t)
	case p.fixed.Kind != types.Pointer || t.Kind != types.Pointer:
		if l := located(p.Type, t); l != p.Type {
			p.Type, c.changed = l, true
		}
	case p.given == nil:
		p.given = t
		p.Type = types.NewPointer(within(p.fixed.Elem, unverified(t.Space)), unverified(t.Space))
		c.changed = true
	case (p.given.Space == types.User) != (t.Space == types.User):
		c.errorHint(span, "kptr() and uptr() set the address space of a pointer", "$%s of %s() receives pointers to user memory and other pointers in the same program", p.Name, f.fn.Name)
	}
}

// recursion reports a call that makes a function recursive, once for each
// cycle.
func (c *checker) recursion(f *fnState, e *ast.Call) {
	if !c.final || c.fn.loop {
		return
	}
	chain := f.chain(c.fn, map[*fnState]bool{})
	if chain == nil {
		return
	}
	names := []string{c.fn.fn.Name}
	for _, g := range chain {
		g.loop = true
		names = append(names, g.fn.Name)
	}
	c.errorHint(e.Span(), "BPF functions cannot call themselves", "Recursive function call detected. Call chain: %s", strings.Join(names, " > "))
}

// chain returns the functions on a path of calls from f to to, both included.
// It returns nil if f does not call to.
func (f *fnState) chain(to *fnState, seen map[*fnState]bool) []*fnState {
	if f == to {
		return []*fnState{f}
	}
	seen[f] = true
	next := slices.SortedFunc(maps.Keys(f.calls), func(a, b *fnState) int { return a.index - b.index })
	for _, g := range next {
		if seen[g] {
			continue
		}
		if rest := g.chain(to, seen); rest != nil {
			return append([]*fnState{f}, rest...)
		}
	}
	return nil
}
