package lower

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// split keeps a map whose key is a long string in two hash maps. A kernel hash
// map has keys of one size, all of which it hashes and compares: a name of ten
// characters costs as much as one of a thousand. So strings of less than
// object.ShortKey bytes, NUL included, are in a map with keys of that size, all
// others in one with full keys; where a string belongs follows from the string
// alone, so no key is in both. To its users it is one map, except that it is
// full when one of the two is: each has room for as many entries as the script
// asks for.
type split struct{ short, long *hash }

// splitKey is an encoded key: isLong says where it belongs and which of the two
// addresses is that of its bytes. Where that is known when compiling the other
// one is nil.
type splitKey struct{ isLong, short, long *ir.Value }

// splits reports whether m, with keys of type key, is kept in two maps. One
// whose address is taken is handed to the kernel as it is.
func (u *unit) splits(m *builtins.MapInfo, key *types.Type) bool {
	if key == nil || key.Kind != types.String || key.Size <= object.ShortKey {
		return false
	}
	for e := range u.info.Types {
		if x, ok := e.(*ast.Unary); ok && x.Op == "&" {
			if x, ok := x.X.(*ast.Map); ok && u.info.Maps[x] == m {
				return false
			}
		}
	}
	return true
}

func newSplit(u *unit, m *builtins.MapInfo, w *object.Map) store {
	long := newHash(u, m, w)
	short := *long
	km := *long.m
	km.Name, km.KeySize = strings.Replace(w.Kernel, "AT_", "SHORT_", 1), object.ShortKey
	short.m = u.newMap(km)
	w.Short = km.Name
	return &split{short: &short, long: long}
}

func (s *split) kernelMap(*unit) *ir.Map { return s.long.m }

// where runs use on the map that key belongs to.
func (s *split) where(f *fn, key *ir.Value, use func(h *hash, key *ir.Value) *ir.Value) *ir.Value {
	k := f.splitKeys[key]
	switch {
	case k.long == nil:
		return use(s.short, k.short)
	case k.short == nil:
		return use(s.long, k.long)
	}
	return f.IfElse(k.isLong, func() *ir.Value { return use(s.long, k.long) }, func() *ir.Value { return use(s.short, k.short) })
}

func (s *split) find(f *fn, key *ir.Value) *ir.Value {
	return s.where(f, key, func(h *hash, key *ir.Value) *ir.Value { return h.find(f, key) })
}

func (s *split) present(f *fn, key *ir.Value) *ir.Value { return s.find(f, key) }

func (s *split) make(f *fn, key *ir.Value) *ir.Value {
	return s.where(f, key, func(h *hash, key *ir.Value) *ir.Value { return h.make(f, key) })
}

func (s *split) share(f *fn, key *ir.Value) *ir.Value { return s.make(f, key) }

func (s *split) assign(f *fn, key *ir.Value, fill func(Dest)) {
	val := s.long.value(f, fill)
	s.where(f, key, func(h *hash, key *ir.Value) *ir.Value { h.update(f, key, val); return nil })
}

func (s *split) assignWord(f *fn, key, x *ir.Value, t *types.Type) {
	s.where(f, key, func(h *hash, key *ir.Value) *ir.Value { h.assignWord(f, key, x, t); return nil })
}

func (s *split) remove(f *fn, key *ir.Value) *ir.Value {
	return s.where(f, key, func(h *hash, key *ir.Value) *ir.Value { return h.remove(f, key) })
}

func (s *split) onCPU(f *fn, key, cpu *ir.Value) *ir.Value {
	return s.where(f, key, func(h *hash, key *ir.Value) *ir.Value { return h.onCPU(f, key, cpu) })
}

// encoded makes k known by the address that stands for it.
func (f *fn) encoded(k splitKey) *ir.Value {
	handle := k.short
	if handle == nil {
		handle = k.long
	}
	if f.splitKeys == nil {
		f.splitKeys = map[*ir.Value]*splitKey{}
	}
	f.splitKeys[handle] = &k
	return handle
}

// encode evaluates a key. A string that is read from somewhere is read as a
// short one first, and once more where it proves to be longer.
func (s *split) encode(f *fn, t *types.Type, e ast.Expr) *ir.Value {
	if l := f.lit(e); l != nil && l.IsStr {
		text := l.Str[:min(len(l.Str), t.Size-1)]
		if len(text) < object.ShortKey-1 {
			return f.encoded(splitKey{short: f.Rodata(padded(text, object.ShortKey))})
		}
		return f.encoded(splitKey{long: f.Rodata(padded(text, keySize(t)))})
	}
	a := f.typeOf(e)
	if a.Kind == types.String && a.Size < object.ShortKey {
		short := f.temp(object.ShortKey)
		f.store(e, types.NewString(object.ShortKey), Dest{Ptr: short, Size: object.ShortKey, Padded: true})
		return f.encoded(splitKey{short: short})
	}
	if v, ok := e.(*ast.Var); ok && a.Kind == types.String && a.Size <= t.Size {
		p := f.local(f.info.Vars[v], false).mem
		short, long := f.temp(object.ShortKey), f.temp(keySize(t))
		f.b.Copy(short, 0, p, object.ShortKey)
		isLong := f.isLong(short)
		f.If(isLong, func() {
			f.b.Copy(long, 0, p, a.Size)
			f.clearTail(Dest{Ptr: long, Size: keySize(t), Padded: true}, a.Size)
		})
		return f.encoded(splitKey{isLong: isLong, short: short, long: long})
	}
	if c := f.info.Calls[e]; c != nil && c.Def.Source != nil && a.Size <= t.Size {
		if src, space, ok := c.Def.Source(f, c); ok {
			return s.read(f, t, a, src, space)
		}
	}
	k := f.temp(keySize(t))
	f.store(e, t, Dest{Ptr: k, Size: keySize(t), Padded: true})
	return f.encoded(splitKey{isLong: f.isLong(k), short: k, long: k})
}

func padded(text string, size int) []byte {
	data := make([]byte, size)
	copy(data, text)
	return data
}

// isLong reports whether the string at p, with zeros behind it, is a long one.
func (f *fn) isLong(p *ir.Value) *ir.Value {
	last := f.b.Load(p, object.ShortKey-2, 1, false)
	return f.IfElse(last, func() *ir.Value { return f.b.Const(1) }, func() *ir.Value { return f.b.Const(0) })
}

// read encodes the string of type a at src.
func (s *split) read(f *fn, t, a *types.Type, src *ir.Value, space types.Space) *ir.Value {
	short, long := f.temp(object.ShortKey), f.temp(keySize(t))
	f.b.Zero(short, 0, object.ShortKey)
	r := f.ReadStr(short, 0, f.b.Const(object.ShortKey), object.ShortKey, src, space)
	isLong := f.IfElse(f.b.Op(ir.OpEq, r, f.b.Const(object.ShortKey)), func() *ir.Value {
		f.b.Cur.Unlikely = true
		f.b.Zero(long, 0, keySize(t))
		r := f.ReadStr(long, 0, f.b.Const(int64(a.Size)), a.Size, src, space)
		// It may have changed meanwhile.
		return f.IfElse(f.b.Op(ir.OpSLt, r, f.b.Const(object.ShortKey)), func() *ir.Value {
			f.b.Copy(short, 0, long, object.ShortKey)
			return f.b.Const(0)
		}, func() *ir.Value { return f.b.Const(1) })
	}, func() *ir.Value { return f.b.Const(0) })
	return f.encoded(splitKey{isLong: isLong, short: short, long: long})
}

// part is a kernel map that holds entries of a script's map, and what it takes
// for their keys.
type part struct {
	m   *ir.Map
	key *types.Type
}

// parts are all there are of a map.
func (u *unit) parts(st *mapState) []part {
	if s, ok := st.store.(*split); ok {
		return []part{{s.short.m, types.NewString(object.ShortKey)}, {s.long.m, st.key}}
	}
	return []part{{st.store.kernelMap(u), st.key}}
}

// keyOf is the encoded key whose bytes are at k, as p has them.
func (f *fn) keyOf(st *mapState, p part, k *ir.Value) *ir.Value {
	s, ok := st.store.(*split)
	switch {
	case !ok:
		return k
	case p.m == s.short.m:
		return f.encoded(splitKey{short: k})
	}
	return f.encoded(splitKey{long: k})
}
