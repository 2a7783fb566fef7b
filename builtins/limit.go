package builtins

import (
	"fmt"
	"hash/fnv"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/builtins/match"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

func limit() *Def {
	return &Def{
		Name:   "limit",
		Kind:   Function,
		Traits: Traits{AtOnce: true, Varies: true},
		Params: []Param{{Name: "key, …, interval", Variadic: true, Counted: true}},
		Doc: Doc{
			Summary: "True at most once in an interval for each key, to act on the first of many events: limit(comm, 5m), limit(tid, 1s), limit(1s). " +
				"It must be the last part of a condition: after && it counts only events for which the conditions before it are true. Each call in a script is a separate limit with room for max_map_keys keys. If there are more, the keys that occurred longest ago are removed.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat /str(args.filename) startswith "/etc/" && limit(comm, 5m)/ { print((comm, str(args.filename))); }`},
		},
		Check: checkLimit,
		Emit:  emitLimit,
	}
}

// The key of a limit's entry in a kernel map consists of a number for the call and the
// values of the keys. Its value is the time of the last event for which the limit was
// true. Keys of more than maxLimitKey bytes are replaced by two hashes with a secret of
// the session. Without the secret, two keys with the same hashes cannot be constructed.
const (
	maxLimitKey   = 64
	limitDigest   = 16
	maxLimitBytes = 4096
	// maxLimits bounds the entries of the map that all limits with keys of one size
	// share. An entry takes about 100 bytes.
	maxLimits = 1 << 17
)

func checkLimit(c Checker, call *Call) *types.Type {
	n := len(call.Args)
	for i := range call.Args {
		if !call.known(i) {
			return types.TInvalid
		}
	}
	if last := call.arg(max(n-1, 0)); last == nil || last.Lit == nil || last.Lit.IsStr || last.Lit.IsBool || last.Lit.Int <= 0 && !last.Lit.Unsigned {
		if c.Final() {
			c.Errorf(call.Span, "limit() needs an interval that is known at compile time, such as 5m, as its last argument")
		}
		return types.TInvalid
	}
	if last := call.Args[n-1]; last.Lit.Int < 0 {
		// As a signed number, such an interval would be over at once.
		c.Errorf(last.Span, "the interval of limit() is longer than 106751d, the maximum")
		return types.TInvalid
	}
	size := 0
	for i := range n - 1 {
		t := call.Args[i].Type
		if t.Kind == types.Void || t.Kind == types.Agg && !t.Castable {
			c.Errorf(call.Args[i].Span, "%s cannot be the key of a limit", className(t))
			return types.TInvalid
		}
		size += limitSize(t)
	}
	if size > maxLimitBytes && c.Final() {
		c.ErrorHint(call.Span, "shorten its strings: str(x, 200)", "The key of this limit has up to %d bytes, the maximum is %d", size, maxLimitBytes)
		return types.TInvalid
	}
	call.Data = max(c.Config().MaxMapKeys, 1)
	return types.TBool
}

// limitType returns the type in which a key of a limit is stored.
func limitType(t *types.Type) *types.Type {
	if t.IsScalar() || t.Castable {
		return types.NewInt(8, t.Signed)
	}
	return t.Decay()
}

func limitSize(t *types.Type) int { return types.RoundUp(max(limitType(t).Size, 1), 8) }

// limitNumber returns a number for a call in a script, which is the same in all programs
// that have it.
func limitNumber(call *Call) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%v %v", call.Span, call.From)
	return int64(h.Sum64())
}

func emitLimit(g Gen, call *Call) *ir.Value {
	keys, interval := call.Args[:len(call.Args)-1], call.Args[len(call.Args)-1].Lit.Int
	size := 0
	for i := range keys {
		size += limitSize(keys[i].Type)
	}
	whole := g.Temp(8 + size)
	g.B().Store(whole, 0, 8, g.B().Const(limitNumber(call)))
	at := 8
	for i := range keys {
		a := &keys[i]
		if a.Type.IsScalar() || a.Type.Castable {
			g.B().Store(whole, int64(at), 8, g.Value(a))
		} else {
			g.Store(a, limitType(a.Type), Dest{Ptr: whole, Off: int64(at), Size: limitSize(a.Type), Padded: true})
		}
		at += limitSize(a.Type)
	}
	key := whole
	if size > maxLimitKey {
		key = digest(g, whole, size)
		size = limitDigest
	}
	l := &limiter{g: g, call: call, key: key, interval: interval}
	l.seen = g.KernelMap(ir.Map{Name: fmt.Sprintf("limit%d", size), Type: ir.LRUHash, KeySize: 8 + size, ValueSize: 8})
	l.seen.MaxEntries = min(l.seen.MaxEntries+call.Data.(int), maxLimits)
	return l.emit()
}

// digest replaces the size bytes after the first word of a key by two hashes.
func digest(g Gen, p *ir.Value, size int) *ir.Value {
	out := g.Temp(8 + limitDigest)
	b := g.B()
	b.Store(out, 0, 8, b.Load(p, 0, 8, false))
	secret := code.SessionWord(g, object.SessionSecret)
	hash := [2]*ir.Var{{Name: "hash", Type: ir.Int}, {Name: "check", Type: ir.Int}}
	b.Write(hash[0], secret)
	b.Write(hash[1], b.Op(ir.OpXor, b.Op(ir.OpMul, secret, b.Const(match.HashFactor)), b.Const(-1)))
	b.Count(size/8, func(i *ir.Value, _ *ir.Block) {
		word := b.Load(b.Op(ir.OpAdd, p, b.Op(ir.OpShl, i, b.Const(3))), 8, 8, false)
		for k, factor := range []int64{match.HashFactor, -0x61c8864680b583eb ^ 0x5a5a5a5a00} {
			h := b.Op(ir.OpMul, b.Op(ir.OpXor, b.Read(hash[k]), word), b.Const(factor|1))
			b.Write(hash[k], b.Op(ir.OpXor, h, b.Op(ir.OpShr, h, b.Const(29+int64(k)*6))))
		}
	})
	b = g.B()
	b.Store(out, 8, 8, b.Read(hash[0]))
	b.Store(out, 16, 8, b.Read(hash[1]))
	return out
}

// limiter emits one call of limit.
type limiter struct {
	g        Gen
	call     *Call
	key      *ir.Value
	seen     *ir.Map
	interval int64
}

// emit computes whether the event is the first in the interval. If two CPUs have the same
// key at the same time, one of them gets 1.
func (l *limiter) emit() *ir.Value {
	b := l.g.B()
	now := b.Call(ir.KtimeBootNs)
	found := b.Call(ir.MapLookup, b.MapPtr(l.seen), l.key)
	return b.WhenNil(found, func(p *ir.Value) *ir.Value {
		b := l.g.B()
		old := b.Load(p, 0, 8, false)
		// Signed, as another CPU may have read its clock later.
		early := b.Op(ir.OpSLt, b.Op(ir.OpSub, now, old), b.Const(l.interval))
		return b.IfElse(early, func() *ir.Value { return l.g.B().Const(0) }, func() *ir.Value { return l.renew(p, old, now) })
	}, func() *ir.Value {
		return l.insert(l.seen, now, func(failed *ir.Value) *ir.Value {
			// The key is there now: another CPU was faster. For any other failure the
			// limit is true, so that no event is lost.
			return l.g.B().IfElse(l.g.B().Op(ir.OpEq, failed, l.g.B().Const(-eexist)), func() *ir.Value { return l.g.B().Const(0) }, func() *ir.Value {
				l.g.Count(object.HelperFail, l.call.Span, "limit")
				return l.g.B().Const(1)
			})
		})
	})
}

const eexist = 17

// insert adds the key with a time to a map. It returns 1, or the result of failed if that
// is not possible.
func (l *limiter) insert(m *ir.Map, now *ir.Value, failed func(r *ir.Value) *ir.Value) *ir.Value {
	p := l.g.Temp(8)
	b := l.g.B()
	b.Store(p, 0, 8, now)
	const noExist = 1
	r := b.Call(ir.MapUpdate, b.MapPtr(m), l.key, p, b.Const(noExist))
	return b.IfElse(r, func() *ir.Value { return failed(r) }, func() *ir.Value { return l.g.B().Const(1) })
}

// renew replaces the time old at p by now, unless another CPU does. Without atomic
// instructions the key in a second map is a lock; a CPU that does not get it leaves the
// event to the one that has it.
func (l *limiter) renew(p, old, now *ir.Value) *ir.Value {
	b := l.g.B()
	if l.g.Kernel().Has(probes.FeatAtomicFetch) {
		return b.Op(ir.OpEq, b.CmpXchg(p, 0, old, now), old)
	}
	const mostCPUs = 1024
	locks := l.g.KernelMap(ir.Map{Name: l.seen.Name + "lock", Type: ir.Hash, KeySize: l.seen.KeySize, ValueSize: 8, MaxEntries: mostCPUs})
	got := l.insert(locks, now, func(*ir.Value) *ir.Value { return l.g.B().Const(0) })
	return l.g.B().IfElse(got, func() *ir.Value {
		b := l.g.B()
		same := b.Op(ir.OpEq, b.Load(b.Opaque(p), 0, 8, false), old)
		b.If(same, func() { l.g.B().Store(p, 0, 8, now) })
		l.g.B().Call(ir.MapDelete, l.g.B().MapPtr(locks), l.key)
		return same
	}, func() *ir.Value { return l.g.B().Const(0) })
}
