package store

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// Front tables and thread tables are rows of slots that programs reach by address,
// without a helper. All tables of a script are in one array map of one element,
// object.TableMap, which is mapped into memory. A table starts with a header:
// a generation (u64), and a u64 that thread tables use; slots follow after
// tableHeader bytes.
//
// A slot starts with a word that says whether it is taken, and by whom. It counts
// only if the word is at least the generation of the table. So one store empties
// all slots: to begin a new generation is how user space clears a table. The lower
// half of a generation is zero, so that the word can hold a thread's ID as well.
const (
	tableGen    = 0
	tableOver   = 8
	tableHeader = 64 // a cache line, so that programs do not write to that of the generation

	slotFree        = 0          // never used
	slotBusy        = 1<<64 - 1  // being given away: neither key nor value can be relied on
	slotBusyImm     = -1         // slotBusy as a signed word
	firstGeneration = 1 << 32    // and what is added to begin the next one
	golden          = 0x61c88647 // 2³² divided by the golden ratio, negated: the factor of multiplicative hashing
)

// table is a table in a program.
type table struct {
	m   *ir.Map
	off int64
}

// newTable reserves a header and size bytes.
func (l *layout) newTable(size int) table {
	m := l.array(&l.tables, object.TableMap)
	t := table{m, int64(m.ValueSize)}
	m.ValueSize += tableSize(size)
	return t
}

// tableSize is how many bytes a table takes whose slots take size bytes: whole cache
// lines.
func tableSize(size int) int { return (tableHeader + size + 63) &^ 63 }

func (t table) generation(b *ir.Builder) *ir.Value {
	return b.Load(b.MapValue(t.m, t.off+tableGen), 0, 8, false)
}

// slots is the address of the first slot.
func (t table) slots(b *ir.Builder) *ir.Value { return b.MapValue(t.m, t.off+tableHeader) }

// slotIndex spreads x over n slots, a power of two.
func slotIndex(b *ir.Builder, x *ir.Value, n int) *ir.Value {
	return b.Op(ir.OpAnd, b.Op(ir.OpShr, b.Op(ir.OpMul, x, b.Const(golden)), b.Const(20)), b.Const(int64(n-1)))
}

// openTable is a table as user space sees it.
type openTable struct {
	mem *ebpf.Memory
	off int64
}

// openTable begins the first generation of a table.
func (k *Kernel) openTable(off int) (openTable, error) {
	mem, err := k.mapped(object.TableMap)
	if err != nil {
		return openTable{}, err
	}
	t := openTable{mem, int64(off)}
	return t, t.put(tableGen, firstGeneration)
}

func (t *openTable) put(off int64, x uint64) error {
	_, err := t.mem.WriteAt(binary.NativeEndian.AppendUint64(nil, x), t.off+off)
	return err
}

// read is the generation, and the first n bytes of the slots.
func (t *openTable) read(n int) (gen uint64, slots []byte, err error) {
	all := make([]byte, tableHeader+n)
	_, err = t.mem.ReadAt(all, t.off)
	return binary.NativeEndian.Uint64(all[tableGen:]), all[tableHeader:], err
}

// clear begins a new generation.
func (t *openTable) clear() error {
	gen, _, err := t.read(0)
	if err != nil {
		return err
	}
	return t.put(tableGen, gen+firstGeneration)
}
