package opt

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// The maximum numbers of facts in a state. Beyond that the oldest are dropped. They
// limit the time per value regardless of the size of the function.
const (
	maxFacts    = 96
	maxLookups  = 32
	maxVersions = 64
)

// version returns the version of a private slot.
func (s *state) version(base *ir.Value) int {
	for i := range s.versions {
		if s.versions[i].base == base {
			return s.versions[i].n
		}
	}
	return s.others
}

// memPass replaces loads of known contents, removes stores that do not change the
// contents, and reuses map lookups.
type memPass struct {
	f       *ir.Func
	mi      *memInfo
	s       *state
	free    []*state
	spare   []fact // memory in which clobber builds the remaining facts
	sub     ir.Subst
	out     []*ir.Value
	next    int
	changed bool
}

func memory(f *ir.Func) bool {
	m := &memPass{f: f, mi: newMemInfo(f), sub: make(ir.Subst, f.NumValues())}
	ends := make([]*state, f.NumBlocks())
	readers := make([]int, f.NumBlocks()) // edges out of a block that have not been followed yet
	rpo := ir.RPO(f)
	order := make([]int, f.NumBlocks()) // by block ID
	for i, b := range rpo {
		order[b.ID] = i
	}
	for i, b := range rpo {
		m.s = m.begin(b, ends, readers)
		if f.Forgets {
			m.forgetOld(i, order)
		}
		m.out = make([]*ir.Value, 0, len(b.Values))
		for _, v := range b.Values {
			for i, x := range v.Args {
				v.Args[i] = m.sub.Find(x)
			}
			m.value(b, v)
		}
		b.Values = m.out
		ends[b.ID], readers[b.ID] = m.s, len(b.Succs)
	}
	if m.changed {
		f.Substitute(m.sub)
	}
	return m.changed
}

// nearBlocks is the number of blocks for which a function with Forgets set reuses the
// result of a map lookup.
const nearBlocks = 8

// forgetOld drops facts at the beginning of block at in a function with Forgets set. It drops
// those about distant lookups that may have returned null. It also drops those about loaded
// values, unless only stores of this function have filled the memory. order gives the
// position of each block.
func (m *memPass) forgetOld(at int, order []int) {
	m.s.facts = slices.DeleteFunc(m.s.facts, func(f fact) bool {
		return f.val != nil && (mapLike(f.at) || f.at.base.Type == ir.PtrCtx || f.val.Op.Info().Access == ir.Loads && locate(f.val.Args[0], f.val.Imm) == f.at)
	})
	m.s.lookups = slices.DeleteFunc(m.s.lookups, func(f found) bool {
		array := f.m.Type == ir.Array || f.m.Type == ir.PerCPUArray
		return !array && at-order[f.result.Block.ID] > nearBlocks
	})
}

func (m *memPass) replace(v, x *ir.Value) {
	m.sub[v.ID] = x
	m.changed = true
}

//go:noinline
func (m *memPass) learn(at location, size int64, val *ir.Value) {
	m.limit()
	m.s.facts = append(m.s.facts, fact{at, size, val, m.fresh()})
}

// limit removes old facts so that one more can be added.
func (m *memPass) limit() {
	if n := len(m.s.facts) - (maxFacts - 1); n > 0 {
		m.s.facts = m.s.facts[:copy(m.s.facts, m.s.facts[n:])]
	}
}

// clobber drops the facts that a write of size bytes (-1: unknown) through p may
// invalidate.
func (m *memPass) clobber(p location, size int64) {
	kept := m.spare[:0]
	for _, f := range m.s.facts {
		if f.at.base != nil && f.at.base.Type == ir.PtrCtx && m.mi.ctxFix || !m.mi.mayAlias(p, size, f.at, f.size) {
			kept = append(kept, f)
			continue
		}
		if f.val != nil || size < 0 || !f.at.sameBase(p) {
			continue
		}
		// The zeros before and after the write remain.
		if n := p.off - f.at.off; n > 0 {
			kept = append(kept, fact{f.at, n, nil, f.seq})
		}
		if n := f.at.off + f.size - (p.off + size); n > 0 {
			at := f.at
			at.off = p.off + size
			kept = append(kept, fact{at, n, nil, f.seq})
		}
	}
	m.s.facts, m.spare = kept, m.s.facts
	if p.base != nil {
		if r := root(p.base); m.mi.private(r) {
			m.written(r)
		}
	}
}

func (m *memPass) value(b *ir.Block, v *ir.Value) {
	size := v.Width()
	access := v.Op.Info().Access
	switch access {
	case ir.Loads:
		p := locate(v.Args[0], v.Imm)
		if m.load(b, v, p, size) {
			return
		}
		m.learn(p, size, v)
	case ir.Stores:
		p := locate(v.Args[0], v.Imm)
		x := v.Args[1]
		if m.mi.private(p.base) && m.holds(p, size, x) {
			m.changed = true
			return
		}
		m.clobber(p, size)
		m.learn(p, size, x)
	case ir.Updates, ir.Moves:
		m.clobber(locate(v.Args[0], v.Imm), size)
	case ir.Fills:
		p := locate(v.Args[0], v.Imm)
		m.clobber(p, size)
		m.learn(p, size, nil)
	}
	switch v.Op {
	case ir.OpCallFn, ir.OpKfunc:
		m.opaque(v)
	}
	if v.Help != nil {
		if m.call(v) {
			return
		}
	}
	m.out = append(m.out, v)
}

// holds reports whether a store of the low size bytes of x at p changes nothing.
func (m *memPass) holds(p location, size int64, x *ir.Value) bool {
	for _, f := range m.s.facts {
		if !f.at.sameBase(p) || f.at.off > p.off || p.off+size > f.at.off+f.size {
			continue
		}
		if f.val == nil && x.Op == ir.OpConst && (size == 8 && x.Imm == 0 || size < 8 && uint64(x.Imm)<<(64-8*size) == 0) {
			return true
		}
		if f.val != nil && f.at == p && f.size == size && (f.val == x || f.val.Op == ir.OpConst && x.Op == ir.OpConst && f.val.Imm == x.Imm) {
			return true
		}
	}
	return false
}

// load replaces v if the value that it loads is known.
func (m *memPass) load(b *ir.Block, v *ir.Value, p location, size int64) bool {
	if p.m != nil && p.m.Frozen && p.off >= 0 && p.off+size <= int64(len(p.m.Contents)) && v.Type == ir.Int {
		n := uint64(0)
		for i := size - 1; i >= 0; i-- {
			n = n<<8 | uint64(p.m.Contents[p.off+i])
		}
		m.become(v, ir.OpConst, int64(n))
		m.out = append(m.out, v)
		return true
	}
	for i := len(m.s.facts) - 1; i >= 0; i-- {
		f := m.s.facts[i]
		if !f.at.sameBase(p) || f.at.off > p.off || p.off+size > f.at.off+f.size {
			continue
		}
		if f.val == nil {
			if v.Type != ir.Int {
				return false
			}
			m.become(v, ir.OpConst, 0)
			m.out = append(m.out, v)
			return true
		}
		if f.val.Type != v.Type {
			if f.val.Type != ir.Int || v.Type != ir.Int {
				continue
			}
		}
		x, shift := f.val, 8*(p.off-f.at.off)
		isLoad := x.Loads(int(f.size))
		if shift == 0 && (size == 8 || isLoad && size == f.size) {
			m.replace(v, x)
			return true
		}
		if x.Type != ir.Int {
			continue
		}
		if shift > 0 {
			if m.mi.private(p.base) { // only for registers this is cheaper than a load
				c := m.f.NewValue(b, ir.OpConst, ir.Int)
				c.Imm = shift
				s := m.f.NewValue(b, ir.OpShr, ir.Int, x, c)
				c.Pos, s.Pos = v.Pos, v.Pos
				m.out = append(m.out, c, s)
				x = s
			} else {
				continue
			}
		}
		ext := map[int64]ir.Op{1: ir.OpZext8, 2: ir.OpZext16, 4: ir.OpZext32}[size]
		m.become(v, ext, 0, x)
		m.out = append(m.out, v)
		return true
	}
	return false
}

//go:noinline
func (m *memPass) become(v *ir.Value, op ir.Op, imm int64, args ...*ir.Value) {
	v.Op, v.Help, v.Imm, v.Imm2, v.Args = op, nil, imm, 0, args
	m.changed = true
}

// opaque handles a call of code with unknown effects.
func (m *memPass) opaque(v *ir.Value) {
	for _, x := range v.Args {
		if x.Type.IsPtr() {
			m.clobber(location{base: root(x)}, -1)
		}
	}
	m.forgetMaps(nil)
	m.s.facts = slices.DeleteFunc(m.s.facts, func(f fact) bool {
		ctx := f.at.base != nil && f.at.base.Type == ir.PtrCtx && m.mi.ctxFix
		return !ctx && !m.mi.private(f.at.base)
	})
}

// forgetMaps drops the facts about the values of maps other than arrays (of all maps if
// which is nil), and the lookups in which (all if it is nil).
func (m *memPass) forgetMaps(which *ir.Map) {
	m.s.lookups = slices.DeleteFunc(m.s.lookups, func(f found) bool { return which == nil || f.m == which })
	m.s.facts = slices.DeleteFunc(m.s.facts, func(f fact) bool {
		return mapLike(f.at) && (which == nil || f.at.m == nil || f.at.m == which)
	})
}

// call handles a helper call v. It reports whether v has been replaced.
func (m *memPass) call(v *ir.Value) bool {
	h := v.Help
	switch h {
	case ir.MapLookup:
		mp := v.Args[0]
		if mp.Op != ir.OpMapPtr {
			break
		}
		key := m.key(v.Args[1], int64(mp.Map.KeySize))
		for _, f := range m.s.lookups {
			if f.m == mp.Map && f.key == key {
				m.replace(v, f.result)
				return true
			}
		}
		if n := len(m.s.lookups) - (maxLookups - 1); n > 0 {
			m.s.lookups = m.s.lookups[:copy(m.s.lookups, m.s.lookups[n:])]
		}
		m.s.lookups = append(m.s.lookups, found{mp.Map, key, v})
		return false
	case ir.MapUpdate, ir.MapDelete, ir.SkStorageGet, ir.SkStorageDelete:
		var mp *ir.Map
		if v.Args[0].Op == ir.OpMapPtr {
			mp = v.Args[0].Map
		}
		m.forgetMaps(mp)
		return false
	case ir.RingSubmit, ir.RingDiscard:
		m.clobber(location{base: root(v.Args[0])}, -1)
		return false
	}
	if v.Effect()&ir.Writes == 0 {
		return false
	}
	switch {
	case h.WritesAny():
		m.opaque(v)
	case h.Out >= 0 && h.Out < len(v.Args) && v.Args[h.Out].Type.IsPtr():
		m.writeArg(v, h.Out)
	}
	// The kernel can change its objects at any time. The pass assumes that it does so
	// only at calls.
	m.s.facts = slices.DeleteFunc(m.s.facts, func(f fact) bool { return f.at.base != nil && f.at.base.Type == ir.PtrBTF })
	return false
}

// writeArg handles a helper's write through argument w. The number of bytes is known if
// the helper takes it as the next argument and it is constant.
func (m *memPass) writeArg(v *ir.Value, w int) {
	size := int64(-1)
	if v.Help.Sized && w+1 < len(v.Args) && v.Args[w+1].Op == ir.OpConst {
		size = v.Args[w+1].Imm
	}
	m.clobber(locate(v.Args[w], 0), size)
}

// key returns a text that identifies the content of the size bytes at p: their values
// if they are known, else their location and version.
func (m *memPass) key(p *ir.Value, size int64) string {
	at := locate(p, 0)
	if m := at.m; m != nil && m.Frozen && at.off >= 0 && at.off+size <= int64(len(m.Contents)) {
		return fmt.Sprintf("constant %x", m.Contents[at.off:at.off+size])
	}
	var b bytes.Buffer
	for off := at.off; off < at.off+size; {
		i := slices.IndexFunc(m.s.facts, func(f fact) bool {
			return f.at.sameBase(at) && f.at.off == off && f.val != nil && off+f.size <= at.off+size
		})
		if i >= 0 {
			f := m.s.facts[i]
			if f.val.Op == ir.OpConst {
				fmt.Fprintf(&b, "%d=%#x ", f.size, uint64(f.val.Imm)<<(64-8*f.size))
			} else {
				fmt.Fprintf(&b, "%d=v%d ", f.size, f.val.ID)
			}
			off += f.size
			continue
		}
		i = slices.IndexFunc(m.s.facts, func(f fact) bool {
			return f.at.sameBase(at) && f.val == nil && f.at.off <= off && off < f.at.off+f.size
		})
		if i < 0 {
			// The values are not known.
			base := at.base
			if base == nil || !m.mi.private(root(base)) {
				return fmt.Sprintf("unknown %d", m.fresh())
			}
			return fmt.Sprintf("at v%d version %d +%d", base.ID, m.s.version(root(base)), at.off)
		}
		f := m.s.facts[i]
		n := min(f.at.off+f.size, at.off+size) - off
		// A fact with a value may begin inside.
		for _, g := range m.s.facts {
			if g.at.sameBase(at) && g.val != nil && g.at.off > off {
				n = min(n, g.at.off-off)
			}
		}
		fmt.Fprintf(&b, "0*%d ", n)
		off += n
	}
	return b.String()
}
