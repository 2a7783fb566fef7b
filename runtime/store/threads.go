package store

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A threads store keeps a map of words whose key is always the running thread's ID, as in
// @start[tid]. It is a hash map with a thread table. The table holds most entries, for
// example those that exist from the entry to the exit of a call.
//
// These invariants hold:
//
//   - Only an entry's thread uses the entry, and a thread is on one CPU at a time.
//     So finding, setting and removing the entry needs no lock and no call. Threads
//     compete only for free slots, by compare and exchange.
//   - The entry of a thread is in one of two neighbouring slots or, if both are
//     taken, in the hash map. The word at tableOver is not 0 once an entry had to be stored
//     in the hash map.
//   - Thread 0, which all idle CPUs share, is only in the hash map.
//
// A slot consists of a u64, which is the generation and the thread's ID, and a value of
// up to 8 bytes. Iteration and some other uses need a kernel map: a map with such uses
// has no thread table.
type threads struct {
	*hash
	table
}

const (
	threadSlots = 1024 // 16 KiB
	threadSlot  = 16   // bytes of a slot
	threadValue = 8    // offset of the value

	maxThreadTables = 8 // in one program
)

// threadsUses are the operations that programs can perform on a map of threads.
const threadsUses = Add | Read | Assign | Change | Delete | Whole | Reset

var threadsKind = kind{
	name: "threads",
	own:  1,
	fits: func(l *layout, s *Spec) bool {
		switch {
		case s.Key == nil, s.Key.Kind != types.Int || s.Key.Size != 4 || s.Key.Signed:
			return false
		case s.Declared || s.Max < threadSlots || s.Uses&^threadsUses != 0 || !l.AtomicFetch || l.NoTables:
			return false
		}
		switch s.Value.Kind {
		case types.Int, types.Bool, types.Enum, types.Pointer:
			return true
		}
		return false
	},
	plan:   newThreads,
	extras: []string{"Number", "Table"},
	check: func(c *claims, m *object.Map) error {
		if t := m.Table; t == nil || t.Slots != threadSlots || t.CPUs != 0 || m.PerCPU {
			return outline.Errorf("it has no table")
		}
		if m.Key == nil || m.Key.Size != 4 || m.Value.Size > threadSlot-threadValue {
			return outline.Errorf("its entries have no place in a table")
		}
		if err := c.table(m, threadSlots*threadSlot); err != nil {
			return err
		}
		return c.hash(m, m.Kernel, m.Key)
	},
	open: openThreads,
}

func newThreads(l *layout, s *Spec, m *object.Map) Store {
	t := &threads{hash: newHash(l, s, m), table: l.newTable(threadSlots * threadSlot)}
	m.Table = &object.Table{Off: int(t.off), Slots: threadSlots}
	return t
}

// home describes the places of a thread's entry: the thread, the word of its slot if it
// has one, and the two possible slots.
type home struct {
	tid, gen, word *ir.Value
	slots          [2]*ir.Value
}

func (s *threads) home(b *ir.Builder, k Key) home {
	h := home{tid: b.Load(k.Ptr, 0, 4, false), gen: s.generation(b)}
	h.word = b.Op(ir.OpOr, h.gen, h.tid)
	i := slotIndex(b, h.tid, threadSlots)
	base := s.slots(b)
	h.slots[0] = b.Op(ir.OpAdd, base, b.Op(ir.OpMul, i, b.Const(threadSlot)))
	h.slots[1] = b.Op(ir.OpAdd, base, b.Op(ir.OpMul, b.Op(ir.OpXor, i, b.Const(1)), b.Const(threadSlot)))
	return h
}

// over returns the address of the word that is not 0 if entries had to be stored in the
// hash map.
func (s *threads) over(b *ir.Builder) *ir.Value { return b.MapValue(s.table.m, s.off+tableOver) }

// elsewhere returns a value that is not 0 if the entry of a thread without a slot may
// be in the hash map.
func (s *threads) elsewhere(b *ir.Builder, tid *ir.Value) *ir.Value {
	return b.Op(ir.OpOr, b.Load(s.over(b), 0, 8, false), b.Op(ir.OpEq, tid, b.Const(0)))
}

func (s *threads) Find(g Gen, k Key) *ir.Value {
	b := g.B()
	h := s.home(b, k)
	value := &ir.Var{Name: "value", Type: ir.PtrMapNil}
	b.Section(func(found *ir.Block) {
		for _, slot := range h.slots {
			b.If(b.Op(ir.OpEq, b.Load(slot, 0, 8, false), h.word), func() {
				b.Write(value, b.AddImm(slot, threadValue))
				b.Jump(found)
			})
		}
		b.Write(value, b.Const(0))
		b.If(s.elsewhere(b, h.tid), func() {
			b.Cur.Unlikely = true
			b.Write(value, s.hash.Find(g, k))
		})
	})
	return b.Read(value)
}

func (s *threads) Traits() Traits { return Traits{Words: true} }

func (s *threads) Present(g Gen, k Key) *ir.Value { return s.Find(g, k) }

func (s *threads) Make(g Gen, k Key) *ir.Value {
	return s.orElse(g, k, func() *ir.Value { return s.hash.Make(g, k) })
}

func (s *threads) Share(g Gen, k Key) *ir.Value { return s.Make(g, k) }

// orElse returns the value of a key, with zeros if it is new. If both slots are taken,
// it returns the result of hashed.
func (s *threads) orElse(g Gen, k Key, hashed func() *ir.Value) *ir.Value {
	b := g.B()
	p := s.Find(g, k)
	return b.WhenNil(p, ir.Same, func() *ir.Value {
		q := s.claim(g, k)
		return b.WhenNil(q, ir.Same, func() *ir.Value {
			b.Cur.Unlikely = true
			h := s.home(b, k)
			b.If(h.tid, func() { b.Store(s.over(b), 0, 8, b.Const(1)) })
			return hashed()
		})
	})
}

// claim assigns a slot to a thread without an entry and sets its value to zero. It
// returns the value's address, or null if both slots are taken.
func (s *threads) claim(g Gen, k Key) *ir.Value {
	b := g.B()
	h := s.home(b, k)
	value := &ir.Var{Name: "value", Type: ir.PtrMapNil}
	b.Write(value, b.Const(0))
	b.Section(func(end *ir.Block) {
		b.Need(h.tid, end)
		for _, slot := range h.slots {
			b.Section(func(taken *ir.Block) {
				was := b.Load(slot, 0, 8, false)
				b.Need(b.Op(ir.OpULt, was, h.gen), taken)
				b.Need(b.Op(ir.OpEq, b.CmpXchg(slot, 0, was, b.Const(slotBusyImm)), was), taken)
				b.Store(slot, threadValue, 8, b.Const(0))
				b.Store(slot, 0, 8, h.word)
				b.Write(value, b.AddImm(slot, threadValue))
				b.Jump(end)
			})
			b.Cur.Unlikely = true
		}
	})
	return b.Read(value)
}

func (s *threads) AssignWord(g Gen, k Key, x *ir.Value, size int) {
	p := s.orElse(g, k, func() *ir.Value {
		s.hash.AssignWord(g, k, x, size)
		return g.B().Const(0)
	})
	g.B().IfNonNil(p, func(p *ir.Value) { g.B().Store(p, 0, size, x) })
}

// Remove deletes the entry in all places. If a program is interrupted by another one
// while it claims a slot, the latter may claim a second slot for the thread.
func (s *threads) Remove(g Gen, k Key) *ir.Value {
	b := g.B()
	h := s.home(b, k)
	r := &ir.Var{Name: "r", Type: ir.Int}
	b.Write(r, b.Const(enoent))
	for _, slot := range h.slots {
		b.If(b.Op(ir.OpEq, b.Load(slot, 0, 8, false), h.word), func() {
			b.Store(slot, 0, 8, b.Const(slotFree))
			b.Write(r, b.Const(0))
		})
	}
	b.If(s.elsewhere(b, h.tid), func() {
		b.Cur.Unlikely = true
		b.If(b.Op(ir.OpEq, s.hash.Remove(g, k), b.Const(0)), func() { b.Write(r, b.Const(0)) })
	})
	return b.Read(r)
}

// threadsReader reads the hash map and its thread table.
type threadsReader struct {
	*hashReader
	t *openTable
}

func openThreads(k *Kernel, m *object.Map) (Reader, error) {
	h, err := openHash(k, m)
	if err != nil {
		return nil, err
	}
	t, err := k.openTable(m.Table.Off)
	return &threadsReader{h, &t}, err
}

// Read returns the entries of the hash map and of the table. It does not stop early: the
// hash map has only the threads that have no slot, which are few.
func (r *threadsReader) Read(func(entries int) bool) ([]Entry, error) {
	entries, err := r.hashReader.Read(nil)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, e := range entries {
		seen[string(e.Key)] = true
	}
	err = r.eachSlot(func(key, val []byte, _ int64) error {
		if !seen[string(key)] {
			seen[string(key)] = true
			entries = append(entries, Entry{Key: key, Value: val[:r.size]})
		}
		return nil
	})
	return entries, err
}

// eachSlot calls f for all slots that hold an entry, with its key, its value and the
// slot's offset in the table.
func (r *threadsReader) eachSlot(f func(key, val []byte, off int64) error) error {
	gen, slots, err := r.t.read(r.m.Table.Slots * threadSlot)
	if err != nil {
		return err
	}
	for off := 0; off < len(slots); off += threadSlot {
		slot := slots[off:][:threadSlot]
		word := binary.NativeEndian.Uint64(slot)
		if word < gen || word == slotBusy {
			continue
		}
		key := binary.NativeEndian.AppendUint32(nil, uint32(word))
		if err := f(key, slot[threadValue:], int64(tableHeader+off)); err != nil {
			return err
		}
	}
	return nil
}

// Clear frees all slots before it clears the hash map.
func (r *threadsReader) Clear() error {
	if err := r.t.clear(); err != nil {
		return err
	}
	return r.hashReader.Clear()
}

func (r *threadsReader) Zero() error {
	err := r.eachSlot(func(_, _ []byte, off int64) error { return r.t.put(off+threadValue, 0) })
	if err != nil {
		return err
	}
	return r.hashReader.Zero()
}
