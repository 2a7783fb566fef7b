package stacks

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// This file has the code of one step of the walk: it looks up the mapping and the rule
// of an instruction, and applies the rule.

// findMapping looks up the mapping of pc in the kernel's tree, and the list of its file. A
// file that was changed after it was mapped, and memory without a file such as the vdso,
// have no list of their own. For these it uses the list of the process, if that has the
// mapping with the same inode. The list of the process may be out of date: it may be that of
// the program before exec, of the parent, or of a library that was unloaded.
func (w *walker) findMapping(pc *ir.Value) {
	g := w.g
	w.set(wStart, w.num(0))
	w.set(wEnd, w.num(0))
	w.set(wSeg, w.num(noMapping<<48))
	known := canFindFile(g.Kernel())
	if known {
		w.set(wInode, w.num(0))
		w.findFile(pc)
	}
	w.b.If(w.op(ir.OpULe, w.num(noCode<<48), w.get(wSeg)), func() {
		w.findEntry(w.get(wList), pc, func(start, end, origin, inode *ir.Value) {
			w.set(wStart, start)
			w.set(wEnd, end)
			w.set(wOrigin, origin)
			if known {
				w.b.If(w.op(ir.OpNe, inode, w.get(wInode)), func() { w.set(wSeg, w.num(unwind.Pending<<48)) })
			}
		})
	})
}

// findEntry looks up the entry that contains an address or, in the list of a file, an
// offset. If there is one, it sets wSeg, and calls found with the entry's range, the start of
// its segment and the inode.
//
//go:noinline
func (w *walker) findEntry(list, pc *ir.Value, found func(start, end, origin, inode *ir.Value)) {
	w.b.If(list, func() {
		off := w.b.Extend(list, 4, false)
		chunk := w.chunk(w.op(ir.OpAnd, w.op(ir.OpShr, list, w.num(unwind.ListChunk)), w.num(0xffff)))
		lo, hi := &ir.Var{Name: "low", Type: ir.Int}, &ir.Var{Name: "high", Type: ir.Int}
		w.b.Write(lo, w.num(0))
		w.b.Write(hi, w.op(ir.OpShr, list, w.num(unwind.ListCount)))
		entry := func(i *ir.Value) *ir.Value {
			return w.inChunk(chunk, w.op(ir.OpAdd, off, w.op(ir.OpMul, i, w.num(unwind.EntrySize))))
		}
		w.search(unwind.SearchList, lo, hi, func(i *ir.Value) *ir.Value {
			return w.op(ir.OpULe, w.b.Load(entry(i), unwind.EntryStart, 8, false), pc)
		})
		i := w.b.Read(lo)
		w.b.If(i, func() {
			e := entry(w.op(ir.OpSub, i, w.num(1)))
			end := w.b.Load(e, unwind.EntryEnd, 8, false)
			w.b.If(w.op(ir.OpULt, pc, end), func() {
				b := w.b
				w.set(wSeg, b.Load(e, unwind.EntrySeg, 8, false))
				found(b.Load(e, unwind.EntryStart, 8, false), end, b.Load(e, unwind.EntryOrigin, 8, false), b.Load(e, unwind.EntryInode, 8, false))
			})
		})
	})
}

// findRule returns the number of the rule for pc in a segment.
func (w *walker) findRule(pc, seg *ir.Value) *ir.Value {
	chunk := w.chunk(w.op(ir.OpAnd, w.op(ir.OpShr, seg, w.num(32)), w.num(0xffff)))
	b := w.b
	at := b.Extend(seg, 4, false)
	head := w.inChunk(chunk, at)
	rules, pcs := b.Load(head, unwind.SegRules, 4, false), b.Load(head, unwind.SegPCs, 4, false)
	rel := b.Op(ir.OpSub, pc, w.get(wOrigin))
	page := w.inChunk(chunk, b.Op(ir.OpAdd, at, b.Op(ir.OpShl, b.Op(ir.OpShr, rel, b.Const(8)), b.Const(2))))
	first, next := b.Load(page, unwind.SegPages, 4, false), b.Load(page, unwind.SegPages+4, 4, false)
	from := b.Op(ir.OpShr, first, b.Const(unwind.PageRow))
	i := w.searchPage(chunk, pcs, from, b.Op(ir.OpShr, next, b.Const(unwind.PageRow)), b.Op(ir.OpAnd, rel, b.Const(unwind.PageSize-1)))
	rule := &ir.Var{Name: "rule", Type: ir.Int}
	w.b.Write(rule, first)
	w.b.If(w.op(ir.OpNe, i, from), func() {
		at := w.op(ir.OpAdd, rules, w.op(ir.OpShl, w.op(ir.OpSub, i, w.num(1)), w.num(1)))
		w.b.Write(rule, w.b.Load(w.inChunk(chunk, at), 0, 2, false))
	})
	return w.b.Read(rule)
}

// searchPage returns the number of the first row in [from, to) that is above low, or to.
// The rows are ascending bytes at pcs. Eight of them are compared at once: bit 7 of a byte
// of below is set if that row is at most low.
func (w *walker) searchPage(chunk, pcs, from, to, low *ir.Value) *ir.Value {
	b := w.b
	const ones, high = 0x0101010101010101, -0x7f7f7f7f7f7f7f80
	lows := b.Op(ir.OpMul, low, b.Const(ones))
	highs := b.Op(ir.OpOr, lows, b.Const(high))
	row := &ir.Var{Name: "row", Type: ir.Int}
	b.Write(row, from)
	b.Count(unwind.SearchPage, func(_ *ir.Value, out *ir.Block) {
		i := b.Read(row)
		b.Leave(b.Op(ir.OpULe, to, i), out)
		x := b.Load(w.inChunk(chunk, b.Op(ir.OpAdd, pcs, i)), 0, 8, false)
		differ := b.Op(ir.OpXor, x, lows)
		// No byte borrows from the next one, as it is at least 0x80 before.
		least := b.Op(ir.OpSub, highs, b.Op(ir.OpAnd, x, b.Const(^high)))
		below := b.Op(ir.OpOr, b.Op(ir.OpAnd, differ, lows), b.Op(ir.OpAnd, b.Op(ir.OpXor, differ, b.Const(-1)), least))
		below = b.Op(ir.OpAnd, below, b.Const(high))
		// The bytes after the last row belong to another page.
		left := b.Op(ir.OpSub, to, i)
		rest := &ir.Var{Name: "rest", Type: ir.Int}
		b.Write(rest, below)
		b.If(b.Op(ir.OpULt, left, b.Const(8)), func() {
			b.Write(rest, b.Op(ir.OpShl, below, b.Op(ir.OpSub, b.Const(64), b.Op(ir.OpShl, left, b.Const(3)))))
		})
		n := b.Op(ir.OpShr, b.Op(ir.OpMul, b.Op(ir.OpShr, b.Read(rest), b.Const(7)), b.Const(ones)), b.Const(56))
		b.Write(row, b.Op(ir.OpAdd, i, n))
		b.Leave(b.Op(ir.OpULt, n, b.Const(8)), out)
	})
	return b.Read(row)
}

// readUser reads size bytes of the process's memory into a field and the words after
// it. It returns 0 if that succeeds.
func (w *walker) readUser(field, size int, addr *ir.Value) *ir.Value {
	if w.r.Task != nil {
		return w.readOther(field, size, addr)
	}
	b := w.b
	return b.Call(ir.ReadUser, b.AddImm(w.p, w.lay.at(field)), b.Const(int64(size)), addr)
}

// readPair reads the two words at addr, which is in the stack, into wBuf and wBuf2. It
// returns 0 if that succeeds.
func (w *walker) readPair(addr *ir.Value) *ir.Value {
	failed := &ir.Var{Name: "failed", Type: ir.Int}
	w.b.Write(failed, w.num(0))
	off := &ir.Var{Name: "offset", Type: ir.Int}
	w.b.Write(off, w.op(ir.OpSub, addr, w.get(wWindow)))
	// An offset that is not a multiple of 8 cannot be read at once in the program's stack.
	// While there is no window, its address is 0.
	inside := w.op(ir.OpAnd, w.not(w.op(ir.OpAnd, w.b.Read(off), w.num(^windowMask))), w.op(ir.OpULe, w.num(windowSize), addr))
	w.b.If(w.not(inside), func() {
		w.set(wWindow, addr)
		w.b.Write(off, w.num(0))
		w.b.If(w.readUser(wCopy, windowSize, addr), func() { // the stack's memory ends there
			w.b.Cur.Unlikely = true
			w.set(wWindow, w.num(0))
			w.b.Write(failed, w.readUser(wCopy, 16, addr))
		})
	})
	b := w.b
	at := b.Op(ir.OpAdd, w.p, b.Op(ir.OpAnd, b.Read(off), b.Const(windowMask)))
	w.set(wBuf, b.Load(at, w.lay.at(wCopy), 8, false))
	w.set(wBuf2, b.Load(at, w.lay.at(wCopy)+8, 8, false))
	return w.b.Read(failed)
}

// know reads a register from the address at which it was saved.
func (w *walker) know(value, place int) {
	w.b.If(w.get(place), func() {
		failed := w.readUser(value, 8, w.get(place))
		w.stop(failed, unwind.NotPresent)
		w.set(place, w.num(0))
	})
}

// base returns the value of the register that a rule depends on.
func (w *walker) base(rule *ir.Value) *ir.Value {
	arch := w.arch.CFI
	reg := w.b.Load(rule, unwind.RuleReg, 1, false)
	return w.b.IfElse(w.op(ir.OpEq, reg, w.num(int64(arch.SP))), func() *ir.Value {
		return w.get(wSP)
	}, func() *ir.Value {
		return w.b.IfElse(w.op(ir.OpEq, reg, w.num(int64(arch.FP))), func() *ir.Value {
			w.know(wFP, wFPAt)
			return w.get(wFP)
		}, func() *ir.Value {
			return w.b.IfElse(w.op(ir.OpEq, reg, w.num(int64(arch.BX))), func() *ir.Value {
				w.know(wBX, wBXAt)
				return w.get(wBX)
			}, func() *ir.Value {
				// The other registers are known only in the first frame.
				w.b.Cur.Unlikely = true
				w.stop(w.op(ir.OpNe, w.get(wCount), w.num(1)), unwind.Strange)
				w.stop(w.op(ir.OpULt, reg, w.num(unwind.FirstSaved)), unwind.Strange)
				i := w.op(ir.OpSub, reg, w.num(unwind.FirstSaved))
				w.stop(w.op(ir.OpULe, w.num(int64(w.arch.RegsSize/8)), i), unwind.Strange)
				at := w.op(ir.OpAdd, w.get(wRegs), w.op(ir.OpShl, i, w.num(3)))
				b := w.b
				failed := b.Call(ir.ReadKernel, b.AddImm(w.p, w.lay.at(wBuf)), b.Const(8), at)
				w.stop(failed, unwind.Strange)
				return w.get(wBuf)
			})
		})
	})
}

// apply continues with the caller according to a rule.
func (w *walker) apply(ip, rule, how *ir.Value) {
	w.stop(w.op(ir.OpEq, how, w.num(int64(cfi.End))), unwind.Complete)
	w.stop(w.op(ir.OpEq, how, w.num(int64(cfi.Unknown))), unwind.Strange)
	base := w.base(rule)
	sp := w.get(wSP)
	elsewhere := w.op(ir.OpULe, w.num(int64(cfi.Switch)), how) // or Signal, as the others have ended it
	cfa := &ir.Var{Name: "cfa", Type: ir.Int}
	w.b.Write(cfa, w.op(ir.OpAdd, base, w.b.Load(rule, unwind.RuleCFA, 4, true)))
	w.b.If(w.op(ir.OpNe, how, w.num(int64(cfi.Register))), func() {
		at := w.b.Read(cfa)
		add := w.b.Load(rule, unwind.RuleAdd, 2, true)
		w.b.Write(cfa, w.b.IfElse(w.op(ir.OpOr, w.op(ir.OpEq, how, w.num(int64(cfi.PLT))), w.op(ir.OpEq, how, w.num(int64(cfi.Switch)))), func() *ir.Value {
			pushed := w.op(ir.OpULe, add, w.op(ir.OpAnd, ip, w.num(15)))
			return w.op(ir.OpAdd, at, w.op(ir.OpShl, pushed, w.num(3)))
		}, func() *ir.Value {
			failed := w.readUser(wBuf, 8, at)
			w.stop(failed, unwind.NotPresent)
			return w.op(ir.OpAdd, w.get(wBuf), add)
		}))
	})
	frame := w.b.Read(cfa)
	ra := w.b.IfElse(elsewhere, func() *ir.Value { return base }, func() *ir.Value {
		// The frames of all callers that are on the same stack are above.
		w.stop(w.op(ir.OpULe, frame, sp), unwind.Broken)
		return frame
	})
	ra = w.op(ir.OpAdd, ra, w.b.Load(rule, unwind.RuleRA, 2, true))
	// The frame pointer is usually saved next to the return address.
	below := &ir.Var{Name: "below", Type: ir.Int}
	w.b.Write(below, w.op(ir.OpSub, ra, w.num(8)))
	failed := w.readPair(w.b.Read(below))
	w.b.If(failed, func() {
		w.b.Cur.Unlikely = true
		w.stop(w.readUser(wBuf2, 8, ra), unwind.NotPresent)
		w.b.Write(below, w.num(0))
	})
	fp := w.get(wFP)
	w.saved(rule, unwind.RuleFP, unwind.RuleFPOff, wFP, wFPAt, frame, sp, fp)
	w.saved(rule, unwind.RuleBX, unwind.RuleBXOff, wBX, wBXAt, frame, sp, fp)
	at := w.get(wFPAt)
	w.b.If(w.op(ir.OpAnd, w.op(ir.OpEq, at, w.b.Read(below)), w.op(ir.OpNe, at, w.num(0))), func() {
		w.set(wFP, w.get(wBuf))
		w.set(wFPAt, w.num(0))
	})
	w.set(wSP, frame)
	w.set(wIP, w.get(wBuf2))
	w.set(wExact, w.op(ir.OpEq, how, w.num(int64(cfi.Signal))))
}

// saved records where a register of the caller is according to a rule.
func (w *walker) saved(rule *ir.Value, how, off int64, value, place int, cfa, sp, fp *ir.Value) {
	save := w.b.Load(rule, how, 1, false)
	w.b.If(save, func() {
		n := w.b.Load(rule, off, 2, true)
		from := w.b.IfElse(w.op(ir.OpEq, save, w.num(int64(cfi.AtCFA))), func() *ir.Value { return cfa }, func() *ir.Value {
			return w.b.IfElse(w.op(ir.OpEq, save, w.num(int64(cfi.AtSP))), func() *ir.Value { return sp }, func() *ir.Value { return fp })
		})
		w.set(place, w.op(ir.OpAdd, from, n))
		w.b.If(w.op(ir.OpEq, save, w.num(int64(cfi.Lost))), func() {
			w.set(place, w.num(0))
			w.set(value, w.num(0))
		})
	})
}

// followFP continues with the caller of a function that no table describes. If the
// instructions to which its callee returns free the frame and return, it uses these,
// otherwise the frame pointer. Such instructions are in the trampolines that Python
// generates for profilers, which do not set the frame pointer.
func (w *walker) followFP() {
	arch := w.arch
	code := &ir.Var{Name: "code", Type: ir.Int}
	w.b.Write(code, w.num(0))
	w.b.If(w.not(w.get(wExact)), func() {
		failed := w.readUser(wBuf, 8, w.get(wIP))
		w.b.If(w.not(failed), func() { w.b.Write(code, w.get(wBuf)) })
	})
	frees := w.op(ir.OpEq, w.op(ir.OpAnd, w.b.Read(code), w.num(arch.FreeMask)), w.num(arch.Free))
	w.b.IfElse(frees, func() *ir.Value {
		size := w.op(ir.OpAnd, w.op(ir.OpShr, w.b.Read(code), w.num(arch.FreeSize)), w.num(0x7f))
		ra := w.op(ir.OpAdd, w.get(wSP), size)
		failed := w.readUser(wBuf, 8, ra)
		w.stop(failed, unwind.NotPresent)
		w.set(wIP, w.get(wBuf))
		w.set(wSP, w.op(ir.OpAdd, ra, w.num(8)))
		return nil
	}, func() *ir.Value {
		w.know(wFP, wFPAt)
		fp := w.get(wFP)
		w.stop(w.not(fp), unwind.Complete)
		why := unwind.Broken
		if w.auto { // the code may not set the frame pointer
			why = unwind.Bare
		}
		w.stop(w.op(ir.OpULt, fp, w.get(wSP)), why)
		failed := w.readPair(fp)
		w.stop(failed, why)
		w.set(wFP, w.get(wBuf))
		w.set(wIP, w.get(wBuf2))
		w.set(wSP, w.op(ir.OpAdd, fp, w.num(16)))
		// It is not known whether other registers were saved.
		w.set(wBX, w.num(0))
		w.set(wBXAt, w.num(0))
		return nil
	})
	w.set(wExact, w.num(0))
}
