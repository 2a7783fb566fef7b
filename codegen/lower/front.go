package lower

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// front keeps an aggregation, or an integer that is only added to, in a
// object.Front before a hash map: an addition finds its key's slot with a handful
// of instructions and no call. Only additions do without the hash map, so a map
// that programs read, assign to, or delete from is kept as a plain hash.
//
// A slot is claimed by putting FrontBusy into it. Programs of one CPU can meet
// there only by interrupting each other: who finds a slot busy, or given away
// meanwhile, goes to the hash map, whose value is merged with the slot's in the
// end. No slot is ever taken from its key: when both places a key may have are
// somebody else's, it stays with the hash map.
type front struct {
	*hash
	m *ir.Map
	w *object.Front
}

// Limits of a front.
const (
	maxFrontKey   = 32       // bytes; longer keys cost more to hash than the kernel's way
	maxFrontSlots = 1024     // of a CPU
	maxFrontCPU   = 32 << 10 // bytes of a CPU
	maxFrontSize  = 1 << 20  // bytes of all CPUs
	minFrontSlots = 16
)

// withFront puts a front before h where the map is one for it.
func (u *unit) withFront(m *builtins.MapInfo, w *object.Map, h *hash) store {
	sums := m.Value.Kind == types.Agg || m.Value.Kind == types.Int && m.Value.Size == 8
	if !sums || !hashable(w.Key) || w.LRU || u.plain[m] || h.m.KeySize > maxFrontKey || h.m.KeySize == 3 || !u.k.Has(probes.FeatAtomicFetch) {
		return h
	}
	f := &object.Front{
		Kernel: strings.Replace(w.Kernel, "AT_", "FRONT_", 1),
		Key:    h.m.KeySize, Value: h.m.ValueSize, CPUs: u.k.NumCPU(), Slots: maxFrontSlots,
	}
	for f.Slots >= minFrontSlots && (f.Region() > maxFrontCPU || f.Size() > maxFrontSize) {
		f.Slots /= 2
	}
	if f.Slots < minFrontSlots {
		return h
	}
	gens := u.array(&u.gens, object.GenMap, ir.Array)
	f.Gen = gens.ValueSize
	gens.ValueSize += 8
	w.Front = f
	return &front{hash: h, w: f, m: u.newMap(ir.Map{
		Name: f.Kernel, Type: ir.Array, KeySize: 4, ValueSize: f.Size(), MaxEntries: 1,
	})}
}

// hashable reports whether a program can compute with the words of keys of type
// t: with pointers it may not, and opaque values may be made of one.
func hashable(t *types.Type) bool {
	switch t.Kind {
	case types.Int, types.Bool, types.Enum, types.String:
		return true
	case types.Array:
		return t.Elem != nil && hashable(t.Elem)
	case types.Tuple, types.Record:
		return !slices.ContainsFunc(t.Fields, func(f types.Field) bool { return !hashable(f.Type) })
	}
	return false
}

// share is key's slot or, failing that, its value in the hash map.
func (s *front) share(f *fn, key *ir.Value) *ir.Value {
	b := f.b
	words := s.words(f, key)
	slow, join := b.NewBlock(), b.NewBlock()
	value := &ir.Var{Name: "value", Type: ir.PtrMapNil}
	free := &ir.Var{Name: "free", Type: ir.PtrMapNil} // a slot of another generation: nobody's

	b.Write(free, b.Const(0))
	gen := b.Load(b.MapValue(f.gens, int64(s.w.Gen)), 0, 8, false)
	cpu := b.Call(ir.SmpProcessorID)
	known := b.NewBlock()
	b.Br(b.Op(ir.OpULt, cpu, b.Const(int64(s.w.CPUs))), known, slow) // one that came later has no region
	b.SealSet(known)
	region := b.Op(ir.OpAdd, b.MapValue(s.m, 0), b.Op(ir.OpMul, cpu, b.Const(int64(s.w.Region()))))
	index := s.index(f, words)
	for i := range int64(2) { // a key has the slot at its index or the one beside it
		p := b.Op(ir.OpAdd, region, b.Op(ir.OpMul, b.Op(ir.OpXor, index, b.Const(i)), b.Const(int64(s.w.SlotSize()))))
		taken, other := b.NewBlock(), b.NewBlock()
		b.Write(free, p)
		b.Br(b.Op(ir.OpEq, b.Load(p, 0, 8, false), gen), taken, slow)
		b.SealSet(taken)
		for j, w := range words {
			same := b.NewBlock()
			b.Br(b.Op(ir.OpEq, b.Load(p, int64(object.FrontKey+8*j), 8, false), w), same, other)
			b.SealSet(same)
		}
		b.Write(value, b.AddImm(p, int64(s.w.SlotValue())))
		b.Jump(join)
		other.Unlikely = true
		b.SealSet(other)
	}
	b.Write(free, b.Const(0))
	b.Jump(slow)

	slow.Unlikely = true
	b.SealSet(slow)
	inHash := s.hash.make(f, key)
	b.Write(value, inHash)
	p := b.Read(free)
	f.If(inHash, func() {
		f.If(p, func() {
			f.If(s.claim(f, b.NonNil(p), gen, words), func() {
				b.Write(value, b.AddImm(b.NonNil(p), int64(s.w.SlotValue())))
			})
		})
	})
	b.Jump(join)
	b.SealSet(join)
	return b.Read(value)
}

// claim gives the slot at p to a key, with a value of zeros: 1, or 0 if
// somebody else was faster.
func (s *front) claim(f *fn, p, gen *ir.Value, words []*ir.Value) *ir.Value {
	b := f.b
	none := func() *ir.Value { return b.Const(0) }
	was := b.Xchg(p, 0, b.Const(object.FrontBusy))
	return f.IfElse(b.Op(ir.OpEq, was, b.Const(object.FrontBusy)), none, func() *ir.Value {
		// Who interrupted us may have a newer generation than we know.
		return f.IfElse(b.Op(ir.OpULt, was, gen), func() *ir.Value {
			for j, w := range words {
				b.Store(p, int64(object.FrontKey+8*j), 8, w)
			}
			b.Zero(p, int64(s.w.SlotValue()), s.w.Value)
			b.Xchg(p, 0, gen) // an exchange, so that other CPUs see it after what was stored
			return b.Const(1)
		}, func() *ir.Value {
			b.Xchg(p, 0, was)
			return b.Const(0)
		})
	})
}

// words are the words of an encoded key.
func (s *front) words(f *fn, key *ir.Value) []*ir.Value {
	if n := s.hash.m.KeySize; n < 8 {
		return []*ir.Value{f.b.Load(key, 0, n, false)}
	}
	words := make([]*ir.Value, s.hash.m.KeySize/8)
	for i := range words {
		words[i] = f.b.Load(key, int64(8*i), 8, false)
	}
	return words
}

// golden is 2³² divided by the golden ratio, negated: the factor of multiplicative
// hashing.
const golden = 0x61c88647

// slotIndex spreads x over slots, a power of two of them.
func slotIndex(b *ir.Builder, x *ir.Value, slots int) *ir.Value {
	return b.Op(ir.OpAnd, b.Op(ir.OpShr, b.Op(ir.OpMul, x, b.Const(golden)), b.Const(20)), b.Const(int64(slots-1)))
}

// index is where a key's slot should be.
func (s *front) index(f *fn, words []*ir.Value) *ir.Value {
	b := f.b
	h := words[0]
	for _, w := range words[1:] {
		h = b.Op(ir.OpAdd, b.Op(ir.OpMul, h, b.Const(golden)), w)
	}
	if s.hash.m.KeySize > 4 {
		h = b.Op(ir.OpXor, h, b.Op(ir.OpShr, h, b.Const(32)))
	}
	return slotIndex(b, h, s.w.Slots)
}

// unfit says that the script does more with the map than add to it.
func (s *front) unfit(u *unit) *hash {
	u.learn(u.plain, s)
	return s.hash
}

func (s *front) make(f *fn, key *ir.Value) *ir.Value       { return s.unfit(f.unit).make(f, key) }
func (s *front) find(f *fn, key *ir.Value) *ir.Value       { return s.unfit(f.unit).find(f, key) }
func (s *front) present(f *fn, key *ir.Value) *ir.Value    { return s.unfit(f.unit).present(f, key) }
func (s *front) remove(f *fn, key *ir.Value) *ir.Value     { return s.unfit(f.unit).remove(f, key) }
func (s *front) onCPU(f *fn, key, cpu *ir.Value) *ir.Value { return s.unfit(f.unit).onCPU(f, key, cpu) }
func (s *front) assignWord(f *fn, key, x *ir.Value, t *types.Type) {
	s.unfit(f.unit).assignWord(f, key, x, t)
}
func (s *front) assign(f *fn, key *ir.Value, fill func(Dest)) { s.unfit(f.unit).assign(f, key, fill) }
func (s *front) kernelMap(u *unit) *ir.Map                    { return s.unfit(u).m }
