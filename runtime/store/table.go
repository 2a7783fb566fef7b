package store

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// Front tables and thread tables are arrays of slots that programs access by address,
// without a helper. All tables of a script are in one array map of one element,
// object.TableMap, which is mapped into memory. A table starts with a header: a
// generation (u64), and a u64 that thread tables use. The slots follow after tableHeader
// bytes.
//
// A slot starts with a word that contains its owner. A slot is in use only if the word
// is at least the generation of the table. So user space clears a table with one store,
// which begins a new generation. The lower half of a generation is zero, so that the
// word can also hold a thread's ID.
const (
	tableGen    = 0
	tableOver   = 8
	tableHeader = 64 // a cache line, so that programs do not write to the line of the generation

	slotFree        = 0          // never used
	slotBusy        = 1<<64 - 1  // being claimed: neither key nor value is valid
	slotBusyImm     = -1         // slotBusy as a signed word
	firstGeneration = 1 << 32    // also the difference between two generations
	golden          = 0x61c88647 // 2³² divided by the golden ratio, negated: the factor of multiplicative hashing
)

// table is a table as programs use it.
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

// tableSize returns the size of a table whose slots take size bytes. It is a multiple
// of a cache line.
func tableSize(size int) int { return types.RoundUp(tableHeader+size, 64) }

func (t table) generation(b *ir.Builder) *ir.Value {
	return b.Load(b.MapValue(t.m, t.off+tableGen), 0, 8, false)
}

// slots returns the address of the first slot.
func (t table) slots(b *ir.Builder) *ir.Value { return b.MapValue(t.m, t.off+tableHeader) }

// slotIndex maps x to one of n slots. n is a power of two.
func slotIndex(b *ir.Builder, x *ir.Value, n int) *ir.Value {
	return b.Op(ir.OpAnd, b.Op(ir.OpShr, b.Op(ir.OpMul, x, b.Const(golden)), b.Const(20)), b.Const(int64(n-1)))
}

// openTable is a table as user space uses it.
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

// read returns the generation and the first n bytes of the slots.
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
