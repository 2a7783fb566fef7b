package symbols

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// shape is the part that the images of several processes have in common: the files that
// they map, with offsets and sizes. The addresses usually differ, as the kernel chooses
// them at random. Images that are copies, such as those of forked processes, share the
// addresses too.
type shape struct {
	maps  []mapping // from address 0 on, unless the shape is fixed
	fixed bool      // the addresses are those of the images
	hash  uint64
	uses  int
}

// shapeTable holds the shapes that are in use.
type shapeTable struct {
	list   []*shape
	free   []uint32 // free numbers in list
	byHash map[uint64][]uint32
	size   int // in bytes
	seed   maphash.Seed
	buf    []byte
}

const (
	pageBits = 12
	// fewMaps is the maximum number of mappings of a copy that does not get a separate
	// shape with fixed addresses. Other processes rarely use such a shape.
	fewMaps = 32
)

// shapeSize is the size of a shape without its mappings, in bytes.
const shapeSize = 200

// of returns the shape of an image and its number. Each call needs a release.
func (t *shapeTable) of(im *image) (uint32, *shape) {
	fixed := im.shared && len(im.maps) > fewMaps
	for i := range im.maps { // the kernel's mappings start at pages, so these come from elsewhere
		fixed = fixed || im.maps[i].start&(1<<pageBits-1) != 0
	}
	if t.byHash == nil {
		t.byHash, t.seed = map[uint64][]uint32{}, maphash.MakeSeed()
	}
	hash := t.hash(im, fixed)
	for _, n := range t.byHash[hash] {
		if s := t.list[n]; s.fixed == fixed && slices.EqualFunc(s.maps, im.maps, func(a, b mapping) bool { return alike(&a, &b, fixed) }) {
			s.uses++
			return n, s
		}
	}
	s := &shape{maps: slices.Clone(im.maps), fixed: fixed, hash: hash, uses: 1}
	for i := range s.maps {
		m := &s.maps[i]
		m.of = nil
		if !fixed {
			m.start, m.end = 0, m.end-m.start
		}
	}
	n := uint32(len(t.list))
	if k := len(t.free); k > 0 {
		n, t.free = t.free[k-1], t.free[:k-1]
		t.list[n] = s
	} else {
		t.list = append(t.list, s)
	}
	t.byHash[hash] = append(t.byHash[hash], n)
	t.size += s.size()
	return n, s
}

// alike reports whether two mappings are equal, or would be at the same address.
func alike(a, b *mapping, fixed bool) bool {
	return a.end-a.start == b.end-b.start && a.offset == b.offset && *a.file == *b.file && (!fixed || a.start == b.start)
}

func (t *shapeTable) hash(im *image, fixed bool) uint64 {
	b := t.buf[:0]
	for i := range im.maps {
		m := &im.maps[i]
		b = binary.NativeEndian.AppendUint64(b, m.end-m.start)
		b = binary.NativeEndian.AppendUint64(b, m.offset)
		if fixed {
			b = binary.NativeEndian.AppendUint64(b, m.start)
		}
		b = append(append(append(b, m.file.dev...), m.file.inode...), m.file.path...)
	}
	t.buf = b
	return maphash.Bytes(t.seed, b)
}

// release ends a use of a shape.
func (t *shapeTable) release(n uint32) {
	s := t.list[n]
	if s.uses--; s.uses > 0 {
		return
	}
	t.size -= s.size()
	t.list[n] = nil
	t.free = append(t.free, n)
	same := slices.DeleteFunc(t.byHash[s.hash], func(o uint32) bool { return o == n })
	if t.byHash[s.hash] = same; len(same) == 0 {
		delete(t.byHash, s.hash)
	}
}

// size returns the number of bytes that a shape takes. The names of files count as if no
// other shape had them.
func (s *shape) size() int {
	n := shapeSize
	for i := range s.maps {
		f := s.maps[i].file
		n += 40 + 48 + len(f.dev) + len(f.inode) + len(f.path)
	}
	return n
}
