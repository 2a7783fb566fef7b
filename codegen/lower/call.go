package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
)

// maxArgs is the maximum number of script arguments that are passed in registers.
//
// Script functions are BPF functions. The first parameter is the program's context. The
// script's parameters follow: words by value, larger ones by address. The last
// parameter is the address for a result larger than a word. If there are too many for
// the registers, all of the script's parameters are passed in a block of words.
const maxArgs = 4

func words(fun *check.Func) int {
	n := len(fun.Params)
	if fun.Result != nil && !fun.Result.IsScalar() && fun.Result.Size > 0 {
		n++
	}
	return n
}

// callScript calls a script function. It stores a result larger than a word at out, or
// discards it if out is nil.
func (f *fn) callScript(fun *check.Func, c *ast.Call, out *ir.Value) *ir.Value {
	args := []*ir.Value{f.ctxValue()}
	for i, p := range fun.Params {
		e := c.Args[i]
		if p.Type.IsScalar() {
			x := f.operand(e)
			args = append(args, f.convert(f.word(x), x.t, p.Type))
			continue
		}
		tmp := f.temp(max(p.Type.Size, 8))
		f.store(e, p.Type, Dest{Ptr: tmp, Size: p.Type.Size, Padded: true})
		args = append(args, tmp)
	}
	if words(fun) > len(fun.Params) {
		if out == nil {
			out = f.temp(max(fun.Result.Size, 8))
		}
		args = append(args, out)
	}
	if len(args)-1 > maxArgs {
		all := f.temp(8 * (len(args) - 1))
		for i, x := range args[1:] {
			f.b.Store(all, int64(8*i), 8, x)
		}
		args = []*ir.Value{args[0], all}
	}
	return f.b.CallFn(f.function(fun, args), args...)
}

// function returns the function of this program that implements fun.
func (f *fn) function(fun *check.Func, args []*ir.Value) *ir.Func {
	if done := f.subs[fun]; done != nil {
		return done
	}
	params := []ir.Type{ir.PtrCtx}
	for _, a := range args[1:] {
		t := ir.Int
		if a.Type.IsPtr() {
			t = ir.PtrSlot
		}
		params = append(params, t)
	}
	g := newFn(f.shared, f.irp, f.prog, fun.Name, params...)
	f.irp.Subs = append(f.irp.Subs, g.b.Fn)
	g.subs, g.captured, g.script = f.subs, f.captures(fun.Params, fun.Body), fun
	g.subs[fun] = g.b.Fn
	g.often = f.often
	g.at(fun.Span)
	g.ctx = g.b.Param(0)
	in := make([]*ir.Value, words(fun))
	for i := range in {
		if len(in) <= maxArgs {
			in[i] = g.b.Param(i + 1)
			continue
		}
		in[i] = g.b.Load(g.b.Param(1), int64(8*i), 8, false)
		if i >= len(fun.Params) || !fun.Params[i].Type.IsScalar() {
			in[i].Type = ir.PtrSlot
		}
	}
	if len(in) > len(fun.Params) {
		g.out = in[len(fun.Params)]
	}
	g.start()
	for i, p := range fun.Params {
		switch {
		case p.Type.IsScalar():
			g.writeVar(p, in[i])
		case g.captured[p]:
			g.b.Copy(g.local(p, true).mem, 0, in[i], p.Type.Size)
		default: // the caller made it for this call
			g.vars[p] = &local{off: -1, mem: in[i]}
		}
	}
	g.block(fun.Body)
	if g.b.Cur != nil {
		g.b.Ret(g.b.Const(0))
	}
	g.end()
	return g.b.Fn
}
