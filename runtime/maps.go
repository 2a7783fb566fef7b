package runtime

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// pair is an entry of a map: its encoded key (nil: none) and its value, merged
// over CPUs.
type pair struct{ key, val []byte }

// printAll prints every map that has something in it, by name.
func (s *Session) printAll() {
	maps := make([]*object.Map, 0, len(s.obj.Maps))
	for i := range s.obj.Maps {
		maps = append(maps, &s.obj.Maps[i])
	}
	slices.SortFunc(maps, func(a, b *object.Map) int { return cmp.Compare(a.Name, b.Name) })
	for _, m := range maps {
		if err := s.printMap(m, 0, 0, false); err != nil {
			fmt.Fprintf(s.opt.Stderr, "ERROR: cannot print %s: %v\n", m.Name, err)
		}
	}
}

// printMap prints the entries of m with the greatest values, or all if top is
// 0. A map without keys that was never assigned is shown as zero if it is asked
// for, and left out otherwise.
func (s *Session) printMap(m *object.Map, top, div int64, asked bool) error {
	pairs, err := s.readMap(m)
	if err != nil {
		return err
	}
	if m.Key == nil && len(pairs) == 0 && asked {
		pairs = []pair{{val: make([]byte, m.Value.Size)}}
		switch s.env.Decode(m.Value, pairs[0].val).(type) {
		case value.Hist, value.Series: // nothing to draw
			pairs = nil
		}
	}
	s.sortPairs(m, pairs)
	if top > 0 && int64(len(pairs)) > top {
		pairs = pairs[int64(len(pairs))-top:]
	}
	if len(pairs) == 0 {
		return nil
	}
	out := output.Map{Name: m.Name, Keyed: m.Key != nil, Div: div, Entries: make([]value.Entry, len(pairs))}
	for i, p := range pairs {
		if m.Key != nil {
			out.Entries[i].Key = s.env.Decode(m.Key, p.key)
		}
		out.Entries[i].Value = s.env.Decode(m.Value, p.val)
	}
	s.opt.Sink.Map(out)
	return nil
}

// sortPairs puts entries in order: integers and aggregations ascending by
// value, all others by key. Equal ones are ordered by key, so that the same
// data prints the same.
func (s *Session) sortPairs(m *object.Map, pairs []pair) {
	if len(pairs) < 2 {
		return
	}
	byKey := func(a, b pair) int { return compareValues(m.Key, a.key, b.key) }
	byValue := byKey
	switch m.Value.Kind {
	case types.Int, types.Enum:
		byValue = func(a, b pair) int { return compareValues(m.Value, a.val, b.val) }
	case types.Agg:
		order := compareAggBytes
		if d := s.defs.ForType(m.Value.Name); d != nil && d.Order != nil {
			order = d.Order
		}
		byValue = func(a, b pair) int { return order(m.Value, a.val, b.val) }
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := byValue(a, b); c != 0 {
			return c
		}
		return byKey(a, b)
	})
}

// compareAggBytes orders aggregations that have no order of their own by their
// first word.
func compareAggBytes(t *types.Type, a, b []byte) int {
	return compareValues(types.NewInt(min(t.Size, 8), t.Signed), a, b)
}

// compareValues orders two encoded values of type t.
func compareValues(t *types.Type, a, b []byte) int {
	switch t.Kind {
	case types.Int, types.Enum, types.Bool, types.Pointer:
		if t.Signed {
			return cmp.Compare(signedAt(a, t.Size), signedAt(b, t.Size))
		}
		return cmp.Compare(unsignedAt(a, t.Size), unsignedAt(b, t.Size))
	case types.String:
		return bytes.Compare(cString(a), cString(b))
	case types.Tuple, types.Record:
		for _, f := range t.Fields {
			end := f.Off + f.Type.Size
			if c := compareValues(f.Type, a[f.Off:end], b[f.Off:end]); c != 0 {
				return c
			}
		}
		return 0
	case types.Array:
		if t.Elem == nil || t.Elem.Size == 0 {
			return 0
		}
		for i := range t.Len {
			lo, hi := i*t.Elem.Size, (i+1)*t.Elem.Size
			if c := compareValues(t.Elem, a[lo:hi], b[lo:hi]); c != 0 {
				return c
			}
		}
		return 0
	case types.Opaque:
		if t.IsScalar() {
			return cmp.Compare(unsignedAt(a, t.Size), unsignedAt(b, t.Size))
		}
	}
	return bytes.Compare(a, b)
}

func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// readMap reads a map of the script as it is now.
func (s *Session) readMap(m *object.Map) ([]pair, error) {
	size := m.Value.Size
	switch m.Store {
	case object.Slot:
		if s.slots == nil {
			return nil, fmt.Errorf("bug: no map %s", m.Kernel)
		}
		if m.Set >= 0 && !s.slotSet(m.Set) {
			return nil, nil
		}
		val := make([]byte, size)
		if _, err := s.slots.ReadAt(val, int64(m.Off)); err != nil {
			return nil, err
		}
		return []pair{{val: val}}, nil
	case object.PerCPUSlot:
		k := s.maps[m.Kernel]
		if k == nil {
			return nil, fmt.Errorf("bug: no map %s", m.Kernel)
		}
		stride := roundUp8(int(k.ValueSize()))
		all := make([]byte, stride*s.ncpu)
		if err := lookupElem(k, make([]byte, 4), all); err != nil {
			return nil, err
		}
		set := m.Set < 0
		cpus := make([][]byte, s.ncpu)
		for i := range cpus {
			elem := all[i*stride : (i+1)*stride]
			cpus[i] = elem[m.Off : m.Off+size]
			set = set || elem[m.Set] != 0
		}
		if !set {
			return nil, nil
		}
		return []pair{{val: s.merge(m.Value, cpus)}}, nil
	}
	return s.readHash(m)
}

func (s *Session) slotSet(off int) bool {
	var b [1]byte
	_, err := s.slots.ReadAt(b[:], int64(off))
	return err == nil && b[0] != 0
}

// merge folds the values of all CPUs into one.
func (s *Session) merge(t *types.Type, cpus [][]byte) []byte {
	dst := make([]byte, len(cpus[0]))
	if t.Kind == types.Agg {
		if d := s.defs.ForType(t.Name); d != nil && d.Merge != nil {
			for _, src := range cpus {
				d.Merge(t, dst, src)
			}
			return dst
		}
	}
	// A declared per-CPU map of plain values: integers add up, of others the
	// first that is not zero stands for all.
	if t.Kind == types.Int {
		var sum uint64
		for _, src := range cpus {
			sum += unsignedAt(src, t.Size)
		}
		putUint(dst, sum)
		return dst
	}
	for _, src := range cpus {
		if !allZero(src) {
			copy(dst, src)
			break
		}
	}
	return dst
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func roundUp8(n int) int { return (n + 7) &^ 7 }

func unsignedAt(b []byte, size int) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}

func signedAt(b []byte, size int) int64 {
	shift := 64 - 8*size
	return int64(unsignedAt(b, size)<<shift) >> shift
}

func putUint(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(v))
	case 8:
		binary.NativeEndian.PutUint64(b, v)
	}
}

// mapByName finds a map of the script by its name with the @.
func (s *Session) mapByName(name string) (*object.Map, error) {
	if m := s.byName[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("bug: no map %s", name)
}

// clearMap removes all entries; a map without keys counts as never assigned
// again.
func (s *Session) clearMap(m *object.Map) error {
	switch m.Store {
	case object.Slot:
		if err := s.zeroSlot(m); err != nil || m.Set < 0 {
			return err
		}
		_, err := s.slots.WriteAt([]byte{0}, int64(m.Set))
		return err
	case object.PerCPUSlot:
		return s.zeroCPUSlot(m, m.Set >= 0)
	}
	return s.clearHash(m)
}

// zeroMap sets all values to zero and keeps the keys.
func (s *Session) zeroMap(m *object.Map) error {
	switch m.Store {
	case object.Slot:
		return s.zeroSlot(m)
	case object.PerCPUSlot:
		return s.zeroCPUSlot(m, false)
	}
	return s.zeroHash(m)
}

func (s *Session) zeroSlot(m *object.Map) error {
	_, err := s.slots.WriteAt(make([]byte, m.Value.Size), int64(m.Off))
	return err
}

var _ builtins.Env = (*env)(nil)
