package builtins

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// wantStr checks that argument i is a string.
func wantStr(c Checker, call *Call, i int) bool {
	t := call.typeOf(i)
	if t.Kind == types.String || t.Kind == types.Invalid || isText(t) {
		return true
	}
	if c.Final() {
		c.Errorf(call.Span, "%s() only supports string arguments (%s provided)", call.Def.Name, className(t))
	}
	return false
}

// litStr is argument i's value where it is a string known when compiling.
func (call *Call) litStr(i int) (string, bool) {
	if a := call.arg(i); a != nil && a.Lit != nil && a.Lit.IsStr {
		return a.Lit.Str, true
	}
	return "", false
}

// loop runs body for i = 0 … n-1, a constant, with break_ leaving it. It is
// emitted as a loop, which the kernel's verifier walks n times.
type loop struct {
	g    Gen
	i    *ir.Var
	done *ir.Block
}

// forEach emits body n times in a loop. Within it leave ends the loop where
// cond holds.
func forEach(g Gen, n int, body func(l *loop, i *ir.Value)) {
	b := g.B()
	l := &loop{g: g, i: &ir.Var{Name: "i", Type: ir.Int}, done: b.NewBlock()}
	head, inside := b.NewBlock(), b.NewBlock()
	b.Write(l.i, b.Const(0))
	b.Jump(head)
	b.SetBlock(head)
	i := b.Read(l.i)
	b.Br(b.Op(ir.OpULt, i, b.Const(int64(n))), inside, l.done)
	b.SealSet(inside)
	body(l, i)
	b.Write(l.i, b.Op(ir.OpAdd, i, b.Const(1)))
	b.Jump(head)
	b.Seal(head)
	b.SealSet(l.done)
}

// leave ends the loop where cond is not 0.
func (l *loop) leave(cond *ir.Value) {
	b := l.g.B()
	next := b.NewBlock()
	b.Br(cond, l.done, next)
	b.SealSet(next)
}

// fewTurns is from how many turns of a loop on it matters that the verifier
// knows with which number each turn leaves it.
const fewTurns = 8

// forget is v, a number that a loop of n turns found, without what the kernel's
// verifier knows of it: for each turn another value. Where that one matters
// later, to the address of a table's entry or to a branch, the verifier walks
// the rest of the program once for each, and after a second such loop once for
// each two. It keeps no account of a word that is written in parts, unless one
// of them is 0, of which it wants to know why: neither is. v is -1 or more.
func forget(g Gen, v *ir.Value, n int) *ir.Value {
	if n <= fewTurns {
		return v
	}
	const away = 1<<32 + 2
	p := g.Temp(8)
	b := g.B()
	v = b.Op(ir.OpAdd, v, b.Const(away))
	b.Store(p, 0, 4, v)
	b.Store(p, 4, 4, b.Op(ir.OpShr, v, b.Const(32)))
	return b.Op(ir.OpSub, b.Load(b.Op(ir.OpBarrier, p), 0, 8, false), b.Const(away))
}

// byteAt is the byte at p+i.
func byteAt(b *ir.Builder, p, i *ir.Value) *ir.Value {
	return b.Load(b.Op(ir.OpAdd, p, i), 0, 1, false)
}

func strncmp() *Def {
	return &Def{
		Name:   "strncmp",
		Kind:   Function,
		Params: []Param{{Name: "a"}, {Name: "b"}, {Name: "n"}},
		Doc: Doc{
			Summary:  "0 if two strings are equal in their first n characters, else 1. n is a literal.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read /strncmp(comm, "ssh", 3) == 0/ { @ = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ok := wantStr(c, call, 0) && wantStr(c, call, 1)
			n := call.arg(2)
			if n == nil || n.Lit == nil || n.Lit.IsStr || n.Lit.Int < 0 && !n.Lit.Unsigned {
				c.Errorf(call.Span, "Builtin strncmp requires a non-negative literal")
				return types.TInvalid
			}
			if !ok {
				return types.TInvalid
			}
			x, isX := call.litStr(0)
			y, isY := call.litStr(1)
			if isX && isY {
				call.Lit = &Lit{}
				if strings.Compare(prefix(x, n.Lit), prefix(y, n.Lit)) != 0 {
					call.Lit.Int = 1
				}
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return g.B().Const(call.Lit.Int)
			}
			a, b := &call.Args[0], &call.Args[1]
			limit := call.Args[2].Lit
			if _, ok := call.litStr(0); ok {
				a, b = b, a
			}
			if b.Lit != nil && b.Lit.IsStr {
				return g.B().Op(ir.OpNe, differsFrom(g, a, b.Lit.Str, limit), g.B().Const(0))
			}
			return stringsDiffer(g, a, b, clampLen(limit, min(a.Type.Size, b.Type.Size)))
		},
	}
}

// prefix is the first n characters of s.
func prefix(s string, n *Lit) string { return s[:clampLen(n, len(s))] }

// clampLen is a literal length, at most limit.
func clampLen(n *Lit, limit int) int {
	if n.Unsigned {
		return limit
	}
	return int(min(n.Int, int64(limit)))
}

// differsFrom is not 0 where the first n characters of a are not those of a
// literal, its NUL included. The literal's characters hold no NUL, so bytes
// behind one in a, whatever they are, can not make them equal.
func differsFrom(g Gen, a *Arg, lit string, n *Lit) *ir.Value {
	want := append([]byte(lit), 0)
	want = want[:clampLen(n, len(want))]
	b := g.B()
	if len(want) > a.Type.Size { // too long to be there
		return b.Const(1)
	}
	return memoryDiffers(b, g.Addr(a), want)
}

// memoryDiffers is not 0 where the bytes at p are not want: words are compared
// and their differences or-ed, without a branch.
func memoryDiffers(b *ir.Builder, p *ir.Value, want []byte) *ir.Value {
	diff := b.Const(0)
	for off := 0; off < len(want); {
		n := 8
		for n > len(want)-off {
			n /= 2
		}
		var word [8]byte
		copy(word[:], want[off:off+n])
		x := b.Load(p, int64(off), n, false)
		// Little-endian: the first byte is the lowest.
		diff = b.Op(ir.OpOr, diff, b.Op(ir.OpXor, x, b.Const(int64(binary.LittleEndian.Uint64(word[:])))))
		off += n
	}
	return diff
}

// stringsDiffer is 1 where the first n characters of two strings differ.
func stringsDiffer(g Gen, a, o *Arg, n int) *ir.Value {
	p, q := g.Addr(a), g.Addr(o)
	b := g.B()
	differ := &ir.Var{Name: "differ", Type: ir.Int}
	b.Write(differ, b.Const(0))
	forEach(g, n, func(l *loop, i *ir.Value) {
		x, y := byteAt(b, p, i), byteAt(b, q, i)
		ne := b.Op(ir.OpNe, x, y)
		b.Write(differ, ne)
		l.leave(ne)
		l.leave(b.Op(ir.OpEq, x, b.Const(0)))
	})
	return b.Read(differ)
}

func strlen() *Def {
	return &Def{
		Name:   "strlen",
		Kind:   Function,
		Params: []Param{{Name: "s", Chars: true}},
		Doc: Doc{
			Summary:  "Number of characters of a string.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @ = hist(strlen(str(args.filename))); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantStr(c, call, 0) {
				return types.TInvalid
			}
			if s, ok := call.litStr(0); ok {
				call.Lit = &Lit{Int: int64(len(s))}
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			return emitStrlen(g, &call.Args[0])
		},
	}
}

func strnlen() *Def {
	return &Def{
		Name:   "__strnlen",
		Kind:   Function,
		Params: []Param{{Name: "s"}, {Name: "n"}},
		Doc: Doc{
			Summary:  "Number of characters of a string, or at an address, up to the first NUL and at most n; -14 if the memory can not be read. Beyond max_strlen no address is read.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @ = hist(__strnlen(args.filename, 32)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if t := call.typeOf(0); t.Kind != types.Pointer && t.Kind != types.Int && !wantStr(c, call, 0) || !wantInt(c, call, 1) {
				return types.TInvalid
			}
			return types.TInt64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			a, limit := &call.Args[0], g.Value(&call.Args[1])
			if t := a.Type; t.Kind != types.Pointer && t.Kind != types.Int {
				return smaller(g.B(), emitStrlen(g, a), limit)
			}
			most := g.Config().MaxStrlen
			p := g.Temp(most + 1)
			src := g.Value(a)
			space := types.Kernel
			if a.Type.Kind == types.Pointer {
				space = a.Type.Space
			}
			n := g.ReadStr(p, 0, g.B().Const(int64(most+1)), most+1, src, readable(g, space))
			b := g.B()
			const fault = -14 // EFAULT
			return g.IfElse(b.Op(ir.OpSLt, n, b.Const(0)),
				func() *ir.Value { return g.B().Const(fault) },
				func() *ir.Value { return smaller(g.B(), g.B().Op(ir.OpSub, n, g.B().Const(1)), limit) })
		},
	}
}

// smaller is the smaller of two numbers without a sign.
func smaller(b *ir.Builder, x, y *ir.Value) *ir.Value {
	less := b.Op(ir.OpNeg, b.Op(ir.OpULt, x, y)) // all ones or 0
	return b.Op(ir.OpXor, y, b.Op(ir.OpAnd, b.Op(ir.OpXor, x, y), less))
}

// emitStrlen looks for the NUL in words of eight bytes: what is left of a word
// minus 1 in each byte that borrowed from a zero byte, and only from it, is
// its high bit.
func emitStrlen(g Gen, a *Arg) *ir.Value {
	p := g.Addr(a)
	b := g.B()
	words, rest := a.Type.Size/8, a.Type.Size%8
	n := &ir.Var{Name: "strlen", Type: ir.Int}
	b.Write(n, b.Const(int64(a.Type.Size)))
	found := b.NewBlock()
	look := func(off *ir.Value, at *ir.Value, size int) {
		const (
			ones  = 0x0101010101010101
			highs = ones<<7 - 1<<64
		)
		x := b.Load(at, 0, size, false)
		if size < 8 { // bytes that are not there count as not zero
			x = b.Op(ir.OpOr, x, b.Const(-1<<(8*size)))
		}
		zero := b.Op(ir.OpAnd, b.Op(ir.OpSub, x, b.Const(ones)), b.Op(ir.OpXor, x, b.Const(-1)))
		zero = b.Op(ir.OpAnd, zero, b.Const(highs))
		hit, next := b.NewBlock(), b.NewBlock()
		b.Br(zero, hit, next)
		b.SealSet(hit)
		// Below the lowest high bit that is set there is one lowest bit a byte.
		low := b.Op(ir.OpSub, b.Op(ir.OpAnd, zero, b.Op(ir.OpNeg, zero)), b.Const(1))
		count := b.Op(ir.OpShr, b.Op(ir.OpMul, b.Op(ir.OpAnd, low, b.Const(ones)), b.Const(ones)), b.Const(56))
		b.Write(n, b.Op(ir.OpSub, b.Op(ir.OpAdd, off, count), b.Const(1)))
		b.Jump(found)
		b.SealSet(next)
	}
	forEach(g, words, func(_ *loop, i *ir.Value) {
		off := b.Op(ir.OpShl, i, b.Const(3))
		look(off, b.Op(ir.OpAdd, p, off), 8)
	})
	for off := words * 8; rest > 0; {
		size := 4
		for size > rest {
			size /= 2
		}
		look(b.Const(int64(off)), b.AddImm(p, int64(off)), size)
		off, rest = off+size, rest-size
	}
	b.Jump(found)
	b.SealSet(found)
	return forget(g, b.Read(n), words)
}

func strcap() *Def {
	return &Def{
		Name:   "strcap",
		Kind:   Function,
		Params: []Param{{Name: "s"}},
		Doc: Doc{
			Summary:  "Most bytes a string can hold, its NUL included; known when compiling.",
			Examples: []string{`begin { print(strcap(comm)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantStr(c, call, 0) {
				return types.TInvalid
			}
			call.Lit = &Lit{Int: int64(call.typeOf(0).Size)}
			return types.TUint64
		},
		Emit: emitLit,
	}
}

// concatSize is the size of a string that takes one of a and one of b bytes,
// NULs included, one behind the other. It is limited, since a variable that a
// string is appended to over and over has no size otherwise, and takes steps so
// that few are enough to get there; what does not fit is cut off.
func concatSize(a, b, limit int) int {
	size := max(a+b-1, 1)
	if size <= 64 {
		size = (size + 7) &^ 7
	} else {
		size = 1 << bits.Len(uint(size-1))
	}
	return min(size, max(limit, a, b))
}

func strConcat() *Def {
	return &Def{
		Name:   "str_concat",
		Kind:   Function,
		Params: []Param{{Name: "a", Chars: true}, {Name: "b", Chars: true}},
		Doc: Doc{
			Summary:  "Two strings, one behind the other.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[str_concat(comm, "!")] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantStr(c, call, 0) || !wantStr(c, call, 1) {
				return types.TInvalid
			}
			x, isX := call.litStr(0)
			y, isY := call.litStr(1)
			if isX && isY {
				call.Lit = &Lit{Str: x + y, IsStr: true}
				return types.NewString(len(x) + len(y) + 1)
			}
			return types.NewString(concatSize(call.typeOf(0).Size, call.typeOf(1).Size, c.Config().MaxStrlen+1))
		},
		Store: func(g Gen, call *Call, dst Dest) {
			if call.Lit != nil {
				storeLit(g, call, dst)
				return
			}
			a, o := &call.Args[0], &call.Args[1]
			b := g.B()
			if dst.Padded {
				b.Zero(dst.Ptr, dst.Off, dst.Size)
			}
			p := b.AddImm(dst.Ptr, dst.Off)
			if whole := a.Type.Size + o.Type.Size; whole-1 > dst.Size {
				// The verifier adds up the most that both can have: no room for that.
				p = g.Temp(whole)
				defer func() {
					g.ReadStr(dst.Ptr, dst.Off, g.B().Const(int64(dst.Size)), dst.Size, p, types.Kernel)
				}()
			}
			n := g.ReadStr(p, 0, b.Const(int64(a.Type.Size)), a.Type.Size, g.Addr(a), types.Kernel)
			b = g.B()
			// The verifier knows the helper's result as a signed number only: what it
			// counts is the NUL too, and there is no fault in our own memory.
			end := b.Op(ir.OpSub, n, b.Const(1))
			g.If(b.Op(ir.OpULt, end, b.Const(int64(a.Type.Size))), func() {
				b := g.B()
				size := o.Type.Size
				g.ReadStr(b.Op(ir.OpAdd, p, end), 0, b.Const(int64(size)), size, g.Addr(o), types.Kernel)
			})
		},
	}
}
