package store

import (
	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// A slot keeps a map without keys as bytes of a shared array map. Programs access them
// at a constant address, without a helper. A byte after the value is set once the map
// was assigned.
type slot struct{ bytesOf }

var slotKind = kind{
	name:   "slot",
	fits:   func(_ *layout, s *Spec) bool { return s.Key == nil },
	plan:   func(l *layout, s *Spec, m *object.Map) Store { return &slot{newBytes(s, m, l.slot)} },
	extras: []string{"Off"},
	check:  func(c *claims, m *object.Map) error { return c.slot(m, ebpf.Array) },
	open:   openSlot,
}

// bytesOf is the position of a value, and of the byte after it, in a shared map.
type bytesOf struct {
	m    *ir.Map
	off  int64
	set  int64
	size int
}

// newBytes reserves the bytes for a value with alloc.
func newBytes(s *Spec, m *object.Map, alloc func(size int) (*ir.Map, int)) bytesOf {
	size := s.valueSize()
	km, off := alloc(word(size) + 8)
	m.Kernel, m.Off, m.Set, m.Max = km.Name, off, off+word(size), 1
	return bytesOf{m: km, off: int64(off), set: int64(m.Set), size: size}
}

func (s *bytesOf) Traits() Traits            { return Traits{} }
func (s *bytesOf) Parts() []Part             { return []Part{{Map: s.m}} }
func (s *bytesOf) Key(_ Gen, _ KeyExpr) Key  { return Key{} }
func (s *slot) Address(g Gen) *ir.Value      { return s.Find(g, Key{}) }
func (s *slot) Find(g Gen, _ Key) *ir.Value  { return g.B().MapValue(s.m, s.off) }
func (s *slot) Share(g Gen, k Key) *ir.Value { return s.Make(g, k) }

// mark sets the byte that records whether the map was assigned.
func (s *slot) mark(g Gen, set int64) {
	g.B().Store(g.B().MapValue(s.m, s.set), 0, 1, g.B().Const(set))
}

func (s *slot) isSet(g Gen) *ir.Value { return g.B().Load(g.B().MapValue(s.m, s.set), 0, 1, false) }

func (s *slot) Present(g Gen, k Key) *ir.Value {
	return g.B().IfElse(s.isSet(g), func() *ir.Value { return s.Find(g, k) }, null(g))
}

// null returns a branch whose value is a null pointer.
//
//go:noinline
func null(g Gen) func() *ir.Value { return func() *ir.Value { return g.B().Const(0) } }

func (s *slot) Make(g Gen, k Key) *ir.Value {
	s.mark(g, 1)
	return s.Find(g, k)
}

func (s *slot) Assign(g Gen, k Key, fill func(p *ir.Value, size int)) {
	fill(s.Find(g, k), s.size)
	s.mark(g, 1)
}

func (s *slot) AssignWord(g Gen, k Key, x *ir.Value, size int) {
	g.B().Store(s.Find(g, k), 0, size, x)
	s.mark(g, 1)
}

func (s *slot) Remove(g Gen, k Key) *ir.Value {
	was := s.isSet(g)
	s.mark(g, 0)
	g.B().Zero(s.Find(g, k), 0, s.size)
	return deleted(g, was)
}

// deleted returns the result of a deletion: 0 if was is not 0, otherwise -ENOENT.
func deleted(g Gen, was *ir.Value) *ir.Value {
	return g.B().IfElse(was, func() *ir.Value { return g.B().Const(0) }, func() *ir.Value { return g.B().Const(enoent) })
}

func (s *slot) OnCPU(g Gen, k Key, _ *ir.Value) *ir.Value { return s.Find(g, k) }

// slotReader reads a slot through memory.
type slotReader struct {
	mem *ebpf.Memory
	m   *object.Map
}

func openSlot(k *Kernel, m *object.Map) (Reader, error) {
	mem, err := k.mapped(m.Kernel)
	return &slotReader{mem, m}, err
}

func (r *slotReader) Read(func(entries int) bool) ([]Entry, error) {
	var set [1]byte
	if _, err := r.mem.ReadAt(set[:], int64(r.m.Set)); err != nil || set[0] == 0 {
		return nil, err
	}
	val := make([]byte, r.m.Value.Size)
	if _, err := r.mem.ReadAt(val, int64(r.m.Off)); err != nil {
		return nil, err
	}
	return []Entry{{Value: val}}, nil
}

func (r *slotReader) Clear() error {
	if err := r.Zero(); err != nil {
		return err
	}
	_, err := r.mem.WriteAt([]byte{0}, int64(r.m.Set))
	return err
}

func (r *slotReader) Zero() error {
	_, err := r.mem.WriteAt(make([]byte, r.m.Value.Size), int64(r.m.Off))
	return err
}
