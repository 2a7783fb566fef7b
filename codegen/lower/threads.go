package lower

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// threads keeps a map of words whose key is the running thread's ID wherever the
// script names it, as @start[tid] is, in a object.Threads before a hash map. Such
// an entry is touched by its thread alone, which is on one CPU at a time: finding,
// setting and removing it needs no lock, and no call. Only for a free slot
// threads compete, by compare and exchange.
//
// Iteration and the like want a kernel map: then it is a plain hash.
type threads struct {
	*hash
	m *ir.Map
	w *object.Threads
}

// threadSlots is how many slots there are: 16 KiB.
const threadSlots = 1024

// withThreads puts a object.Threads before h where the map is one for it; nil if
// it is not.
func (u *unit) withThreads(m *builtins.MapInfo, w *object.Map, h *hash) store {
	k, v := w.Key, m.Value
	switch v.Kind {
	case types.Int, types.Bool, types.Enum, types.Pointer:
	default:
		return nil
	}
	if k.Kind != types.Int || k.Size != 4 || k.Signed || m.Decl != "" || w.Max < threadSlots || u.common[m] || u.plain[m] || !u.k.Has(probes.FeatAtomicFetch) {
		return nil
	}
	t := &object.Threads{Kernel: strings.Replace(w.Kernel, "AT_", "THREADS_", 1), Slots: threadSlots}
	w.Threads = t
	return &threads{hash: h, w: t, m: u.newMap(ir.Map{
		Name: t.Kernel, Type: ir.Array, KeySize: 4, ValueSize: t.Size(), MaxEntries: 1, Flags: mmapable,
	})}
}

// mmapable is BPF_F_MMAPABLE.
const mmapable = 1 << 10

// own reports whether e is the running thread's ID; if not, the map is no map of
// threads.
func (s *threads) own(f *fn, e ast.Expr) {
	if c := f.info.Calls[e]; c != nil && c.Def.Thread && len(c.Args) == 0 {
		return
	}
	f.learn(f.common, s)
}

// unfit says that the script does with the map what only a kernel map can.
func (s *threads) unfit(u *unit) *hash {
	u.learn(u.plain, s)
	return s.hash
}

// home is where an entry may be: its thread, what its slot says if it has one,
// and the two slots.
type home struct {
	tid, word *ir.Value
	slots     [2]*ir.Value
}

func (s *threads) home(f *fn, key *ir.Value) home {
	b := f.b
	h := home{tid: b.Load(key, 0, 4, false)}
	h.word = b.Op(ir.OpOr, b.Load(b.MapValue(s.m, object.ThreadsGen), 0, 8, false), h.tid)
	i := slotIndex(b, h.tid, s.w.Slots)
	base := b.MapValue(s.m, object.ThreadsHeader)
	h.slots[0] = b.Op(ir.OpAdd, base, b.Op(ir.OpMul, i, b.Const(object.ThreadSlot)))
	h.slots[1] = b.Op(ir.OpAdd, base, b.Op(ir.OpMul, b.Op(ir.OpXor, i, b.Const(1)), b.Const(object.ThreadSlot)))
	return h
}

// elsewhere says whether the entry of a thread without a slot can be in the hash
// map.
func (s *threads) elsewhere(f *fn, tid *ir.Value) *ir.Value {
	b := f.b
	over := b.Load(b.MapValue(s.m, object.ThreadsOver), 0, 8, false)
	return b.Op(ir.OpOr, over, b.Op(ir.OpEq, tid, b.Const(0)))
}

func (s *threads) find(f *fn, key *ir.Value) *ir.Value {
	b := f.b
	h := s.home(f, key)
	value := &ir.Var{Name: "value", Type: ir.PtrMapNil}
	join := b.NewBlock()
	for _, slot := range h.slots {
		in, next := b.NewBlock(), b.NewBlock()
		b.Br(b.Op(ir.OpEq, b.Load(slot, 0, 8, false), h.word), in, next)
		b.SealSet(in)
		b.Write(value, b.AddImm(slot, object.ThreadValue))
		b.Jump(join)
		b.SealSet(next)
	}
	b.Write(value, b.Const(0))
	f.If(s.elsewhere(f, h.tid), func() {
		b.Cur.Unlikely = true
		b.Write(value, s.hash.find(f, key))
	})
	b.Jump(join)
	b.SealSet(join)
	return b.Read(value)
}

func (s *threads) present(f *fn, key *ir.Value) *ir.Value { return s.find(f, key) }

func (s *threads) make(f *fn, key *ir.Value) *ir.Value {
	return s.orElse(f, key, func() *ir.Value { return s.hash.make(f, key) })
}

func (s *threads) share(f *fn, key *ir.Value) *ir.Value { return s.make(f, key) }

// orElse is the value of key, a new one of zeros if there was none, or what hashed
// gives where both slots are taken.
func (s *threads) orElse(f *fn, key *ir.Value, hashed func() *ir.Value) *ir.Value {
	p := s.find(f, key)
	return f.IfElse(p, func() *ir.Value { return f.b.NonNil(p) }, func() *ir.Value {
		q := s.claim(f, key)
		return f.IfElse(q, func() *ir.Value { return f.b.NonNil(q) }, func() *ir.Value {
			f.b.Cur.Unlikely = true
			h := s.home(f, key)
			f.If(h.tid, func() { f.b.Store(f.b.MapValue(s.m, object.ThreadsOver), 0, 8, f.b.Const(1)) })
			return hashed()
		})
	})
}

// claim gives a thread without an entry a slot, with a value of zero: the value's
// address, null where both are taken.
func (s *threads) claim(f *fn, key *ir.Value) *ir.Value {
	b := f.b
	h := s.home(f, key)
	gen := b.Load(b.MapValue(s.m, object.ThreadsGen), 0, 8, false)
	value := &ir.Var{Name: "value", Type: ir.PtrMapNil}
	join := b.NewBlock()
	b.Write(value, b.Const(0))
	some := b.NewBlock()
	b.Br(h.tid, some, join)
	b.SealSet(some)
	for _, slot := range h.slots {
		free, ours, next := b.NewBlock(), b.NewBlock(), b.NewBlock()
		was := b.Load(slot, 0, 8, false)
		b.Br(b.Op(ir.OpULt, was, gen), free, next)
		b.SealSet(free)
		b.Br(b.Op(ir.OpEq, b.CmpXchg(slot, 0, was, b.Const(-1)), was), ours, next)
		b.SealSet(ours)
		b.Store(slot, object.ThreadValue, 8, b.Const(0))
		b.Store(slot, 0, 8, h.word)
		b.Write(value, b.AddImm(slot, object.ThreadValue))
		b.Jump(join)
		next.Unlikely = true
		b.SealSet(next)
	}
	b.Jump(join)
	b.SealSet(join)
	return b.Read(value)
}

func (s *threads) assignWord(f *fn, key, x *ir.Value, t *types.Type) {
	p := s.orElse(f, key, func() *ir.Value {
		s.hash.assignWord(f, key, x, t)
		return f.b.Const(0)
	})
	f.If(p, func() { f.b.Store(f.b.NonNil(p), 0, t.Size, x) })
}

// remove takes the entry away wherever it is: a program that interrupted another
// one just as that claimed a slot may have given the thread a second one.
func (s *threads) remove(f *fn, key *ir.Value) *ir.Value {
	h := s.home(f, key)
	r := &ir.Var{Name: "r", Type: ir.Int}
	f.b.Write(r, f.b.Const(enoent))
	for _, slot := range h.slots {
		f.If(f.b.Op(ir.OpEq, f.b.Load(slot, 0, 8, false), h.word), func() {
			f.b.Store(slot, 0, 8, f.b.Const(0))
			f.b.Write(r, f.b.Const(0))
		})
	}
	f.If(s.elsewhere(f, h.tid), func() {
		f.b.Cur.Unlikely = true
		f.If(f.b.Op(ir.OpEq, s.hash.remove(f, key), f.b.Const(0)), func() { f.b.Write(r, f.b.Const(0)) })
	})
	return f.b.Read(r)
}

func (s *threads) assign(f *fn, key *ir.Value, fill func(Dest)) { s.unfit(f.unit).assign(f, key, fill) }
func (s *threads) onCPU(f *fn, key, cpu *ir.Value) *ir.Value {
	return s.unfit(f.unit).onCPU(f, key, cpu)
}
func (s *threads) kernelMap(u *unit) *ir.Map { return s.unfit(u).m }
