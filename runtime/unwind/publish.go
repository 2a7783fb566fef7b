package unwind

import (
	"encoding/binary"
	"time"
)

// Flush makes all changes available to the programs.
func (t *Tables) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
}

func (t *Tables) flush() {
	var later []*process
	for _, p := range t.dirty {
		switch {
		case p.gone:
		case !p.waits.IsZero() && time.Now().Before(p.waits):
			later = append(later, p)
		default:
			p.dirty = false
			t.publish(p)
		}
	}
	t.dirty = later
}

// entry is an entry of a list.
type entry struct {
	start, end, origin uint64
	inode              uint64
	seg                block
	kind               int
}

// publish writes the list of a process.
func (t *Tables) publish(p *process) {
	var list []entry
	for _, m := range p.maps {
		list = m.entries(list)
	}
	old := *p
	p.shared = nil
	if len(list) > 0 {
		b, word, err := t.writeList(list)
		if err != nil {
			t.set(p, 0)
			t.drop(&old)
			return
		}
		p.shared = &listRef{block: b, word: word, n: 1}
		t.set(p, word)
	} else if old.shared != nil {
		t.set(p, 0)
	}
	t.drop(&old)
}

// writeList writes a list of entries. It returns its block and the word that represents
// it.
func (t *Tables) writeList(list []entry) (block, uint64, error) {
	if len(list) > MaxEntries {
		list = list[:MaxEntries]
	}
	b, mem, err := t.alloc(len(list) * EntrySize)
	if err != nil {
		return block{}, 0, err
	}
	ne := binary.NativeEndian
	for i, e := range list {
		at := mem[i*EntrySize:]
		ne.PutUint64(at[EntryStart:], e.start)
		ne.PutUint64(at[EntryEnd:], e.end)
		ne.PutUint64(at[EntryOrigin:], e.origin)
		ne.PutUint32(at[EntrySeg:], uint32(e.seg.off))
		ne.PutUint16(at[EntryChunk:], uint16(e.seg.chunk))
		ne.PutUint16(at[EntryKind:], uint16(e.kind))
		ne.PutUint64(at[EntryInode:], e.inode)
	}
	return b, uint64(b.off) | uint64(b.chunk)<<ListChunk | uint64(len(list))<<ListCount, nil
}

// entries appends the entries of a mapping.
func (m *mapping) entries(list []entry) []entry {
	if m.file == nil {
		return append(list, entry{start: m.start, end: m.end, kind: FramePointer})
	}
	f, inode := m.file, m.file.key.inode
	if f.same != nil {
		f = f.same
	}
	at := m.start
	// rest adds an entry for the addresses up to end that no segment covers.
	rest := func(end uint64) {
		if at < end {
			list = append(list, entry{start: at, end: end, inode: inode, kind: f.kind})
		}
	}
	for i := range f.segs {
		s := &f.segs[i]
		if s.end <= m.offset || s.start >= m.offset+(m.end-m.start) {
			continue
		}
		start := m.start + max(s.start, m.offset) - m.offset
		end := min(m.start+s.end-m.offset, m.end)
		rest(start)
		list = append(list, entry{start: start, end: end, origin: m.start + s.origin - m.offset, inode: inode, seg: s.block, kind: HasTable})
		at = end
	}
	rest(m.end)
	return list
}
