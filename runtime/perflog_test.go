package runtime

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// fakeRing is the kernel's side of a ring.
type fakeRing struct {
	perfRing
	lost int
}

func newFakeRing(size int) *fakeRing {
	return &fakeRing{perfRing: perfRing{fd: -1, mem: make([]byte, os.Getpagesize()+size)}}
}

// write appends a record of the given length, unless there is no room.
func (r *fakeRing) write(kind uint32, length int, when uint64) {
	head, tail := perfPositions(r.mem)
	ring := r.mem[os.Getpagesize():]
	if int(*head-*tail)+length > len(ring) {
		r.lost++
		return
	}
	rec := make([]byte, length)
	binary.NativeEndian.PutUint32(rec, kind)
	binary.NativeEndian.PutUint16(rec[6:], uint16(length))
	binary.NativeEndian.PutUint64(rec[length-8:], when)
	for i, b := range rec {
		ring[(*head+uint64(i))%uint64(len(ring))] = b
	}
	*head += uint64(length)
}

// TestPerfLog writes records to the rings of several CPUs and reads them.
func TestPerfLog(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	rings := []*fakeRing{newFakeRing(32 << 10), newFakeRing(32 << 10), newFakeRing(64 << 10)}
	l := &perfLog{}
	for _, r := range rings {
		l.cpus = append(l.cpus, r.perfRing)
	}
	var want, got strings.Builder
	for n := range uint32(20_000) {
		rings[rnd.IntN(len(rings))].write(n, 16+8*rnd.IntN(30), uint64(n))
		fmt.Fprintln(&want, n)
		if rnd.IntN(10) == 0 {
			l.collect()
		}
		if rnd.IntN(100) == 0 {
			for _, rec := range l.records() {
				fmt.Fprintln(&got, binary.NativeEndian.Uint32(rec))
			}
		}
	}
	for _, rec := range l.records() {
		fmt.Fprintln(&got, binary.NativeEndian.Uint32(rec))
	}
	for _, r := range rings {
		if r.lost > 0 {
			t.Fatalf("%d records had no room", r.lost)
		}
	}
	if got.String() != want.String() {
		t.Error("the records are not those that were written, in their order")
	}
	for i := range l.cpus {
		if r := &l.cpus[i]; r.size != 0 || len(r.early) != 0 {
			t.Errorf("%d records of %d bytes are left", len(r.early), r.size)
		}
	}
}

// TestPerfLogLimit writes more records than are kept before they are handled.
func TestPerfLogLimit(t *testing.T) {
	r := newFakeRing(64 << 10)
	l := &perfLog{cpus: []perfRing{r.perfRing}}
	const length, more = 1024, 100
	for n := range maxEarly/length + more {
		r.write(uint32(n), length, 1)
		l.collect()
	}
	if want := more - 64; r.lost != want {
		t.Errorf("%d records had no room, want %d", r.lost, want)
	}
	if n := len(l.records()); n != maxEarly/length {
		t.Errorf("%d records, want %d", n, maxEarly/length)
	}
	if n := len(l.records()); n != 64 {
		t.Errorf("%d records then, want 64", n)
	}
}

// TestSplitRing reads rings whose contents are damaged.
func TestSplitRing(t *testing.T) {
	ring := make([]byte, 64)
	length := func(at int, n uint16) { binary.NativeEndian.PutUint16(ring[at+6:], n) }
	for _, c := range []struct {
		name       string
		from, to   uint64
		lengths    [2]uint16
		recs, read int
	}{
		{"empty", 64, 64, [2]uint16{16, 16}, 0, 0},
		{"two", 0, 48, [2]uint16{16, 32}, 2, 48},
		{"wrapped", 64, 112, [2]uint16{16, 32}, 2, 48},
		{"too short", 0, 48, [2]uint16{16, 8}, 1, 16},
		{"too long", 0, 48, [2]uint16{16, 40}, 1, 16},
		{"zero", 0, 48, [2]uint16{0, 0}, 0, 0},
		{"backwards", 48, 0, [2]uint16{16, 16}, 0, 0},
		{"more than the ring", 0, 128, [2]uint16{16, 16}, 0, 0},
	} {
		length(0, c.lengths[0])
		length(16, c.lengths[1])
		if recs, n := splitRing(nil, ring, c.from, c.to); len(recs) != c.recs || n != c.read {
			t.Errorf("%s: %d records of %d bytes, want %d of %d", c.name, len(recs), n, c.recs, c.read)
		}
	}
}
