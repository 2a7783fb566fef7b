package lower

import (
	"fmt"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/probes"
)

// Function returns a function of the program that the kernel's verifier checks once.
func (f *fn) Function(name string, build func(g code.Gen) *ir.Value) *ir.Func {
	if done := f.adders[name]; done != nil {
		return done
	}
	g := newFn(f.shared, f.irp, f.prog, name)
	f.irp.Subs = append(f.irp.Subs, g.b.Fn)
	g.b.Fn.Global = true
	g.adders, g.ready = f.adders, map[ast.Expr]place{}
	f.adders[name] = g.b.Fn
	g.at(f.b.Pos)
	g.start()
	g.b.Ret(build(g))
	g.end()
	return g.b.Fn
}

// Repeat runs body up to turns times. If the kernel has bpf_loop, body becomes a
// function that it calls, so that the verifier checks it once.
func (f *fn) Repeat(turns int, p *ir.Value, body func(g code.Gen, p *ir.Value, leave code.Leave)) {
	if !f.k.Has(probes.FeatLoop) {
		f.repeatHere(turns, p, body)
		return
	}
	g := newFn(f.shared, f.irp, f.prog, fmt.Sprintf("turn%d", len(f.irp.Subs)+1), ir.Int, ir.PtrSlot)
	f.irp.Subs = append(f.irp.Subs, g.b.Fn)
	g.adders, g.ready = f.adders, map[ast.Expr]place{}
	g.at(f.b.Pos)
	up := g.b.Param(1)
	g.start()
	q := g.b.Load(up, 0, 8, false)
	q.Type = p.Type
	body(g, q, func(cond *ir.Value, last func()) {
		g.b.If(cond, func() {
			if last != nil {
				last()
			}
			g.b.Ret(g.b.Const(stop))
		})
	})
	g.b.Ret(g.b.Const(goOn))
	g.end()
	frame := f.b.Slot(8)
	f.b.Store(frame, 0, 8, p)
	f.b.Call(ir.Loop, f.b.Const(int64(turns)), f.b.FuncAddr(g.b.Fn), frame, f.b.Const(0))
}

// repeatHere emits Repeat as a loop in the current function.
func (f *fn) repeatHere(turns int, p *ir.Value, body func(g code.Gen, p *ir.Value, leave code.Leave)) {
	f.b.Count(turns, func(_ *ir.Value, out *ir.Block) {
		body(f, p, func(cond *ir.Value, last func()) {
			f.b.If(cond, func() {
				if last != nil {
					last()
				}
				f.b.Jump(out)
			})
		})
	})
}

// KernelMap returns the kernel map with m's name, which it adds to the module if there
// is none.
func (f *fn) KernelMap(m ir.Map) *ir.Map {
	for _, o := range f.res.Module.Maps {
		if o.Name == m.Name {
			return o
		}
	}
	return f.newMap(m)
}
