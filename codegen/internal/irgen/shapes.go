package irgen

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
)

// callback makes the kernel call a function that changes a frame, and a slot whose
// address is in the frame.
func (g *gen) callback() {
	b := g.b
	const words = 4
	frame, other := b.Slot(8*words+8), g.anySlot()
	for i := range int64(words) {
		b.Store(frame, 8*i, 8, g.value())
	}
	b.Store(frame, 8*words, 8, other)

	f := &gen{
		r: g.r, cfg: Config{Size: 1 + g.r.Intn(8)}, out: g.out, hash: g.hash, ring: g.ring, prog: g.prog, inBack: 1,
		b: ir.NewFunc(fmt.Sprintf("back%d", len(g.prog.Subs)), ir.Int, ir.PtrSlot),
	}
	g.prog.Subs = append(g.prog.Subs, f.b.Fn)
	turn, up := f.b.Param(0), f.b.Param(1)
	f.push(f.b.Extend(turn, 4, false))
	for i := range int64(words) {
		f.push(f.b.Load(up, 8*i, 8, false))
	}
	f.vars = []*ir.Var{{Name: "0", Type: ir.Int}}
	f.b.Write(f.vars[0], f.value())
	f.slot()
	f.left = f.cfg.Size
	f.statements(f.cfg.Size)
	if g.r.Intn(3) > 0 && other.Imm >= 8 {
		p := f.b.Load(up, 8*words, 8, false)
		p.Type = ir.PtrSlot
		f.push(f.b.Load(p, 0, 8, false))
		f.b.Store(p, other.Imm/8*8-8, 8, f.value())
	}
	for i := range int64(words) {
		if g.r.Intn(2) == 0 {
			f.b.Store(up, 8*i, 8, f.value())
		}
	}
	f.b.Ret(f.b.Op(ir.OpEq, f.b.Extend(turn, 4, false), f.b.Const(int64(g.r.Intn(6)))))

	turns := b.Op(ir.OpAdd, b.Op(ir.OpAnd, g.value(), b.Const(3)), b.Const(1))
	g.push(b.Call(ir.Loop, turns, b.FuncAddr(f.b.Fn), frame, b.Const(0)))
	for i := range int64(words) {
		if g.r.Intn(2) == 0 {
			g.push(b.Load(frame, 8*i, 8, false))
		}
	}
	g.push(b.Load(other, 0, 1, false))
}

// record reserves a ring buffer record, fills and reads it, and submits or discards it.
func (g *gen) record() {
	b := g.b
	size := 8 * (1 + g.r.Intn(6))
	rec := b.Call(ir.RingReserve, b.MapPtr(g.ring), b.Const(int64(size)), b.Const(0))
	var r ir.Var
	r.Type = ir.Int
	b.Write(&r, b.Const(-1))
	in, join := b.NewBlock(), b.NewBlock()
	b.Br(rec, in, join)
	b.SealSet(in)
	p := b.NonNil(rec)
	b.Zero(p, 0, size)
	if s := g.anySlot(); g.r.Intn(2) == 0 {
		b.Copy(p, 0, s, min(size, int(s.Imm)))
	}
	g.holds++
	g.scope(func() { g.statements(g.r.Intn(4)) })
	g.holds--
	b.Store(p, g.offset(size, 4), 4, g.value())
	b.Write(&r, b.Load(p, g.offset(size, 8), 8, false))
	b.Call([]*ir.Helper{ir.RingSubmit, ir.RingDiscard}[g.r.Intn(2)], p, b.Const(0))
	b.Jump(join)
	b.SealSet(join)
	g.push(b.Read(&r))
}

// members reads several parts of one object with a helper: the context, which never
// changes, or memory of the program itself.
func (g *gen) members() {
	b := g.b
	from, total := g.ctx, 8*CtxWords
	switch {
	case g.r.Intn(4) == 0:
		from, total = b.MapValue(g.out, 128), OutSize-128
	case g.r.Intn(3) == 0 || from == nil:
		from = g.anySlot()
		total = int(from.Imm)
	}
	if from.Type != ir.PtrSlot {
		from = b.AsInt(from)
	}
	for range 1 + g.r.Intn(4) {
		size := 1 + g.r.Intn(min(9, total))
		dst := b.Slot(size)
		at := b.AddImm(from, int64(g.r.Intn(total-size+1)))
		if g.r.Intn(8) == 0 {
			at = b.Const(1 << 40) // there is no memory at that address
		}
		r := b.Call(ir.ReadKernel, dst, b.Const(int64(size)), at)
		g.push(b.Op(ir.OpSLt, r, b.Const(0))) // the error depends on the kernel
		g.push(b.Load(dst, int64(g.r.Intn(size)), 1, false))
		if g.r.Intn(3) == 0 {
			g.scope(func() { g.statements(1) })
		}
	}
}

// variable accesses a slot at an offset that is not constant.
func (g *gen) variable() {
	b := g.b
	s := b.Slot(32 + 8*g.r.Intn(3))
	b.Zero(s, 0, int(s.Imm))
	at := b.Op(ir.OpShl, b.Op(ir.OpAnd, g.value(), b.Const(3)), b.Const(3))
	b.Store(b.Op(ir.OpAdd, s, at), 0, 8, g.value())
	g.scope(func() { g.statements(g.r.Intn(2)) })
	g.push(b.Load(s, g.offset(32, 8), 8, false))
	at = b.Op(ir.OpAnd, g.value(), b.Const(31))
	g.push(b.Load(b.Op(ir.OpAdd, s, at), 0, 1, false))
}

// chosen accesses one of two slots.
func (g *gen) chosen() {
	b := g.b
	x, y := g.anySlot(), g.anySlot()
	p := ir.Var{Name: "p", Type: ir.PtrSlot}
	b.Write(&p, x)
	other, join := b.NewBlock(), b.NewBlock()
	b.Br(g.value(), other, join)
	b.SealSet(other)
	b.Write(&p, y)
	b.Jump(join)
	b.SealSet(join)
	size := int(min(x.Imm, y.Imm))
	if size < 8 {
		return
	}
	b.Store(b.Read(&p), g.offset(size, 4), 4, g.value())
	g.push(b.Load(x, g.offset(size, 8), 8, false))
	g.push(b.Load(b.Read(&p), g.offset(size, 8), 8, false))
}
