package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// slot keeps a map without keys as bytes of one shared array map, which
// programs reach by an address that is a constant: no helper is called. A byte
// behind the value says whether the map was assigned.
type slot struct{ bytesOf }

// bytesOf is where in a shared map a value and the byte behind it are.
type bytesOf struct {
	m    *ir.Map
	off  int64
	set  int64
	size int
}

// newBytes gives w bytes of the map that alloc takes them from.
func newBytes(w *object.Map, kind object.Store, alloc func(size int) (*ir.Map, int)) bytesOf {
	size := max(w.Value.Size, 1)
	m, off := alloc(roundUp(size, 8) + 8)
	w.Store, w.Kernel, w.Off, w.Max = kind, m.Name, off, 1
	w.Set = off + roundUp(size, 8)
	return bytesOf{m: m, off: int64(off), set: int64(w.Set), size: size}
}

func (s *bytesOf) kernelMap(*unit) *ir.Map { return s.m }

func newSlot(u *unit, w *object.Map) store { return &slot{newBytes(w, object.Slot, u.slot)} }

func (s *slot) find(f *fn, _ *ir.Value) *ir.Value { return f.b.MapValue(s.m, s.off) }

func (s *slot) mark(f *fn, set int64) {
	f.b.Store(f.b.MapValue(s.m, s.set), 0, 1, f.b.Const(set))
}

func (s *slot) isSet(f *fn) *ir.Value { return f.b.Load(f.b.MapValue(s.m, s.set), 0, 1, false) }

func (s *slot) present(f *fn, key *ir.Value) *ir.Value {
	return f.IfElse(s.isSet(f), func() *ir.Value { return s.find(f, key) }, func() *ir.Value { return f.b.Const(0) })
}

func (s *slot) make(f *fn, key *ir.Value) *ir.Value {
	s.mark(f, 1)
	return s.find(f, key)
}

func (s *slot) share(f *fn, key *ir.Value) *ir.Value { return s.make(f, key) }

func (s *slot) assignWord(f *fn, key, x *ir.Value, t *types.Type) {
	s.assign(f, key, func(d Dest) { f.storeWord(x, t, d) })
}

func (s *slot) assign(f *fn, key *ir.Value, fill func(Dest)) {
	fill(Dest{Ptr: s.find(f, key), Size: s.size, Padded: true})
	s.mark(f, 1)
}

func (s *slot) remove(f *fn, key *ir.Value) *ir.Value {
	was := s.isSet(f)
	s.mark(f, 0)
	f.b.Zero(s.find(f, key), 0, s.size)
	return f.IfElse(was, func() *ir.Value { return f.b.Const(0) }, func() *ir.Value { return f.b.Const(enoent) })
}

func (s *slot) onCPU(f *fn, key, _ *ir.Value) *ir.Value { return s.find(f, key) }
