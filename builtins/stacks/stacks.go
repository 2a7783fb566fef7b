// Package stacks has the code that takes stacks: those that the kernel walks, user stacks
// by the tables of package unwind, and the stacks of other tasks.
//
// The kernel stores stacks in a map with one entry for each hash. It refuses a second
// stack with the same hash. Such stacks are stored in another map, whose entries have the
// fields of object.MoreStacks. In it, a second hash identifies a stack. The number of the
// stack is the first number from that hash on whose entry is free or has a stack with
// that hash.
package stacks

import (
	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/unwind"
)

// A stack is one word. The low half is the number of the stack in the kernel's map of
// stacks, or None minus an unwind.Why if there is no stack. In user stacks, the process ID
// is in the PIDBits above, the maximum size of an ID. The bits from lenShift on hold the
// number of frames minus 1 if the program needs it, because a program cannot read what the
// kernel stored.
const (
	None     = 0xffffffff
	Last     = None - int64(unwind.NumWhys) // greater numbers are the reason why there is no stack
	PIDBits  = 22
	lenShift = 32 + PIDBits
)

// Request describes the stack that a call takes.
type Request struct {
	Span source.Span // of the call and
	Name string      // of its builtin, at which failures are counted

	Depth   int   // maximum number of frames
	Limited bool  // the script gives Depth
	Skip    int64 // number of the innermost frames that are left out
	Lens    bool  // the word contains the number of frames
	NoMap   bool  // the kernel does not let the program use its map of stacks

	// Task is the task whose stack is taken; nil: the current one. ID emits code that
	// returns its number.
	Task *Task
	ID   func() *ir.Value
	// PID emits code that returns the process ID of the current task as gotrace numbers
	// it.
	PID func(g code.Gen) *ir.Value
}

// maxTries is the number of entries that are tried for a stack.
const maxTries = 8

// Take emits code that stores the current stack as the kernel's flags specify and returns
// its number, with the number of frames in the bits above. If that fails, it counts the
// reason and returns None.
func (r *Request) Take(g code.Gen, flags int64) *ir.Value {
	b := g.B()
	if r.Depth == 0 {
		return b.Const(None)
	}
	flags |= r.Skip
	num := &ir.Var{Name: "stack", Type: ir.Int}
	if r.NoMap {
		b.Write(num, b.Const(None))
		r.keep(g, flags, num)
		return r.word(g, flags, num)
	}
	id := b.Call(ir.StackID, g.Ctx(), b.MapPtr(stackMap(g, r.Depth)), b.Const(flags))
	// If there is no stack (no kernel stack in user mode, no user stack in a kernel
	// thread), this is a result. If a stack could not be stored, this is a failure.
	const noSuchStack = -14 // EFAULT
	b.Write(num, id)
	b.If(b.Op(ir.OpSLt, id, b.Const(0)), func() {
		b.Cur.Unlikely = true
		b.Write(num, b.Const(None))
		b.If(b.Op(ir.OpNe, id, b.Const(noSuchStack)), func() { r.keep(g, flags, num) })
	})
	return r.word(g, flags, num)
}

// stackMap returns the kernel map for stacks with the given maximum depth.
func stackMap(g code.Gen, depth int) *ir.Map {
	return g.KernelMap(ir.Map{Name: object.StackMap(depth), Type: ir.StackTrace, KeySize: 4, ValueSize: 8 * depth, MaxEntries: maxStacks})
}

// maxStacks is the maximum number of different stacks of one depth that the kernel's
// map holds. It is also the size of the map MoreStacks on kernels where that map must be
// allocated in advance.
const maxStacks = 16 << 10

// moreStacks returns the map for the stacks of a depth that do not fit in stackMap.
func moreStacks(g code.Gen, depth int) *ir.Map {
	const noPrealloc = 1 // BPF_F_NO_PREALLOC
	m := ir.Map{Name: object.MoreStacks(depth), Type: ir.Hash, KeySize: 4, ValueSize: object.StackFrames + 8*depth, MaxEntries: maxStacks}
	if g.Kernel().Has(probes.FeatAllocAnywhere) {
		m.MaxEntries, m.Flags = 8*maxStacks, noPrealloc
	}
	return g.KernelMap(m)
}

// word returns the number of the current stack with the number of frames, if the program
// needs it.
func (r *Request) word(g code.Gen, flags int64, num *ir.Var) *ir.Value {
	b := g.B()
	id := b.Extend(b.Read(num), 4, false)
	if r.Lens {
		id = withLen(b, id, Len(g, r.Depth, flags))
	}
	return id
}

// withLen returns the word of a stack with its number and n frames.
func withLen(b *ir.Builder, id, n *ir.Value) *ir.Value {
	return b.Op(ir.OpOr, id, b.Op(ir.OpShl, b.Op(ir.OpSub, n, b.Const(1)), b.Const(lenShift)))
}

// Len emits code that counts the frames of the current stack, at most depth. It lets the
// kernel write them to scratch memory, because programs cannot read what get_stackid
// stores.
func Len(g code.Gen, depth int, flags int64) *ir.Value {
	b := g.B()
	if depth == 0 {
		return b.Const(0)
	}
	size := 8 * depth
	n := b.Call(ir.GetStack, g.Ctx(), g.Temp(size), b.Const(int64(size)), b.Const(flags))
	// If the result is negative, there is no stack: use 0.
	n = b.Op(ir.OpAnd, n, b.Op(ir.OpXor, b.Op(ir.OpSar, n, b.Const(63)), b.Const(-1)))
	return b.Op(ir.OpShr, n, b.Const(3))
}

// StoredLen emits code that returns the number of frames that a stack's word contains.
func StoredLen(b *ir.Builder, word *ir.Value) *ir.Value {
	n := b.Op(ir.OpAdd, b.Op(ir.OpShr, word, b.Const(lenShift)), b.Const(1))
	kept := b.Op(ir.OpULe, b.Extend(word, 4, false), b.Const(Last))
	return b.Op(ir.OpMul, n, kept)
}

// keep stores the current stack in the map MoreStacks and sets num to its number there.
// It counts failures.
func (r *Request) keep(g code.Gen, flags int64, num *ir.Var) {
	b := g.B()
	entry, frames := stackEntry(g, r.Depth)
	size := b.Call(ir.GetStack, g.Ctx(), frames, b.Const(int64(8*r.Depth)), b.Const(flags))
	r.store(g, entry, frames, size, num)
}

// stackEntry returns memory for an entry of the map MoreStacks, and for the frames in it.
func stackEntry(g code.Gen, depth int) (entry, frames *ir.Value) {
	b := g.B()
	entry = g.Temp(object.StackFrames + 8*depth)
	frames = b.AddImm(entry, object.StackFrames)
	// The helper clears what it does not fill, but in fentry programs of older kernels
	// the verifier requires that the program defines the memory.
	b.Zero(entry, object.StackFrames, 8*depth)
	return entry, frames
}

// store stores size bytes of frames, which are in entry, in the map MoreStacks and sets
// num to their number there. It counts failures.
func (r *Request) store(g code.Gen, entry, frames, size *ir.Value, num *ir.Var) {
	b := g.B()
	hash := &ir.Var{Name: "hash", Type: ir.Int}
	b.Write(hash, size)
	b.Count(r.Depth, func(i *ir.Value, out *ir.Block) {
		at := b.Op(ir.OpMul, i, b.Const(8))
		b.Leave(b.Op(ir.OpSLe, size, at), out)
		b.Write(hash, mixWord(b, b.Read(hash), b.Load(b.Op(ir.OpAdd, frames, at), 0, 8, false)))
	})
	b.Store(entry, object.StackEnd, 8, b.Const(0))
	keepEntry(g, r.Depth, entry, b.Read(hash), num)
	b.If(b.Op(ir.OpEq, b.Read(num), b.Const(None)), func() { g.Count(object.StackFault, r.Span, r.Name) })
}

// keepEntry stores an entry of the map MoreStacks with the given hash of its frames. If
// there is room, it sets num to the stack's number.
func keepEntry(g code.Gen, depth int, entry, hash *ir.Value, num *ir.Var) {
	b := g.B()
	// No stack has the hash object.GivenUp.
	h := b.Op(ir.OpOr, hash, b.Op(ir.OpEq, hash, b.Const(object.GivenUp)))
	now := b.Call(ir.KtimeGetNs)
	b.Store(entry, object.StackHash, 8, h)
	b.Store(entry, object.StackUsed, 8, now)

	more := b.MapPtr(moreStacks(g, depth))
	try := &ir.Var{Name: "try", Type: ir.Int}
	// number returns a number of MoreStacks. For the kernel's verifier it has the same
	// limits after every iteration of the loop, so that the verifier need not follow
	// combinations.
	number := func(b *ir.Builder, n *ir.Value) *ir.Value {
		return b.Op(ir.OpOr, b.Op(ir.OpAnd, n, b.Const(object.FirstMoreStack-1)), b.Const(object.FirstMoreStack))
	}
	b.Write(try, number(b, b.Op(ir.OpShr, h, b.Const(34))))
	b.Count(maxTries, func(_ *ir.Value, out *ir.Block) {
		n, key := b.Read(try), g.Temp(4)
		b.Store(key, 0, 4, n)
		found := b.Call(ir.MapLookup, more, key)
		b.Write(try, n)
		done := b.IfElse(found, func() *ir.Value {
			p := b.NonNil(found)
			same := b.Op(ir.OpEq, b.Load(p, object.StackHash, 8, false), h)
			b.Write(try, number(b, b.Op(ir.OpAdd, n, b.Op(ir.OpXor, same, b.Const(1)))))
			b.If(same, func() { b.Store(p, object.StackUsed, 8, now) })
			return same
		}, func() *ir.Value {
			// BPF_NOEXIST: if another CPU was first, the next iteration finds its
			// stack.
			return b.Op(ir.OpEq, b.Call(ir.MapUpdate, more, key, entry, b.Const(1)), b.Const(0))
		})
		b.If(done, func() { b.Write(num, n) })
		b.Leave(done, out)
	})
}

// mixWord returns the hash of a sequence of words from the hash h of all words but the
// last one, and the last word.
//
// Stacks with the same hash count as the same stack. Each step maps the 64-bit numbers
// one to one, both for a given h and for a given word, so two stacks that differ in a
// single frame never have the same hash. If they differ in more frames, they have the
// same hash with a probability of 2^-64: among 131,072 stacks, the maximum, two have
// the same hash in one of two billion runs.
func mixWord(b *ir.Builder, h, word *ir.Value) *ir.Value {
	const odd = -0x61c8864680b583eb // 2^64 divided by the golden ratio
	h = b.Op(ir.OpMul, b.Op(ir.OpXor, h, word), b.Const(odd))
	return b.Op(ir.OpXor, h, b.Op(ir.OpShr, h, b.Const(29)))
}
