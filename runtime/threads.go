package runtime

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/runtime/object"
)

// openThreads maps a object.Threads into memory and begins its first generation.
func (s *Session) openThreads(t *object.Threads) error {
	k := s.maps[t.Kernel]
	if k == nil {
		return fmt.Errorf("bug: no map %s", t.Kernel)
	}
	mem, err := k.Memory()
	if err != nil {
		return fmt.Errorf("cannot map the memory of %s: %w", t.Kernel, err)
	}
	if s.threads == nil {
		s.threads = map[string]*ebpf.Memory{}
	}
	s.threads[t.Kernel] = mem
	return putWord(mem, object.ThreadsGen, object.ThreadsFirst)
}

func getWord(mem *ebpf.Memory, off int64) (uint64, error) {
	var b [8]byte
	_, err := mem.ReadAt(b[:], off)
	return binary.NativeEndian.Uint64(b[:]), err
}

func putWord(mem *ebpf.Memory, off int64, x uint64) error {
	_, err := mem.WriteAt(binary.NativeEndian.AppendUint64(nil, x), off)
	return err
}

// clearThreads gives back all slots of m's object.Threads, if it has one. The hash
// map has to be cleared next.
func (s *Session) clearThreads(m *object.Map) error {
	if m.Threads == nil {
		return nil
	}
	mem := s.threads[m.Threads.Kernel]
	gen, err := getWord(mem, object.ThreadsGen)
	if err != nil {
		return err
	}
	return putWord(mem, object.ThreadsGen, gen+object.ThreadsFirst)
}

// zeroThreads sets the values in m's object.Threads to zero.
func (s *Session) zeroThreads(m *object.Map) error {
	return s.eachThread(m, func(_, _ []byte, off int64) error {
		return putWord(s.threads[m.Threads.Kernel], off+object.ThreadValue, 0)
	})
}

// addThreads adds to pairs, which the hash map has, what m's object.Threads holds.
func (s *Session) addThreads(m *object.Map, pairs []pair) ([]pair, error) {
	seen := map[string]bool{}
	for _, p := range pairs {
		seen[string(p.key)] = true
	}
	err := s.eachThread(m, func(key, val []byte, _ int64) error {
		if !seen[string(key)] {
			seen[string(key)] = true
			pairs = append(pairs, pair{key: key, val: val[:m.Value.Size]})
		}
		return nil
	})
	return pairs, err
}

// eachThread calls f for all slots that hold an entry: its key, its value, and
// where the slot is.
func (s *Session) eachThread(m *object.Map, f func(key, val []byte, off int64) error) error {
	if m.Threads == nil {
		return nil
	}
	all := make([]byte, m.Threads.Size())
	if _, err := s.threads[m.Threads.Kernel].ReadAt(all, 0); err != nil {
		return err
	}
	gen := binary.NativeEndian.Uint64(all[object.ThreadsGen:])
	for i := range m.Threads.Slots {
		off := object.ThreadsHeader + i*object.ThreadSlot
		slot := all[off:][:object.ThreadSlot]
		word := binary.NativeEndian.Uint64(slot)
		if word < gen || word == object.ThreadBusy {
			continue
		}
		key := binary.NativeEndian.AppendUint32(nil, uint32(word))
		if err := f(key, slot[object.ThreadValue:], int64(off)); err != nil {
			return err
		}
	}
	return nil
}
