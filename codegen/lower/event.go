package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// event returns the number of the event that a call sends, and the event, which has the
// offsets of the arguments in its record. If pack is set, long arguments are packed. A
// call that is lowered more than once (unroll) has one event.
func (u *shared) event(call *builtins.Call, args []*types.Type, lits []any, pack bool) (int, *object.Event) {
	if n, ok := u.events[call]; ok {
		return n, &u.res.Events[n]
	}
	ev := object.Event{Def: call.Def.Name, Span: call.Span, From: call.From, Lits: lits}
	off := object.HeaderSize
	if u.p.Invocation.Timeline {
		ev.Stamp = off
		off += object.StampSize
	}
	for _, t := range args {
		a := object.Arg{Type: t, Packed: pack && packs(t)}
		size, align := t.Size, t.Align()
		if a.Packed {
			size, align = object.PackedLen, object.PackedLen
		}
		a.Off = types.RoundUp(off, align)
		ev.Args = append(ev.Args, a)
		off = a.Off + size
	}
	ev.Size = off
	if !pack {
		ev.Size = types.RoundUp(off, 8)
	}
	if l := u.later; l != nil {
		ev.Later = object.Later{First: len(args) - len(l.values) - 1, Steps: l.steps}
	}
	n := len(u.res.Events)
	u.res.Events = append(u.res.Events, ev)
	u.events[call] = n
	return n, &u.res.Events[n]
}

// Event sends or records an event. Its record is filled in place in the ring buffer.
// Arguments that may leave the function or call others are computed before the record is
// reserved, since a reserved record must be submitted.
func (f *fn) Event(call *builtins.Call, args []*types.Type, lits []any, fill func(rec *ir.Value, offs []int)) {
	more, ts := f.laterArgs()
	f.sendEvent(call, append(args, ts...), lits, func(rec *ir.Value, offs []int) {
		if fill != nil {
			fill(rec, offs)
		}
		f.fillArgs(more, ts, rec, offs[len(offs)-len(ts):])
	})
}

// fillArgs stores arguments at their offsets.
func (f *fn) fillArgs(args []*builtins.Arg, ts []*types.Type, rec *ir.Value, offs []int) {
	for i, a := range args {
		f.Store(a, ts[i], Dest{Ptr: rec, Off: int64(offs[i]), Size: ts[i].Size})
	}
}

func (f *fn) sendEvent(call *builtins.Call, args []*types.Type, lits []any, fill func(rec *ir.Value, offs []int)) {
	defer f.at(f.at(call.Span))
	if call.Def.Ends && f.capture != nil {
		f.writePacket(f.capture) // later records are not handled
	}
	n, ev := f.event(call, args, lits, false)
	size := ev.Size
	offs := make([]int, len(ev.Args))
	for i, a := range ev.Args {
		offs[i] = a.Off
	}
	early := f.before(call, f.leaves)
	write := func(p *ir.Value) {
		f.b.Store(p, 0, 8, f.b.Const(int64(n)))
		f.stamp(p, ev)
		fill(p, offs)
	}
	lost := func() { f.Count(object.LostEvent, call.Span, call.Def.Name) }
	switch {
	case f.records(call.Def):
		f.record(call.Span, f.b.Const(int64(size)), size, write, lost)
	case f.recorder != nil && call.Def.StopsRecording:
		f.stopFirst(func() { f.submit(size, write, lost) })
	default:
		f.submit(size, write, lost)
	}
	f.done(early)
	f.shows(call)
}

// before computes, ahead of the call's own code, the arguments of call for which must
// returns true, and all arguments before them, since their order of evaluation matters.
// It returns the computed arguments, which the caller passes to done after the call's
// code.
func (f *fn) before(call *builtins.Call, must func(ast.Expr) bool) []ast.Expr {
	last := -1
	for i := range call.Args {
		if e := check.ExprOf(call.Args[i].Expr); e != nil && must(e) {
			last = i
		}
	}
	var early []ast.Expr
	for i := range last + 1 {
		a := &call.Args[i]
		e := check.ExprOf(a.Expr)
		if e == nil || a.Map != nil && a.Key == nil || a.Lit != nil {
			continue
		}
		t := f.info.Types[e]
		if t == nil || t.Kind == types.Void {
			continue // not evaluated: a type, a name
		}
		r := place{t: t}
		if t.IsScalar() || t.Castable {
			r.ptr = f.value(e)
		} else {
			r.ptr = f.temp(max(t.Size, 8))
			f.store(e, t, Dest{Ptr: r.ptr, Size: t.Size, Padded: true})
		}
		if f.ready == nil {
			f.ready = map[ast.Expr]place{}
		}
		f.ready[e] = r
		early = append(early, e)
	}
	return early
}

func (f *fn) done(early []ast.Expr) {
	for _, e := range early {
		delete(f.ready, e)
	}
}

// sendArgs sends the values of all arguments.
func (f *fn) sendArgs(call *builtins.Call, lits []any) {
	var args []*builtins.Arg
	var ts []*types.Type
	for i := range call.Args {
		a := &call.Args[i]
		if a.Expr == nil || a.Type == nil || a.Map != nil && a.Key == nil {
			continue
		}
		if p := call.Def.Params; len(p) > 0 && p[min(i, len(p)-1)].Kind != builtins.Expr {
			continue
		}
		t := a.Type
		if t.Castable {
			t = intType(t)
		}
		args, ts = append(args, a), append(ts, t)
	}
	f.Send(call, args, ts, lits)
}

// Send sends the values of args.
func (f *fn) Send(call *builtins.Call, args []*builtins.Arg, ts []*types.Type, lits []any) {
	more, moreTypes := f.laterArgs()
	args, ts = append(args, more...), append(ts, moreTypes...)
	fixed := object.HeaderSize // at least the bytes before the packed values
	if f.p.Invocation.Timeline {
		fixed += object.StampSize
	}
	for _, t := range ts {
		fixed += t.Align()
		if !packs(t) {
			fixed += t.Size
		}
	}
	if packedSize(fixed, ts) > 0 {
		defer f.at(f.at(call.Span))
		n, ev := f.event(call, ts, lits, true)
		f.sendPacked(call, n, ev, args)
		return
	}
	f.sendEvent(call, ts, lits, func(rec *ir.Value, offs []int) { f.fillArgs(args, ts, rec, offs) })
}
