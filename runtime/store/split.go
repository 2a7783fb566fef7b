package store

import (
	"errors"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A split keeps a map whose key is a long string in two hash maps. All keys of a kernel
// hash map have the same size, and the kernel hashes and compares all bytes. So in a
// single map, a name of ten characters would cost as much as a name of a thousand. So
// strings of fewer than shortKey bytes, including the NUL, are in a map with keys of that
// size, and all others in a map with full keys. The string alone determines the hash map,
// so no key is in both. Each of the two has room for the number of entries that the
// script declares, and the map counts as full when one of them is full.
type split struct{ short, long *hash }

// shortKey is the size in bytes of keys in the map of short strings. They are padded
// with zeros.
const shortKey = 64

var splitKind = kind{
	name: "split",
	own:  2,
	fits: func(_ *layout, s *Spec) bool {
		// A map whose address is taken must be one kernel map.
		return s.Key != nil && s.Key.Kind == types.String && s.Key.Size > shortKey && s.Uses&Address == 0 && !s.shared
	},
	plan:   newSplit,
	extras: []string{"LRU", "Short"},
	check: func(c *claims, m *object.Map) error {
		if m.Key == nil || m.Key.Kind != types.String {
			return outline.Errorf("its keys are not strings")
		}
		if err := c.hash(m, m.Short, types.NewString(shortKey)); err != nil {
			return err
		}
		return c.hash(m, m.Kernel, m.Key)
	},
	open: openSplit,
}

func newSplit(l *layout, s *Spec, m *object.Map) Store {
	long := newHash(l, s, m)
	short := *long
	km := *long.m
	km.Name, km.KeySize = strings.Replace(m.Kernel, "AT_", "SHORT_", 1), shortKey
	short.m = l.newMap(km)
	short.key, short.keySize = types.NewString(shortKey), shortKey
	m.Short = km.Name
	return &split{short: &short, long: long}
}

func (s *split) Traits() Traits { return Traits{} }

func (s *split) Address(g Gen) *ir.Value { return s.long.Address(g) }

// where calls use with the hash map that a key belongs to.
func (s *split) where(g Gen, k Key, use func(h *hash, k Key) *ir.Value) *ir.Value {
	switch {
	case k.long == nil:
		return use(s.short, Key{Ptr: k.short})
	case k.short == nil:
		return use(s.long, Key{Ptr: k.long})
	}
	return g.B().IfElse(k.isLong, func() *ir.Value { return use(s.long, Key{Ptr: k.long}) },
		func() *ir.Value { return use(s.short, Key{Ptr: k.short}) })
}

func (s *split) Find(g Gen, k Key) *ir.Value {
	return s.where(g, k, func(h *hash, k Key) *ir.Value { return h.Find(g, k) })
}

func (s *split) Present(g Gen, k Key) *ir.Value { return s.Find(g, k) }

func (s *split) Make(g Gen, k Key) *ir.Value {
	return s.where(g, k, func(h *hash, k Key) *ir.Value { return h.Make(g, k) })
}

func (s *split) Share(g Gen, k Key) *ir.Value { return s.Make(g, k) }

func (s *split) Assign(g Gen, k Key, fill func(p *ir.Value, size int)) {
	val := s.long.value(g, fill)
	s.where(g, k, func(h *hash, k Key) *ir.Value { h.update(g, k, val); return nil })
}

func (s *split) AssignWord(g Gen, k Key, x *ir.Value, size int) {
	s.where(g, k, func(h *hash, k Key) *ir.Value { h.AssignWord(g, k, x, size); return nil })
}

func (s *split) Remove(g Gen, k Key) *ir.Value {
	return s.where(g, k, func(h *hash, k Key) *ir.Value { return h.Remove(g, k) })
}

func (s *split) OnCPU(g Gen, k Key, cpu *ir.Value) *ir.Value {
	return s.where(g, k, func(h *hash, k Key) *ir.Value { return h.OnCPU(g, k, cpu) })
}

func (s *split) Parts() []Part {
	short, long := s.short.Parts()[0], s.long.Parts()[0]
	short.wrap = func(_ *ir.Builder, p *ir.Value) Key { return Key{short: p} }
	long.wrap = func(_ *ir.Builder, p *ir.Value) Key { return Key{long: p} }
	return []Part{short, long}
}

// Key evaluates a key. A string that must be read from memory is first read as a short
// string. If it is longer, it is read again.
func (s *split) Key(g Gen, e KeyExpr) Key {
	b, full := g.B(), s.long.keySize
	if text, ok := e.Literal(); ok {
		text = text[:min(len(text), s.long.key.Size-1)]
		if len(text) < shortKey-1 {
			return Key{short: g.Rodata(padded(text, len(text), shortKey))}
		}
		return Key{long: g.Rodata(padded(text, len(text), full))}
	}
	size := e.StringSize()
	if size > 0 && size < shortKey {
		short := g.Temp(shortKey)
		e.Write(s.short.key, short, shortKey)
		return Key{short: short}
	}
	if size > 0 && size <= s.long.key.Size {
		if p := e.InMemory(); p != nil {
			short, long := g.Temp(shortKey), g.Temp(full)
			b.Copy(short, 0, p, shortKey)
			isLong := s.isLong(g, short)
			g.B().If(isLong, func() {
				b.Copy(long, 0, p, size)
				if size < full {
					b.Zero(long, int64(size), full-size)
				}
			})
			return Key{isLong: isLong, short: short, long: long}
		}
		if src, space, ok := e.Source(g); ok {
			return s.read(g, size, src, space)
		}
	}
	k := g.Temp(full)
	e.Write(s.long.key, k, full)
	return Key{isLong: s.isLong(g, k), short: k, long: k}
}

// isLong returns a value that is not 0 if the string at p, which is followed by zeros, is
// long.
func (s *split) isLong(g Gen, p *ir.Value) *ir.Value {
	last := g.B().Load(p, shortKey-2, 1, false)
	return g.B().IfElse(last, func() *ir.Value { return g.B().Const(1) }, func() *ir.Value { return g.B().Const(0) })
}

// read encodes the string of at most size bytes at src.
func (s *split) read(g Gen, size int, src *ir.Value, space types.Space) Key {
	b, full := g.B(), s.long.keySize
	short, long := g.Temp(shortKey), g.Temp(full)
	b.Zero(short, 0, shortKey)
	r := g.ReadStr(short, 0, b.Const(shortKey), shortKey, src, space)
	isLong := g.B().IfElse(b.Op(ir.OpEq, r, b.Const(shortKey)), func() *ir.Value {
		b.Cur.Unlikely = true
		b.Zero(long, 0, full)
		r := g.ReadStr(long, 0, b.Const(int64(size)), size, src, space)
		// The string may have changed meanwhile.
		return g.B().IfElse(b.Op(ir.OpSLt, r, b.Const(shortKey)), func() *ir.Value {
			b.Copy(short, 0, long, shortKey)
			return b.Const(0)
		}, func() *ir.Value { return b.Const(1) })
	}, func() *ir.Value { return b.Const(0) })
	return Key{isLong: isLong, short: short, long: long}
}

// splitReader reads the two hash maps as one map.
type splitReader struct{ short, long *hashReader }

func openSplit(k *Kernel, m *object.Map) (Reader, error) {
	long, err := openHash(k, m)
	if err != nil {
		return nil, err
	}
	short, err := openHashOf(k, m, m.Short)
	return &splitReader{short, long}, err
}

func (r *splitReader) Read(stop func(entries int) bool) ([]Entry, error) {
	short, err := r.short.Read(stop)
	if err != nil {
		return short, err
	}
	long, err := r.long.Read(stop)
	return append(short, long...), err
}

func (r *splitReader) Clear() error { return errors.Join(r.short.Clear(), r.long.Clear()) }
func (r *splitReader) Zero() error  { return errors.Join(r.short.Zero(), r.long.Zero()) }
