package lower

import (
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// store is how a map of the script is kept: one implementation per object.Store.
// A nil key is that of a map without keys. Pointers they return are to the
// value, in the map itself.
type store interface {
	// find is the value of a key, null (type PtrMapNil) where there is none. A
	// store that always has its value returns it, zero while it is not set.
	find(f *fn, key *ir.Value) *ir.Value
	// present is find, but null also for a value that is not set.
	present(f *fn, key *ir.Value) *ir.Value
	// make is the value of a key, a new one of zeros where there was none; null
	// where the map has no room (which is counted).
	make(f *fn, key *ir.Value) *ir.Value
	// share is make for something that is only added to what is there: the value
	// itself, or one of the parts whose merger it is.
	share(f *fn, key *ir.Value) *ir.Value
	// assign sets the value of a key to what fill writes.
	assign(f *fn, key *ir.Value, fill func(Dest))
	// assignWord is the same for a value of one word.
	assignWord(f *fn, key, x *ir.Value, t *types.Type)
	// remove deletes a key: 0, or less where there was none.
	remove(f *fn, key *ir.Value) *ir.Value
	// onCPU is the value of a key as one CPU has it, null where there is none.
	onCPU(f *fn, key, cpu *ir.Value) *ir.Value
	// kernelMap is the map itself.
	kernelMap(u *unit) *ir.Map
}

type mapState struct {
	info  *builtins.MapInfo
	key   *types.Type // as it is stored, which may hold less than the checker's
	store store
}

// keySize is how many bytes a key takes. The kernel hashes whole words in half
// the time; what is behind a key that is none is zero.
func (st *mapState) keySize() int { return keySize(st.key) }

func keySize(t *types.Type) int {
	if t.Size <= 4 {
		return max(t.Size, 1)
	}
	return roundUp(t.Size, 8)
}

// addMap chooses how m is kept.
func (u *unit) addMap(m *builtins.MapInfo) {
	if m.Value == nil || m.Keyed && m.Key == nil {
		return // named, but never given a value: nothing to keep
	}
	agg := m.Value.Kind == types.Agg
	max := m.Max
	if max == 0 {
		max = u.p.Config.MaxMapKeys
	}
	st := &mapState{info: m, key: m.Key}
	if m.Keyed {
		st.key = u.fitKey(m)
	}
	w := object.Map{Name: m.Name, Key: st.key, Value: m.Value, Set: -1, Max: max}
	def := u.p.Defs.ForType(m.Value.Name)
	large := agg && m.Value.Size > maxPerCPU
	if large && (def == nil || def.UpdatePart == nil) {
		u.diags.Errorf(m.Span, "%s: a value of %d bytes is more than the %d a CPU can keep", m.Name, m.Value.Size, maxPerCPU)
		return
	}
	switch {
	case large:
		st.store = newParted(u, m, &w, def.PartSize)
	case !m.Keyed && agg:
		st.store = newPerCPUSlot(u, &w)
	case !m.Keyed:
		st.store = newSlot(u, &w)
	case u.splits(m, st.key):
		st.store = newSplit(u, m, &w)
	default:
		h := newHash(u, m, &w)
		if st.store = u.withThreads(m, &w, h); st.store == nil {
			st.store = u.withFront(m, &w, h)
		}
	}
	u.maps[m] = st
	u.res.Maps = append(u.res.Maps, w)
}

// learn puts the map that s keeps into set, one of what is learned: if that is
// new, all is lowered again.
func (u *unit) learn(set map[*builtins.MapInfo]bool, s store) {
	for m, st := range u.maps {
		if st.store == s && !set[m] {
			set[m], u.again = true, true
		}
	}
}

// state is how the map that e names is kept.
func (f *fn) state(e *ast.Map) *mapState { return f.stateOf(f.info.Maps[e]) }

func (f *fn) stateOf(m *builtins.MapInfo) *mapState {
	st := f.maps[m]
	if st == nil {
		panic("lower: " + m.Name + " has no value")
	}
	return st
}

// maxOldKey is the largest key of a hash map before Linux 5.11.
const maxOldKey = 512

// fitKey is the type in which m's keys are stored. Where the kernel limits
// keys, the strings in them are cut, which is said.
func (u *unit) fitKey(m *builtins.MapInfo) *types.Type {
	v := u.k.Release()
	if m.Key.Size <= maxOldKey || !v.Less(probes.Version{Major: 5, Minor: 11}) {
		return m.Key
	}
	for n := maxOldKey; n > 1; n-- {
		if t := cutStrings(m.Key, n); t.Size <= maxOldKey {
			u.diags.Warnf(m.Span, "Strings in the keys of %s are cut to %d characters: before Linux 5.11 a key has at most %d bytes, this is %d.%d",
				m.Name, n-1, maxOldKey, v.Major, v.Minor)
			return t
		}
	}
	u.diags.Errorf(m.Span, "A key of %d bytes needs Linux 5.11, this is %d.%d, where %d is the most", m.Key.Size, v.Major, v.Minor, maxOldKey)
	return m.Key
}

// cutStrings is t with no string longer than n bytes.
func cutStrings(t *types.Type, n int) *types.Type {
	switch t.Kind {
	case types.String:
		if t.Size > n {
			c := *t
			c.Size = n
			return &c
		}
	case types.Tuple, types.Record:
		elems, names := make([]*types.Type, len(t.Fields)), make([]string, len(t.Fields))
		for i, f := range t.Fields {
			elems[i], names[i] = cutStrings(f.Type, n), f.Name
		}
		if t.Kind == types.Tuple {
			return types.NewTuple(elems...)
		}
		return types.NewRecord(names, elems)
	}
	return t
}

// key puts the key that args spell into memory; nil for a map without keys.
func (f *fn) key(st *mapState, args []ast.Expr) *ir.Value {
	if !st.info.Keyed {
		return nil
	}
	if len(args) == 1 {
		return f.encodeKey(st, args[0])
	}
	k := f.temp(st.keySize())
	f.storeFields(args, st.key, Dest{Ptr: k, Size: st.keySize(), Padded: true})
	return k
}

func (f *fn) encodeKey(st *mapState, key ast.Expr) *ir.Value {
	if s, ok := st.store.(*threads); ok {
		s.own(f, key)
	}
	if s, ok := st.store.(*split); ok {
		return s.encode(f, st.key, key)
	}
	if l := f.lit(key); l != nil && l.IsStr && st.key.Kind == types.String {
		data := make([]byte, st.keySize())
		copy(data[:max(st.key.Size-1, 0)], l.Str)
		return f.Rodata(data)
	}
	k := f.temp(st.keySize())
	f.store(key, st.key, Dest{Ptr: k, Size: st.keySize(), Padded: true})
	return k
}

// KeyOf is the address of an encoded key.
func (f *fn) KeyOf(m *builtins.MapInfo, key ast.Expr) *ir.Value {
	if !m.Keyed {
		return nil
	}
	return f.encodeKey(f.stateOf(m), key)
}

// indexed splits @m or @m[…] into the map and its key.
func (f *fn) indexed(e ast.Expr) (*mapState, []ast.Expr) {
	switch e := e.(type) {
	case *ast.Map:
		return f.state(e), nil
	case *ast.Index:
		if m, ok := e.X.(*ast.Map); ok {
			return f.state(m), e.Args
		}
	}
	panic("lower: no map at " + e.Span().String())
}

// readMap is the value of a map or an entry of one word; 0 where there is none.
func (f *fn) readMap(m *ast.Map, args []ast.Expr, at ast.Expr) *ir.Value {
	st := f.state(m)
	key := f.key(st, args)
	if st.info.Value.Kind == types.Agg {
		return f.readAgg(st, key)
	}
	return f.ifFound(st, st.store.find(f, key), func(p *ir.Value) *ir.Value {
		return f.loadOwn(p, 0, st.info.Value)
	})
}

// ifFound is read's value where p, an entry of the map, is not null, else 0.
func (f *fn) ifFound(st *mapState, p *ir.Value, read func(p *ir.Value) *ir.Value) *ir.Value {
	if p.Type != ir.PtrMapNil {
		return read(p)
	}
	return f.IfElse(p, func() *ir.Value { return read(f.b.NonNil(p)) }, func() *ir.Value {
		f.noEntry(st)
		return f.b.Const(0)
	})
}

// noEntry counts a read of what is not in the map, where -k asks for it.
func (f *fn) noEntry(st *mapState) {
	if f.Session().Warnings {
		f.Count(object.NoEntry, f.b.Pos, st.info.Name)
	}
}

// mapPlace is where the value of a map or an entry is; zeros where there is none.
func (f *fn) mapPlace(m *ast.Map, args []ast.Expr) place {
	st := f.state(m)
	t := st.info.Value
	p := st.store.find(f, f.key(st, args))
	if p.Type == ir.PtrMapNil {
		p = f.IfElse(p, func() *ir.Value { return f.b.NonNil(p) }, func() *ir.Value {
			f.noEntry(st)
			return f.Zeros(t.Size)
		})
	}
	return place{t: t, ptr: p}
}

// assignMap is @m = e, @m[…] = e. An aggregation folds its arguments into this
// CPU's value.
func (f *fn) assignMap(target, e ast.Expr) {
	st, args := f.indexed(target)
	t := st.info.Value
	if c := f.info.Calls[e]; c != nil && c.Def.Kind == builtins.Aggregation {
		key := f.key(st, args)
		early := f.before(c, f.changes)
		if s, ok := st.store.(*parted); ok {
			s.update(f, c, st.key, key)
		} else {
			f.ifMade(st.store.share(f, key), func(p *ir.Value) { c.Def.Update(f, c, p) })
		}
		f.done(early)
		return
	}
	// The value comes first, where one may change what the other is.
	first := f.assigns(e) || slices.ContainsFunc(args, f.assigns)
	var key *ir.Value
	if !first {
		key = f.key(st, args)
	}
	if t.IsScalar() {
		x := f.operand(e)
		v := f.convert(x.x, x.t, t)
		if first {
			key = f.key(st, args)
		}
		st.store.assignWord(f, key, v, t)
		return
	}
	// A value that is made of the map's own is complete before it goes there.
	if first || f.uses(e, func(n ast.Node) bool { m, ok := n.(*ast.Map); return ok && f.info.Maps[m] == st.info }) {
		tmp := f.temp(t.Size)
		f.store(e, t, Dest{Ptr: tmp, Size: t.Size, Padded: true})
		if first {
			key = f.key(st, args)
		}
		st.store.assign(f, key, func(d Dest) { f.b.Copy(d.Ptr, d.Off, tmp, t.Size) })
		return
	}
	st.store.assign(f, key, func(d Dest) { f.store(e, t, d) })
}

// ifMade runs use where there is a value.
func (f *fn) ifMade(p *ir.Value, use func(p *ir.Value)) {
	if p.Type != ir.PtrMapNil {
		use(p)
		return
	}
	f.If(p, func() { use(f.b.NonNil(p)) })
}

// addAt adds n to the integer or pointer of type t at p, atomically, so that no
// CPU's addition is lost.
func (f *fn) addAt(p *ir.Value, t *types.Type, n *ir.Value) {
	if t.Size == 4 || t.Size == 8 {
		f.b.AtomicAdd(p, 0, t.Size, n)
	} else {
		f.b.Store(p, 0, t.Size, f.b.Op(ir.OpAdd, f.loadOwn(p, 0, t), n))
	}
}

// bumpMap adds n to a map's integer, of which nobody asks what it was or is.
func (f *fn) bumpMap(target ast.Expr, n *ir.Value) {
	st, args := f.indexed(target)
	f.ifMade(st.store.share(f, f.key(st, args)), func(p *ir.Value) { f.addAt(p, st.info.Value, n) })
}

// addToMap adds n to a map's integer; the value is that before (post) or after.
func (f *fn) addToMap(target ast.Expr, n *ir.Value, post bool) *ir.Value {
	st, args := f.indexed(target)
	t := st.info.Value
	var v *ir.Value
	p := st.store.make(f, f.key(st, args))
	add := func(p *ir.Value) *ir.Value {
		old := f.loadOwn(p, 0, t)
		f.addAt(p, t, n)
		if post {
			return old
		}
		return f.b.Extend(f.b.Op(ir.OpAdd, old, n), t.Size, t.Signed)
	}
	if p.Type != ir.PtrMapNil {
		return add(p)
	}
	v = f.IfElse(p, func() *ir.Value { return add(f.b.NonNil(p)) }, func() *ir.Value { return f.b.Const(0) })
	return v
}

// updateMap is @m op= e.
func (f *fn) updateMap(a *ast.Assign) {
	st, args := f.indexed(a.Target)
	t := st.info.Value
	if op := a.Op; (op == "+" || op == "-") && t.IsScalar() {
		y := f.operand(a.Value)
		n := f.word(y.x)
		if t.Kind == types.Pointer {
			n = f.b.Op(ir.OpMul, n, f.b.Const(elemSize(t)))
		}
		if op == "-" {
			n = f.b.Op(ir.OpNeg, n)
		}
		f.bumpMap(a.Target, n)
		return
	}
	y := f.operand(a.Value)
	f.ifMade(st.store.make(f, f.key(st, args)), func(p *ir.Value) {
		x := operand{f.loadOwn(p, 0, t), t}
		f.b.Store(p, 0, t.Size, f.computed(f.arith(a.Op, x, y, f.info.Compound[a], a), a, t))
	})
}

// readAgg is the integer that an aggregation stands for: all CPUs' values
// merged as its builtin says.
func (f *fn) readAgg(st *mapState, key *ir.Value) *ir.Value {
	t := st.info.Value
	def := f.p.Defs.ForType(t.Name)
	if def == nil || def.Scalar == nil {
		panic("lower: " + t.String() + " has no integer value")
	}
	if !f.need(probes.FeatLookupPerCPU, f.b.Pos, "reading "+st.info.Name+" in an expression") {
		return f.b.Const(0)
	}
	acc := f.temp(max(def.Accum, 8))
	f.b.Zero(acc, 0, max(def.Accum, 8))
	f.count(f.k.NumCPU(), func(cpu *ir.Value) {
		f.ifMade(st.store.onCPU(f, key, cpu), func(p *ir.Value) { def.Scalar(f, t, acc, p) })
	})
	return def.Result(f, t, acc)
}

// count runs body for 0 … n-1.
func (f *fn) count(n int, body func(i *ir.Value)) {
	i := &ir.Var{Name: "i", Type: ir.Int}
	f.b.Write(i, f.b.Const(0))
	head, in, out := f.b.NewBlock(), f.b.NewBlock(), f.b.NewBlock()
	f.b.Jump(head)
	f.b.SetBlock(head)
	f.b.Br(f.b.Op(ir.OpULt, f.b.Read(i), f.b.Const(int64(n))), in, out)
	f.b.SealSet(in)
	body(f.b.Read(i))
	f.b.Write(i, f.b.Op(ir.OpAdd, f.b.Read(i), f.b.Const(1)))
	f.b.Jump(head)
	f.b.Seal(head)
	f.b.SealSet(out)
}

// MapPtr is the kernel map of m as a helper argument.
func (f *fn) MapPtr(m *builtins.MapInfo) *ir.Value {
	return f.b.MapPtr(f.stateOf(m).store.kernelMap(f.unit))
}

// Lookup is the address of the value of a key, or null.
func (f *fn) Lookup(m *builtins.MapInfo, key *ir.Value) *ir.Value {
	return f.stateOf(m).store.present(f, key)
}

// Delete removes a key.
func (f *fn) Delete(m *builtins.MapInfo, key *ir.Value) *ir.Value {
	if !f.deleted[m] {
		f.deleted[m] = true
		f.again = f.again || m.Keyed
	}
	return f.stateOf(m).store.remove(f, key)
}

// MapLen is the number of entries of a map with keys: the kernel counts the
// ones it calls a function for.
func (f *fn) MapLen(m *builtins.MapInfo) *ir.Value {
	if !f.need(probes.FeatForEachMap, f.b.Pos, "the number of entries of a map") {
		return f.b.Const(0)
	}
	if s, ok := f.stateOf(m).store.(*parted); ok {
		return s.refuse(f, "count")
	}
	cb := ir.NewFunc(fmt.Sprintf("count%d", len(f.irp.Subs)+1), ir.MapRef, ir.PtrMap, ir.PtrMap, ir.PtrSlot)
	cb.Ret(cb.Const(goOn))
	f.irp.Subs = append(f.irp.Subs, cb.Fn)
	none := f.temp(8)
	f.b.Zero(none, 0, 8)
	var n *ir.Value
	for _, p := range f.parts(f.stateOf(m)) {
		x := f.b.Call(ir.ForEachMapElem, f.b.MapPtr(p.m), f.b.FuncAddr(cb.Fn), none, f.b.Const(0))
		if n == nil {
			n = x
		} else {
			n = f.b.Op(ir.OpAdd, n, x)
		}
	}
	return n
}
