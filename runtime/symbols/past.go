package symbols

import (
	"encoding/binary"
	"os"
	"slices"
	"strconv"
)

// past holds the processes that have ended, in order of their end, up to a limit of
// memory. A process takes about 70 bytes, because most processes map the same files as
// others and differ only in the addresses: see shape. When the limit is reached, the
// processes that ended first are dropped unless they are in use.
type past struct {
	most      int // limit of its size in bytes
	inUse     func(note func(pid int))
	size      int // its size in bytes, without shapes
	blocks    []*block
	first     uint64            // number of the first life in the first block
	newest    map[int32]uint64  // the last life of each ID
	jits      map[uint64]jitted // generated functions, by the number of the life
	shapes    shapeTable
	lost      int                   // number of lives that were dropped
	older     map[int32][]olderLife // lives that were kept from dropped blocks
	sizeOlder int                   // their size in bytes
	dropped   bitset                // IDs of processes that are no longer kept
	missed    int                   // number of these that were looked up
}

// block holds lives that are dropped together.
type block struct {
	lives [blockLives]life
	n     int
	bytes []byte // the images of the lives, see past.pack
}

// life is one of the processes that have had an ID.
type life struct {
	pid, parent int32
	before      uint32 // distance to the number of the previous life with the ID; 0: none is kept
	at          uint32 // its place in the block's bytes
}

// olderLife is a life that is in no block.
type olderLife struct {
	life
	number uint64
	bytes  []byte
}

const (
	// maxPast is the limit of past in bytes. It is enough for about a million processes.
	maxPast = 64 << 20
	// maxPID is the greatest number of processes that Linux allows, on 64 bits.
	maxPID = 4 << 20

	blockLives = 1024
	blockSize  = 16*blockLives + 64
	// perLife is the size of a life in newest, in bytes.
	perLife = 32
	// perOlder is the size of an olderLife without its images, in bytes.
	perOlder = 96
)

// Ended records the end of a process. User keeps the mappings of the process within the
// limit of memory.
func (u *User) Ended(pid int) {
	if p := u.procs[pid]; p != nil {
		delete(u.procs, pid)
		if p.tmp != nil {
			if dir := u.keep.take(p.tmp); dir != nil { // read the rest of its perf map
				p.jit.update(u, p, p.current(), fdPath(int(dir.Fd()))+"/"+p.inner)
				p.jit.whole, p.jit.spans = true, nil
				dir.Close()
			}
		}
		u.past.add(p)
	}
}

// add keeps a process that has ended.
func (h *past) add(p *process) {
	if len(p.images) == 1 && len(p.current().maps) == 0 && p.jit.size() == 0 || p.pid != int(int32(p.pid)) {
		return
	}
	if h.newest == nil {
		h.newest, h.jits = map[int32]uint64{}, map[uint64]jitted{}
	}
	if len(h.blocks) == 0 || h.blocks[len(h.blocks)-1].n == blockLives {
		h.blocks = append(h.blocks, &block{})
		h.size += blockSize
	}
	number := h.next()
	b := h.blocks[len(h.blocks)-1]
	l := &b.lives[b.n]
	*l = life{pid: int32(p.pid), parent: int32(p.parent), at: uint32(len(b.bytes))}
	if n, ok := h.newest[l.pid]; ok && number-n < 1<<32 {
		l.before = uint32(number - n)
	}
	h.newest[l.pid] = number
	room := cap(b.bytes)
	b.bytes = h.pack(b.bytes, p.images)
	if b.n++; b.n == blockLives {
		b.bytes = slices.Clone(b.bytes)
	}
	h.size += perLife + cap(b.bytes) - room
	h.keepJit(number, &p.jit)
	h.trim()
}

// next returns the number of the next life.
func (h *past) next() uint64 {
	if len(h.blocks) == 0 {
		return h.first
	}
	return h.first + uint64(len(h.blocks)-1)*blockLives + uint64(h.blocks[len(h.blocks)-1].n)
}

// keepJit keeps the generated functions of a life, or those that were read since.
func (h *past) keepJit(number uint64, j *jitted) {
	old := h.jits[number]
	if n := j.size(); n > 0 {
		h.size += n - old.size()
		h.jits[number] = *j
	}
}

// trim drops the processes that ended first and are not in use, if the limit is exceeded.
// It keeps those that ended last.
func (h *past) trim() {
	if h.size+h.shapes.size <= h.most || len(h.blocks) < 2 {
		return
	}
	var used bitset
	if h.inUse != nil {
		h.inUse(func(pid int) { used.set(pid, true) })
	}
	h.trimOlder(used)
	for h.size+h.shapes.size > h.most/4*3 && len(h.blocks) > 1 {
		old := h.blocks[0]
		h.blocks[0] = nil // so that it can be collected
		h.blocks = h.blocks[1:]
		h.size -= blockSize + cap(old.bytes) + perLife*blockLives
		for i := range old.lives {
			l, number := &old.lives[i], h.first+uint64(i)
			if h.newest[l.pid] == number {
				delete(h.newest, l.pid)
			}
			if images := old.bytes[l.at:]; used.has(int(l.pid)) && h.sizeOlder < h.most/2 {
				images = images[:h.length(images)]
				h.older[l.pid] = append(h.older[l.pid], olderLife{*l, number, slices.Clone(images)})
				h.grow(len(images) + perOlder)
			} else {
				h.drop(l, number, images)
			}
		}
		h.first += blockLives
	}
}

// trimOlder drops the older lives that are no longer in use.
func (h *past) trimOlder(used bitset) {
	if h.older == nil {
		h.older = map[int32][]olderLife{}
	}
	for pid, list := range h.older {
		if used.has(int(pid)) {
			continue
		}
		for i := range list {
			h.grow(-len(list[i].bytes) - perOlder)
			h.drop(&list[i].life, list[i].number, list[i].bytes)
		}
		delete(h.older, pid)
	}
}

// grow adds to the size of the older lives.
func (h *past) grow(n int) {
	h.size += n
	h.sizeOlder += n
}

// drop releases everything of a life except the bytes of its images.
func (h *past) drop(l *life, number uint64, images []byte) {
	h.release(images)
	if j, ok := h.jits[number]; ok {
		h.size -= j.size()
		delete(h.jits, number)
	}
	h.lost++
	h.dropped.set(int(l.pid), true)
}

// lives calls f with every process that had an ID and has ended, the last one first,
// until f returns false.
func (h *past) lives(pid int, f func(p *process, number uint64) bool) {
	number, ok := h.newest[int32(pid)]
	for ok && number >= h.first {
		b := h.blocks[(number-h.first)/blockLives]
		l := &b.lives[(number-h.first)%blockLives]
		if !f(h.process(l, number, b.bytes[l.at:]), number) {
			return
		}
		ok = l.before > 0
		number -= uint64(l.before)
	}
	for _, o := range slices.Backward(h.older[int32(pid)]) {
		if !f(h.process(&o.life, o.number, o.bytes), o.number) {
			return
		}
	}
}

// process returns a process that has ended.
func (h *past) process(l *life, number uint64, images []byte) *process {
	return &process{pid: int(l.pid), parent: int(l.parent), images: h.unpack(images), jit: h.jits[number]}
}

// last returns the process that had an ID last, or nil.
func (h *past) last(pid int) (last *process) {
	h.lives(pid, func(p *process, _ uint64) bool {
		last = p
		return false
	})
	return last
}

// pack appends images to b. Each is twice the number of its shape, plus 1 if it replaces the
// one before. Unless the addresses are those of the shape, the distances between the starts
// of its mappings in pages follow.
func (h *past) pack(b []byte, images []*image) []byte {
	b = binary.AppendUvarint(b, uint64(len(images)))
	for _, im := range images {
		n, s := h.shapes.of(im)
		word := uint64(n) << 1
		if im.replaces {
			word |= 1
		}
		b = binary.AppendUvarint(b, word)
		if s.fixed {
			continue
		}
		from := uint64(0)
		for i := range im.maps {
			page := im.maps[i].start >> pageBits
			b = binary.AppendUvarint(b, page-from)
			from = page
		}
	}
	return b
}

// unpack returns the images that pack has appended.
func (h *past) unpack(b []byte) []*image {
	images := make([]*image, number(&b))
	for i := range images {
		word := number(&b)
		s := h.shapes.list[word>>1]
		im := &image{maps: slices.Clone(s.maps), replaces: word&1 != 0}
		page := uint64(0)
		for j := range im.maps {
			if m := &im.maps[j]; !s.fixed {
				page += number(&b)
				m.start += page << pageBits
				m.end += page << pageBits
			}
		}
		images[i] = im
	}
	return images
}

// release releases the shapes of the images that pack has appended.
func (h *past) release(b []byte) {
	h.skip(&b, h.shapes.release)
}

// length returns the length of the images that pack has appended.
func (h *past) length(b []byte) int {
	rest := b
	h.skip(&rest, func(uint32) {})
	return len(b) - len(rest)
}

// skip removes images from the beginning of b and calls f with their shapes.
func (h *past) skip(b *[]byte, f func(n uint32)) {
	for range number(b) {
		n := number(b) >> 1
		if s := h.shapes.list[n]; !s.fixed {
			for range s.maps {
				number(b)
			}
		}
		f(uint32(n))
	}
}

// number removes a number from the beginning of b.
func number(b *[]byte) uint64 {
	v, n := binary.Uvarint(*b)
	*b = (*b)[n:]
	return v
}

// miss records that addresses of a process were looked up and none of them is known.
func (h *past) miss(pid int) {
	if h.dropped.has(pid) {
		h.dropped.set(pid, false)
		h.missed++
	}
}

// Forgotten returns the number of processes that were looked up after their mappings had
// been dropped, and the number of all dropped processes.
func (u *User) Forgotten() (missed, dropped int) { return u.past.missed, u.past.lost }

// sweep finds processes whose end was not reported.
func (u *User) sweep() {
	running, err := Running(u.opt.ProcRoot)
	u.fresh = minSweep + len(running)
	if err != nil {
		return
	}
	for pid := range u.procs {
		if !running[pid] {
			u.Ended(pid)
		}
	}
}

// Running returns the IDs of the processes that exist now.
func Running(proc string) (map[int]bool, error) {
	dir, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	running := map[int]bool{}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			running[pid] = true
		}
	}
	return running, nil
}

// minSweep is the minimum number of new processes for which sweep is worth its time.
const minSweep = 8 << 10

// bitset is a set of process IDs.
type bitset []uint64

func (b bitset) has(n int) bool {
	return n>>6 < len(b) && b[n>>6]>>(n&63)&1 != 0
}

// set adds n or removes it. Numbers that are no process IDs are not added.
func (b *bitset) set(n int, in bool) {
	if n < 0 || n >= maxPID {
		return
	}
	for n>>6 >= len(*b) {
		*b = append(*b, 0)
	}
	if (*b)[n>>6] &^= 1 << (n & 63); in {
		(*b)[n>>6] |= 1 << (n & 63)
	}
}
