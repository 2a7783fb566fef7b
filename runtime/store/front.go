package store

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A front keeps an aggregation, or an integer that is only added to, in a hash map with
// a per-CPU front table. The table takes most additions. Looking up a key in the
// kernel's hash map costs several times as much as the addition; the table finds the
// key with a few instructions and no call.
//
// These invariants hold:
//
//   - The value of a key is its value in the hash map merged with the values of its
//     slots. So a program that only adds may add in either place.
//   - A key is entered into the hash map before it gets a slot. So the hash map has
//     all keys, and the map is full when the hash map is.
//   - A slot belongs to one CPU, and only programs on that CPU write to it. They can
//     conflict only by interrupting each other. A program claims a slot by
//     exchanging its word for slotBusy. A program that finds the slot busy, or
//     claimed meanwhile, uses the hash map.
//   - A slot keeps its key for the whole generation. If both possible slots of a key belong
//     to other keys, the key stays in the hash map.
//
// A slot consists of the generation, the key and the value, each in whole words. A map
// that programs read, assign to, delete from or iterate over has no front table.
type front struct {
	*hash
	table
	slotsPerCPU, cpus int
}

var frontKind = kind{
	name: "front",
	own:  1,
	fits: func(l *layout, s *Spec) bool {
		return s.Key != nil && (s.isAgg() || s.Value.Kind == types.Int && s.Value.Size == 8) && s.Uses&^(Add|Whole|Reset|OtherThread) == 0 &&
			hashable(s.Key) && !s.LRU && KeySize(s.Key) != 3 && l.frontSlots(KeySize(s.Key), s.valueSize(), maxFrontCPU, maxFrontSize) > 0
	},
	plan:   func(l *layout, s *Spec, m *object.Map) Store { return newFront(l, newHash(l, s, m), m, maxFrontCPU) },
	extras: []string{"Number", "Table"},
	check: func(c *claims, m *object.Map) error {
		if m.Key == nil {
			return outline.Errorf("it has no key")
		}
		if err := c.front(m, KeySize(m.Key), max(m.Value.Size, 1)); err != nil {
			return err
		}
		return c.hash(m, m.Kernel, m.Key)
	},
	open: func(k *Kernel, m *object.Map) (Reader, error) {
		h, err := openHash(k, m)
		if err != nil {
			return nil, err
		}
		return openFront(k, h, KeySize(m.Key))
	},
}

// front claims the front table of a map with keys and values of these sizes.
func (c *claims) front(m *object.Map, key, value int) error {
	t := m.Table
	if t == nil || t.Slots <= 0 || t.Slots > maxFrontSlots || t.Slots&(t.Slots-1) != 0 || t.CPUs <= 0 || t.CPUs > maxFrontSizes {
		return outline.Errorf("it has no table")
	}
	return c.table(m, region(t.Slots, key, value)*t.CPUs)
}

// Limits of front tables.
const (
	maxFrontKey   = 32       // bytes; hashing a longer key costs more than the kernel's hash map
	maxFrontSlots = 1024     // per CPU
	maxFrontCPU   = 32 << 10 // bytes per CPU
	maxPartsCPU   = 1 << 19  // bytes per CPU if values are in parts: a key has several parts
	maxFrontSize  = 1 << 20  // bytes for all CPUs
	minFrontSlots = 16

	maxFronts     = 64       // per script: each one makes the programs larger
	maxFrontSizes = 32 << 20 // bytes for all tables of a script
)

// frontKey is the offset of the key in a slot.
const frontKey = 8

// frontValue returns the offset of the value in a slot.
func frontValue(key int) int { return frontKey + word(key) }

// frontSlot returns the size of a slot in bytes.
func frontSlot(key, value int) int { return frontValue(key) + word(value) }

// region returns the size of a CPU's slots in bytes. It is a multiple of a cache line,
// so that no two CPUs write to the same line.
func region(slots, key, value int) int { return types.RoundUp(slots*frontSlot(key, value), 64) }

// frontSlots returns the number of slots per CPU for keys and values of these sizes. The
// slots of a CPU may take perCPU bytes, and those of all CPUs room bytes. It returns 0 if
// a front table is not possible.
func (l *layout) frontSlots(key, value, perCPU, room int) int {
	if key > maxFrontKey || !l.AtomicFetch || l.NoTables {
		return 0
	}
	for n := maxFrontSlots; n >= minFrontSlots; n /= 2 {
		if size := region(n, key, value); size <= perCPU && size*l.CPUs <= room {
			return n
		}
	}
	return 0
}

// newFront puts a front table before h, of at most perCPU bytes per CPU.
func newFront(l *layout, h *hash, m *object.Map, perCPU int) *front {
	slots := max(l.frontSlots(h.keySize, h.size, perCPU, l.tableRoom), minFrontSlots)
	f := &front{hash: h, slotsPerCPU: slots, cpus: l.CPUs}
	f.table = l.newTable(region(slots, h.keySize, h.size) * l.CPUs)
	m.Table = &object.Table{Off: int(f.off), Slots: slots, CPUs: l.CPUs}
	return f
}

// hashable reports whether a program can compute with the words of keys of type t. The
// verifier does not allow it for pointers, and opaque values may contain one.
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

// slotSize returns the size of a slot. Unlike values in the hash map, a value in a slot
// is not padded.
func (s *front) slotSize() int64 { return int64(frontSlot(s.keySize, s.hash.size)) }

func (s *front) slotValue() int64 { return int64(frontValue(s.keySize)) }

// Share returns the value in the key's slot or, if it has none, in the hash map.
func (s *front) Share(g Gen, k Key) *ir.Value {
	b := g.B()
	words := s.words(b, k)
	value := &ir.Var{Name: "value", Type: ir.PtrMapNil}
	free := &ir.Var{Name: "free", Type: ir.PtrMapNil} // a slot of an older generation, which is free

	b.Write(free, b.Const(0))
	gen := s.generation(b)
	b.Section(func(join *ir.Block) {
		b.Section(func(slow *ir.Block) {
			cpu := b.Call(ir.SmpProcessorID)
			b.Need(b.Op(ir.OpULt, cpu, b.Const(int64(s.cpus))), slow) // a CPU that was added later has no slots
			size := region(s.slotsPerCPU, s.keySize, s.hash.size)
			slots := b.Op(ir.OpAdd, s.slots(b), b.Op(ir.OpMul, cpu, b.Const(int64(size))))
			index := s.index(b, words)
			for i := range int64(2) { // a key has the slot at its index or the next one
				p := b.Op(ir.OpAdd, slots, b.Op(ir.OpMul, b.Op(ir.OpXor, index, b.Const(i)), b.Const(s.slotSize())))
				b.Write(free, p)
				b.Need(b.Op(ir.OpEq, b.Load(p, 0, 8, false), gen), slow)
				b.Section(func(other *ir.Block) {
					for j, w := range words {
						b.Need(b.Op(ir.OpEq, b.Load(p, int64(frontKey+8*j), 8, false), w), other)
					}
					b.Write(value, b.AddImm(p, s.slotValue()))
					b.Jump(join)
				})
				b.Cur.Unlikely = true
			}
			b.Write(free, b.Const(0))
		})
		b.Cur.Unlikely = true
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
	})
	return b.Read(value)
}

// claim assigns the slot at p to a key, with a value of zeros. It returns 1, or 0 if
// another program was faster.
func (s *front) claim(g Gen, p, gen *ir.Value, words []*ir.Value) *ir.Value {
	b := g.B()
	was := b.Xchg(p, 0, b.Const(slotBusyImm))
	// A program that interrupted this one may have read a newer generation. A busy slot
	// is greater than any generation.
	return b.IfElse(b.Op(ir.OpULt, was, gen), func() *ir.Value {
		for j, w := range words {
			b.Store(p, int64(frontKey+8*j), 8, w)
		}
		b.Zero(p, s.slotValue(), s.hash.size)
		b.Xchg(p, 0, gen) // an exchange, so that other CPUs see it after the stores
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

// index returns the index of the slot for a key.
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
	t   *openTable
	key int // bytes of a key
}

func openFront(k *Kernel, h *hashReader, key int) (*frontReader, error) {
	t, err := k.openTable(h.m.Table.Off)
	return &frontReader{h, &t, key}, err
}

// Read merges the values in the front table into those of the hash map. It reads the
// front table last: a key that gets a slot meanwhile may be missing in the hash map's
// entries, but no key is lost because its slot was read too early.
func (r *frontReader) Read(stop func(entries int) bool) ([]Entry, error) {
	all, stopped := r.hashReader.Read(stop)
	if stopped != nil && stopped != ErrStopped {
		return nil, stopped
	}
	slots, err := r.slots()
	if err != nil {
		return nil, err
	}
	// There are few slots, but there may be a million entries.
	vals := make(map[string][][]byte, len(slots))
	for _, slot := range slots {
		key, val := slot[frontKey:][:r.key], slot[frontValue(r.key):][:r.size]
		vals[string(key)] = append(vals[string(key)], val)
	}
	merge := r.k.merger(r.m.Value)
	for i := range all {
		if v := vals[string(all[i].Key)]; v != nil {
			merge(all[i].Value, v)
			delete(vals, string(all[i].Key))
		}
	}
	for key, v := range vals {
		e := Entry{Key: []byte(key), Value: make([]byte, r.size)}
		if stopped != nil {
			if e, err = r.merged([]byte(key)); err != nil {
				return nil, err
			}
		}
		merge(e.Value, v)
		all = append(all, e)
	}
	return all, stopped
}

// busyWait is the time to wait for a slot that is being claimed. Claiming takes a few
// instructions, but the program may lose the CPU in between.
const busyWait = 20 * time.Millisecond

// slots returns the slots that belong to a key.
func (r *frontReader) slots() ([][]byte, error) {
	t := r.m.Table
	size, perCPU := frontSlot(r.key, r.size), region(t.Slots, r.key, r.size)
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

// Clear frees all slots. If a program has already found a value when Clear is called, its
// addition is lost.
func (r *frontReader) Clear() error {
	if err := r.t.clear(); err != nil {
		return err
	}
	return r.hashReader.Clear()
}

// Zero frees all slots. Their keys stay in the hash map.
func (r *frontReader) Zero() error {
	if err := r.t.clear(); err != nil {
		return err
	}
	return r.hashReader.Zero()
}
