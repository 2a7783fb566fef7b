package lower

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// hash keeps a map with keys as a hash map of its own; an aggregation has one
// value per CPU.
type hash struct {
	m    *ir.Map
	name string
	span source.Span

	// inPlace says that an assignment of a word writes into the entry where there
	// is one: half the cost of an update. Only where entries are never taken
	// away, by the script or the kernel: then what was found stays that key's.
	inPlace bool
}

// newHash follows the declared type, where there is one.
func newHash(u *unit, m *builtins.MapInfo, w *object.Map) *hash {
	perCPU := m.Value.Kind == types.Agg || strings.HasPrefix(m.Decl, "percpu")
	lru := strings.HasSuffix(m.Decl, "lruhash")
	kind := ir.Hash
	switch {
	case perCPU && lru:
		kind = ir.LRUPerCPU
	case perCPU:
		kind = ir.PerCPUHash
	case lru:
		kind = ir.LRUHash
	}
	w.Store, w.LRU, w.Kernel = object.HashMap, lru, "AT_"+strings.TrimPrefix(m.Name, "@")
	if perCPU {
		w.Store = object.PerCPUHashMap
	}
	km := u.newMap(ir.Map{
		Name: w.Kernel, Type: kind, KeySize: keySize(w.Key), ValueSize: max(m.Value.Size, 1), MaxEntries: w.Max,
	})
	return &hash{m: km, name: m.Name, span: m.Span, inPlace: !lru && !u.deleted[m]}
}

// The flags and results of map_update_elem and map_delete_elem.
const (
	bpfAny     = 0
	bpfNoExist = 1
	eexist     = -17
	enoent     = -2
)

func (s *hash) kernelMap(*unit) *ir.Map { return s.m }

func (s *hash) find(f *fn, key *ir.Value) *ir.Value {
	return f.b.Call(ir.MapLookup, f.b.MapPtr(s.m), key)
}

func (s *hash) present(f *fn, key *ir.Value) *ir.Value { return s.find(f, key) }

// make looks up, inserts zeros unless another CPU was faster, looks up again.
func (s *hash) make(f *fn, key *ir.Value) *ir.Value {
	p := s.find(f, key)
	return f.IfElse(p, func() *ir.Value { return f.b.NonNil(p) }, func() *ir.Value {
		r := f.b.Call(ir.MapUpdate, f.b.MapPtr(s.m), key, f.Zeros(s.m.ValueSize), f.b.Const(bpfNoExist))
		s.check(f, r)
		return s.find(f, key)
	})
}

func (s *hash) share(f *fn, key *ir.Value) *ir.Value { return s.make(f, key) }

// check counts an update that found no room.
func (s *hash) check(f *fn, r *ir.Value) {
	span := f.b.Pos
	f.If(f.b.Op(ir.OpSLt, r, f.b.Const(0)), func() {
		f.b.Cur.Unlikely = true
		f.If(f.b.Op(ir.OpNe, r, f.b.Const(eexist)), func() { f.Count(object.MapFull, span, s.name) })
	})
}

func (s *hash) assignWord(f *fn, key, x *ir.Value, t *types.Type) {
	update := func() *ir.Value {
		s.assign(f, key, func(d Dest) { f.storeWord(x, t, d) })
		return nil
	}
	if !s.inPlace {
		update()
		return
	}
	p := s.find(f, key)
	f.IfElse(p, func() *ir.Value {
		f.b.Store(f.b.NonNil(p), 0, t.Size, x)
		return nil
	}, update)
}

func (s *hash) assign(f *fn, key *ir.Value, fill func(Dest)) {
	s.update(f, key, s.value(f, fill))
}

// value puts a value into memory.
func (s *hash) value(f *fn, fill func(Dest)) *ir.Value {
	tmp := f.temp(s.m.ValueSize)
	fill(Dest{Ptr: tmp, Size: s.m.ValueSize, Padded: true})
	return tmp
}

func (s *hash) update(f *fn, key, val *ir.Value) {
	s.check(f, f.b.Call(ir.MapUpdate, f.b.MapPtr(s.m), key, val, f.b.Const(bpfAny)))
}

func (s *hash) remove(f *fn, key *ir.Value) *ir.Value {
	return f.b.Call(ir.MapDelete, f.b.MapPtr(s.m), key)
}

func (s *hash) onCPU(f *fn, key, cpu *ir.Value) *ir.Value {
	return f.b.Call(ir.LookupPerCPU, f.b.MapPtr(s.m), key, cpu)
}
