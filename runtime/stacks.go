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

// stackKeeper frees the stacks of the MoreStacks maps that no map of the script
// refers to any more, after clear() and delete(), so that a script that runs for
// days has room for new ones.
//
// A program may find a stack at any moment and put its number into a map. So a
// stack that was not met for a while is first marked: programs do not find it any
// more, and give the same frames a new number. What they had found before that
// shows in the script's maps the next time, and in records that are handled by
// then. Only a stack that is still not referred to is deleted.
type stackKeeper struct {
	depths  map[int]*depthKeeper
	swept   time.Time // when the last sweep was
	drained time.Time // when all records had been handled
}

// depthKeeper frees the stacks of one depth.
type depthKeeper struct {
	m      *ebpf.Map
	marked map[uint32]bool
}

const (
	sweepEvery = 5 * time.Second
	unmet      = 5 * time.Second // how long a stack was not met that is given up
)

// keepStacks prepares for freeing stacks, if the script may have to.
func (s *Session) keepStacks() {
	k := &stackKeeper{depths: map[int]*depthKeeper{}, swept: time.Now()}
	for i := range s.obj.Kernel {
		if depth, ok := object.MoreStacksDepth(s.obj.Kernel[i].Name); ok {
			k.depths[depth] = &depthKeeper{s.maps[s.obj.Kernel[i].Name], map[uint32]bool{}}
		}
	}
	for i := range s.obj.Maps {
		// Of what a map has for each CPU a reader sees only the sum.
		if m := &s.obj.Maps[i]; m.PerCPU && s.stacksIn(m.Value, nil, nil) {
			return
		}
	}
	if len(k.depths) > 0 {
		s.stacks = k
	}
}

// sweepStacks frees stacks where half of the room is used.
func (s *Session) sweepStacks(now time.Time) {
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
func (s *Session) usedStacks() (map[int]map[uint32]bool, error) {
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
		entries, err := s.readers[m].Read()
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

// stacksIn calls note for each stack in a value of type t that the kernel keeps the
// frames of. It reports whether the type has any; if note is nil that is all.
func (s *Session) stacksIn(t *types.Type, data []byte, note func(depth int, number uint32)) bool {
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

// eachOpaque calls visit for each value of a builtin's type in a value of type t,
// with its offset.
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

// halfFull reports whether at least half of the entries are used.
func (d *depthKeeper) halfFull() bool {
	key, n := make([]byte, 4), 0
	for err := store.NextKey(d.m, nil, key); err == nil; err = store.NextKey(d.m, key, key) {
		if n++; n >= int(d.m.MaxEntries())/2 {
			return true
		}
	}
	return false
}

// mark gives up the stacks that are not used and were last met before a time.
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

// free deletes the marked stacks that are not used. A stack whose number is followed
// by another one stays: the other one may be where it is because this number was
// taken, and would not be found if it became free.
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

// keys lists the keys of the entries.
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
