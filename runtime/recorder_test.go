package runtime

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gotrace/gotrace/runtime/object"
)

// recorderModel writes to a recorder as programs do.
type recorderModel struct {
	*recorder
	order uint64
	kept  [][]modelRecord // by CPU
}

// modelRecord is a record of the model.
type modelRecord struct {
	pos, size uint64
	order     uint64
	done      bool
}

func newRecorderModel(ring, cpus, largest int) *recorderModel {
	r := object.NewRecorder(int64(ring*cpus), cpus, false)
	m := &recorderModel{recorder: &recorder{Recorder: r, element: r.Chunk + largest}, kept: make([][]modelRecord, cpus)}
	m.ring = make([]byte, m.element*r.Chunks*cpus)
	m.heads = make([]byte, object.HeadSize*(object.SharedHeads+cpus))
	return m
}

func (m *recorderModel) add(cpu, off int, n uint64) uint64 {
	p := m.heads[object.HeadSize*(object.SharedHeads+cpu)+off:]
	old := binary.NativeEndian.Uint64(p)
	binary.NativeEndian.PutUint64(p, old+n)
	return old
}

// reserve reserves memory for a record of size bytes and returns its number.
func (m *recorderModel) reserve(cpu int, size uint64) int {
	m.order++
	m.kept[cpu] = append(m.kept[cpu], modelRecord{m.add(cpu, object.HeadNext, size), size, m.order, false})
	return len(m.kept[cpu]) - 1
}

// complete writes the record with a number.
func (m *recorderModel) complete(cpu, n int) {
	r := &m.kept[cpu][n]
	r.done = true
	data := m.ring[m.place(cpu, r.pos):][:r.size]
	for i := 0; i < len(data); i += 8 {
		binary.NativeEndian.PutUint64(data[i:], r.order)
	}
	mark := r.pos<<object.MarkShift | r.size/8
	binary.NativeEndian.PutUint64(data, mark)
	m.add(cpu, object.HeadRecords, 1)
	if m.head(cpu)(object.HeadNext)-r.pos > m.RingSize() {
		i := m.add(cpu, object.HeadLate, 1) % object.LateMarks
		p := m.heads[object.HeadSize*(object.SharedHeads+cpu)+object.HeadMarks+8*int(i):]
		binary.NativeEndian.PutUint64(p, mark)
	}
}

// want returns the records that a reader should find: the complete ones among the last bytes
// of each ring, in order.
func (m *recorderModel) want() (list []modelRecord) {
	for cpu, all := range m.kept {
		head := m.head(cpu)(object.HeadNext)
		for _, r := range all {
			if r.done && r.pos+m.RingSize() >= head {
				list = append(list, r)
			}
		}
	}
	slices.SortFunc(list, func(a, b modelRecord) int { return int(a.order) - int(b.order) })
	return list
}

// check compares the records that are found with the expected ones. If damaged is set,
// some may be missing, but each record that is found must be unchanged.
func (m *recorderModel) check(damaged bool) error {
	got, torn := m.readAll()
	want := m.want()
	if !damaged && len(got) != len(want) {
		return fmt.Errorf("%d records, want %d (%d gaps)", len(got), len(want), torn)
	}
	for _, r := range got {
		for len(want) > 0 && want[0].order != r.order {
			if want = want[1:]; !damaged {
				return fmt.Errorf("record %d is not among those wanted", r.order)
			}
		}
		if len(want) == 0 || want[0].size-object.RecordHeader != r.size {
			return fmt.Errorf("record %d has %d bytes", r.order, r.size)
		}
		for data := m.ring[r.at:][:r.size]; len(data) > 0; data = data[8:] {
			if n := binary.NativeEndian.Uint64(data); n != r.order {
				return fmt.Errorf("record %d has a word of record %d", r.order, n)
			}
		}
		want = want[1:]
	}
	return nil
}

// TestRecorderReads fills recorders of many sizes with records of random sizes. After
// each record, it checks the records that are found.
func TestRecorderReads(t *testing.T) {
	for _, ring := range []int{16, 64, 256, 1 << 12, object.MaxChunk, 4 * object.MaxChunk} {
		rng := rand.New(rand.NewPCG(1, uint64(ring)))
		largest := min(ring, 1<<16)
		m := newRecorderModel(ring, 3, largest)
		for i := range 300 {
			size := uint64(max(24, 8+8*rng.IntN(largest/8)))
			if int(size) > ring {
				break
			}
			cpu := rng.IntN(3)
			m.complete(cpu, m.reserve(cpu, size))
			if ring < object.MaxChunk || i%50 == 49 {
				if err := m.check(false); err != nil {
					t.Fatalf("ring of %d bytes, record %d: %v", ring, i, err)
				}
			}
		}
	}
}

// TestRecorderGaps reads recorders in which records are not complete: some never are, others
// are completed after later ones, possibly after the ring has been filled again.
func TestRecorderGaps(t *testing.T) {
	const ring = 1 << 10
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(2, seed))
		m := newRecorderModel(ring, 1, 256)
		var open []int
		late := false
		for range rng.IntN(80) {
			n := m.reserve(0, uint64(24+8*rng.IntN(16)))
			switch rng.IntN(8) {
			case 0: // never complete
			case 1:
				open = append(open, n)
			default:
				m.complete(0, n)
			}
			if len(open) > 0 && rng.IntN(4) == 0 {
				late = late || m.head(0)(object.HeadNext)-m.kept[0][open[0]].pos > ring
				m.complete(0, open[0])
				open = open[1:]
			}
		}
		if err := m.check(late); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestRecorderTorn checks the number of gaps.
func TestRecorderTorn(t *testing.T) {
	m := newRecorderModel(1<<10, 1, 256)
	for i := range 6 {
		if n := m.reserve(0, 40); i%2 == 0 {
			m.complete(0, n)
		}
	}
	if list, torn := m.read(0, nil); len(list) != 3 || torn != 3 {
		t.Errorf("%d records, %d gaps", len(list), torn)
	}
}
