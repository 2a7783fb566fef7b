package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// The kernel stores stacks in a map with one entry for each hash. It refuses a second
// stack with the same hash. Such stacks are stored in another map, whose entries have the
// fields of object.MoreStacks. In it, a second hash identifies a stack. The number of the
// stack is the first number from that hash on whose entry is free or has a stack with
// that hash.

// maxTries is the number of entries that are tried for a stack.
const maxTries = 8

// takeStack stores the current stack as the kernel's flags specify and returns its number, with the number of frames
// in the bits above. If that fails, it counts the reason and returns noStack.
func takeStack(g Gen, call *Call, flags int64) *ir.Value {
	b := g.B()
	depth := int(call.Type.Params[1])
	if depth == 0 {
		return b.Const(noStack)
	}
	flags |= call.Data.(stackCall).skip
	num := &ir.Var{Name: "stack", Type: ir.Int}
	if g.Context().OtherTasks {
		// The kernel lets no program that may sleep use a map of stacks.
		b.Write(num, b.Const(noStack))
		keepStack(g, call, flags, num)
		return stackWord(g, call, flags, num)
	}
	id := b.Call(ir.StackID, g.Ctx(), b.MapPtr(g.StackMap(depth)), b.Const(flags))
	// If there is no stack (no kernel stack in user mode, no user stack in a kernel
	// thread), this is a result. If a stack could not be stored, this is a failure.
	const noSuchStack = -14 // EFAULT
	b.Write(num, id)
	g.B().If(b.Op(ir.OpSLt, id, b.Const(0)), func() {
		b := g.B()
		b.Cur.Unlikely = true
		b.Write(num, b.Const(noStack))
		g.B().If(b.Op(ir.OpNe, id, b.Const(noSuchStack)), func() { keepStack(g, call, flags, num) })
	})
	return stackWord(g, call, flags, num)
}

// stackWord returns the number of the current stack with the number of frames, if the
// program needs it.
func stackWord(g Gen, call *Call, flags int64, num *ir.Var) *ir.Value {
	b := g.B()
	id := b.Extend(b.Read(num), 4, false)
	if call.Data.(stackCall).lens {
		n := b.Op(ir.OpSub, stackLen(g, call.Type, flags), b.Const(1))
		b = g.B()
		id = b.Op(ir.OpOr, id, b.Op(ir.OpShl, n, b.Const(stackLenShift)))
	}
	return id
}

// keepStack stores the current stack in the map MoreStacks and sets num to its number
// there. It counts failures.
func keepStack(g Gen, call *Call, flags int64, num *ir.Var) {
	b := g.B()
	depth := int(call.Type.Params[1])
	entry, frames := stackEntry(g, depth)
	size := b.Call(ir.GetStack, g.Ctx(), frames, b.Const(int64(8*depth)), b.Const(flags))
	storeFrames(g, call, entry, frames, size, num)
}

// stackEntry returns memory for an entry of the map MoreStacks, and for the frames in it.
func stackEntry(g Gen, depth int) (entry, frames *ir.Value) {
	b := g.B()
	entry = g.Temp(object.StackFrames + 8*depth)
	frames = b.AddImm(entry, object.StackFrames)
	// The helper clears what it does not fill, but in fentry programs of older kernels
	// the verifier requires that the program defines the memory.
	b.Zero(entry, object.StackFrames, 8*depth)
	return entry, frames
}

// storeFrames stores size bytes of frames, which are in entry, in the map MoreStacks and sets
// num to their number there. It counts failures.
func storeFrames(g Gen, call *Call, entry, frames, size *ir.Value, num *ir.Var) {
	b := g.B()
	depth := int(call.Type.Params[1])
	hash := &ir.Var{Name: "hash", Type: ir.Int}
	b.Write(hash, size)
	b.Count(depth, func(i *ir.Value, out *ir.Block) {
		b := g.B()
		at := b.Op(ir.OpMul, i, b.Const(8))
		b.Leave(b.Op(ir.OpSLe, size, at), out)
		b.Write(hash, mixWord(g, b.Read(hash), b.Load(b.Op(ir.OpAdd, frames, at), 0, 8, false)))
	})
	b = g.B()
	b.Store(entry, object.StackEnd, 8, b.Const(0))
	keepEntry(g, depth, entry, b.Read(hash), num)
	b = g.B()
	g.B().If(b.Op(ir.OpEq, b.Read(num), b.Const(noStack)), func() { g.Count(object.StackFault, call.Span, call.Def.Name) })
}

// keepEntry stores an entry of the map MoreStacks with the given hash of its frames. If
// there is room, it sets num to the stack's number.
func keepEntry(g Gen, depth int, entry, hash *ir.Value, num *ir.Var) {
	b := g.B()
	// No stack has the hash object.GivenUp.
	h := b.Op(ir.OpOr, hash, b.Op(ir.OpEq, hash, b.Const(object.GivenUp)))
	now := b.Call(ir.KtimeGetNs)
	b.Store(entry, object.StackHash, 8, h)
	b.Store(entry, object.StackUsed, 8, now)

	more := b.MapPtr(g.MoreStacks(depth))
	try := &ir.Var{Name: "try", Type: ir.Int}
	// number returns a number of MoreStacks. For the kernel's verifier it has the same
	// limits after every iteration of the loop, so that the verifier need not follow
	// combinations.
	number := func(b *ir.Builder, n *ir.Value) *ir.Value {
		return b.Op(ir.OpOr, b.Op(ir.OpAnd, n, b.Const(object.FirstMoreStack-1)), b.Const(object.FirstMoreStack))
	}
	b.Write(try, number(b, b.Op(ir.OpShr, h, b.Const(34))))
	b.Count(maxTries, func(_ *ir.Value, out *ir.Block) {
		b := g.B()
		n, key := b.Read(try), g.Temp(4)
		b.Store(key, 0, 4, n)
		found := b.Call(ir.MapLookup, more, key)
		b.Write(try, n)
		done := g.B().IfElse(found, func() *ir.Value {
			b := g.B()
			p := b.NonNil(found)
			same := b.Op(ir.OpEq, b.Load(p, object.StackHash, 8, false), h)
			b.Write(try, number(b, b.Op(ir.OpAdd, n, b.Op(ir.OpXor, same, b.Const(1)))))
			g.B().If(same, func() { g.B().Store(p, object.StackUsed, 8, now) })
			return same
		}, func() *ir.Value {
			b := g.B()
			// BPF_NOEXIST: if another CPU was first, the next iteration finds its
			// stack.
			return b.Op(ir.OpEq, b.Call(ir.MapUpdate, more, key, entry, b.Const(1)), b.Const(0))
		})
		g.B().If(done, func() { g.B().Write(num, n) })
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
func mixWord(g Gen, h, word *ir.Value) *ir.Value {
	b := g.B()
	const odd = -0x61c8864680b583eb // 2^64 divided by the golden ratio
	h = b.Op(ir.OpMul, b.Op(ir.OpXor, h, word), b.Const(odd))
	return b.Op(ir.OpXor, h, b.Op(ir.OpShr, h, b.Const(29)))
}
