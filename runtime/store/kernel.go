package store

import (
	"bytes"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
)

// Kernel is the kernel maps of loaded programs.
type Kernel struct {
	Maps map[string]*ebpf.Map // by name
	CPUs int                  // possible CPUs
	// Programs are the loaded programs by name, among them those that reset maps.
	// They are used by Clear and Zero only, so they may be loaded after Open.
	Programs map[string]*ebpf.Program
	// Merge is how values of an aggregation's type are merged: it folds src into
	// dst. nil: there is no such function for the type.
	Merge func(t *types.Type) func(t *types.Type, dst, src []byte)

	memory   map[string]*ebpf.Memory          // of the arrays that are mapped, by name
	together map[string]map[uint64][]rawEntry // while ReadTogether runs: shared hash maps, by name and number
}

// A Reader is a map of the script as user space sees it.
type Reader interface {
	// Read is the entries as they are now, in no order.
	Read() ([]Entry, error)
	// Clear removes all entries; a map without keys counts as never assigned then.
	Clear() error
	// Zero sets all values to zero and keeps the keys.
	Zero() error
}

// Entry is an entry of a map: its encoded key (nil: the map has none) and its
// value, merged over CPUs.
type Entry struct{ Key, Value []byte }

// Open prepares to read a map. It must be called before programs run: it puts
// some maps into their first state.
func (k *Kernel) Open(m *object.Map) (Reader, error) {
	kind := kindOf(m.Store)
	if kind == nil {
		return nil, fmt.Errorf("bug: %s is kept in an unknown way, %q", m.Name, m.Store)
	}
	return kind.open(k, m)
}

// ReadTogether runs read, in which several maps are read. Hash maps that maps share
// are read once for all of them. Nothing may be cleared or zeroed meanwhile.
func (k *Kernel) ReadTogether(read func()) {
	k.together = map[string]map[uint64][]rawEntry{}
	read()
	k.together = nil
}

// find is a kernel map by name.
func (k *Kernel) find(name string) (*ebpf.Map, error) {
	if m := k.Maps[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("bug: no map %s", name)
}

// mapped is the memory of an array map.
func (k *Kernel) mapped(name string) (*ebpf.Memory, error) {
	if mem := k.memory[name]; mem != nil {
		return mem, nil
	}
	m, err := k.find(name)
	if err != nil {
		return nil, err
	}
	mem, err := m.Memory()
	if err == nil && mem.ReadOnly() {
		err = unix.EPERM // the memory could be mapped for reading only
	}
	if err != nil {
		return nil, fmt.Errorf("cannot map the memory of %s: %w", name, err)
	}
	if k.memory == nil {
		k.memory = map[string]*ebpf.Memory{}
	}
	k.memory[name] = mem
	return mem, nil
}

// merged folds several values into one: those of all CPUs, or of a hash map and
// its front table.
func (k *Kernel) merged(t *types.Type, vals [][]byte) []byte {
	dst := make([]byte, len(vals[0]))
	if t.Kind == types.Agg && k.Merge != nil {
		if fold := k.Merge(t); fold != nil {
			for _, src := range vals {
				fold(t, dst, src)
			}
			return dst
		}
	}
	// A declared per-CPU map of plain values: integers add up, of others the
	// first that is not zero stands for all.
	if t.Kind == types.Int {
		var sum uint64
		for _, src := range vals {
			sum += native.Uint(src)
		}
		native.PutUint(dst, sum)
		return dst
	}
	for _, src := range vals {
		if len(bytes.Trim(src, "\x00")) > 0 {
			copy(dst, src)
			break
		}
	}
	return dst
}
