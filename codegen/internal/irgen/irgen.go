// Package irgen generates random but well-formed IR programs for differential tests.
// Every one passes ir.Verify, terminates, initializes what it reads, and is accepted by
// the kernel as a raw tracepoint program. Its output is in the map "out" and in its
// result.
package irgen

import (
	"fmt"
	"math/rand"
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// CtxWords is the number of 64-bit words of context that a program reads.
const CtxWords = 6

// OutSize is the size of the value of map "out".
const OutSize = 256

// Config limits the generated programs.
type Config struct {
	Size     int  // statements of main
	BigSlots bool // slots that together exceed the stack
	Calls    bool // functions of the same program
	Loops    bool // bodies of loops that the kernel calls (Linux 5.17)
	Fetch    bool // atomic instructions that return the old value
	Vars     int  // variables that are live to the end; 0: a few
}

type gen struct {
	r    *rand.Rand
	b    *ir.Builder
	cfg  Config
	out  *ir.Map
	hash *ir.Map
	ring *ir.Map
	prog *ir.Prog
	ctx  *ir.Value // of main, or nil

	vars   []*ir.Var
	vals   []*ir.Value // integers in scope
	slots  []*ir.Value // in scope, initialised
	left   int
	depth  int
	inLoop int
	inBack int // number of enclosing callbacks
	holds  int // number of reserved records
	subs   []*ir.Func
}

// Program generates a module with one program from a seed.
func Program(seed int64, cfg Config) *ir.Module {
	r := rand.New(rand.NewSource(seed))
	out := &ir.Map{Name: "out", Type: ir.Array, KeySize: 4, ValueSize: OutSize, MaxEntries: 1}
	hash := &ir.Map{Name: "@h", Type: ir.Hash, KeySize: 8, ValueSize: 16, MaxEntries: 64}
	ring := &ir.Map{Name: "ring", Type: ir.RingBuf, MaxEntries: 1 << 18}
	p := &ir.Prog{Name: "p", Kind: "raw_tp"}
	m := &ir.Module{Maps: []*ir.Map{out, hash, ring}, Progs: []*ir.Prog{p}}
	var subs []*ir.Func
	if cfg.Calls {
		for i := range r.Intn(3) {
			n := 1 + r.Intn(4)
			params := make([]ir.Type, n)
			for k := range params {
				params[k] = ir.Int
			}
			g := &gen{r: r, cfg: Config{Size: 8}, out: out, hash: hash, ring: ring, prog: p, b: ir.NewFunc(fmt.Sprintf("sub%d", i), params...)}
			g.function(n, nil)
			subs = append(subs, g.b.Fn)
			p.Subs = append(p.Subs, g.b.Fn)
		}
	}
	g := &gen{r: r, cfg: cfg, out: out, hash: hash, ring: ring, prog: p, b: ir.NewFunc("main", ir.PtrCtx), subs: subs}
	g.function(0, g.b.Param(0))
	p.Main = g.b.Fn
	used := map[*ir.Func]bool{}
	var use func(f *ir.Func)
	use = func(f *ir.Func) {
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Fn != nil && !used[v.Fn] {
					used[v.Fn] = true
					use(v.Fn)
				}
			}
		}
	}
	use(p.Main)
	p.Subs = slices.DeleteFunc(p.Subs, func(f *ir.Func) bool { return !used[f] })
	return m
}

func (g *gen) function(params int, ctx *ir.Value) {
	for i := range params {
		g.vals = append(g.vals, g.b.Param(i))
	}
	g.ctx = ctx
	if ctx != nil {
		for i := range CtxWords {
			if g.r.Intn(3) > 0 {
				g.vals = append(g.vals, g.b.Load(ctx, int64(8*i), 8, false))
			}
		}
	}
	g.vals = append(g.vals, g.constant())
	vars := g.cfg.Vars
	if vars == 0 {
		vars = 1 + g.r.Intn(6)
	}
	for i := range vars {
		v := &ir.Var{Name: fmt.Sprint(i), Type: ir.Int}
		g.vars = append(g.vars, v)
		g.b.Write(v, g.value())
	}
	for range 1 + g.r.Intn(3) {
		g.slot()
	}
	g.left = g.cfg.Size
	g.statements(g.cfg.Size)
	o := g.b.MapValue(g.out, 0)
	if ctx != nil {
		sum := g.b.Const(0)
		for i, v := range g.vars {
			if i < 8 {
				g.b.Store(o, int64(8*i), 8, g.b.Read(v))
			} else {
				sum = g.b.Op(ir.OpXor, sum, g.b.Read(v))
			}
		}
		g.push(sum)
		for i, s := range g.slots[:min(len(g.slots), 4)] {
			g.b.Copy(o, int64(64+16*i), s, 8)
		}
	}
	g.b.Ret(g.b.Extend(g.value(), 4, false))
}

var interesting = []int64{0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 1000, 65535, 65536, -1, -2, -8, -128,
	1 << 31, 1<<31 - 1, -1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, -1 << 63, 0x123456789abcdef}

func (g *gen) constant() *ir.Value {
	if g.r.Intn(4) == 0 {
		return g.b.Const(int64(g.r.Uint64()))
	}
	return g.b.Const(interesting[g.r.Intn(len(interesting))])
}

func (g *gen) value() *ir.Value {
	switch n := g.r.Intn(10); {
	case n < 2 && len(g.vars) > 0:
		return g.b.Read(g.vars[g.r.Intn(len(g.vars))])
	case n == 2 || len(g.vals) == 0:
		return g.constant()
	case n < 7: // recent ones more often
		k := len(g.vals)
		return g.vals[k-1-g.r.Intn(min(k, 4))]
	}
	return g.vals[g.r.Intn(len(g.vals))]
}

func (g *gen) slot() {
	size := 8 * (1 + g.r.Intn(6))
	if g.cfg.BigSlots && g.r.Intn(3) == 0 {
		size = 8 * (10 + g.r.Intn(90))
	}
	if g.r.Intn(4) == 0 {
		size += g.r.Intn(8)
	}
	s := g.b.Slot(size)
	g.b.Zero(s, 0, size)
	g.slots = append(g.slots, s)
}

func (g *gen) anySlot() *ir.Value { return g.slots[g.r.Intn(len(g.slots))] }

var binaryOps = []ir.Op{ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpUDiv, ir.OpSDiv, ir.OpUMod, ir.OpSMod, ir.OpAnd, ir.OpOr, ir.OpXor,
	ir.OpShl, ir.OpShr, ir.OpSar, ir.OpAdd, ir.OpSub, ir.OpAnd, ir.OpEq, ir.OpNe, ir.OpULt, ir.OpULe, ir.OpSLt, ir.OpSLe}
var unary = []ir.Op{ir.OpNeg, ir.OpSext8, ir.OpSext16, ir.OpSext32, ir.OpZext8, ir.OpZext16, ir.OpZext32, ir.OpBswap16, ir.OpBswap32, ir.OpBswap64}
var compare = []ir.Op{ir.OpEq, ir.OpNe, ir.OpULt, ir.OpULe, ir.OpSLt, ir.OpSLe}

func (g *gen) statements(n int) {
	for i := 0; i < n && g.left > 0; i++ {
		g.left--
		g.statement()
	}
}

func (g *gen) push(v *ir.Value) { g.vals = append(g.vals, v) }

// scope runs f. Then it removes the values that f has defined from those that can be
// used.
func (g *gen) scope(f func()) {
	nv, ns := len(g.vals), len(g.slots)
	g.depth++
	f()
	g.depth--
	g.vals, g.slots = g.vals[:nv], g.slots[:ns]
}

func (g *gen) statement() {
	b := g.b
	switch n := g.r.Intn(100); {
	case n < 30:
		g.push(b.Op(binaryOps[g.r.Intn(len(binaryOps))], g.value(), g.value()))
	case n < 38:
		g.push(b.Op(unary[g.r.Intn(len(unary))], g.value()))
	case n < 48:
		b.Write(g.vars[g.r.Intn(len(g.vars))], g.value())
	case n < 56: // store to a slot
		s, size := g.anySlot(), 1<<g.r.Intn(4)
		b.Store(s, g.offset(int(s.Imm), size), size, g.value())
	case n < 64: // load from one
		s, size := g.anySlot(), 1<<g.r.Intn(4)
		g.push(b.Load(s, g.offset(int(s.Imm), size), size, g.r.Intn(3) == 0))
	case n < 67:
		size := 1 << g.r.Intn(4)
		off := g.offset(OutSize-128, size)
		o := b.MapValue(g.out, 128)
		if g.r.Intn(2) == 0 {
			b.Store(o, off, size, g.value())
		} else {
			g.push(b.Load(o, off, size, g.r.Intn(2) == 0))
		}
	case n < 69:
		size := 4 + 4*g.r.Intn(2)
		p, off := b.MapValue(g.out, 128), g.offset(OutSize-128, size)&^7
		if g.cfg.Fetch && g.r.Intn(3) == 0 {
			if g.r.Intn(2) == 0 {
				g.push(b.Xchg(p, off, g.value()))
			} else {
				old := g.value()
				if g.r.Intn(2) == 0 {
					old = b.Load(p, off, 8, false)
				}
				g.push(b.CmpXchg(p, off, old, g.value()))
			}
		} else {
			b.AtomicAdd(p, off, size, g.value())
		}
	case n < 72:
		s := g.anySlot()
		k := 1 + g.r.Intn(int(s.Imm))
		b.Zero(s, int64(g.r.Intn(int(s.Imm)-k+1)), k)
	case n < 75:
		s, d := g.anySlot(), g.anySlot()
		k := 1 + g.r.Intn(int(min(s.Imm, d.Imm)))
		if s != d {
			b.Copy(d, int64(g.r.Intn(int(d.Imm)-k+1)), b.AddImm(s, int64(g.r.Intn(int(s.Imm)-k+1))), k)
		}
	case n < 78:
		k := 1 + g.r.Intn(64)
		s := g.anySlot()
		k = min(k, int(s.Imm))
		b.Copy(b.MapValue(g.out, 128), int64(g.r.Intn(64)), s, k)
	case n < 81:
		g.push(b.Call(ir.CurrentPidTgid))
	case n < 82:
		g.slot()
	case n < 85:
		g.bounded()
	case n < 88:
		g.mapOp()
	case n < 89:
		[]func(){g.record, g.members, g.variable, g.chosen}[g.r.Intn(4)]()
	case n < 90 && g.cfg.Loops && g.inLoop == 0 && g.inBack == 0 && g.holds == 0 && len(g.prog.Subs) < 6:
		g.callback()
	case n < 91 && len(g.subs) > 0 && g.inLoop == 0 && g.inBack == 0:
		f := g.subs[g.r.Intn(len(g.subs))]
		args := make([]*ir.Value, len(f.Params))
		for i := range args {
			args[i] = g.value()
		}
		g.push(b.CallFn(f, args...))
	case n < 97 && g.depth < 3:
		g.branch()
	case g.depth < 3 && g.inLoop < 2:
		g.loop()
	}
}

func (g *gen) offset(total, size int) int64 {
	if total <= size {
		return 0
	}
	off := g.r.Intn(total - size + 1)
	if g.r.Intn(4) > 0 {
		off = off / size * size
	}
	return int64(off)
}

func (g *gen) branch() {
	b := g.b
	cond := b.Op(compare[g.r.Intn(len(compare))], g.value(), g.value())
	if g.r.Intn(5) == 0 {
		cond = g.value()
	} else if g.r.Intn(5) == 0 {
		cond = b.Op(ir.OpAnd, g.value(), g.constant())
	}
	then, els, join := b.NewBlock(), b.NewBlock(), b.NewBlock()
	els.Unlikely = g.r.Intn(3) == 0
	b.Br(cond, then, els)
	b.SealSet(then)
	g.scope(func() { g.statements(1 + g.r.Intn(4)) })
	if g.r.Intn(8) == 0 && g.holds == 0 {
		r := b.Extend(g.value(), 4, false)
		if g.inBack > 0 { // the kernel accepts only 0 and 1
			r = b.Op(ir.OpEq, r, b.Const(0))
		}
		b.Ret(r)
	} else {
		b.Jump(join)
	}
	b.SealSet(els)
	g.scope(func() { g.statements(g.r.Intn(4)) })
	b.Jump(join)
	b.SealSet(join)
}

func (g *gen) loop() {
	b := g.b
	i := &ir.Var{Name: "i", Type: ir.Int}
	b.Write(i, b.Const(0))
	head, done := b.NewBlock(), b.NewBlock()
	b.Jump(head)
	b.SetBlock(head)
	g.inLoop++
	g.scope(func() {
		g.push(b.Read(i))
		g.statements(1 + g.r.Intn(4))
	})
	g.inLoop--
	next := b.Op(ir.OpAdd, b.Read(i), b.Const(1))
	b.Write(i, next)
	b.Br(b.Op(ir.OpULt, next, b.Const(int64(1+g.r.Intn(4)))), head, done)
	b.Seal(head)
	b.SealSet(done)
}

// bounded reads out at an index that a branch has bounded.
func (g *gen) bounded() {
	b := g.b
	x := b.Op(ir.OpAnd, g.value(), b.Const(0xff))
	if g.r.Intn(2) == 0 {
		// Do not add a constant: the kernel refuses constants of 2²⁹ and more.
		x = b.Op(ir.OpShr, g.value(), b.Const(1))
	}
	var r ir.Var
	r.Type = ir.Int
	b.Write(&r, b.Const(0))
	in, join := b.NewBlock(), b.NewBlock()
	b.Br(b.Op(ir.OpULt, x, b.Const(100)), in, join)
	b.SealSet(in)
	x = b.Opaque(x)
	p := b.Op(ir.OpAdd, b.MapValue(g.out, 128), x)
	b.Write(&r, b.Load(p, int64(g.r.Intn(20)), 8, false))
	b.Jump(join)
	b.SealSet(join)
	g.push(b.Read(&r))
}

func (g *gen) mapOp() {
	b := g.b
	key := b.Slot(8)
	b.Store(key, 0, 8, b.Op(ir.OpAnd, g.value(), b.Const(3)))
	switch g.r.Intn(4) {
	case 0:
		val := b.Slot(16)
		b.Store(val, 0, 8, g.value())
		b.Store(val, 8, 8, g.value())
		g.push(b.Call(ir.MapUpdate, b.MapPtr(g.hash), key, val, b.Const(int64(g.r.Intn(3)))))
	case 1:
		g.push(b.Call(ir.MapDelete, b.MapPtr(g.hash), key))
	default:
		p := b.Call(ir.MapLookup, b.MapPtr(g.hash), key)
		var r ir.Var
		r.Type = ir.Int
		b.Write(&r, b.Const(-1))
		in, join := b.NewBlock(), b.NewBlock()
		b.Br(p, in, join)
		b.SealSet(in)
		p = b.NonNil(p)
		b.Write(&r, b.Load(p, 8, 8, false))
		g.scope(func() { g.statements(g.r.Intn(3)) })
		b.Store(p, 8, 8, g.value())
		b.Jump(join)
		b.SealSet(join)
		g.push(b.Read(&r))
	}
}
