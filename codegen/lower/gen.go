package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// Builtins emit code through the function that is being lowered.
var _ builtins.Gen = (*fn)(nil)

// B returns the builder at the current place.
func (f *fn) B() *ir.Builder { return f.b }

// Ctx returns the program's context.
func (f *fn) Ctx() *ir.Value { return f.ctxValue() }

// Context returns the context of the program.
func (f *fn) Context() *probes.Context { return f.prog.Ctx }

// Kernel returns the kernel to compile for.
func (f *fn) Kernel() probes.Kernel { return f.k }

// Invocation returns the settings of the command line.
func (f *fn) Invocation() *builtins.Invocation { return f.p.Invocation }

// Value returns an argument of one word.
func (f *fn) Value(a *builtins.Arg) *ir.Value {
	if a.Value != nil {
		return a.Value
	}
	if a.Expr == nil {
		return f.b.Const(a.Lit.Int)
	}
	return f.value(check.ExprOf(a.Expr))
}

// Store writes an argument, converted to t.
func (f *fn) Store(a *builtins.Arg, t *types.Type, dst builtins.Dest) {
	switch {
	case a.Value != nil:
		storeWord(f.b, a.Value, t, dst)
		return
	case a.Fill != nil:
		a.Fill(f, dst)
		return
	}
	f.store(check.ExprOf(a.Expr), t, dst)
}

// Addr returns the address of an argument in the program's own memory.
func (f *fn) Addr(a *builtins.Arg) *ir.Value { return f.tmp(check.ExprOf(a.Expr)) }

// Ref returns the address of an argument and its address space. If a pointer on the way
// is null, the address is 0.
func (f *fn) Ref(a *builtins.Arg) (*ir.Value, types.Space) {
	if !f.inMemory(check.ExprOf(a.Expr)) {
		return f.tmp(check.ExprOf(a.Expr)), types.NoSpace
	}
	space := types.NoSpace
	addr := f.guarded(func() *ir.Value {
		p := f.place(check.ExprOf(a.Expr))
		if f.byWords(p) { // it has no address
			tmp := f.temp(max(p.t.Size, 8))
			f.copyBytes(p, p.t.Size, Dest{Ptr: tmp, Size: p.t.Size})
			return tmp
		}
		space = p.space
		v := p.address(f)
		if *f.nilExit != (exit{}) { // an address or 0
			if space != types.User {
				space = types.Kernel
			}
			v = f.b.AsInt(v)
		}
		return v
	})
	return addr, space
}

// Object runs found with the address of an argument or, if that is a pointer, of its
// target. If a pointer on the way is null, it runs none.
func (f *fn) Object(a *builtins.Arg, found func(p *ir.Value), none func()) {
	f.guardDo(func() {
		if a.Type.Kind == types.Pointer {
			found(f.chained(check.ExprOf(a.Expr)))
			return
		}
		found(f.place(check.ExprOf(a.Expr)).address(f))
	}, none)
}

// SetVar assigns the object at p to the variable that a VarArg names.
func (f *fn) SetVar(a *builtins.Arg, p *ir.Value) {
	v, t := f.info.Vars[a.Expr.(*ast.Var)], a.Assigned
	src := place{t: t, ptr: p}
	if v.Type.IsScalar() {
		x := p
		if p.Type.IsPtr() {
			x = f.load(src)
		}
		f.writeVar(v, f.convert(x, t, v.Type))
		return
	}
	f.copyPlace(src, v.Type, Dest{Ptr: f.local(v, false).mem, Size: v.Type.Size, Padded: true})
}

// Temp returns the address of size bytes of unused memory.
func (f *fn) Temp(size int) *ir.Value { return f.temp(size) }
