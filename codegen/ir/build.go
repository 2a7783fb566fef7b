package ir

import (
	"fmt"

	"github.com/gotrace/gotrace/lang/source"
)

// Builder appends values to the current block of a function. It converts mutable local
// variables (Var) to SSA values immediately: reading one searches its definition in the
// predecessors and inserts phis where paths join (Braun et al., "Simple and Efficient
// Construction of Static Single Assignment Form"). A block must be sealed once all its
// predecessors are known.
type Builder struct {
	Fn  *Func
	Cur *Block // nil after a terminator until SetBlock: code there is unreachable
	Pos source.Span
}

// Var is a mutable scalar variable of a function under construction.
type Var struct {
	Name string
	Type Type
}

type pendingPhi struct {
	v   *Var
	phi *Value
}

// NewFunc begins a function and returns a builder at its sealed entry block.
func NewFunc(name string, params ...Type) *Builder {
	b := &Builder{Fn: &Func{Name: name, Params: params}}
	entry := b.NewBlock()
	entry.sealed = true
	b.Cur = entry
	return b
}

// NewBlock adds an empty, unsealed block at the end of the layout.
//
//go:noinline
func (b *Builder) NewBlock() *Block {
	blk := &Block{ID: b.Fn.nextB, Func: b.Fn, defs: map[*Var]*Value{}}
	b.Fn.nextB++
	b.Fn.Blocks = append(b.Fn.Blocks, blk)
	return blk
}

// SetBlock makes blk the current block.
//
//go:noinline
func (b *Builder) SetBlock(blk *Block) { b.Cur = blk }

// Seal declares that all predecessors of blk are known.
func (b *Builder) Seal(blk *Block) {
	if blk.sealed {
		return
	}
	blk.sealed = true
	for _, p := range blk.incomplete {
		b.fillPhi(p.v, p.phi)
	}
	blk.incomplete = nil
}

// SealSet seals blk and makes it current.
//
//go:noinline
func (b *Builder) SealSet(blk *Block) {
	b.Seal(blk)
	b.SetBlock(blk)
}

// block returns the current block. Code after a terminator is added to a new,
// unreachable block, which the optimizer removes.
//
//go:noinline
func (b *Builder) block() *Block {
	if b.Cur == nil {
		b.Cur = b.NewBlock()
		b.Cur.sealed = true
	}
	return b.Cur
}

// NewValue creates a value of blk without placing it.
//
//go:noinline
func (f *Func) NewValue(blk *Block, op Op, t Type, args ...*Value) *Value {
	v := &Value{ID: f.nextID, Op: op, Type: t, Args: args, Block: blk}
	f.nextID++
	return v
}

func (b *Builder) add(op Op, args ...*Value) *Value {
	info := op.Info()
	t := info.Result
	if info.FromArg {
		t = args[0].Type
		if op == OpSub && t.IsPtr() && args[1].Type.IsPtr() {
			t = Int
		}
	}
	blk := b.block()
	v := b.Fn.NewValue(blk, op, t, args...)
	v.Pos = b.Pos
	blk.Values = append(blk.Values, v)
	return v
}

// Op appends a value of an op that needs no immediate.
func (b *Builder) Op(op Op, args ...*Value) *Value {
	if op == OpAdd && args[1].Type.IsPtr() && !args[0].Type.IsPtr() {
		args[0], args[1] = args[1], args[0]
	}
	return b.add(op, args...)
}

// Const returns the integer n.
//
//go:noinline
func (b *Builder) Const(n int64) *Value {
	v := b.add(OpConst)
	v.Imm = n
	return v
}

// Param returns parameter i of the function.
//
//go:noinline
func (b *Builder) Param(i int) *Value {
	v := b.add(OpParam)
	v.Imm, v.Type = int64(i), b.Fn.Params[i]
	return v
}

// Slot returns the address of size bytes of undefined memory, 8-byte aligned. A slot
// exists for the whole run of the function.
//
//go:noinline
func (b *Builder) Slot(size int) *Value {
	v := b.add(OpSlot)
	v.Imm, v.Imm2 = int64(size), 8
	return v
}

// MapPtr returns map m as a helper argument.
//
//go:noinline
func (b *Builder) MapPtr(m *Map) *Value {
	v := b.add(OpMapPtr)
	v.Map = m
	return v
}

// MapValue returns the address of byte off of the only value of array map m.
//
//go:noinline
func (b *Builder) MapValue(m *Map, off int64) *Value {
	v := b.add(OpMapValue)
	v.Map, v.Imm = m, off
	return v
}

// AddImm returns p + off, which is p itself if off is 0.
func (b *Builder) AddImm(p *Value, off int64) *Value {
	if off == 0 {
		return p
	}
	return b.Op(OpAdd, p, b.Const(off))
}

// Load returns the size (1, 2, 4 or 8) bytes at p+off, sign-extended if signed.
//
//go:noinline
func (b *Builder) Load(p *Value, off int64, size int, signed bool) *Value {
	v := b.add(LoadOp(size), p)
	v.Imm = off
	if signed {
		return b.Extend(v, size, true)
	}
	return v
}

// Store writes the low size bytes of x at p+off.
//
//go:noinline
func (b *Builder) Store(p *Value, off int64, size int, x *Value) {
	v := b.add(StoreOp(size), p, x)
	v.Imm = off
}

// AtomicAdd adds x to the size (4 or 8) bytes at p+off atomically.
//
//go:noinline
func (b *Builder) AtomicAdd(p *Value, off int64, size int, x *Value) {
	op := OpAtomicAdd64
	if size == 4 {
		op = OpAtomicAdd32
	}
	b.add(op, p, x).Imm = off
}

// Atomic applies op, an atomic operation without a result, with x to the u64 at p+off.
// Kernels before 5.12 support only additions.
//
//go:noinline
func (b *Builder) Atomic(op Op, p *Value, off int64, x *Value) { b.add(op, p, x).Imm = off }

// FetchAdd atomically adds x to the u64 at p+off and returns the old value.
//
//go:noinline
func (b *Builder) FetchAdd(p *Value, off int64, x *Value) *Value {
	v := b.add(OpFetchAdd64, p, x)
	v.Imm = off
	return v
}

// Xchg atomically stores x in the u64 at p+off and returns the old value.
//
//go:noinline
func (b *Builder) Xchg(p *Value, off int64, x *Value) *Value {
	v := b.add(OpXchg64, p, x)
	v.Imm = off
	return v
}

// CmpXchg atomically stores x in the u64 at p+off if its value is old. It returns the
// previous value.
func (b *Builder) CmpXchg(p *Value, off int64, old, x *Value) *Value {
	v := b.add(OpCmpXchg64, p, old, x)
	v.Imm = off
	return v
}

// Zero clears n bytes at p+off.
//
//go:noinline
func (b *Builder) Zero(p *Value, off int64, n int) {
	if n == 0 {
		return
	}
	v := b.add(OpZero, p)
	v.Imm, v.Imm2 = off, int64(n)
}

// Copy copies n bytes from src to dst+off; both are directly addressable.
//
//go:noinline
func (b *Builder) Copy(dst *Value, off int64, src *Value, n int) {
	if n == 0 {
		return
	}
	v := b.add(OpCopy, dst, src)
	v.Imm, v.Imm2 = off, int64(n)
}

// Extend converts x to the canonical form of an integer of size bytes.
func (b *Builder) Extend(x *Value, size int, signed bool) *Value {
	var op Op
	switch {
	case size >= 8:
		return x
	case signed:
		op = map[int]Op{1: OpSext8, 2: OpSext16, 4: OpSext32}[size]
	default:
		op = map[int]Op{1: OpZext8, 2: OpZext16, 4: OpZext32}[size]
	}
	return b.Op(op, x)
}

// Call calls a kernel helper.
//
//go:noinline
func (b *Builder) Call(h *Helper, args ...*Value) *Value {
	v := b.add(OpCall, args...)
	v.Help, v.Type = h, h.Result
	return v
}

// CallFn calls a function of the same program.
//
//go:noinline
func (b *Builder) CallFn(f *Func, args ...*Value) *Value {
	v := b.add(OpCallFn, args...)
	v.Fn = f
	return v
}

// FuncAddr returns f as a callback argument.
//
//go:noinline
func (b *Builder) FuncAddr(f *Func) *Value {
	v := b.add(OpFuncAddr)
	v.Fn = f
	return v
}

// Kfunc calls a kernel function by its BTF id.
//
//go:noinline
func (b *Builder) Kfunc(name string, btfID int64, result Type, args ...*Value) *Value {
	v := b.add(OpKfunc, args...)
	v.Name, v.Imm, v.Type = name, btfID, result
	return v
}

// Opaque returns x as a value of which the passes know nothing, so that bounds checks of it
// remain, and the kernel's verifier sees them.
//
//go:noinline
func (b *Builder) Opaque(x *Value) *Value { return b.Op(OpBarrier, x) }

// NonNil returns p as a pointer that is not null, which must have been checked on this
// path. The backend emits no code for it.
func (b *Builder) NonNil(p *Value) *Value {
	v := b.add(OpBarrier, p)
	v.Type = p.Type.NonNil()
	return v
}

// InnerMap returns p, an element of an array of maps that was checked not to be null on
// this path, as a helper argument.
func (b *Builder) InnerMap(p *Value) *Value {
	v := b.add(OpBarrier, p)
	v.Type = MapRef
	return v
}

// AsInt returns the address p as a number, for helpers that read memory, comparisons
// and stores. The verifier still treats it as a pointer, so only constants and bounded
// integers may be added to it.
//
//go:noinline
func (b *Builder) AsInt(p *Value) *Value {
	if !p.Type.IsPtr() {
		return p
	}
	v := b.Opaque(p)
	v.Type = Int
	return v
}

func (b *Builder) edge(to *Block) {
	from := b.Cur
	from.Succs = append(from.Succs, to)
	to.Preds = append(to.Preds, from)
	if to.sealed && to != from && len(to.Preds) > 1 {
		panic(fmt.Sprintf("ir: %s: new edge b%d -> b%d into a sealed block", b.Fn.Name, from.ID, to.ID))
	}
}

// Jump ends the current block.
//
//go:noinline
func (b *Builder) Jump(to *Block) {
	blk := b.block()
	blk.Term, blk.Pos = TermJump, b.Pos
	b.edge(to)
	b.Cur = nil
}

// Br ends the current block with a branch to then if cond is not 0, and otherwise to
// els.
func (b *Builder) Br(cond *Value, then, els *Block) {
	blk := b.block()
	blk.Term, blk.Cond, blk.Pos = TermBr, cond, b.Pos
	b.edge(then)
	b.edge(els)
	b.Cur = nil
}

// Ret ends the current block and the function.
//
//go:noinline
func (b *Builder) Ret(x *Value) {
	blk := b.block()
	blk.Term, blk.Cond, blk.Pos = TermRet, x, b.Pos
	b.Cur = nil
}

// Write sets v to x from here on.
//
//go:noinline
func (b *Builder) Write(v *Var, x *Value) { b.block().defs[v] = x }

// Read returns the current value of v.
//
//go:noinline
func (b *Builder) Read(v *Var) *Value { return b.readIn(v, b.block()) }

func (b *Builder) readIn(v *Var, blk *Block) *Value {
	if x, ok := blk.defs[v]; ok {
		return x
	}
	var x *Value
	switch {
	case !blk.sealed:
		x = b.phi(v, blk)
		blk.incomplete = append(blk.incomplete, pendingPhi{v, x})
	case len(blk.Preds) == 1:
		x = b.readIn(v, blk.Preds[0])
	case len(blk.Preds) == 0: // never written on this path: variables are initially zero
		x = b.Fn.NewValue(blk, OpConst, Int)
		at := 0
		for at < len(blk.Values) && blk.Values[at].Op == OpPhi {
			at++
		}
		blk.Values = append(blk.Values[:at], append([]*Value{x}, blk.Values[at:]...)...)
	default:
		x = b.phi(v, blk)
		blk.defs[v] = x // before the arguments, because of loops
		b.fillPhi(v, x)
	}
	blk.defs[v] = x
	return x
}

func (b *Builder) phi(v *Var, blk *Block) *Value {
	x := b.Fn.NewValue(blk, OpPhi, v.Type)
	blk.Values = append([]*Value{x}, blk.Values...)
	return x
}

func (b *Builder) fillPhi(v *Var, phi *Value) {
	for _, p := range phi.Block.Preds {
		phi.Args = append(phi.Args, b.readIn(v, p))
	}
}

// Phi merges one value per predecessor of the current block, which must be sealed and
// still empty, in the order of its predecessors.
//
//go:noinline
func (b *Builder) Phi(t Type, args ...*Value) *Value {
	blk := b.block()
	x := b.Fn.NewValue(blk, OpPhi, t, args...)
	x.Pos = b.Pos
	at := 0
	for at < len(blk.Values) && blk.Values[at].Op == OpPhi {
		at++
	}
	blk.Values = append(blk.Values[:at], append([]*Value{x}, blk.Values[at:]...)...)
	return x
}
