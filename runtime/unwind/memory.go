package unwind

import (
	"errors"
	"slices"
	"sort"
	"time"
)

// memory allocates blocks in chunks.
type memory struct {
	make   func() ([]byte, error) // allocates the next chunk
	chunks []chunk
	freed  []freedBlock // in the order in which they were released
	used   int
}

type chunk struct {
	mem  []byte
	free []span // sorted by start; no two of them touch
}

type span struct{ start, end int }

// block is a part of a chunk.
type block struct {
	chunk     int
	off, size int
}

type freedBlock struct {
	block
	at time.Time
}

// grace is the time for which a released block is not reused, as a program may still be
// reading it.
const grace = time.Second

// align is the alignment of blocks in bytes.
const align = 8

var errFull = errors.New("the limit of memory for unwind tables is reached")

// alloc returns a block of size bytes.
func (m *memory) alloc(size int) (block, []byte, error) {
	size = (size + align - 1) &^ (align - 1)
	if size > ChunkSize {
		return block{}, nil, errFull
	}
	m.reclaim(time.Now())
	for i := range m.chunks {
		if b, ok := m.chunks[i].take(i, size); ok {
			m.used += size
			return b, m.bytes(b), nil
		}
	}
	if len(m.chunks) >= MaxChunks {
		return block{}, nil, errFull
	}
	mem, err := m.make()
	if err != nil {
		return block{}, nil, err
	}
	m.chunks = append(m.chunks, chunk{mem, []span{{0, ChunkSize}}})
	b, _ := m.chunks[len(m.chunks)-1].take(len(m.chunks)-1, size)
	m.used += size
	return b, m.bytes(b), nil
}

func (m *memory) bytes(b block) []byte { return m.chunks[b.chunk].mem[b.off : b.off+b.size] }

func (c *chunk) take(number, size int) (block, bool) {
	for i := range c.free {
		s := &c.free[i]
		if s.end-s.start < size {
			continue
		}
		b := block{number, s.start, size}
		if s.start += size; s.start == s.end {
			c.free = slices.Delete(c.free, i, i+1)
		}
		return b, true
	}
	return block{}, false
}

// release releases a block.
//
//go:noinline
func (m *memory) release(b block) {
	if b.size > 0 {
		m.freed = append(m.freed, freedBlock{b, time.Now()})
	}
}

// reclaim makes blocks available that were released at least grace ago.
func (m *memory) reclaim(now time.Time) {
	n := 0
	for n < len(m.freed) && now.Sub(m.freed[n].at) >= grace {
		b := m.freed[n].block
		m.used -= b.size
		c := &m.chunks[b.chunk]
		i := sort.Search(len(c.free), func(i int) bool { return c.free[i].start >= b.off })
		c.free = slices.Insert(c.free, i, span{b.off, b.off + b.size})
		if i+1 < len(c.free) && c.free[i].end == c.free[i+1].start {
			c.free[i].end = c.free[i+1].end
			c.free = slices.Delete(c.free, i+1, i+2)
		}
		if i > 0 && c.free[i-1].end == c.free[i].start {
			c.free[i-1].end = c.free[i].end
			c.free = slices.Delete(c.free, i, i+1)
		}
		n++
	}
	m.freed = slices.Delete(m.freed, 0, n)
}
