package lower

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// A loop becomes a function that the kernel calls for each iteration, unless the number
// of iterations is small and constant. That function accesses the variables of the
// enclosing function through the latter's frame, a block of words on its stack. The
// first word is the program's context, the second the next outer frame.
const (
	frameCtx = 0
	frameUp  = 8
)

// sharedFrame is the memory of a function that the bodies of its loops use, if they are
// functions of their own.
type sharedFrame struct {
	frame     *ir.Value // the frame; nil: none so far
	frameSize int64     // in bytes
	// common holds the variables, if there are too many for the frame; nil: not created.
	// Its address is in the frame, at offset commonAt.
	common   *ir.Value
	commonAt int64
	commonOf map[*fn]*ir.Value // in a callback: common of the enclosing functions
}

// callback describes a loop body's relation to the enclosing function.
type callback struct {
	parent *fn
	up     *ir.Value // the parent's frame
	// done is the offset in the parent's frame of a flag for a return, followed by the
	// return value, or -1 if the body does not return.
	done int64
	// left is the offset in the parent's frame of a flag for a break, or -1 if no flag
	// is needed.
	left int64
}

// The results of a callback.
const (
	goOn = 0
	stop = 1
)

// maxInlineTurns is the maximum number of iterations of a range that stays in its
// function, where the kernel's verifier follows each iteration. On kernels without
// callbacks the maximum is maxTurns, multiplied over all enclosing loops. On other
// kernels a loop around inline loops becomes a callback if the verifier would otherwise
// follow more than maxNestTurns iterations.
const (
	maxInlineTurns = 16
	maxTurns       = 4096
	maxNestTurns   = 1 << 13
)

// callsBack reports whether a loop's body becomes a callback.
func (u *shared) callsBack(s *ast.For) bool {
	r, ok := s.Iter.(*ast.Range)
	if !ok {
		return true
	}
	from, to, ok := constRange(u.info, r)
	if ok && to-from <= maxInlineTurns && max(to-from, 1)*u.inlineTurns(s) <= maxNestTurns {
		return false
	}
	return u.k.Has(probes.FeatLoop)
}

// inlineTurns returns the number of iterations of loops in the body of s that the
// kernel's verifier follows each time it follows the body.
func (u *shared) inlineTurns(s *ast.For) int64 {
	if n, ok := u.nested[s]; ok {
		return n
	}
	most := int64(1)
	ast.Inspect(s.Body, func(n ast.Node) bool {
		inner, ok := n.(*ast.For)
		if !ok {
			return true
		}
		turns := u.inlineTurns(inner)
		if !u.callsBack(inner) {
			from, to, _ := constRange(u.info, inner.Iter.(*ast.Range))
			turns *= max(to-from, 1)
		}
		most = max(most, turns)
		return false
	})
	if u.nested == nil {
		u.nested = map[*ast.For]int64{}
	}
	u.nested[s] = most
	return most
}

func (f *fn) forLoop(s *ast.For) {
	r, ok := s.Iter.(*ast.Range)
	if !ok {
		f.forMap(s, s.Iter.(*ast.Map))
		return
	}
	if !f.callsBack(s) {
		from, to, known := constRange(f.info, r)
		outer := max(f.turns, 1)
		if !known || !f.k.Has(probes.FeatLoop) && (to-from > maxTurns || (to-from)*outer > maxTurns) {
			what := "a loop whose number of iterations is not known at compile time"
			switch {
			case known && outer > 1:
				what = fmt.Sprintf("a loop of %d iterations in one of %d", to-from, outer)
			case known:
				what = fmt.Sprintf("a loop of %d iterations", to-from)
			}
			f.need(probes.FeatLoop, s.Span(), what)
			return
		}
		f.turns = outer * max(to-from, 1)
		f.walk(s.Body, func() { f.forRange(s, f.b.Const(from), f.b.Const(to)) })
		f.turns = outer
		return
	}
	f.forCalled(s, r)
}

// forCalled runs a range by bpf_loop. It does not call bpf_loop for an empty range: if
// the kernel's verifier can prove that there is no iteration, it removes the body as
// dead code and then fails because the body is missing.
func (f *fn) forCalled(s *ast.For, r *ast.Range) {
	from, to := f.word(f.operand(r.From)), f.word(f.operand(r.To))
	start := int64(-1)
	if from.Op != ir.OpConst {
		f.prologue(func() { start = f.extendFrame(8) })
		f.b.Store(f.frame, start, 8, from)
	}
	body, cb := f.callback1(s, ir.Int, ir.PtrSlot)
	cb.up = body.b.Param(1)
	index := body.b.Param(0)
	body.start()
	v := f.info.Vars[s.Var]
	first := body.b.Const(from.Imm)
	if start >= 0 {
		first = body.b.Load(cb.up, start, 8, false)
	}
	i := body.b.Op(ir.OpAdd, body.b.Extend(index, 4, false), first)
	body.writeVar(v, body.convert(i, types.TInt64, v.Type))
	body.callbackBody(s)

	f.b.If(f.b.Op(ir.OpSLt, from, to), func() {
		turns := f.b.Op(ir.OpSub, to, from)
		n := f.b.Call(ir.Loop, turns, f.b.FuncAddr(body.b.Fn), f.frame, f.b.Const(0))
		f.afterCallback(cb, n, s, "bpf_loop")
	})
}

// forMap runs body for each entry of a map by bpf_for_each_map_elem.
func (f *fn) forMap(s *ast.For, m *ast.Map) {
	if !f.need(probes.FeatForEachMap, s.Span(), "for over a map") {
		return
	}
	st := f.state(m)
	parts := st.Store.Parts()
	left := int64(-1) // offset of the flag for a break, which ends the loop over all parts
	if len(parts) > 1 {
		f.prologue(func() { left = f.extendFrame(8) })
		f.b.Store(f.frame, left, 8, f.b.Const(0))
	}
	for i, p := range parts {
		if i == 0 {
			f.forPart(s, st, &p, left)
			continue
		}
		f.b.If(f.b.Op(ir.OpEq, f.b.Load(f.frame, left, 8, false), f.b.Const(0)), func() { f.forPart(s, st, &p, left) })
	}
}

// forPart runs the body of s for each entry in one part of a map.
func (f *fn) forPart(s *ast.For, st *plan.Map, p *store.Part, left int64) {
	body, cb := f.callback1(s, ir.MapRef, ir.PtrMap, ir.PtrMap, ir.PtrSlot)
	key, val := body.b.Param(1), body.b.Param(2)
	cb.up, cb.left = body.b.Param(3), left
	body.start()
	if mine := p.Mine(body.b, key); mine != nil {
		body.b.Unless(mine, func() { body.b.Ret(body.b.Const(goOn)) })
	}
	v := f.info.Vars[s.Var]
	l := body.local(v, true)
	kt, vt := v.Type.Fields[0], v.Type.Fields[1]
	kd := Dest{Ptr: l.mem, Off: int64(kt.Off), Size: kt.Type.Size, Padded: true}
	body.copyPlace(place{t: p.Key, ptr: p.KeyAt(body.b, key)}, kt.Type, kd)
	vd := Dest{Ptr: l.mem, Off: int64(vt.Off), Size: vt.Type.Size, Padded: true}
	if st.Info.Value.Kind == types.Agg && vt.Type.Kind != types.Agg {
		k := body.temp(p.Size())
		body.b.Copy(k, 0, key, p.Size())
		storeWord(body.b, body.readAgg(st, p.Wrap(body.b, k)), vt.Type, vd)
	} else {
		body.copyPlace(place{t: st.Info.Value, ptr: val}, vt.Type, vd)
	}
	body.callbackBody(s)

	n := f.b.Call(ir.ForEachMapElem, f.b.MapPtr(p.Map), f.b.FuncAddr(body.b.Fn), f.frame, f.b.Const(0))
	f.afterCallback(cb, n, s, "bpf_for_each_map_elem")
}

// callback1 begins the function that is the body of s.
func (f *fn) callback1(s *ast.For, params ...ir.Type) (*fn, *callback) {
	f.prologue(func() { f.extendFrame(0) })
	cb := &callback{parent: f, done: -1, left: -1}
	if returns(s.Body) {
		f.prologue(func() {
			cb.done = f.extendFrame(16)
			f.b.Store(f.frame, cb.done, 8, f.b.Const(0))
		})
	}
	body := newFn(f.shared, f.irp, f.prog, fmt.Sprintf("loop%d", len(f.irp.Subs)+1), params...)
	f.irp.Subs = append(f.irp.Subs, body.b.Fn)
	body.subs, body.captured, body.result, body.callback = f.subs, f.captured, f.result, cb
	body.often = f.often
	body.at(s.Span())
	return body, cb
}

func (f *fn) callbackBody(s *ast.For) {
	leave := func(r int64) func() { return func() { f.b.Ret(f.b.Const(r)) } }
	brk := leave(stop)
	if f.callback.left >= 0 {
		brk = func() {
			f.b.Store(f.callback.up, f.callback.left, 8, f.b.Const(1))
			f.b.Ret(f.b.Const(stop))
		}
	}
	f.loop(jumps{brk: brk, cont: leave(goOn)}, s.Body)
	if f.b.Cur != nil {
		f.b.Ret(f.b.Const(goOn))
	}
	f.end()
}

// afterCallback counts a failure of the helper, and continues a return that the loop's
// body has started.
func (f *fn) afterCallback(cb *callback, n *ir.Value, s *ast.For, helper string) {
	f.b.If(f.b.Op(ir.OpSLt, n, f.b.Const(0)), func() { f.Count(object.HelperFail, s.Span(), helper) })
	if cb.done >= 0 {
		f.b.If(f.b.Load(f.frame, cb.done, 8, false), func() {
			f.Return(f.b.Load(f.frame, cb.done+8, 8, false))
		})
	}
}

// returns reports whether a loop's body leaves the function around it.
func returns(body *ast.Block) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if j, ok := n.(*ast.Jump); ok && j.Kind == ast.Return {
			found = true
		}
		return !found
	})
	return found
}

// leave emits a return from within the loop: the kernel stops calling the body, and the
// enclosing function returns.
func (cb *callback) leave(f *fn, x *ir.Value) {
	if x == nil {
		x = f.b.Const(f.result)
	}
	if cb.done < 0 { // not a return but a builtin that ends the program, and so the loop
		cb.parent.prologue(func() {
			cb.done = cb.parent.extendFrame(16)
			cb.parent.b.Store(cb.parent.frame, cb.done, 8, cb.parent.b.Const(0))
		})
	}
	f.b.Store(cb.up, cb.done, 8, f.b.Const(1))
	f.b.Store(cb.up, cb.done+8, 8, x)
	f.b.Ret(f.b.Const(stop))
}

// outer finds a variable of an enclosing function. It returns nil if v belongs to f.
func (cb *callback) outer(f *fn, v *check.Var) *local {
	hops := 0
	for p := cb.parent; ; hops++ {
		if l := p.vars[v]; l != nil && l.off >= 0 {
			if l.common {
				return f.reachCommon(hops, p, l)
			}
			return f.reach(hops, l)
		}
		if p.callback == nil {
			return nil
		}
		p = p.callback.parent
	}
}

// reach makes a variable usable in f that is hops frames above the parent's.
func (f *fn) reach(hops int, l *local) *local {
	here := &local{off: -1, word: l.word}
	f.prologue(func() {
		base := f.frameAt(hops)
		if l.word {
			here.mem = f.b.AddImm(base, l.off)
		} else {
			here.mem = f.b.Load(base, l.off, 8, false)
			here.mem.Type = ir.PtrSlot
		}
	})
	return here
}

// reachCommon makes a variable usable in f that is in the shared memory of p. It loads
// the memory's address from p's frame at the first use.
func (f *fn) reachCommon(hops int, p *fn, l *local) *local {
	here := &local{off: -1, word: l.word}
	f.prologue(func() {
		common := f.commonOf[p]
		if common == nil {
			common = f.b.Load(f.frameAt(hops), p.commonAt, 8, false)
			common.Type = ir.PtrSlot
			f.commonOf[p] = common
		}
		here.mem = f.b.AddImm(common, l.off)
	})
	return here
}

func (f *fn) frameAt(hops int) *ir.Value {
	base := f.callback.up
	for range hops {
		base = f.b.Load(base, frameUp, 8, false)
		base.Type = ir.PtrSlot
	}
	return base
}

// scriptFunc returns the script function that f is part of, or nil.
func (f *fn) scriptFunc() *check.Func {
	for f.callback != nil {
		f = f.callback.parent
	}
	return f.script
}

// outPtr returns the address for the result of the script function that f is part of.
func (f *fn) outPtr() *ir.Value {
	if f.callback == nil {
		return f.out
	}
	hops, p := 0, f.callback.parent
	for ; p.callback != nil; p = p.callback.parent {
		hops++
	}
	off := int64(-1)
	p.prologue(func() {
		off = p.extendFrame(8)
		p.b.Store(p.frame, off, 8, p.out)
	})
	return f.reach(hops, &local{off: off}).mem
}
