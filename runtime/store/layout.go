package store

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// Target is the kernel for which maps are laid out.
type Target struct {
	CPUs         int  // possible CPUs
	AtomicFetch  bool // programs can exchange words in memory
	LookupPerCPU bool // programs can reach the values of other CPUs
	LongKeys     bool // keys may have more than maxOldKey bytes
	NoTables     bool // values must be entirely in kernel maps, as programs other than gotrace read them
}

// Layout is the placement of a script's maps.
type Layout struct {
	Kernel []*ir.Map    // the kernel maps, in the order in which they are first needed
	Maps   []object.Map // descriptions, one for each Spec
	Stores []Store      // one for each Spec
}

// layout is a Layout under construction.
type layout struct {
	Layout
	Target
	diags         source.Diags
	slots, tables *ir.Map
	cpuSlots      []*ir.Map // of at most MaxPerCPU bytes each
	shared        map[shape]*sharedHash
	tableRoom     int // number of bytes that a front table may take
}

// maxOldKey is the maximum size of a hash map's key before Linux 5.11, in bytes.
const maxOldKey = 512

// A kernel lets a program use 64 maps. Some are not the script's maps: those for events,
// literals, sites, scratch memory and stacks.
const (
	maxMaps    = 64
	otherMaps  = 8
	maxOwnMaps = 44 // if a program uses more maps than that, its maps share hash maps
)

// Plan selects a store for each map and lays out all maps. Its error is a
// source.DiagError about maps that the target cannot keep.
func Plan(t Target, specs []*Spec) (*Layout, error) {
	l := &layout{Target: t, shared: map[shape]*sharedHash{}}
	ways := make([]kind, len(specs))
	for i, s := range specs {
		ways[i] = l.choose(s)
	}
	share := l.crowded(specs, ways)
	fronts, threadTables := 0, map[int]int{} // the latter by program
	for i, s := range specs {
		if share[i] {
			// A hash map that several maps share cannot be split.
			s.shared = true
			ways[i] = l.choose(s)
		}
		if ways[i].name == threadsKind.name && !fewTables(threadTables, s.Programs) {
			ways[i] = hashKind
		}
		parted := ways[i].name == partedKind.name
		if ways[i].name == frontKind.name || parted && l.frontsParts(s) {
			if fronts++; fronts <= maxFronts {
				s.fronted = true
			} else if !parted {
				ways[i] = hashKind
			}
		}
	}
	l.tableRoom = min(maxFrontSize, maxFrontSizes/max(fronts, 1))
	for i, s := range specs {
		m := object.Map{Name: s.Name, Span: s.Span, Key: s.Key, Value: s.Value, Max: s.Max, Store: ways[i].name}
		l.Stores = append(l.Stores, ways[i].plan(l, s, &m))
		l.Maps = append(l.Maps, m)
	}
	l.check(specs)
	if err := l.diags.Err(); err != nil {
		return nil, err
	}
	return &l.Layout, nil
}

// fewTables reports whether one more map of programs can have a thread table, and counts
// it. A program keeps some values for each table that it uses, as long as it runs, and its
// stack has room for those of about a dozen.
func fewTables(tables map[int]int, programs []int) bool {
	for _, p := range programs {
		if tables[p] == maxThreadTables {
			return false
		}
	}
	for _, p := range programs {
		tables[p]++
	}
	return true
}

func (l *layout) choose(s *Spec) kind {
	for _, k := range kinds() {
		if k.fits(l, s) {
			return k
		}
	}
	panic("store: no way to keep " + s.Name)
}

// crowded returns the maps that have to share hash maps, because a program would
// otherwise use too many.
func (l *layout) crowded(specs []*Spec, ways []kind) []bool {
	own := map[int]int{} // by program
	for i, s := range specs {
		for _, p := range s.Programs {
			own[p] += ways[i].own
		}
	}
	share := make([]bool, len(specs))
	for i, s := range specs {
		for _, p := range s.Programs {
			share[i] = share[i] || own[p] > maxOwnMaps && ways[i].own > 0 && l.canShare(s)
		}
	}
	return share
}

// check reports programs that use more maps than the kernel allows.
func (l *layout) check(specs []*Spec) {
	used := map[int]map[*ir.Map]bool{}
	for i, s := range specs {
		for _, prog := range s.Programs {
			if used[prog] == nil {
				used[prog] = map[*ir.Map]bool{}
			}
			before := len(used[prog])
			for _, p := range l.Stores[i].Parts() {
				used[prog][p.Map] = true
			}
			if most := maxMaps - otherMaps; before <= most && len(used[prog]) > most {
				l.diags.ErrorHint(s.Span, "maps share a kernel map where their keys and values are of the same size, and they are not declared",
					"%s is one map too many for a program: the kernel lets it use %d, of which %d are for the script's maps", s.Name, maxMaps, most)
			}
		}
	}
}

//go:noinline
func (l *layout) newMap(m ir.Map) *ir.Map {
	l.Kernel = append(l.Kernel, &m)
	return &m
}

// array returns an array map of one element. It creates the map when it is first needed.
// Callers increase the size of its value. User space reads and writes the value through
// mapped memory. Otherwise it could only write the whole element, and would undo changes
// that programs make meanwhile.
//
//go:noinline
func (l *layout) array(m **ir.Map, name string) *ir.Map {
	if *m == nil {
		*m = l.newMap(ir.Map{Name: name, Type: ir.Array, KeySize: 4, MaxEntries: 1, Flags: mmapable})
	}
	return *m
}

// mmapable is BPF_F_MMAPABLE.
const mmapable = 1 << 10

// slot reserves size bytes, a multiple of 8, in the map of plain slots.
func (l *layout) slot(size int) (*ir.Map, int) {
	m := l.array(&l.slots, object.SlotMap)
	off := m.ValueSize
	m.ValueSize += size
	return m, off
}

// cpuSlot reserves size bytes, a multiple of 8, in a map of per-CPU slots.
func (l *layout) cpuSlot(size int) (*ir.Map, int) {
	n := len(l.cpuSlots)
	if n == 0 || l.cpuSlots[n-1].ValueSize+size > MaxPerCPU {
		name := object.CPUSlotMap
		if n > 0 {
			name = fmt.Sprint(name, n)
		}
		l.cpuSlots = append(l.cpuSlots, l.newMap(ir.Map{Name: name, Type: ir.PerCPUArray, KeySize: 4, MaxEntries: 1}))
		n++
	}
	m := l.cpuSlots[n-1]
	off := m.ValueSize
	m.ValueSize += size
	return m, off
}

// kernelName returns the name of a map's hash map.
func kernelName(name string) string { return "AT_" + strings.TrimPrefix(name, "@") }
