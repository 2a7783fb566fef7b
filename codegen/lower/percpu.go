package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// perCPUSlot keeps an aggregation without keys as bytes of a shared per-CPU
// array map. Each CPU's copy has a byte of its own that says whether it was
// touched.
type perCPUSlot struct{ bytesOf }

func newPerCPUSlot(u *unit, w *object.Map) store {
	return &perCPUSlot{newBytes(w, object.PerCPUSlot, u.cpuSlot)}
}

// element is this CPU's element of the shared map: never null, though the
// kernel wants it checked.
func (s *perCPUSlot) element(f *fn) *ir.Value {
	return f.b.Call(ir.MapLookup, f.b.MapPtr(s.m), f.Zeros(4))
}

func (s *perCPUSlot) find(f *fn, _ *ir.Value) *ir.Value {
	p := s.element(f)
	return f.IfElse(p, func() *ir.Value { return f.b.AddImm(f.b.NonNil(p), s.off) }, func() *ir.Value { return f.b.Const(0) })
}

func (s *perCPUSlot) present(f *fn, key *ir.Value) *ir.Value {
	p := s.element(f)
	return f.IfElse(p, func() *ir.Value {
		q := f.b.NonNil(p)
		return f.IfElse(f.b.Load(q, s.set, 1, false), func() *ir.Value { return f.b.AddImm(q, s.off) }, func() *ir.Value { return f.b.Const(0) })
	}, func() *ir.Value { return f.b.Const(0) })
}

func (s *perCPUSlot) make(f *fn, _ *ir.Value) *ir.Value {
	q := f.surely(s.element(f))
	f.b.Store(q, s.set, 1, f.b.Const(1))
	return f.b.AddImm(q, s.off)
}

func (s *perCPUSlot) share(f *fn, key *ir.Value) *ir.Value { return s.make(f, key) }

func (s *perCPUSlot) assignWord(f *fn, key, x *ir.Value, t *types.Type) {
	s.assign(f, key, func(d Dest) { f.storeWord(x, t, d) })
}

func (s *perCPUSlot) assign(f *fn, key *ir.Value, fill func(Dest)) {
	f.ifMade(s.make(f, key), func(p *ir.Value) { fill(Dest{Ptr: p, Size: s.size, Padded: true}) })
}

// remove clears the value of every CPU, or, where the kernel does not let
// programs reach the others', that of its own.
func (s *perCPUSlot) remove(f *fn, _ *ir.Value) *ir.Value {
	was := &ir.Var{Name: "was", Type: ir.Int}
	f.b.Write(was, f.b.Const(0))
	clear := func(p *ir.Value) {
		f.If(p, func() {
			q := f.b.NonNil(p)
			f.b.Write(was, f.b.Op(ir.OpOr, f.b.Read(was), f.b.Load(q, s.set, 1, false)))
			f.b.Store(q, s.set, 1, f.b.Const(0))
			f.b.Zero(q, s.off, s.size)
		})
	}
	if f.k.Has(probes.FeatLookupPerCPU) {
		f.count(f.k.NumCPU(), func(cpu *ir.Value) { clear(s.elementOf(f, cpu)) })
	} else {
		clear(s.element(f))
	}
	return f.IfElse(f.b.Read(was), func() *ir.Value { return f.b.Const(0) }, func() *ir.Value { return f.b.Const(enoent) })
}

func (s *perCPUSlot) elementOf(f *fn, cpu *ir.Value) *ir.Value {
	return f.b.Call(ir.LookupPerCPU, f.b.MapPtr(s.m), f.Zeros(4), cpu)
}

func (s *perCPUSlot) onCPU(f *fn, _, cpu *ir.Value) *ir.Value {
	p := s.elementOf(f, cpu)
	return f.IfElse(p, func() *ir.Value { return f.b.AddImm(f.b.NonNil(p), s.off) }, func() *ir.Value { return f.b.Const(0) })
}
