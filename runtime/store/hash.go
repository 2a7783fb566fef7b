package store

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
)

// A hash keeps a map with keys in a hash map of the kernel. Aggregations, and maps
// declared per-CPU, have one value per CPU.
//
// Usually each map has its own hash map. If a program would use more maps than the kernel
// allows, maps with keys and values of about the same size share one. In it, the map's
// number, a u64 that is not 0, precedes the key, and key and value are padded with zeros
// to the sizes of the hash map.
type hash struct {
	m       *ir.Map
	name    string
	span    source.Span
	key     *types.Type
	keySize int // of the script's key
	size    int // of the script's value
	number  int // in a shared hash map; 0: not shared

	// inPlace is set if an assignment of a word writes into an existing entry. This costs
	// half as much as an update. It is correct only if neither the script nor the kernel
	// ever deletes entries, because otherwise the entry may get another key before it is
	// written.
	inPlace bool
}

var hashKind = kind{
	name:   "hash",
	own:    1,
	fits:   func(_ *layout, s *Spec) bool { return s.Key != nil },
	plan:   func(l *layout, s *Spec, m *object.Map) Store { return newHash(l, s, m) },
	extras: []string{"LRU", "Number"},
	check:  func(c *claims, m *object.Map) error { return c.hash(m, m.Kernel, m.Key) },
	open:   func(k *Kernel, m *object.Map) (Reader, error) { return openHash(k, m) },
}

func newHash(l *layout, s *Spec, m *object.Map) *hash {
	perCPU := s.isAgg() || s.PerCPU
	kind := ir.Hash
	switch {
	case perCPU && s.LRU:
		kind = ir.LRUPerCPU
	case perCPU:
		kind = ir.PerCPUHash
	case s.LRU:
		kind = ir.LRUHash
	}
	m.LRU, m.PerCPU = s.LRU, perCPU
	h := &hash{name: s.Name, span: s.Span, key: s.Key, keySize: KeySize(s.Key), size: s.valueSize(), inPlace: !s.LRU && s.Uses&Delete == 0}
	if s.shared {
		h.m, h.number = l.share(shape{kind, l.keyClass(h.keySize), class(s.valueSize())}, s.Max)
	} else {
		h.m = l.newMap(ir.Map{
			Name: kernelName(s.Name), Type: kind, KeySize: h.keySize, ValueSize: s.valueSize(), MaxEntries: s.Max,
		})
	}
	m.Kernel, m.Number = h.m.Name, h.number
	return h
}

// shape identifies the maps that can share a hash map.
type shape struct {
	kind       ir.MapType
	key, value int // bytes
}

// class rounds a size up, so that few different hash maps are needed.
//
//go:noinline
func class(size int) int { return max(8, 1<<bits.Len(uint(size-1))) }

// keyClass is class for keys. With the number, the result is at most the kernel's
// limit.
func (l *layout) keyClass(size int) int {
	if c := class(size); l.LongKeys || numberSize+c <= maxOldKey {
		return c
	}
	return maxOldKey - numberSize
}

// canShare reports whether a map can share a hash map.
func (l *layout) canShare(s *Spec) bool {
	return s.Key != nil && !s.LRU && !s.Declared && s.Uses&Address == 0 && s.ValueParts == 0 &&
		KeySize(s.Key) <= l.keyClass(KeySize(s.Key)) && class(s.valueSize()) <= MaxPerCPU
}

// numberSize is the size of the number before the key in a shared hash map.
const numberSize = 8

// A shared hash map has room for the entries of all its maps, up to these limits. Its
// memory is allocated in advance, as that of all hash maps: an allocation at run time
// fails if a program that runs with interrupts disabled adds many keys at once.
const (
	maxSharedEntries = 1 << 18
	maxSharedSize    = 64 << 20 // bytes
	entryOverhead    = 64       // estimated memory of the kernel for an entry, in addition to key and value
)

// sharedHash is a hash map that several maps share.
type sharedHash struct {
	m    *ir.Map
	used int // number of maps that share it
}

// share assigns a map a number in the shared hash map of its shape.
func (l *layout) share(sh shape, entries int) (*ir.Map, int) {
	h := l.shared[sh]
	if h == nil {
		h = &sharedHash{m: l.newMap(ir.Map{
			Name: fmt.Sprintf("shared%d", len(l.shared)), Type: sh.kind, KeySize: numberSize + sh.key, ValueSize: sh.value,
		})}
		l.shared[sh] = h
	}
	values := sh.value
	if sh.kind == ir.PerCPUHash {
		values *= l.CPUs
	}
	most := min(maxSharedEntries, maxSharedSize/(entryOverhead+h.m.KeySize+values))
	h.used++
	h.m.MaxEntries = max(entries, min(h.m.MaxEntries+entries, most), h.m.MaxEntries)
	return h.m, h.used
}

// The flags and results of map_update_elem and map_delete_elem.
const (
	bpfAny     = 0
	bpfNoExist = 1
	eexist     = -17
	enoent     = -2
)

// Key encodes a key. A literal is encoded at compile time.
func (s *hash) Key(g Gen, e KeyExpr) Key {
	if text, ok := e.Literal(); ok && s.key.Kind == types.String {
		return s.keyOf(g.B(), g.Rodata(s.number8(padded(text, s.key.Size-1, s.paddedKey()))))
	}
	k := g.Temp(s.m.KeySize)
	off := s.keyOff()
	if off > 0 {
		g.B().Store(k, 0, numberSize, g.B().Const(int64(s.number)))
	}
	e.Write(s.key, g.B().AddImm(k, off), s.m.KeySize-int(off))
	return s.keyOf(g.B(), k)
}

// padded returns at most limit bytes of a text, followed by zeros up to size.
//
//go:noinline
func padded(text string, limit, size int) []byte {
	data := make([]byte, size)
	copy(data[:max(limit, 0)], text)
	return data
}

// keyOff returns the offset of the script's key in the kernel's key.
//
//go:noinline
func (s *hash) keyOff() int64 {
	if s.number > 0 {
		return numberSize
	}
	return 0
}

// paddedKey returns the size of the script's key in the hash map, with its padding.
func (s *hash) paddedKey() int { return s.m.KeySize - int(s.keyOff()) }

// number8 returns data preceded by the map's number, if it has one.
func (s *hash) number8(data []byte) []byte {
	if s.number == 0 {
		return data
	}
	return append(binary.NativeEndian.AppendUint64(nil, uint64(s.number)), data...)
}

// keyOf returns the Key for the kernel's key at p.
//
//go:noinline
func (s *hash) keyOf(b *ir.Builder, p *ir.Value) Key {
	if s.number == 0 {
		return Key{Ptr: p}
	}
	return Key{Ptr: b.AddImm(p, numberSize), whole: p}
}

// kernelKey returns the address of the kernel's key.
func (s *hash) kernelKey(k Key) *ir.Value {
	if k.whole != nil {
		return k.whole
	}
	return k.Ptr
}

func (s *hash) Address(g Gen) *ir.Value { return g.B().MapPtr(s.m) }

func (s *hash) Traits() Traits { return Traits{Words: true} }

//go:noinline
func (s *hash) Parts() []Part {
	return []Part{{Map: s.m, Key: s.key, off: s.keyOff(), number: s.number, wrap: s.wrap}}
}

//go:noinline
func (s *hash) wrap(b *ir.Builder, p *ir.Value) Key { return s.keyOf(b, p) }

func (s *hash) Find(g Gen, k Key) *ir.Value {
	return g.B().Call(ir.MapLookup, g.B().MapPtr(s.m), s.kernelKey(k))
}

func (s *hash) Present(g Gen, k Key) *ir.Value { return s.Find(g, k) }

// Make looks the key up. If it is missing, Make inserts zeros, unless another CPU was
// faster, and looks it up again.
func (s *hash) Make(g Gen, k Key) *ir.Value {
	p := s.Find(g, k)
	return g.B().WhenNil(p, ir.Same, func() *ir.Value {
		r := g.B().Call(ir.MapUpdate, g.B().MapPtr(s.m), s.kernelKey(k), g.Zeros(s.m.ValueSize), g.B().Const(bpfNoExist))
		s.check(g, r)
		return s.Find(g, k)
	})
}

func (s *hash) Share(g Gen, k Key) *ir.Value { return s.Make(g, k) }

// check counts an update that failed because the map was full.
func (s *hash) check(g Gen, r *ir.Value) {
	b := g.B()
	span := b.Pos
	g.B().If(b.Op(ir.OpSLt, r, b.Const(0)), func() {
		b.Cur.Unlikely = true
		g.B().If(b.Op(ir.OpNe, r, b.Const(eexist)), func() { g.Count(object.MapFull, span, s.name) })
	})
}

func (s *hash) AssignWord(g Gen, k Key, x *ir.Value, size int) {
	update := func() *ir.Value {
		s.Assign(g, k, func(p *ir.Value, room int) {
			g.B().Store(p, 0, size, x)
			if room > size {
				g.B().Zero(p, int64(size), room-size)
			}
		})
		return nil
	}
	if !s.inPlace {
		update()
		return
	}
	p := s.Find(g, k)
	g.B().WhenNil(p, func(p *ir.Value) *ir.Value {
		g.B().Store(p, 0, size, x)
		return nil
	}, update)
}

func (s *hash) Assign(g Gen, k Key, fill func(p *ir.Value, size int)) {
	s.update(g, k, s.value(g, fill))
}

// value writes a value to temporary memory and returns its address.
func (s *hash) value(g Gen, fill func(p *ir.Value, size int)) *ir.Value {
	tmp := g.Temp(s.m.ValueSize)
	fill(tmp, s.m.ValueSize)
	return tmp
}

func (s *hash) update(g Gen, k Key, val *ir.Value) {
	s.check(g, g.B().Call(ir.MapUpdate, g.B().MapPtr(s.m), s.kernelKey(k), val, g.B().Const(bpfAny)))
}

func (s *hash) Remove(g Gen, k Key) *ir.Value {
	return g.B().Call(ir.MapDelete, g.B().MapPtr(s.m), s.kernelKey(k))
}

func (s *hash) OnCPU(g Gen, k Key, cpu *ir.Value) *ir.Value {
	return g.B().Call(ir.LookupPerCPU, g.B().MapPtr(s.m), s.kernelKey(k), cpu)
}

// hashReader reads the entries of a map from its own or a shared hash map.
type hashReader struct {
	k      *Kernel
	m      *object.Map
	e      *ebpf.Map
	size   int // bytes of a value, without padding
	stride int // bytes from one CPU's value to the next
	copies int // number of values in an entry: one for each CPU, or a single one
}

func openHash(k *Kernel, m *object.Map) (*hashReader, error) { return openHashOf(k, m, m.Kernel) }

func openHashOf(k *Kernel, m *object.Map, name string) (*hashReader, error) {
	e, err := k.find(name)
	if err != nil {
		return nil, err
	}
	r := &hashReader{k: k, m: m, e: e, size: m.Value.Size, stride: int(e.ValueSize()), copies: 1}
	if m.PerCPU {
		r.stride, r.copies = word(r.stride), k.CPUs
	}
	return r, nil
}

// each calls f for all entries, until f returns false, with the kernel's key and the
// values of all CPUs. f may keep key, but not vals.
func (r *hashReader) each(f func(key, vals []byte) bool) error {
	size := r.stride * r.copies
	if r.m.Number == 0 {
		return eachElem(r.e, int(r.e.KeySize()), size, f)
	}
	all := r.k.together[r.m.Kernel]
	if all == nil {
		all = map[uint64][]rawEntry{}
		var mem slab
		err := eachElem(r.e, int(r.e.KeySize()), size, func(key, vals []byte) bool {
			n := native.Uint(key[:numberSize])
			kept := mem.make(len(vals))
			copy(kept, vals)
			all[n] = append(all[n], rawEntry{key, kept})
			return true
		})
		if err != nil {
			return err
		}
		if r.k.together != nil {
			r.k.together[r.m.Kernel] = all
		}
	}
	for _, e := range all[uint64(r.m.Number)] {
		if !f(e.key, e.vals) {
			break
		}
	}
	return nil
}

// rawEntry is an entry of the kernel map.
type rawEntry struct{ key, vals []byte }

// scriptKey returns the script's key in a kernel's key. In a map of short keys it has
// fewer bytes than the key type; the missing ones are zero.
//
//go:noinline
func (r *hashReader) scriptKey(key []byte) []byte {
	if r.m.Number == 0 {
		return key
	}
	return key[numberSize:][:KeySize(r.m.Key)]
}

// Read returns the entries, with the values of all CPUs merged.
func (r *hashReader) Read(stop func(entries int) bool) ([]Entry, error) {
	// There may be a million entries. They are collected in pieces, because a single
	// slice that grows would leave several times as much garbage as it needs.
	var full [][]Entry
	var last []Entry
	var mem slab
	cpus := make([][]byte, r.copies)
	merge := r.k.merger(r.m.Value)
	plain := r.copies == 1 && r.m.Value.Kind != types.Agg
	if r.m.Number != 0 {
		stop = nil // shared hash maps are small
	}
	stopped := false
	err := r.each(func(key, vals []byte) bool {
		if len(last) == maxBatch {
			full = append(full, last)
			last = make([]Entry, 0, maxBatch)
			if stop != nil && stop(maxBatch*len(full)) {
				stopped = true
				return false
			}
		}
		e := Entry{Key: r.scriptKey(key), Value: mem.make(r.size)}
		if plain {
			copy(e.Value, vals)
		} else {
			for cpu := range cpus {
				cpus[cpu] = vals[cpu*r.stride:][:r.size]
			}
			merge(e.Value, cpus)
		}
		last = append(last, e)
		return true
	})
	if stopped {
		err = ErrStopped
	}
	if full == nil {
		return last, err
	}
	return slices.Concat(append(full, last)...), err
}

// merged returns the entry of a key in a kernel map that is not shared, with the values
// of all CPUs merged. If there is none, its value is zero.
func (r *hashReader) merged(key []byte) (Entry, error) {
	e := Entry{Key: key, Value: make([]byte, r.size)}
	vals := make([]byte, r.stride*r.copies)
	if err := LookupElem(r.e, key, vals); err != nil && err != unix.ENOENT {
		return e, err
	}
	merge := r.k.merger(r.m.Value)
	for ; len(vals) > 0; vals = vals[r.stride:] {
		merge(e.Value, [][]byte{vals[:r.size]})
	}
	return e, nil
}

// eachKey calls f for all keys that the map has at the moment.
func (r *hashReader) eachKey(f func(key []byte) error) error {
	var keys [][]byte
	err := r.each(func(key, _ []byte) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := f(key); err != nil && err != unix.ENOENT {
			return err
		}
	}
	return nil
}

//go:noinline
func (r *hashReader) Clear() error {
	return r.eachKey(func(key []byte) error { return DeleteElem(r.e, key) })
}

func (r *hashReader) Zero() error {
	zeros := make([]byte, r.stride*r.copies)
	return r.eachKey(func(key []byte) error { return UpdateElem(r.e, key, zeros, uint64(ebpf.UpdateExist)) })
}
