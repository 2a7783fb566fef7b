package store

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// A parted store keeps aggregations that are too large for a value of a per-CPU map. It
// is a hash map of the parts of values. Its key is the script's key, if there is one,
// padded to whole words, followed by the number of the part. A program cannot do
// anything that needs all parts of a value at once.
type parted struct {
	hash
	scriptKey int // bytes of the script's key, padded; 0: none
}

// partedUses are the uses that a program can make of a map in parts.
const partedUses = Add | Whole | Reset | Foreign

var partedKind = kind{
	name:   "parted",
	own:    1,
	fits:   func(_ *layout, s *Spec) bool { return s.isAgg() && s.Value.Size > MaxPerCPU },
	plan:   newParted,
	extras: []string{"Part"},
	check: func(c *claims, m *object.Map) error {
		size := 8
		if m.Key != nil {
			size += word(KeySize(m.Key))
		}
		km, err := c.hashMap(m, m.Kernel)
		if err != nil {
			return err
		}
		if m.Part <= 0 || km.ValueSize != m.Part || km.KeySize != size || !m.PerCPU {
			return fmt.Errorf("parts of %d bytes are not what %s has", m.Part, m.Kernel)
		}
		return c.own(m.Kernel, 0)
	},
	open: openParted,
}

// newParted creates the map. A map without keys has room for all parts of its value.
func newParted(l *layout, s *Spec, m *object.Map) Store {
	size := 0
	if s.Key != nil {
		size = word(KeySize(s.Key))
		if size+8 > maxOldKey && !l.LongKeys {
			l.diags.Errorf(s.Span, "A key of %d bytes needs Linux 5.11: before it %d is the most", size+8, maxOldKey)
		}
	} else {
		m.Max = (s.Value.Size + s.ValueParts - 1) / s.ValueParts
	}
	if what := s.Uses &^ partedUses; what != 0 {
		l.diags.ErrorHint(s.Span, "clear() and print() work on the whole map", "%s holds values in parts, which a program cannot %s", s.Name, what)
	}
	m.PerCPU, m.Part, m.Kernel = true, s.ValueParts, kernelName(s.Name)
	km := l.newMap(ir.Map{Name: m.Kernel, Type: ir.PerCPUHash, KeySize: size + 8, ValueSize: m.Part, MaxEntries: m.Max})
	p := &parted{hash: hash{m: km, name: s.Name, span: s.Span, key: s.Key}, scriptKey: size}
	if s.Key != nil {
		p.keySize = KeySize(s.Key)
	}
	return p
}

// Key encodes the script's key. It leaves the number of the part unset.
func (s *parted) Key(g Gen, e KeyExpr) Key {
	k := g.Temp(s.scriptKey + 8)
	if e != nil {
		e.Write(s.key, k, s.scriptKey)
	}
	return Key{Ptr: k}
}

func (s *parted) Traits() Traits { return Traits{MakePart: s.makePart} }

func (s *parted) makePart(g Gen, k Key, n *ir.Value) *ir.Value {
	g.B().Store(k.Ptr, int64(s.scriptKey), 8, n)
	return s.hash.Make(g, k)
}

// partedReader joins the parts of values.
type partedReader struct{ *hashReader }

func openParted(k *Kernel, m *object.Map) (Reader, error) {
	r, err := openHash(k, m)
	if err == nil {
		r.size = m.Part
	}
	return &partedReader{r}, err
}

// Read joins the parts of each value, in no particular order: in such aggregations,
// each part contains its position. Parts that were never used are missing. It does not
// stop early, as values would lack parts.
func (r *partedReader) Read(func(entries int) bool) ([]Entry, error) {
	all, err := r.hashReader.Read(nil)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	at := map[string]int{}
	for _, p := range all {
		key := p.Key[:len(p.Key)-8]
		i, ok := at[string(key)]
		if !ok {
			i = len(entries)
			at[string(key)] = i
			entries = append(entries, Entry{})
			if r.m.Key != nil {
				entries[i].Key = key
			}
		}
		entries[i].Value = append(entries[i].Value, p.Value...)
	}
	return entries, nil
}
