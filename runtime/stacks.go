package runtime

import (
	"encoding/binary"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// stackKeeper frees entries of the MoreStacks maps that no map of the script refers
// to any more, for example after clear() and delete(). So a script that runs for
// days does not run out of room for new stacks.
//
// A program may find a stack and store its number into a map at any moment, so
// stacks are freed in two steps. A sweep marks unused stacks that no program has
// met for a while. Programs no longer find a marked stack and give the same frames
// a new number. A number that a program found before the mark is in the script's
// maps by the next sweep, or in a record that is handled by then. The next sweep
// deletes the marked stacks that are still unused.
type stackKeeper struct {
	depths  map[int]*depthKeeper
	swept   time.Time // time of the last sweep
	drained time.Time // the last time when all records had been handled
}

// depthKeeper frees the stacks of one depth.
type depthKeeper struct {
	m      *ebpf.Map
	marked map[uint32]bool
}

const (
	sweepEvery = 5 * time.Second
	unmet      = 5 * time.Second // a stack that no program has met for this long may be marked
)

// keepStacks creates the session's stackKeeper if the script needs one.
func (s *Instance) keepStacks() {
	if s.obj.Recorder != nil {
		return // any stack may be in a recorded event
	}
	k := &stackKeeper{depths: map[int]*depthKeeper{}, swept: time.Now()}
	for i := range s.obj.Kernel {
		if depth, ok := object.MoreStacksDepth(s.obj.Kernel[i].Name); ok {
			k.depths[depth] = &depthKeeper{s.maps[s.obj.Kernel[i].Name], map[uint32]bool{}}
		}
	}
	for i := range s.obj.Maps {
		// A reader sees only the sum of a map's per-CPU values, not the stacks in
		// them.
		if m := &s.obj.Maps[i]; m.PerCPU && s.stacksIn(m.Value, nil, nil) {
			return
		}
	}
	if len(k.depths) > 0 {
		s.stacks = k
	}
}

// sweepStacks frees stacks in the maps that are at least half full.
func (s *Instance) sweepStacks(now time.Time) {
	k := s.stacks
	if k == nil || now.Sub(k.swept) < sweepEvery {
		return
	}
	drained := k.drained.After(k.swept) || s.ring == nil
	k.swept = now
	var used map[int]map[uint32]bool
	for depth, d := range k.depths {
		if len(d.marked) == 0 && !d.halfFull() {
			continue
		}
		if used == nil {
			var err error
			if used, err = s.usedStacks(); err != nil {
				return
			}
		}
		if drained {
			d.free(used[depth])
		}
		if d.halfFull() {
			d.mark(used[depth], uint64(clockNow(unix.CLOCK_MONOTONIC)-int64(unmet)))
		}
	}
}

// usedStacks returns the numbers of the stacks that the script's maps refer to, by
// depth.
func (s *Instance) usedStacks() (map[int]map[uint32]bool, error) {
	used := map[int]map[uint32]bool{}
	note := func(depth int, number uint32) {
		if used[depth] == nil {
			used[depth] = map[uint32]bool{}
		}
		used[depth][number] = true
	}
	for i := range s.obj.Maps {
		m := &s.obj.Maps[i]
		inKey, inValue := m.Key != nil && s.stacksIn(m.Key, nil, nil), s.stacksIn(m.Value, nil, nil)
		if !inKey && !inValue {
			continue
		}
		entries, err := s.readers[m].Read(nil)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if inKey {
				s.stacksIn(m.Key, e.Key, note)
			}
			if inValue {
				s.stacksIn(m.Value, e.Value, note)
			}
		}
	}
	return used, nil
}

// stacksIn calls note, unless it is nil, for each stack in a value of type t whose
// frames the kernel keeps. It reports whether t contains such stacks.
func (s *Instance) stacksIn(t *types.Type, data []byte, note func(depth int, number uint32)) bool {
	found := false
	eachOpaque(t, 0, func(t *types.Type, off int) {
		if d := s.defs.ForType(t.Name); d != nil && d.KeptStack != nil {
			found = true
			if note != nil && off+t.Size <= len(data) {
				if depth, number, ok := d.KeptStack(t, data[off:]); ok {
					note(depth, number)
				}
			}
		}
	})
	return found
}

// eachOpaque calls visit for each part of t that is a builtin's type, with the
// offset of that part. off is the offset of t.
func eachOpaque(t *types.Type, off int, visit func(t *types.Type, off int)) {
	if t == nil {
		return
	}
	switch t.Kind {
	case types.Opaque:
		visit(t, off)
	case types.Array:
		for i := range t.Len {
			eachOpaque(t.Elem, off+i*t.Elem.Size, visit)
		}
	case types.Tuple, types.Record:
		for _, f := range t.Fields {
			eachOpaque(f.Type, off+f.Off, visit)
		}
	}
}

// halfFull reports whether at least half of the entries are in use.
func (d *depthKeeper) halfFull() bool {
	key, n := make([]byte, 4), 0
	for err := store.NextKey(d.m, nil, key); err == nil; err = store.NextKey(d.m, key, key) {
		if n++; n >= int(d.m.MaxEntries())/2 {
			return true
		}
	}
	return false
}

// mark marks the stacks that are not in used and were last met before the given
// time, in ns of the monotonic clock.
func (d *depthKeeper) mark(used map[uint32]bool, before uint64) {
	ne := binary.NativeEndian
	data := make([]byte, d.m.ValueSize())
	for _, key := range d.keys() {
		number := ne.Uint32(key)
		if used[number] || d.marked[number] || store.LookupElem(d.m, key, data) != nil || ne.Uint64(data[object.StackUsed:]) >= before {
			continue
		}
		ne.PutUint64(data[object.StackHash:], object.GivenUp)
		if store.UpdateElem(d.m, key, data, unix.BPF_EXIST) == nil {
			d.marked[number] = true
		}
	}
}

// free deletes the marked stacks that are not in used. It keeps a stack if the next
// number is taken: that stack may have its number because this one was taken, and
// programs could not find it once this number is free.
func (d *depthKeeper) free(used map[uint32]bool) {
	ne := binary.NativeEndian
	data := make([]byte, d.m.ValueSize())
	for number := range d.marked {
		next := ne.AppendUint32(nil, number+1)
		if used[number] || store.LookupElem(d.m, next, data) == nil {
			continue
		}
		if store.DeleteElem(d.m, ne.AppendUint32(nil, number)) == nil {
			delete(d.marked, number)
		}
	}
}

// keys returns the keys of all entries.
func (d *depthKeeper) keys() [][]byte {
	var keys [][]byte
	var key []byte
	for {
		next := make([]byte, 4)
		if store.NextKey(d.m, key, next) != nil {
			return keys
		}
		keys = append(keys, next)
		key = next
	}
}
