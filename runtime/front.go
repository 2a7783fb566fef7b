package runtime

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gotrace/gotrace/runtime/object"
)

// firstGenerations is what a object.GenMap of that size holds at the start.
func firstGenerations(size int) []byte {
	gens := make([]byte, size)
	for i := 0; i < size; i += 8 {
		binary.NativeEndian.PutUint64(gens[i:], object.FrontFirst)
	}
	return gens
}

// clearFront gives back all slots of m's front, if it has one. What programs
// add meanwhile to values they have found is lost with them. The keys are in the
// hash map still.
func (s *Session) clearFront(m *object.Map) error {
	if m.Front == nil {
		return nil
	}
	gen := s.gens[m.Front.Gen:]
	binary.NativeEndian.PutUint64(gen, binary.NativeEndian.Uint64(gen)+1)
	return updateElem(s.maps[object.GenMap], make([]byte, 4), s.gens, 0)
}

// busyWait is how long to wait for a slot that is being given to a key. It takes
// a few instructions, but the program can lose the CPU in between.
const busyWait = 20 * time.Millisecond

// addFront adds to the parts of each key what m's front holds. It is read after
// the hash map: a key that gets its slot meanwhile may be new to pairs, but none
// is there whose slot is not seen.
func (s *Session) addFront(m *object.Map, pairs []pair, parts [][][]byte) ([]pair, [][][]byte, error) {
	slots, err := s.readFront(m)
	if err != nil {
		return nil, nil, err
	}
	index := make(map[string]int, len(pairs))
	for i, p := range pairs {
		index[string(p.key)] = i
	}
	for _, slot := range slots {
		key, val := slot[object.FrontKey:][:m.Front.Key], slot[m.Front.SlotValue():][:m.Value.Size]
		i, ok := index[string(key)]
		if !ok {
			i = len(pairs)
			index[string(key)] = i
			pairs, parts = append(pairs, pair{key: key}), append(parts, nil)
		}
		parts[i] = append(parts[i], val)
	}
	return pairs, parts, nil
}

// readFront is the slots of m's front that belong to a key.
func (s *Session) readFront(m *object.Map) ([][]byte, error) {
	f := m.Front
	k := s.maps[f.Kernel]
	if k == nil {
		return nil, fmt.Errorf("bug: no map %s", f.Kernel)
	}
	gen := binary.NativeEndian.Uint64(s.gens[f.Gen:])
	elem := make([]byte, roundUp8(int(k.ValueSize())))
	for deadline := time.Now().Add(busyWait); ; time.Sleep(10 * time.Microsecond) {
		if err := lookupElem(k, make([]byte, 4), elem); err != nil {
			return nil, err
		}
		var slots [][]byte
		busy := false
		for cpu := range f.CPUs {
			for i := range f.Slots {
				slot := elem[cpu*f.Region()+i*f.SlotSize():][:f.SlotSize()]
				switch binary.NativeEndian.Uint64(slot) {
				case gen:
					slots = append(slots, slot)
				case object.FrontBusy:
					busy = true
				}
			}
		}
		if !busy || time.Now().After(deadline) {
			return slots, nil
		}
	}
}
