package check

import (
	"slices"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// maxParams is how many registers BPF passes arguments in.
const maxParams = 5

// fnState is what is known of a script function.
type fnState struct {
	fn    *Func
	decl  *ast.Func
	unit  *unit
	index int               // in order of declaration
	calls map[*fnState]bool // other functions it calls
	used  bool
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
			c.diags.ErrorHint(d.Name.Span(), "the first is at "+c.funcs[name].decl.Name.Span().String(), "Function %s is defined twice", name)
			continue
		case c.defs.Lookup(name) != nil:
			c.diags.Errorf(d.Name.Span(), "%s is a builtin: a function needs a name of its own", name)
			continue
		case len(c.macros[name]) > 0:
			c.diags.Errorf(d.Name.Span(), "%s is a macro: a function needs a name of its own", name)
			continue
		case len(d.Params) > maxParams:
			c.diags.Errorf(d.Params[maxParams].Span(), "A function has at most %d parameters", maxParams)
			continue
		}
		f := &fnState{decl: d, index: len(c.funcs), calls: map[*fnState]bool{}}
		f.fn = &Func{Name: name, Result: types.TVoid, Span: d.Span()}
		f.unit = &unit{fn: f, calls: map[ast.Node]source.Span{}}
		c.funcs[name] = f
	}
}

func (c *checker) funcsInOrder() []*fnState {
	list := make([]*fnState, 0, len(c.funcs))
	for _, f := range c.funcs {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *fnState) int { return a.index - b.index })
	return list
}

// checkFunc checks a function's signature and body.
func (c *checker) checkFunc(f *fnState) {
	if f.fn.Body == nil {
		f.fn.Body = c.expand(f.unit, ast.Clone(f.decl.Body))
	}
	c.unit, c.scopes, c.loops = f.unit, nil, nil
	c.push()
	defer c.pop()
	f.fn.Params = f.fn.Params[:0]
	for _, p := range f.decl.Params {
		if old := c.find(p.Var.Name); old != nil {
			c.errorf(p.Span(), "Parameter $%s is declared twice", p.Var.Name)
			continue
		}
		v := c.declare(p.Var, p.Span(), byParam)
		v.assigned, v.everAssigned = true, true
		t := types.TInvalid
		if p.Type != nil {
			t = c.written(p.Type)
		}
		if !invalid(t) && !t.IsScalar() {
			c.errorf(p.Span(), "A parameter is a number, a boolean or a pointer, not '%s'", asWritten(t))
			t = types.TInvalid
		}
		if invalid(t) {
			v.wrong = true
		} else {
			v.fixed = t
			c.widen(v, t)
		}
		c.info.Types[p.Var] = c.varType(v)
		f.fn.Params = append(f.fn.Params, v)
	}
	if f.decl.Result != nil {
		t := c.written(f.decl.Result)
		if !invalid(t) && t.Kind != types.Void && !t.IsScalar() {
			c.errorf(f.decl.Result.Span(), "A function returns a number, a boolean or a pointer, not '%s'", asWritten(t))
			t = types.TInvalid
		}
		f.fn.Result = t
	}
	c.block(f.fn.Body, false)
	if t := f.fn.Result; !invalid(t) && t.Kind != types.Void && !returns(f.fn.Body) {
		c.errorf(f.decl.Name.Span(), "Function %s can end without a 'return'", f.fn.Name)
	}
}

// returns reports whether every way through a block ends in a return.
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
	case s.Value != nil:
		c.convert(want, t, s.Value, s.Value.Span(), func() {
			c.errorf(s.Span(), "Function %s returns '%s', not '%s'", f.fn.Name, want, plain(t))
		})
	}
}

// callFn checks a call of a script function.
func (c *checker) callFn(f *fnState, e *ast.Call) *types.Type {
	c.info.FnCalls[e] = f.fn
	f.used = true
	if from := c.unit.fn; from != nil {
		from.calls[f] = true
		if f.reaches(from, map[*fnState]bool{}) {
			c.errorf(e.Span(), "Function %s calls itself: recursion is not possible", f.fn.Name)
		}
	}
	args := make([]*types.Type, len(e.Args))
	for i, a := range e.Args {
		args[i] = c.value(a)
	}
	if len(args) != len(f.decl.Params) {
		c.errorHint(e.Span(), "it is defined at "+f.decl.Name.Span().String(), "%s() takes %d arguments (%d provided)", f.fn.Name, len(f.decl.Params), len(args))
		return types.TInvalid
	}
	for i, p := range f.fn.Params {
		if i >= len(args) || invalid(args[i]) || p.fixed == nil {
			continue
		}
		c.convert(p.fixed, args[i], e.Args[i], e.Args[i].Span(), func() {
			c.errorf(e.Args[i].Span(), "%s() wants '%s' for $%s, not '%s'", f.fn.Name, p.fixed, p.Name, plain(args[i]))
		})
	}
	if invalid(f.fn.Result) {
		return types.TInvalid
	}
	return f.fn.Result
}

// reaches reports whether f calls to, itself or through others.
func (f *fnState) reaches(to *fnState, seen map[*fnState]bool) bool {
	if f == to {
		return true
	}
	seen[f] = true
	for g := range f.calls {
		if !seen[g] && g.reaches(to, seen) {
			return true
		}
	}
	return false
}
