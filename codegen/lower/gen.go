package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// A function being lowered is what builtins build code with.
var _ builtins.Gen = (*fn)(nil)

// B is the builder at the current place.
func (f *fn) B() *ir.Builder { return f.b }

// Ctx is the program's context.
func (f *fn) Ctx() *ir.Value { return f.ctxValue() }

// Context says what the program can read.
func (f *fn) Context() *probes.Context { return f.prog.Ctx }

// Kernel is the kernel to compile for.
func (f *fn) Kernel() probes.Kernel { return f.k }

// Config is the script's configuration.
func (f *fn) Config() *config.Config { return f.p.Config }

// Invocation is what the command line says.
func (f *fn) Invocation() *builtins.Invocation { return f.p.Invocation }

// Value computes an argument of one word.
func (f *fn) Value(a *builtins.Arg) *ir.Value {
	if a.Expr == nil {
		return f.b.Const(a.Lit.Int)
	}
	return f.value(a.Expr)
}

// Store writes an argument, converted to t.
func (f *fn) Store(a *builtins.Arg, t *types.Type, dst builtins.Dest) { f.store(a.Expr, t, dst) }

// Addr is an argument in the program's own memory.
func (f *fn) Addr(a *builtins.Arg) *ir.Value { return f.tmp(a.Expr) }

// Ref is where an argument is. Null pointers on the way give the address 0.
func (f *fn) Ref(a *builtins.Arg) (*ir.Value, types.Space) {
	if !f.inMemory(a.Expr) {
		return f.tmp(a.Expr), types.NoSpace
	}
	space := types.NoSpace
	addr := f.guarded(func() *ir.Value {
		p := f.place(a.Expr)
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

// Object goes on with an argument's address, or where a pointer points.
func (f *fn) Object(a *builtins.Arg, found func(p *ir.Value), none func()) {
	f.guardDo(func() {
		if a.Type.Kind == types.Pointer {
			found(f.chained(a.Expr))
			return
		}
		found(f.place(a.Expr).address(f))
	}, none)
}

// SetVar assigns the variable behind a VarArg.
func (f *fn) SetVar(a *builtins.Arg, t *types.Type, p *ir.Value) {
	v := f.info.Vars[a.Expr.(*ast.Var)]
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

// Temp is memory of its own.
func (f *fn) Temp(size int) *ir.Value { return f.temp(size) }

// ReturnNow ends the program.
func (f *fn) ReturnNow() { f.returnNow(nil) }
