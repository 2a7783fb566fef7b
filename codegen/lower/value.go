package lower

import (
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
)

// value returns an expression of one word in the canonical form of its type. An
// aggregation is read as an integer.
func (f *fn) value(e ast.Expr) *ir.Value {
	defer f.at(f.at(e.Span()))
	if r, ok := f.ready[e]; ok {
		return r.ptr
	}
	if l := f.lit(e); l != nil && !l.IsStr {
		return f.b.Const(l.Int)
	}
	switch e := e.(type) {
	case *ast.Var:
		if v := f.info.Vars[e]; v.Type.IsScalar() {
			return f.readVar(v)
		}
	case *ast.Ident, *ast.Call:
		return f.callValue(e)
	case *ast.Map:
		return f.readMap(e, nil, e)
	case *ast.Index:
		if m, ok := e.X.(*ast.Map); ok {
			return f.readMap(m, e.Args, e)
		}
		return f.object(e)
	case *ast.Field:
		return f.object(e)
	case *ast.Unary:
		return f.unary(e)
	case *ast.Binary:
		return f.binary(e)
	case *ast.Ternary:
		t := f.typeOf(e)
		if e.X == nil {
			if outcome, ok := f.known(e.Cond); ok && !outcome {
				return f.convert(f.value(e.Y), f.typeOf(e.Y), t)
			}
			x := f.value(e.Cond)
			return f.b.IfElse(f.truth(x, f.typeOf(e.Cond)), func() *ir.Value {
				return f.convert(x, f.typeOf(e.Cond), t)
			}, func() *ir.Value { return f.convert(f.value(e.Y), f.typeOf(e.Y), t) })
		}
		return f.choose(e.Cond, func() *ir.Value { return f.convert(f.value(e.X), f.typeOf(e.X), t) },
			func() *ir.Value { return f.convert(f.value(e.Y), f.typeOf(e.Y), t) })
	case *ast.Cast:
		return f.cast(e)
	case *ast.Comptime:
		return f.value(e.X)
	case *ast.Block:
		f.stmts(e)
		if e.Value == nil {
			return f.b.Const(0)
		}
		return f.value(e.Value)
	case *ast.If:
		t := f.typeOf(e)
		arm := func(x ast.Expr) func() *ir.Value {
			return func() *ir.Value {
				if x == nil {
					return f.b.Const(0)
				}
				v := f.value(x)
				if a := f.typeOf(x); t.IsScalar() && (a.IsScalar() || a.Castable) {
					return f.convert(v, a, t)
				}
				return v
			}
		}
		return f.choose(e.Cond, arm(e.Then), arm(e.Else))
	}
	panic(fmt.Sprintf("lower: %T of type %s at %s is not a word", e, f.typeOf(e), e.Span()))
}

// eval evaluates e for its effects.
func (f *fn) eval(e ast.Expr) {
	defer f.at(f.at(e.Span()))
	if f.lit(e) != nil {
		return
	}
	switch e := e.(type) {
	case *ast.Block:
		f.block(e)
		return
	case *ast.If:
		f.ifStmt(e)
		return
	case *ast.Ternary:
		f.cond(e.Cond, func() {
			if e.X != nil {
				f.eval(e.X)
			}
		}, func() { f.eval(e.Y) })
		return
	case *ast.Tuple:
		for _, x := range e.Elems {
			f.eval(x)
		}
		return
	case *ast.Unary:
		if _, v := e.X.(*ast.Var); !v && (e.Op == "++" || e.Op == "--") {
			_, n := f.stepOf(e)
			f.bumpMap(e.X, f.b.Const(n))
			return
		}
	case *ast.Record:
		for _, x := range e.Elems {
			f.eval(x)
		}
		return
	case *ast.Ident, *ast.Call:
		if c := f.info.Calls[e]; c != nil && c.Def.Kind == builtins.Action && (c.Type == nil || c.Type.Kind == types.Void) {
			f.action(c)
			return
		}
	}
	switch t := f.typeOf(e); {
	case t.Kind == types.Void:
		f.callValue(e)
	case t.Kind == types.Agg:
		// The read has no effect, but the computation of its key may have one.
		if i, ok := e.(*ast.Index); ok {
			for _, k := range i.Args {
				f.eval(k)
			}
		}
	case t.IsScalar():
		f.value(e)
	default:
		f.guardDo(func() { f.place(e) }, func() {})
	}
}

// callValue emits the call of a builtin or a script function that returns one word or
// nothing.
func (f *fn) callValue(e ast.Expr) *ir.Value {
	if c, ok := e.(*ast.Call); ok {
		if fun := f.info.FnCalls[c]; fun != nil {
			return f.callScript(fun, c, nil)
		}
	}
	c := f.info.Calls[e]
	if c == nil {
		panic(fmt.Sprintf("lower: %s at %s was not checked", e.Span().Text(), e.Span()))
	}
	switch {
	case c.Def.Kind == builtins.Action && c.Def.Emit == nil && c.Def.Store == nil:
		f.action(c)
	case c.Def.Emit != nil:
		if v := c.Def.Emit(f, c); v != nil {
			return v
		}
	case c.Def.Store != nil:
		t := c.Type
		p := f.temp(max(t.Size, 8))
		c.Def.Store(f, c, Dest{Ptr: p, Size: t.Size, Padded: true})
		return loadOwn(f.b, p, 0, t)
	default:
		panic("lower: builtin " + c.Def.Name + " has no function that emits its code")
	}
	return f.b.Const(0)
}

// action performs a builtin that has no value.
func (f *fn) action(c *builtins.Call) {
	if c.Def.Emit != nil {
		c.Def.Emit(f, c)
		return
	}
	f.sendArgs(c, nil)
}

// convert converts x from type a to the canonical form of type t.
func (f *fn) convert(x *ir.Value, a, t *types.Type) *ir.Value {
	if t.Kind == types.Bool {
		if a.Kind == types.Bool {
			return x
		}
		return f.truth(x, a)
	}
	if t.Size >= 8 || t.Size == 0 {
		return x
	}
	if a.Size < t.Size && (a.Signed == t.Signed || !a.Signed) || a.Size == t.Size && a.Signed == t.Signed {
		return x
	}
	if x.Op == ir.OpConst {
		return f.b.Const(canonical(x.Imm, t.Size, t.Signed))
	}
	return f.b.Extend(f.word(operand{x, a}), t.Size, t.Signed)
}

func canonical(n int64, size int, signed bool) int64 {
	shift := uint(64 - 8*size)
	if signed {
		return n << shift >> shift
	}
	return int64(uint64(n) << shift >> shift)
}

// word returns x as an integer that arithmetic accepts. If the kernel treats x as a
// pointer, it is converted by a helper that copies it in memory.
func (f *fn) word(x operand) *ir.Value {
	if !f.maybePointer(x) {
		return x.x
	}
	return f.number(x.x)
}

// number returns the address x as an integer.
func (f *fn) number(x *ir.Value) *ir.Value {
	p := f.temp(16)
	f.b.Store(p, 0, 8, x)
	f.b.Call(ir.ReadKernel, f.b.AddImm(p, 8), f.b.Const(8), p)
	return f.b.Load(p, 8, 8, false)
}

// maybePointer reports whether the kernel's verifier may treat x as a pointer. That of a
// pointer of the script may have been spilled to memory, or may be assigned later in a
// loop. Integers of the script are numbers there, since casts convert pointers.
func (f *fn) maybePointer(x operand) bool {
	typed := x.t != nil && x.t.Kind == types.Pointer
	seen := map[*ir.Value]bool{}
	open := false
	var maybe func(x *ir.Value) bool
	maybe = func(x *ir.Value) bool {
		switch {
		case x.Type.IsPtr():
			return true
		case seen[x] || !typed && f.numbers[x]:
			return false
		case typed && x.Loads(8):
			return x.Args[0].Type == ir.PtrSlot
		case x.Op == ir.OpPhi && len(x.Args) == 0: // a variable in a loop that is not complete
			open = true
			return typed
		case x.Derives() || x.Op == ir.OpPhi:
			seen[x] = true
			return slices.ContainsFunc(x.Args, maybe)
		}
		return false
	}
	if maybe(x.x) {
		return true
	}
	if !typed && !open {
		for x := range seen {
			f.numbers[x] = true
		}
	}
	return false
}

// cast returns (type) x, a result of one word.
func (f *fn) cast(e *ast.Cast) *ir.Value {
	t, a := f.typeOf(e), f.typeOf(e.X)
	switch {
	case a.Castable:
		return f.convert(f.value(e.X), intType(a), t)
	case t.Kind == types.Bool && a.Kind == types.String:
		return f.truth(f.truthExpr(e.X), a)
	case t.Kind == types.Pointer && (a.Kind == types.String || a.Kind == types.Tuple || a.Kind == types.Record):
		return f.guarded(func() *ir.Value { return f.b.AsInt(f.place(e.X).address(f)) })
	case !a.IsScalar(): // the bytes of an array as an integer
		d := f.tmp(e.X)
		size := min(a.Size, t.Size)
		return f.convert(loadSized(f.b, d, 0, size), types.NewInt(max(size, 1), false), t)
	}
	x := f.value(e.X)
	if t.Kind == types.Pointer {
		if a.Kind == types.Pointer && x.Type.IsPtr() && (x.Type != ir.PtrBTF || types.Equal(a.Elem, t.Elem)) {
			return x
		}
		if a.IsInteger() && a.Size < 8 { // addresses have no sign: (void *)(int8)-1 is 0xff
			return f.b.Extend(x, a.Size, false)
		}
		return f.b.AsInt(x)
	}
	if a.Kind == types.Pointer {
		x = f.word(operand{x, a})
	}
	return f.convert(x, a, t)
}

// intType returns the integer type of an aggregation in expressions.
func intType(agg *types.Type) *types.Type { return types.NewInt(8, agg.Signed) }
