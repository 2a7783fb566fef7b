package store

import (
	"bytes"
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Kernel holds the kernel maps of loaded programs.
type Kernel struct {
	Maps map[string]*ebpf.Map // by name
	CPUs int                  // possible CPUs
	// Programs are the loaded programs by name, including those of maps. Open does not
	// use them, so they may be loaded after it.
	Programs map[string]*ebpf.Program
	// Merge returns the function that merges values of an aggregation's type: it adds
	// src to dst. It returns nil if the type has none.
	Merge func(t *types.Type) func(t *types.Type, dst, src []byte)

	memory   map[string]*ebpf.Memory          // memory of mapped arrays, by name
	together map[string]map[uint64][]rawEntry // entries of shared hash maps, by name and number; only during ReadTogether
}

// A Reader gives user space access to a map of the script.
type Reader interface {
	// Read returns the present entries, in no particular order. If stop is not nil, Read
	// calls it after every few thousand entries with their number so far. If stop returns
	// true, Read returns these entries and ErrStopped.
	Read(stop func(entries int) bool) ([]Entry, error)
	// Clear removes all entries. A map without keys then counts as never assigned.
	Clear() error
	// Zero sets all values to zero and keeps the keys.
	Zero() error
}

// ErrStopped is the error of Read if its argument stop ended it before the last entry.
var ErrStopped = errors.New("not all entries were read")

// Entry is an entry of a map: its encoded key, or nil if the map has none, and its
// value, merged over all CPUs.
type Entry struct{ Key, Value []byte }

// Open prepares to read a map. It must be called before programs run, as it initializes
// some maps.
func (k *Kernel) Open(m *object.Map) (Reader, error) {
	kind := kindOf(m.Store)
	if kind == nil {
		return nil, outline.Errorf("bug: %s is kept in an unknown way, %q", m.Name, m.Store)
	}
	return kind.open(k, m)
}

// ReadTogether calls read, which reads several maps. Each shared hash map is read once
// for all its maps. No map may be cleared or zeroed meanwhile.
//
//go:noinline
func (k *Kernel) ReadTogether(read func()) {
	k.together = map[string]map[uint64][]rawEntry{}
	read()
	k.together = nil
}

// find returns the kernel map with a name.
func (k *Kernel) find(name string) (*ebpf.Map, error) {
	if m := k.Maps[name]; m != nil {
		return m, nil
	}
	return nil, outline.Errorf("bug: no map %s", name)
}

// program returns one of the programs of a map, which its store lists in its traits.
func (k *Kernel) program(name string, m *object.Map) (*ebpf.Program, error) {
	name = programName(name, m)
	if p := k.Programs[name]; p != nil {
		return p, nil
	}
	return nil, outline.Errorf("bug: no program %s", name)
}

// mapped returns the memory of an array map.
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
		err = unix.EPERM // the memory could only be mapped read-only
	}
	if err != nil {
		return nil, outline.Errorf("cannot map the memory of %s: %w", name, err)
	}
	if k.memory == nil {
		k.memory = map[string]*ebpf.Memory{}
	}
	k.memory[name] = mem
	return mem, nil
}

// merger returns a function that merges values of type t, such as those of all CPUs,
// into dst, which must hold zeros or a merged value.
func (k *Kernel) merger(t *types.Type) func(dst []byte, vals [][]byte) {
	if t.Kind == types.Agg && k.Merge != nil {
		if fold := k.Merge(t); fold != nil {
			return func(dst []byte, vals [][]byte) {
				for _, src := range vals {
					fold(t, dst, src)
				}
			}
		}
	}
	// In a map declared per-CPU with plain values, integers are added up. For other
	// types, the result is the first value that is not zero.
	if t.Kind == types.Int {
		return func(dst []byte, vals [][]byte) {
			sum := native.Uint(dst)
			for _, src := range vals {
				sum += native.Uint(src)
			}
			native.PutUint(dst, sum)
		}
	}
	return func(dst []byte, vals [][]byte) {
		for _, src := range vals {
			if !allZero(dst) {
				return
			}
			copy(dst, src)
		}
	}
}

// merged returns the merged value of several values of type t, at least one.
func (k *Kernel) merged(t *types.Type, vals [][]byte) []byte {
	dst := make([]byte, len(vals[0]))
	k.merger(t)(dst, vals)
	return dst
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
