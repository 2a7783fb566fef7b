package store

import (
	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A parted store keeps aggregations that are too large for a value of a per-CPU map. It
// is a hash map of the parts of values, whose key is the script's key, padded to whole
// words, followed by the number of the part. For a map without keys it is an array of the
// parts, which is faster. In the array, a part that was never used is zero. Programs
// cannot perform operations that need all parts of a value at once.
//
// The hash map can have a front table (front.go), whose slots hold one part each.
type parted struct {
	hash
	front     *front // nil: none
	scriptKey int    // bytes of the script's key, padded; 0: none
}

// partIndex is the size of the number of a part in an array, in bytes.
const partIndex = 4

// partedUses are the operations that programs can perform on a map in parts.
const partedUses = Add | Whole | Reset | OtherThread

// partNumber is the size of the number of a part after a key, in bytes.
const partNumber = 8

// inParts reports whether the map's values are kept in parts.
func (s *Spec) inParts() bool { return s.isAgg() && s.Value.Size > MaxPerCPU }

// MaxOldKey returns the maximum size of the script's key before Linux 5.11, in bytes.
func (s *Spec) MaxOldKey() int {
	if s.inParts() {
		return maxOldKey - partNumber
	}
	return maxOldKey
}

var partedKind = kind{
	name:   "parted",
	own:    1,
	fits:   func(_ *layout, s *Spec) bool { return s.inParts() },
	plan:   newParted,
	extras: []string{"Part", "Table"},
	check: func(c *claims, m *object.Map) error {
		var km *object.KernelMap
		var err error
		size := partIndex
		if m.Key != nil {
			size = word(KeySize(m.Key)) + partNumber
			km, err = c.hashMap(m, m.Kernel)
		} else {
			km, err = c.find(m.Kernel, ebpf.PerCPUArray)
		}
		if err != nil {
			return err
		}
		if m.Part <= 0 || km.ValueSize != m.Part || km.KeySize != size || !m.PerCPU {
			return outline.Errorf("parts of %d bytes are not what %s has", m.Part, m.Kernel)
		}
		if m.Table != nil {
			if m.Key == nil {
				return outline.Errorf("it has no key")
			}
			if err := c.front(m, size, m.Part); err != nil {
				return err
			}
		}
		return c.own(m.Kernel, 0)
	},
	open: openParted,
}

// newParted creates the map. A map without keys has room for all parts of its value.
func newParted(l *layout, s *Spec, m *object.Map) Store {
	size, kind, keys := 0, ir.PerCPUArray, partIndex
	if s.Key != nil {
		size, kind = word(KeySize(s.Key)), ir.PerCPUHash
		keys = size + partNumber
	} else {
		m.Max = (s.Value.Size + s.ValueParts - 1) / s.ValueParts
	}
	if what := s.Uses &^ partedUses; what != 0 {
		l.diags.ErrorHint(s.Span, "clear() and print() work on the whole map", "%s holds values in parts, which a program cannot %s", s.Name, what)
	}
	m.PerCPU, m.Part, m.Kernel = true, s.ValueParts, kernelName(s.Name)
	km := l.newMap(ir.Map{Name: m.Kernel, Type: kind, KeySize: keys, ValueSize: m.Part, MaxEntries: m.Max})
	p := &parted{hash: hash{m: km, name: s.Name, span: s.Span, key: s.Key, keySize: keys, size: m.Part}, scriptKey: size}
	if s.fronted {
		p.front = newFront(l, &p.hash, m, maxPartsCPU)
	}
	return p
}

// frontsParts reports whether a map in parts should have a front table.
func (l *layout) frontsParts(s *Spec) bool {
	return s.Key != nil && hashable(s.Key) && l.frontSlots(word(KeySize(s.Key))+partNumber, s.ValueParts, maxPartsCPU, maxFrontSize) > 0
}

// Key encodes the script's key. It leaves the number of the part unset.
func (s *parted) Key(g Gen, e KeyExpr) Key {
	k := g.Temp(s.m.KeySize)
	if e != nil {
		e.Write(s.key, k, s.scriptKey)
	}
	return Key{Ptr: k}
}

func (s *parted) Traits() Traits { return Traits{MakePart: s.makePart} }

func (s *parted) makePart(g Gen, k Key, n *ir.Value) *ir.Value {
	if s.scriptKey == 0 {
		g.B().Store(k.Ptr, 0, partIndex, n)
		return s.Find(g, k)
	}
	g.B().Store(k.Ptr, int64(s.scriptKey), 8, n)
	if s.front != nil {
		return s.front.Share(g, k)
	}
	return s.hash.Make(g, k)
}

// partedReader joins the parts of values.
type partedReader struct {
	Reader // of the parts
	m      *object.Map
	zeroed bool // the map has no keys, and its value was set to zero
}

func openParted(k *Kernel, m *object.Map) (Reader, error) {
	r, err := openHash(k, m)
	if err != nil {
		return nil, err
	}
	r.size = m.Part
	p := &partedReader{Reader: r, m: m}
	if m.Table != nil {
		p.Reader, err = openFront(k, r, word(KeySize(m.Key))+partNumber)
	}
	return p, err
}

// Read joins the parts of each value, in no particular order: in such aggregations, each
// part contains its position. Parts that were never used are missing. It does not stop
// early, because values would lack parts.
func (r *partedReader) Read(func(entries int) bool) ([]Entry, error) {
	all, err := r.Reader.Read(nil)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	if r.m.Key == nil {
		var value []byte
		for _, p := range all {
			if !allZero(p.Value) {
				value = append(value, p.Value...)
			}
		}
		if value != nil || r.zeroed {
			entries = []Entry{{Value: value}}
		}
		return entries, nil
	}
	at := map[string]int{}
	for _, p := range all {
		key := p.Key[:len(p.Key)-8]
		i, ok := at[string(key)]
		if !ok {
			i = len(entries)
			at[string(key)] = i
			entries = append(entries, Entry{Key: key})
		}
		entries[i].Value = append(entries[i].Value, p.Value...)
	}
	return entries, nil
}

// Clear sets the parts of a value without a key to zero, because elements of an array
// cannot be deleted.
func (r *partedReader) Clear() error {
	if r.m.Key != nil {
		return r.Reader.Clear()
	}
	r.zeroed = false
	return r.Reader.Zero()
}

func (r *partedReader) Zero() error {
	if r.m.Key == nil && !r.zeroed {
		entries, err := r.Read(nil)
		if err != nil {
			return err
		}
		r.zeroed = len(entries) > 0
	}
	return r.Reader.Zero()
}
