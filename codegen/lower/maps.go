package lower

import (
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// The stores of maps emit code through the function that is being lowered.
var _ store.Gen = (*fn)(nil)

// state returns the plan of the map that e names.
//
//go:noinline
func (f *fn) state(e *ast.Map) *plan.Map { return f.stateOf(f.info.Maps[e]) }

//go:noinline
func (f *fn) stateOf(m *builtins.MapInfo) *plan.Map {
	st := f.p.Stored[m]
	if st == nil {
		panic("lower: " + m.Name + " has no value")
	}
	return st
}

// key encodes the key whose parts are args.
func (f *fn) key(st *plan.Map, args []ast.Expr) store.Key {
	if !st.Info.Keyed {
		return st.Store.Key(f, nil)
	}
	return st.Store.Key(f, &keyExpr{f, args})
}

// keyExpr represents the key of a map access.
type keyExpr struct {
	f    *fn
	args []ast.Expr // more than one are the elements of a tuple
}

// single returns the key if it is one expression, or nil.
func (k *keyExpr) single() ast.Expr {
	if len(k.args) == 1 {
		return k.args[0]
	}
	return nil
}

func (k *keyExpr) Literal() (string, bool) {
	if l := k.f.lit(k.single()); l != nil && l.IsStr {
		return l.Str, true
	}
	return "", false
}

func (k *keyExpr) StringSize() int {
	if e := k.single(); e != nil {
		if t := k.f.typeOf(e); t.Kind == types.String {
			if t.Full {
				return t.Size + 1
			}
			return t.Size
		}
	}
	return 0
}

func (k *keyExpr) InMemory() *ir.Value {
	if v, ok := k.single().(*ast.Var); ok && !k.f.typeOf(v).Full {
		return k.f.local(k.f.info.Vars[v], false).mem
	}
	return nil
}

func (k *keyExpr) Source(store.Gen) (*ir.Value, types.Space, bool) {
	if c := k.f.info.Calls[k.single()]; c != nil && c.Def.Source != nil {
		return c.Def.Source(k.f, c)
	}
	return nil, types.NoSpace, false
}

func (k *keyExpr) Object(found func(p *ir.Value), none func()) {
	k.f.guardDo(func() {
		p := k.f.chained(k.single())
		k.f.notNull(p)
		found(p)
	}, none)
}

func (k *keyExpr) Write(t *types.Type, p *ir.Value, size int) {
	d := Dest{Ptr: p, Size: size, Padded: true}
	if e := k.single(); e != nil {
		k.f.store(e, t, d)
	} else {
		k.f.storeFields(k.args, t, d)
	}
}

// indexed splits @m or @m[…] into the map and its key.
func (f *fn) indexed(e ast.Expr) (*plan.Map, []ast.Expr) {
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

// readMap returns the one-word value of a map or an entry, or 0 if there is no entry.
func (f *fn) readMap(m *ast.Map, args []ast.Expr, at ast.Expr) *ir.Value {
	st := f.state(m)
	key := f.key(st, args)
	if st.Info.Value.Kind == types.Agg {
		return f.readAgg(st, key)
	}
	return f.ifFound(st, st.Store.Find(f, key), func(p *ir.Value) *ir.Value {
		return loadOwn(f.b, p, 0, st.Info.Value)
	})
}

// ifFound returns the value of read if p, an entry of the map, is not null, else 0.
func (f *fn) ifFound(st *plan.Map, p *ir.Value, read func(p *ir.Value) *ir.Value) *ir.Value {
	if p.Type != ir.PtrMapNil {
		return read(p)
	}
	return f.b.WhenNil(p, read, func() *ir.Value {
		f.noEntry(st)
		return f.b.Const(0)
	})
}

// noEntry counts, with -k, a read of a missing entry.
func (f *fn) noEntry(st *plan.Map) {
	if f.Invocation().Warnings {
		f.Count(object.NoEntry, f.b.Pos, st.Info.Name)
	}
}

// mapPlace returns the place of the value of a map or an entry, or of zeros if there is
// no entry.
func (f *fn) mapPlace(m *ast.Map, args []ast.Expr) place {
	st := f.state(m)
	t := st.Info.Value
	if t.Kind == types.Agg {
		return place{t: t, ptr: f.mergeAgg(st, f.key(st, args))}
	}
	p := st.Store.Find(f, f.key(st, args))
	if p.Type == ir.PtrMapNil {
		p = f.b.WhenNil(p, ir.Same, func() *ir.Value {
			f.noEntry(st)
			return f.Zeros(t.Size)
		})
	}
	return place{t: t, ptr: p}
}

// assignMap emits @m = e and @m[…] = e. For an aggregation it adds the arguments to
// this CPU's value.
func (f *fn) assignMap(a *ast.Assign) {
	target, e := a.Target, a.Value
	st, args := f.indexed(target)
	t := st.Info.Value
	if c := f.info.Calls[e]; c != nil && c.Def.Kind == builtins.Aggregation {
		key := f.key(st, args)
		early := f.before(c, f.changes)
		if part := st.Store.Traits().MakePart; part != nil {
			c.Def.UpdatePart(f, c, func(n *ir.Value, use func(p *ir.Value)) { f.ifMade(part(f, key, n), use) })
		} else {
			f.aggregate(st, key, c)
		}
		f.done(early)
		return
	}
	if sum := f.p.Sums[a]; sum != nil {
		n := f.sum(sum)
		if sum.Op == "+" {
			f.bumpMap(target, n)
		} else {
			f.combineMap(target, sum.Op, n)
		}
		return
	}
	// The value is evaluated first if it or the key may change the other.
	first := f.assigns(e) || slices.ContainsFunc(args, f.assigns)
	var key store.Key
	if !first {
		key = f.key(st, args)
	}
	if t.IsScalar() {
		x := f.operand(e)
		v := f.convert(x.x, x.t, t)
		if first {
			key = f.key(st, args)
		}
		f.assignWord(st, key, v)
		return
	}
	// A value that depends on the map's own is completed before it is stored.
	if first || f.uses(e, func(n ast.Node) bool { m, ok := n.(*ast.Map); return ok && f.info.Maps[m] == st.Info }) {
		tmp := f.temp(t.Size)
		f.store(e, t, Dest{Ptr: tmp, Size: t.Size, Padded: true})
		if first {
			key = f.key(st, args)
		}
		st.Store.Assign(f, key, func(p *ir.Value, size int) {
			f.b.Copy(p, 0, tmp, t.Size)
			clearTail(f.b, Dest{Ptr: p, Size: size, Padded: true}, t.Size)
		})
		return
	}
	st.Store.Assign(f, key, func(p *ir.Value, size int) { f.store(e, t, Dest{Ptr: p, Size: size, Padded: true}) })
}

// bitwise maps operators to the operations that combine bits, and atomicBits to those
// that do so in memory.
var (
	bitwise    = map[string]ir.Op{"|": ir.OpOr, "&": ir.OpAnd, "^": ir.OpXor}
	atomicBits = map[string]ir.Op{"|": ir.OpAtomicOr64, "&": ir.OpAtomicAnd64, "^": ir.OpAtomicXor64}
)

// sum returns the sum of the terms of s, to be combined with a map's value.
func (f *fn) sum(s *plan.Sum) *ir.Value {
	op, ok := bitwise[s.Op]
	if !ok {
		op = ir.OpAdd
	}
	var sum *ir.Value
	for _, t := range s.Terms {
		x := f.word(f.operand(t.X))
		switch {
		case t.Neg && sum == nil:
			sum = f.b.Op(ir.OpNeg, x)
		case t.Neg:
			sum = f.b.Op(ir.OpSub, sum, x)
		case sum == nil:
			sum = x
		default:
			sum = f.b.Op(op, sum, x)
		}
	}
	return sum
}

// ifMade emits use, which runs if p, an entry that may just have been created, is not
// null.
func (f *fn) ifMade(p *ir.Value, use func(p *ir.Value)) {
	if p.Type != ir.PtrMapNil {
		use(p)
		return
	}
	f.b.IfNonNil(p, use)
}

// combineMap combines a map's integer with n by op, a bitwise operator. It does so
// atomically if the kernel has instructions for that.
func (f *fn) combineMap(target ast.Expr, op string, n *ir.Value) {
	st, args := f.indexed(target)
	t := st.Info.Value
	f.ifMade(st.Store.Make(f, f.key(st, args)), func(p *ir.Value) {
		if t.Size == 8 && f.k.Has(probes.FeatAtomicFetch) {
			f.b.Atomic(atomicBits[op], p, 0, n)
		} else {
			f.b.Store(p, 0, t.Size, f.b.Op(bitwise[op], loadOwn(f.b, p, 0, t), n))
		}
	})
}

// bumpMap adds n to a map's integer. The result is not used.
func (f *fn) bumpMap(target ast.Expr, n *ir.Value) {
	st, args := f.indexed(target)
	f.add(st, f.key(st, args), "+", []addend{{x: n}}, func(g *fn, p *ir.Value, from []*ir.Value) { addAt(g.b, p, st.Info.Value, from[0]) })
}

// addToMap adds n to a map's integer and returns the value before that if post is set,
// else the value after. On kernels before 5.12 another CPU can change the integer
// between the addition and the read.
func (f *fn) addToMap(target ast.Expr, n *ir.Value, post bool) *ir.Value {
	st, args := f.indexed(target)
	t := st.Info.Value
	p := st.Store.Make(f, f.key(st, args))
	add := func(p *ir.Value) *ir.Value {
		var old *ir.Value
		if t.Size == 8 && f.k.Has(probes.FeatAtomicFetch) {
			old = f.b.FetchAdd(p, 0, n)
		} else {
			old = loadOwn(f.b, p, 0, t)
			addAt(f.b, p, t, n)
		}
		if post {
			return old
		}
		return f.b.Extend(f.b.Op(ir.OpAdd, old, n), t.Size, t.Signed)
	}
	if p.Type != ir.PtrMapNil {
		return add(p)
	}
	return f.b.WhenNil(p, add, func() *ir.Value { return f.b.Const(0) })
}

// updateMap emits @m op= e.
func (f *fn) updateMap(a *ast.Assign) {
	st, args := f.indexed(a.Target)
	t := st.Info.Value
	if op := a.Op; (op == "+" || op == "-") && t.IsScalar() {
		y := f.operand(a.Value)
		n := f.word(y)
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
	if bitwise[a.Op] != ir.OpInvalid && t.Kind == types.Int && y.t.IsScalar() && y.t.Kind != types.Pointer {
		f.combineMap(a.Target, a.Op, f.word(y))
		return
	}
	f.ifMade(st.Store.Make(f, f.key(st, args)), func(p *ir.Value) {
		x := operand{loadOwn(f.b, p, 0, t), t}
		f.b.Store(p, 0, t.Size, f.computed(f.arith(a.Op, x, y, f.info.Compound[a], a), a, t))
	})
}

// readAgg returns the integer value of an aggregation.
func (f *fn) readAgg(st *plan.Map, key store.Key) *ir.Value {
	return f.p.Defs.ForType(st.Info.Value.Name).Result(f, st.Info.Value, f.mergeAgg(st, key))
}

// mergeAgg returns the address of a copy of an aggregation, in which its builtin has
// merged the values of all CPUs.
func (f *fn) mergeAgg(st *plan.Map, key store.Key) *ir.Value {
	t := st.Info.Value
	def := f.p.Defs.ForType(t.Name)
	if def == nil || def.Scalar == nil {
		panic("lower: " + t.String() + " is not a value")
	}
	acc := f.temp(max(def.Accum, 8))
	f.b.Zero(acc, 0, max(def.Accum, 8))
	if !st.Store.Traits().Together && !f.need(probes.FeatLookupPerCPU, f.b.Pos, "reading "+st.Info.Name+" in an expression") {
		return acc
	}
	f.EachCPU(func(cpu *ir.Value) {
		f.ifMade(st.Store.OnCPU(f, key, cpu), func(p *ir.Value) { def.Scalar(f, t, acc, p) })
	})
	return acc
}

// EachCPU runs body for each possible CPU.
func (f *fn) EachCPU(body func(cpu *ir.Value)) {
	f.b.Count(f.k.NumCPU(), func(cpu *ir.Value, _ *ir.Block) { body(cpu) })
}

// Lookup returns the address of the value of a key, or null.
func (f *fn) Lookup(m *builtins.MapInfo, key []builtins.Node) *ir.Value {
	st := f.stateOf(m)
	return st.Store.Present(f, f.key(st, check.ExprsOf(key)))
}

// Delete removes an entry and returns 0 or a negative error.
func (f *fn) Delete(m *builtins.MapInfo, key []builtins.Node) *ir.Value {
	st := f.stateOf(m)
	return st.Store.Remove(f, f.key(st, check.ExprsOf(key)))
}

// MapLen returns the number of entries of a map with keys. It makes the kernel call a
// function for each entry.
func (f *fn) MapLen(m *builtins.MapInfo) *ir.Value {
	if !f.need(probes.FeatForEachMap, f.b.Pos, "the number of entries of a map") {
		return f.b.Const(0)
	}
	var n *ir.Value
	for _, p := range f.stateOf(m).Store.Parts() {
		x := f.partLen(&p)
		if n == nil {
			n = x
		} else {
			n = f.b.Op(ir.OpAdd, n, x)
		}
	}
	return n
}

// partLen returns the number of entries in a part of a map. If other maps have entries
// there too, the function counts those of this map.
func (f *fn) partLen(p *store.Part) *ir.Value {
	cb := ir.NewFunc(fmt.Sprintf("count%d", len(f.irp.Subs)+1), ir.MapRef, ir.PtrMap, ir.PtrMap, ir.PtrSlot)
	f.irp.Subs = append(f.irp.Subs, cb.Fn)
	mine := p.Mine(cb, cb.Param(1))
	if mine != nil {
		n := cb.Param(3)
		cb.Store(n, 0, 8, cb.Op(ir.OpAdd, cb.Load(n, 0, 8, false), mine))
	}
	cb.Ret(cb.Const(goOn))
	counter := f.temp(8)
	f.b.Zero(counter, 0, 8)
	all := f.b.Call(ir.ForEachMapElem, f.b.MapPtr(p.Map), f.b.FuncAddr(cb.Fn), counter, f.b.Const(0))
	if mine != nil {
		return f.b.Load(counter, 0, 8, false)
	}
	return all
}
