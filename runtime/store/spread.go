package store

import (
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A Spread keeps an aggregation that programs read, on kernels that do not let programs
// read other CPUs' values of a per-CPU map. An entry of a plain hash map contains the
// values of all CPUs, and each CPU adds to its own value. A map without keys has one
// entry.
//
// The number of values is a power of two. So the verifier sees without a comparison
// that a masked CPU number is in range.
type spread struct {
	*hash
	areas  int
	stride int // bytes from one CPU's value to the next
}

var spreadKind = kind{
	name: "spread",
	own:  1,
	fits: func(l *layout, s *Spec) bool {
		return !l.LookupPerCPU && !l.NoTables && s.isAgg() && s.Uses&Read != 0 && s.ValueParts == 0 && !s.shared
	},
	plan:   func(l *layout, s *Spec, m *object.Map) Store { return newSpread(l, s, m) },
	extras: []string{"LRU"},
	check:  checkSpread,
	open: func(k *Kernel, m *object.Map) (Reader, error) {
		h, err := openHash(k, m)
		if err != nil {
			return nil, err
		}
		h.copies = h.stride / word(max(h.size, 1))
		h.stride /= h.copies
		return &spreadReader{h}, nil
	},
}

// keylessSize is the size of the key of the only entry of a map without keys, in bytes.
const keylessSize = 4

func spreadKey(m *object.Map) int {
	if m.Key == nil {
		return keylessSize
	}
	return KeySize(m.Key)
}

func newSpread(l *layout, s *Spec, m *object.Map) *spread {
	areas, stride := 1<<bits.Len(uint(l.CPUs-1)), word(s.valueSize())
	km := ir.Map{Name: kernelName(s.Name), Type: ir.Hash, KeySize: spreadKey(m), ValueSize: areas * stride, MaxEntries: s.Max}
	if s.LRU {
		km.Type = ir.LRUHash
	}
	if s.Key == nil {
		km.MaxEntries = 1
	}
	h := &hash{name: s.Name, span: s.Span, key: s.Key, keySize: km.KeySize, size: s.valueSize(), m: l.newMap(km)}
	m.LRU, m.Kernel = s.LRU, h.m.Name
	return &spread{h, areas, stride}
}

func checkSpread(c *claims, m *object.Map) error {
	km, err := c.hashMap(m, m.Kernel)
	if err != nil {
		return err
	}
	stride := word(max(m.Value.Size, 1))
	if n := km.ValueSize / stride; km.KeySize != spreadKey(m) || n < 1 || n&(n-1) != 0 || km.ValueSize != n*stride {
		return outline.Errorf("%s has keys of %d bytes and values of %d", m.Kernel, km.KeySize, km.ValueSize)
	}
	return c.own(m.Kernel, 0)
}

func (s *spread) Key(g Gen, e KeyExpr) Key {
	if s.key == nil {
		return Key{Ptr: g.Zeros(keylessSize)}
	}
	return s.hash.Key(g, e)
}

func (s *spread) Traits() Traits { return Traits{Together: true} }

// area returns the value of cpu in the entry at p, which may be null.
func (s *spread) area(g Gen, p, cpu *ir.Value) *ir.Value {
	return g.B().WhenNil(p, func(p *ir.Value) *ir.Value {
		b := g.B()
		cpu := b.Op(ir.OpAnd, cpu, b.Const(int64(s.areas-1)))
		return b.Op(ir.OpAdd, p, b.Op(ir.OpMul, cpu, b.Const(int64(s.stride))))
	}, null(g))
}

func (s *spread) Make(g Gen, k Key) *ir.Value {
	return s.area(g, s.hash.Make(g, k), g.B().Call(ir.SmpProcessorID))
}

func (s *spread) Share(g Gen, k Key) *ir.Value { return s.Make(g, k) }

func (s *spread) OnCPU(g Gen, k Key, cpu *ir.Value) *ir.Value {
	return s.area(g, s.hash.Find(g, k), cpu)
}

// spreadReader reads the entry of a map without keys as one that has no key.
type spreadReader struct{ *hashReader }

func (r *spreadReader) Read(stop func(entries int) bool) ([]Entry, error) {
	list, err := r.hashReader.Read(stop)
	if r.m.Key == nil {
		for i := range list {
			list[i].Key = nil
		}
	}
	return list, err
}
