package store

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// A front keeps an aggregation, or an integer that is only added to, in a hash map
// with a per-CPU front table before it, which takes most additions: looking a key
// up in the kernel's hash costs several times what the addition itself does, and
// the table finds it with a handful of instructions and no call.
//
// These invariants hold:
//
//   - The value of a key is what the hash map has for it merged with the values of
//     the key's slots. So a program that only adds may do it in either place.
//   - A key is entered into the hash map before it gets a slot. So the hash map
//     has all keys, and is full when it is.
//   - A slot belongs to one CPU, whose programs alone write to it. They can meet
//     there only by interrupting each other. One claims a slot by exchanging its
//     word for slotBusy; who finds a slot busy, or given away meanwhile, goes to
//     the hash map.
//   - No slot is taken from its key within a generation. When both places that a
//     key may have are another's, it stays with the hash map.
//
// A slot is the generation, the key and the value, in whole words. A map that
// programs read, assign to, delete from or iterate over has no front table.
type front struct {
	*hash
	table
	slotsPerCPU, cpus int
}

var frontKind = kind{
	name: "front",
	own:  1,
	fits: func(l *layout, s *Spec) bool {
		return s.Key != nil && (s.isAgg() || s.Value.Kind == types.Int && s.Value.Size == 8) && s.Uses&^(Add|Whole|Reset|Foreign) == 0 &&
			hashable(s.Key) && !s.LRU && KeySize(s.Key) <= maxFrontKey && KeySize(s.Key) != 3 && l.AtomicFetch && !l.NoTables &&
			l.frontSlots(s, maxFrontSize) >= minFrontSlots
	},
	plan:   newFront,
	extras: []string{"Number", "Table"},
	check: func(c *claims, m *object.Map) error {
		t := m.Table
		if t == nil || t.Slots <= 0 || t.Slots > maxFrontSlots || t.Slots&(t.Slots-1) != 0 || t.CPUs <= 0 || t.CPUs > maxFrontSizes || m.Key == nil {
			return fmt.Errorf("it has no table")
		}
		if err := c.table(m, region(t.Slots, KeySize(m.Key), max(m.Value.Size, 1))*t.CPUs); err != nil {
			return err
		}
		return c.hash(m, m.Kernel, m.Key)
	},
	open: openFront,
}

// Limits of front tables.
const (
	maxFrontKey   = 32       // bytes; longer keys cost more to hash than the kernel's way
	maxFrontSlots = 1024     // of a CPU
	maxFrontCPU   = 32 << 10 // bytes of a CPU
	maxFrontSize  = 1 << 20  // bytes of all CPUs
	minFrontSlots = 16

	maxFronts     = 64       // of a script: each makes the programs larger
	maxFrontSizes = 32 << 20 // bytes of all tables of a script
)

// frontKey is the offset of the key in a slot.
const frontKey = 8

// frontValue is the offset of the value in a slot.
func frontValue(key int) int { return frontKey + word(key) }

// frontSlot is the size of a slot.
func frontSlot(key, value int) int { return frontValue(key) + word(value) }

// region is the size of a CPU's slots: whole cache lines, so that no two CPUs
// write to one.
func region(slots, key, value int) int { return (slots*frontSlot(key, value) + 63) &^ 63 }

// frontSlots is how many slots a CPU has where all of them may take room bytes.
func (l *layout) frontSlots(s *Spec, room int) int {
	n := maxFrontSlots
	for n >= minFrontSlots {
		if size := region(n, KeySize(s.Key), s.valueSize()); size <= maxFrontCPU && size*l.CPUs <= room {
			break
		}
		n /= 2
	}
	return n
}

func newFront(l *layout, s *Spec, m *object.Map) Store {
	h := newHash(l, s, m)
	slots := max(l.frontSlots(s, l.tableRoom), minFrontSlots)
	f := &front{hash: h, slotsPerCPU: slots, cpus: l.CPUs}
	f.table = l.newTable(region(slots, h.keySize, s.valueSize()) * l.CPUs)
	m.Table = &object.Table{Off: int(f.off), Slots: slots, CPUs: l.CPUs}
	return f
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

// slotSize is the size of a slot, in which a value is not padded as it may be in
// the hash map.
func (s *front) slotSize() int64 { return int64(frontSlot(s.keySize, s.hash.size)) }

func (s *front) slotValue() int64 { return int64(frontValue(s.keySize)) }

// Share is the value in the key's slot or, failing that, in the hash map.
func (s *front) Share(g Gen, k Key) *ir.Value {
	b := g.B()
	words := s.words(b, k)
	slow, join := b.NewBlock(), b.NewBlock()
	value := &ir.Var{Name: "value", Type: ir.PtrMapNil}
	free := &ir.Var{Name: "free", Type: ir.PtrMapNil} // a slot of an older generation, which is free

	b.Write(free, b.Const(0))
	gen := s.generation(b)
	cpu := b.Call(ir.SmpProcessorID)
	b.Need(b.Op(ir.OpULt, cpu, b.Const(int64(s.cpus))), slow) // a CPU that came later has no slots
	size := region(s.slotsPerCPU, s.keySize, s.hash.size)
	slots := b.Op(ir.OpAdd, s.slots(b), b.Op(ir.OpMul, cpu, b.Const(int64(size))))
	index := s.index(b, words)
	for i := range int64(2) { // a key has the slot at its index or the one beside it
		p := b.Op(ir.OpAdd, slots, b.Op(ir.OpMul, b.Op(ir.OpXor, index, b.Const(i)), b.Const(s.slotSize())))
		b.Write(free, p)
		b.Need(b.Op(ir.OpEq, b.Load(p, 0, 8, false), gen), slow)
		other := b.NewBlock()
		for j, w := range words {
			b.Need(b.Op(ir.OpEq, b.Load(p, int64(frontKey+8*j), 8, false), w), other)
		}
		b.Write(value, b.AddImm(p, s.slotValue()))
		b.Jump(join)
		other.Unlikely = true
		b.SealSet(other)
	}
	b.Write(free, b.Const(0))
	b.Jump(slow)

	slow.Unlikely = true
	b.SealSet(slow)
	inHash := s.hash.Make(g, k)
	b.Write(value, inHash)
	p := b.Read(free)
	b.If(inHash, func() {
		b.IfNonNil(p, func(q *ir.Value) {
			b.If(s.claim(g, q, gen, words), func() {
				b.Write(value, b.AddImm(b.NonNil(p), s.slotValue()))
			})
		})
	})
	b.Jump(join)
	b.SealSet(join)
	return b.Read(value)
}

// claim gives the slot at p to a key, with a value of zeros: 1, or 0 if
// somebody else was faster.
func (s *front) claim(g Gen, p, gen *ir.Value, words []*ir.Value) *ir.Value {
	b := g.B()
	was := b.Xchg(p, 0, b.Const(slotBusyImm))
	// Who interrupted us may have a newer generation than we know. A busy slot is
	// greater than any generation.
	return b.IfElse(b.Op(ir.OpULt, was, gen), func() *ir.Value {
		for j, w := range words {
			b.Store(p, int64(frontKey+8*j), 8, w)
		}
		b.Zero(p, s.slotValue(), s.hash.size)
		b.Xchg(p, 0, gen) // an exchange, so that other CPUs see it after what was stored
		return b.Const(1)
	}, func() *ir.Value {
		b.If(b.Op(ir.OpNe, was, b.Const(slotBusyImm)), func() { b.Xchg(p, 0, was) })
		return b.Const(0)
	})
}

// words loads the words of an encoded key.
func (s *front) words(b *ir.Builder, k Key) []*ir.Value {
	if s.keySize < 8 {
		return []*ir.Value{b.Load(k.Ptr, 0, s.keySize, false)}
	}
	words := make([]*ir.Value, s.keySize/8)
	for i := range words {
		words[i] = b.Load(k.Ptr, int64(8*i), 8, false)
	}
	return words
}

// index is where a key's slot should be.
func (s *front) index(b *ir.Builder, words []*ir.Value) *ir.Value {
	h := words[0]
	for _, w := range words[1:] {
		h = b.Op(ir.OpAdd, b.Op(ir.OpMul, h, b.Const(golden)), w)
	}
	if s.keySize > 4 {
		h = b.Op(ir.OpXor, h, b.Op(ir.OpShr, h, b.Const(32)))
	}
	return slotIndex(b, h, s.slotsPerCPU)
}

// frontReader reads the hash map and its front table.
type frontReader struct {
	*hashReader
	t *openTable
}

func openFront(k *Kernel, m *object.Map) (Reader, error) {
	h, err := openHash(k, m)
	if err != nil {
		return nil, err
	}
	t, err := k.openTable(m.Table.Off)
	return &frontReader{h, &t}, err
}

// Read adds to the values of each key what the front table holds. That is read
// after the hash map: a key that gets its slot meanwhile may be new, but none is
// missing whose slot is not seen.
func (r *frontReader) Read() ([]Entry, error) {
	all, err := r.readParts()
	if err != nil {
		return nil, err
	}
	slots, err := r.slots()
	if err != nil {
		return nil, err
	}
	// There are few slots, and there may be a million entries.
	keySize := KeySize(r.m.Key)
	index := make(map[string]int, len(slots))
	var fronts []parts
	for _, slot := range slots {
		key, val := slot[frontKey:][:keySize], slot[frontValue(keySize):][:r.size]
		i, ok := index[string(key)]
		if !ok {
			i = len(fronts)
			index[string(key)] = i
			fronts = append(fronts, parts{key: key})
		}
		fronts[i].vals = append(fronts[i].vals, val)
	}
	for i := range all {
		p := &all[i]
		p.key = r.scriptKey(p.key)
		if n, ok := index[string(p.key)]; ok {
			p.vals = append(p.vals, fronts[n].vals...)
			fronts[n].vals = nil
		}
	}
	for _, p := range fronts {
		if p.vals != nil {
			all = append(all, p)
		}
	}
	return r.merge(all), nil
}

// busyWait is how long to wait for a slot that is being given to a key. It takes
// a few instructions, but the program can lose the CPU in between.
const busyWait = 20 * time.Millisecond

// slots reads the slots that belong to a key.
func (r *frontReader) slots() ([][]byte, error) {
	t, key, value := r.m.Table, KeySize(r.m.Key), r.m.Value.Size
	size, perCPU := frontSlot(key, value), region(t.Slots, key, value)
	for deadline := time.Now().Add(busyWait); ; time.Sleep(10 * time.Microsecond) {
		gen, mem, err := r.t.read(t.CPUs * perCPU)
		if err != nil {
			return nil, err
		}
		var slots [][]byte
		busy := false
		for cpu := range t.CPUs {
			for i := range t.Slots {
				slot := mem[cpu*perCPU+i*size:][:size]
				switch binary.NativeEndian.Uint64(slot) {
				case gen:
					slots = append(slots, slot)
				case slotBusy:
					busy = true
				}
			}
		}
		if !busy || time.Now().After(deadline) {
			return slots, nil
		}
	}
}

// Clear gives back all slots. What programs add meanwhile to values they have
// found is lost with them.
func (r *frontReader) Clear() error {
	if err := r.t.clear(); err != nil {
		return err
	}
	return r.hashReader.Clear()
}

// Zero gives back all slots: their keys are in the hash map still.
func (r *frontReader) Zero() error {
	if err := r.t.clear(); err != nil {
		return err
	}
	return r.hashReader.Zero()
}
