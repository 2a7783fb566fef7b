package stacks

import (
	"fmt"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/unwind"
)

// This file has the code that unwinds a user stack with the tables of package unwind.
// It is one function of a program. Its loop runs once for each frame and looks up:
//
//	which mapping of the process is the instruction in?   the kernel's mapping and its
//	                                                      file's list, or the process's
//	                                                      list
//	which rule holds for the instruction?                 the mapping's segment
//	where are the caller's frame and return address?      the rule
//
// The frame pointer and the base register are read only when a rule needs them. Until
// then the walk keeps the addresses at which they were saved.

// walkLayout is the layout of the walk's memory. The memory starts with an entry of the
// map MoreStacks, which receives the frames. The state follows.
type walkLayout struct{ depth int }

//go:noinline
func (l walkLayout) at(field int) int64 {
	return int64(object.StackFrames + 8*l.depth + 8*field)
}

// Indexes of the words of the state.
const (
	wIP     = iota
	wSP     // the stack pointer when the function at wIP continues
	wFP     // the frame pointer, if wFPAt is 0
	wFPAt   // the address at which it was saved
	wBX     // the base register, if wBXAt is 0
	wBXAt   // the address at which it was saved
	wExact  // 1 if wIP is the next instruction, 0 if it follows a call
	wList   // the process's list
	wStart  // the mapping of the last frame
	wEnd    // …
	wOrigin // …
	wSeg    // the segment's offset in its chunk, the chunk, and the kind of entry
	wCount  // number of frames
	wHash   // hash of the frames
	wSkip   // number of frames that are still left out
	wWhy    // an unwind.Why
	wRegs   // the address of the kernel's struct pt_regs
	wBuf    // two words that were read from the process
	wBuf2
	wWindow                             // the address of the copied part of the stack, or 0
	wMapStart                           // the kernel's mapping of an address
	wMapEnd                             // …
	wMapBase                            // the address that the file's first byte would have
	wFile                               // the kernel's struct file
	wNode                               // a node of the kernel's tree of mappings, or the mapping
	wKey                                // the key of a file in FilesMap: four words
	wInode       = wKey + 1             // … the inode, or 0 if no file is mapped
	wMaple       = wKey + 4             // a copy of a node, of the mapping or of a part of an inode
	wCopy        = wMaple + mapleSize/8 // the part of the stack at wWindow
	numWalkWords = wCopy + windowSize/8
)

// A read of the process's memory takes as long as the rest of a frame's work, and one of
// windowSize bytes little more than one of 16. So one read serves several frames.
const (
	windowMask = 511 &^ 7 // of the offsets of pairs of words in the window
	windowSize = windowMask + 16
)

// These are kinds of entries that no list contains: no mapping is known, and the kernel has
// none or one that is not executable.
const (
	noMapping = 0xff
	noCode    = 0xfe
)

// These are the parts of the function's result: the stack's number in the low half, the
// number of frames and the unwind.Why.
const (
	wordCount = 32 // bit number
	wordWhy   = 48
)

// walker emits the function's code.
type walker struct {
	r     *Request
	g     code.Gen
	b     *ir.Builder
	p     *ir.Value // the walk's memory
	arch  *unwind.Arch
	lay   walkLayout
	auto  bool
	leave code.Leave
}

// in returns a walker that emits code for the same walk with g.
func (w *walker) in(g code.Gen, p *ir.Value, leave code.Leave) *walker {
	in := *w
	in.g, in.b, in.p, in.leave = g, g.B(), p, leave
	return &in
}

//go:noinline
func (w *walker) get(field int) *ir.Value { return w.b.Load(w.p, w.lay.at(field), 8, false) }

//go:noinline
func (w *walker) set(field int, x *ir.Value) { w.b.Store(w.p, w.lay.at(field), 8, x) }

//go:noinline
func (w *walker) num(n int64) *ir.Value { return w.b.Const(n) }

//go:noinline
func (w *walker) op(op ir.Op, x, y *ir.Value) *ir.Value { return w.b.Op(op, x, y) }

// not returns 1 if x is 0, else 0.
//
//go:noinline
func (w *walker) not(x *ir.Value) *ir.Value { return w.op(ir.OpEq, x, w.num(0)) }

// stop ends the walk for the reason why if cond is not 0.
//
//go:noinline
func (w *walker) stop(cond *ir.Value, why unwind.Why) {
	w.leave(cond, func() {
		w.b.Cur.Unlikely = why != unwind.Complete
		w.set(wWhy, w.num(int64(why)))
	})
}

// Unwind emits code that unwinds the user stack with tables, stores it and returns its
// number, as Take does. If auto is set, it follows frame pointers in code without tables.
func (r *Request) Unwind(g code.Gen, auto bool) *ir.Value {
	b := g.B()
	if r.Depth == 0 {
		return b.Const(None)
	}
	name := fmt.Sprintf("unwind%d", r.Depth)
	if auto {
		name += "auto"
	}
	if r.Skip > 0 {
		name += fmt.Sprintf("skip%d", r.Skip)
	}
	build := func(g code.Gen) *ir.Value {
		w := &walker{r: r, arch: unwind.ByName(g.Kernel().Arch()), lay: walkLayout{r.Depth}, auto: auto}
		return w.in(g, nil, nil).function(name)
	}
	var word *ir.Value
	if r.Task != nil { // the function would not know the task
		word = build(g)
	} else {
		word = b.CallFn(g.Function(name, build))
	}
	why := b.Op(ir.OpShr, word, b.Const(wordWhy))
	b.If(why, func() {
		b.Cur.Unlikely = true
		for y := unwind.Ending + 1; y < unwind.NumWhys; y++ {
			if y == unwind.TooDeep && r.Limited || y == unwind.Running && r.Task == nil {
				continue
			}
			b.If(b.Op(ir.OpEq, why, b.Const(int64(y))), func() {
				g.Count(object.StackFault, r.Span, r.Name+": "+y.String())
			})
		}
	})
	id := b.Extend(word, 4, false)
	if r.Lens {
		n := b.Op(ir.OpAnd, b.Op(ir.OpShr, word, b.Const(wordCount)), b.Const(0xffff))
		id = withLen(b, id, n)
	}
	return id
}

// turn returns a function for one iteration of the loop, for kernels without a helper for
// loops. The verifier checks the function once instead of at each iteration. The function
// returns 1 at the end of the walk.
func (w *walker) turn(name string) *ir.Func {
	return w.g.Function(name+"turn", func(g code.Gen) *ir.Value {
		b := g.B()
		in := w.in(g, nil, func(cond *ir.Value, last func()) {
			b.If(cond, func() {
				last()
				b.Ret(b.Const(1))
			})
		})
		in.p = in.state(1)
		in.frame()
		return b.Const(0)
	})
}

// state emits the lookup of the walk's memory in a map and returns its address. The
// functions of the walk share only this memory. The lookup always succeeds, but the
// verifier needs a check: if it fails, the emitted function returns none.
func (w *walker) state(none int64) *ir.Value {
	m := w.g.KernelMap(ir.Map{Name: fmt.Sprintf("unwind_state%d", w.lay.depth), Type: ir.PerCPUArray, KeySize: 4, ValueSize: int(w.lay.at(numWalkWords)), MaxEntries: 1})
	b := w.b
	key := w.g.Temp(4)
	b.Store(key, 0, 4, b.Const(0))
	found := b.Call(ir.MapLookup, b.MapPtr(m), key)
	b.Unless(found, func() { b.Ret(b.Const(none)) })
	return b.NonNil(found)
}

// function emits the body of the function.
func (w *walker) function(name string) *ir.Value {
	g := w.g
	depth := w.lay.depth
	loops := g.Kernel().Has(probes.FeatLoop)
	if loops {
		w.p = g.Temp(int(w.lay.at(numWalkWords)))
	} else {
		w.p = w.state(None)
	}
	// Only the unused frames must be zero, but programs may read the whole entry.
	w.b.Zero(w.p, 0, int(w.lay.at(wMaple)))
	if w.r.Task != nil {
		w.startOther()
	} else {
		w.start()
	}
	if w.r.Skip > 0 {
		w.set(wSkip, w.num(w.r.Skip))
	}
	// One additional iteration distinguishes a stack of exactly depth frames from a
	// deeper one.
	turns := depth + 1 + int(w.r.Skip)
	w.b.If(w.not(w.get(wWhy)), func() {
		if loops {
			g.Repeat(turns, w.p, func(g code.Gen, p *ir.Value, leave code.Leave) { w.in(g, p, leave).frame() })
			return
		}
		turn := w.turn(name)
		w.b.Count(turns, func(_ *ir.Value, out *ir.Block) { w.b.Leave(w.b.CallFn(turn), out) })
	})
	why, n := w.get(wWhy), w.get(wCount)
	num := &ir.Var{Name: "number", Type: ir.Int}
	w.b.Write(num, w.op(ir.OpSub, w.num(None), why))
	w.b.If(n, func() {
		b := w.b
		b.Write(num, b.Const(None))
		b.Store(w.p, object.StackEnd, 8, why)
		hash := mixWord(w.b, mixWord(w.b, w.get(wHash), n), why)
		keepEntry(g, depth, w.p, hash, num)
	})
	b := w.b
	word := b.Op(ir.OpOr, b.Extend(b.Read(num), 4, false), b.Op(ir.OpShl, n, b.Const(wordCount)))
	return b.Op(ir.OpOr, word, b.Op(ir.OpShl, why, b.Const(wordWhy)))
}

// start sets the state to the current thread's registers.
func (w *walker) start() {
	b := w.b
	if w.g.Kernel().Has(probes.FeatTaskBTF) {
		w.startAt(b.Call(ir.CurrentTaskBTF))
	} else {
		w.startAt(b.Call(ir.CurrentTask))
	}
}

// startAt sets the state to the registers of the task at cur.
func (w *walker) startAt(cur *ir.Value) {
	g, b := w.g, w.b
	task, err := g.Kernel().Type("struct task_struct")
	if err != nil {
		panic("stacks: " + err.Error())
	}
	flags, _ := task.Field("flags")
	stack, _ := task.Field("stack")
	mm, _ := task.Field("mm")
	buf := b.AddImm(w.p, w.lay.at(wBuf))
	field := func(f types.Field, size int) *ir.Value {
		if cur.Type == ir.PtrBTF {
			return w.b.Load(cur, int64(f.Off), size, false)
		}
		w.b.Call(ir.ReadKernel, buf, w.num(int64(size)), w.b.AddImm(cur, int64(f.Off)))
		return w.b.Load(w.p, w.lay.at(wBuf), size, false)
	}
	const kernelThread = 0x00200000 // PF_KTHREAD
	w.set(wWhy, w.num(int64(unwind.NotUser)))
	fl := field(flags, 4)
	w.b.If(w.not(w.op(ir.OpAnd, fl, w.num(kernelThread))), func() {
		a := w.arch
		var reg func(off int) *ir.Value
		if g.Kernel().Has(probes.FeatTaskRegs) {
			regs := w.b.Call(ir.TaskPtRegs, cur)
			w.set(wRegs, w.b.AsInt(regs))
			reg = func(off int) *ir.Value { return w.b.Load(regs, int64(off), 8, false) }
		} else {
			top := w.op(ir.OpAdd, field(stack, 8), w.num(int64(a.StackSize-a.RegsSize)))
			w.set(wRegs, top)
			reg = func(off int) *ir.Value {
				w.b.Call(ir.ReadKernel, w.b.AddImm(w.p, w.lay.at(wBuf)), w.num(8), w.op(ir.OpAdd, top, w.num(int64(off))))
				return w.get(wBuf)
			}
		}
		// Without memory, neither the code nor the stack can be read.
		w.set(wWhy, w.num(int64(unwind.Ending)))
		memory := field(mm, 8)
		ip := reg(a.PC)
		w.set(wIP, ip)
		w.set(wSP, reg(a.SP))
		w.set(wFP, reg(a.FP))
		w.set(wBX, reg(a.BX))
		mode := w.op(ir.OpAnd, reg(a.Mode), w.num(0xffff))
		w.set(wExact, w.num(1))
		w.b.If(w.not(ip), func() { w.set(wWhy, w.num(int64(unwind.NotUser))) })
		w.b.If(w.op(ir.OpAnd, w.op(ir.OpNe, memory, w.num(0)), w.op(ir.OpNe, ip, w.num(0))), func() {
			w.set(wWhy, w.num(0))
			w.b.If(w.op(ir.OpEq, mode, w.num(a.NarrowMode)), func() { w.set(wWhy, w.num(int64(unwind.Narrow))) })
			procs := g.KernelMap(ir.Map{Name: unwind.ProcsMap, Type: ir.Hash, KeySize: 4, ValueSize: 8, MaxEntries: unwind.MaxProcs})
			key := g.Temp(4)
			var pid *ir.Value
			if w.r.Task != nil {
				pid = w.b.Load(cur, int64(w.r.Task.TGID.Off), 4, false)
			} else {
				pid = w.r.PID(g)
			}
			w.b.Store(key, 0, 4, pid)
			found := w.b.Call(ir.MapLookup, w.b.MapPtr(procs), key)
			w.b.If(found, func() {
				b := w.b
				w.set(wList, b.Load(b.NonNil(found), 0, 8, false))
			})
		})
	})
}

// chunk emits code that gets the address of a chunk. It stops the walk if there is no
// such chunk.
func (w *walker) chunk(number *ir.Value) *ir.Value {
	b := w.b
	chunks := w.g.KernelMap(ir.Map{Name: unwind.ChunksMap, Type: ir.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: unwind.MaxChunks, Inner: unwind.ChunkSize + unwind.ChunkSlack})
	key := w.g.Temp(4)
	b.Store(key, 0, 4, number)
	inner := b.Call(ir.MapLookup, b.MapPtr(chunks), key)
	w.stop(w.not(inner), unwind.Missing)
	b = w.b
	zero := w.g.Temp(4)
	b.Store(zero, 0, 4, b.Const(0))
	p := b.Call(ir.MapLookup, b.InnerMap(inner), zero)
	w.stop(w.not(p), unwind.Missing)
	return w.b.NonNil(p)
}

// inChunk returns the address of the byte at an offset in a chunk.
//
//go:noinline
func (w *walker) inChunk(chunk, off *ir.Value) *ir.Value {
	return w.op(ir.OpAdd, chunk, w.op(ir.OpAnd, off, w.num(unwind.ChunkSize-1)))
}

// search sets lo to the index of the first element in [lo, hi) for which before returns
// 0.
func (w *walker) search(turns int, lo, hi *ir.Var, before func(i *ir.Value) *ir.Value) {
	b := w.b
	b.Count(turns, func(_ *ir.Value, out *ir.Block) {
		x, y := b.Read(lo), b.Read(hi)
		b.Leave(b.Op(ir.OpULe, y, x), out)
		mid := b.Op(ir.OpShr, b.Op(ir.OpAdd, x, y), b.Const(1))
		b.IfElse(before(mid), func() *ir.Value {
			b.Write(lo, b.Op(ir.OpAdd, mid, b.Const(1)))
			return nil
		}, func() *ir.Value {
			b.Write(hi, mid)
			return nil
		})
	})
}

// count counts the frame of ip, which is number n of the stack, unless it is left out: then
// the next frame takes its place. It has no branch, as the verifier would follow both ways in
// each frame.
func (w *walker) count(n, ip *ir.Value) {
	hash := mixWord(w.b, w.get(wHash), ip)
	if w.r.Skip == 0 {
		w.set(wCount, w.op(ir.OpAdd, n, w.num(1)))
		w.set(wHash, hash)
		return
	}
	left := w.get(wSkip)
	counts := w.not(left)
	w.set(wCount, w.op(ir.OpAdd, n, counts))
	w.set(wHash, w.op(ir.OpMul, hash, counts)) // 0 until the first frame that counts
	w.set(wSkip, w.op(ir.OpSub, left, w.not(counts)))
}

// frame emits one iteration of the loop: it adds the function at wIP to the stack and
// continues with the caller.
func (w *walker) frame() {
	n := w.get(wCount)
	w.stop(w.op(ir.OpULe, w.num(int64(w.lay.depth)), n), unwind.TooDeep)
	ip := w.get(wIP)
	b := w.b
	b.Store(b.Op(ir.OpAdd, w.p, b.Op(ir.OpShl, n, b.Const(3))), object.StackFrames, 8, ip)
	// A return address may be that of the instruction after the end of the function.
	pc := w.op(ir.OpSub, w.op(ir.OpAdd, ip, w.get(wExact)), w.num(1))
	start := w.get(wStart)
	inside := w.op(ir.OpULt, w.op(ir.OpSub, pc, start), w.op(ir.OpSub, w.get(wEnd), start))
	w.b.If(w.not(inside), func() { w.findMapping(pc) })
	seg := w.get(wSeg)
	kind := w.op(ir.OpShr, seg, w.num(48))
	nowhere := w.op(ir.OpEq, kind, w.num(noCode))
	w.leave(w.op(ir.OpAnd, nowhere, w.op(ir.OpNe, n, w.num(0))), func() { // it is not a return address
		b := w.b
		b.Cur.Unlikely = true
		b.Store(b.Op(ir.OpAdd, w.p, b.Op(ir.OpShl, n, b.Const(3))), object.StackFrames, 8, b.Const(0))
		w.set(wWhy, w.num(int64(unwind.Broken)))
	})
	w.count(n, ip)
	w.stop(nowhere, unwind.Unmapped)
	by := &ir.Var{Name: "rule", Type: ir.Int}
	w.b.Write(by, w.num(0)) // the number of cfi.NoTable
	w.b.IfElse(w.op(ir.OpEq, kind, w.num(unwind.HasTable)), func() *ir.Value {
		w.b.Write(by, w.findRule(pc, seg))
		return nil
	}, func() *ir.Value {
		w.stop(w.op(ir.OpEq, kind, w.num(unwind.Trampoline)), unwind.Probed)
		if !w.auto {
			w.stop(w.op(ir.OpEq, kind, w.num(unwind.NoTable)), unwind.Bare)
		}
		w.stop(w.op(ir.OpEq, kind, w.num(unwind.NoRoom)), unwind.Full)
		w.stop(w.op(ir.OpULt, w.num(unwind.NoTable), kind), unwind.Missing)
		return nil
	})
	rules := w.g.KernelMap(ir.Map{Name: unwind.RulesMap, Type: ir.Array, KeySize: 4, ValueSize: unwind.RulesSize, MaxEntries: 1, Flags: unwind.Mapped})
	b = w.b
	at := b.Op(ir.OpMul, b.Op(ir.OpAnd, b.Read(by), b.Const(unwind.MaxRules-1)), b.Const(unwind.RuleSize))
	rule := b.Op(ir.OpAdd, b.MapValue(rules, 0), at)
	how := b.Load(rule, unwind.RuleKind, 1, false)
	w.b.IfElse(how, func() *ir.Value {
		w.apply(ip, rule, how)
		return nil
	}, func() *ir.Value {
		if !w.auto { // the gap is between functions that have rules
			w.stop(w.op(ir.OpEq, kind, w.num(unwind.HasTable)), unwind.Bare)
		}
		w.followFP()
		return nil
	})
	w.stop(w.not(w.get(wIP)), unwind.Complete)
}
