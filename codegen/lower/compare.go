package lower

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// compare returns x op y as 0 or 1.
func (f *fn) compare(e *ast.Binary) *ir.Value {
	defer f.at(f.at(e.Span()))
	if eq := f.isNamed(e.X, e.Y); eq != nil {
		return f.negated(eq, e.Op == "!=")
	}
	tx, ty := f.typeOf(e.X), f.typeOf(e.Y)
	if tx.IsScalar() || tx.Castable || ty.IsScalar() || ty.Castable {
		return f.compareWords(e.Op, f.operand(e.X), f.operand(e.Y), f.info.Operands[e])
	}
	var eq *ir.Value
	if tx.Kind == types.String {
		eq = f.equalStrings(e.X, e.Y, tx, ty)
	} else {
		x, y := f.tmp(e.X), f.tmp(e.Y)
		eq = f.equalObjects(x, 0, tx, y, 0, ty)
	}
	return f.negated(eq, e.Op == "!=")
}

// negated returns eq, which is 0 or 1, negated if not is set.
func (f *fn) negated(eq *ir.Value, not bool) *ir.Value {
	if not {
		return f.b.Op(ir.OpEq, eq, f.b.Const(0))
	}
	return eq
}

// isNamed returns whether x or y, a builtin, is the object that the other one, a
// literal, names. It returns nil for any other comparison.
func (f *fn) isNamed(x, y ast.Expr) *ir.Value {
	if f.lit(x) != nil {
		x, y = y, x
	}
	call := f.info.Calls[x]
	if call == nil || call.Def.Is == nil || f.lit(y) == nil {
		return nil
	}
	return call.Def.Is(f, call)
}

// compareWords compares two words as values of type t.
func (f *fn) compareWords(op string, x, y operand, t *types.Type) *ir.Value {
	less, lessEq := ir.OpULt, ir.OpULe
	a, b := x.x, y.x
	if t != nil && x.t.Kind != types.Pointer && y.t.Kind != types.Pointer {
		a, b = f.convert(a, x.t, t), f.convert(b, y.t, t)
		if t.Signed {
			less, lessEq = ir.OpSLt, ir.OpSLe
		}
	}
	if a.Type != b.Type {
		// Two kinds of pointer, or a pointer and a number.
		if op == "==" || op == "!=" {
			a, b = f.b.AsInt(a), f.b.AsInt(b)
		} else {
			a, b = f.word(operand{a, x.t}), f.word(operand{b, y.t})
		}
	}
	switch op {
	case "==":
		return f.b.Op(ir.OpEq, a, b)
	case "!=":
		return f.b.Op(ir.OpNe, a, b)
	case "<":
		return f.b.Op(less, a, b)
	case "<=":
		return f.b.Op(lessEq, a, b)
	case ">":
		return f.b.Op(less, b, a)
	case ">=":
		return f.b.Op(lessEq, b, a)
	}
	panic("lower: comparison " + op)
}

// maxUnrolled is the maximum number of bytes that are compared by straight-line code.
const maxUnrolled = 64

// equalStrings compares two strings. If one is a literal, it compares only the bytes of
// the literal.
func (f *fn) equalStrings(x, y ast.Expr, tx, ty *types.Type) *ir.Value {
	if f.lit(x) != nil {
		x, y, tx, ty = y, x, ty, tx
	}
	p := f.tmp(x)
	if l := f.lit(y); l != nil {
		text, _, _ := strings.Cut(l.Str, "\x00") // a string ends there
		data := append([]byte(text), 0)
		switch {
		case len(data) == tx.Size+1: // equal only to an array of characters without a NUL
			data = data[:tx.Size]
		case len(data) > tx.Size:
			return f.b.Const(0)
		}
		switch {
		case len(data) <= maxUnrolled:
			return equalConst(f.b, p, 0, data)
		}
		return f.equalMemory(p, 0, f.Rodata(data), 0, len(data))
	}
	return f.equalText(p, 0, tx.Size, f.tmp(y), 0, ty.Size)
}

// chunks divides n bytes into words of 8 bytes and, at the end, smaller ones.
func chunks(n int, emit func(at, size int)) {
	for at := 0; at < n; {
		size := 8
		for size > n-at {
			size /= 2
		}
		emit(at, size)
		at += size
	}
}

// equalMemory compares n bytes, in straight-line code or in a loop over words.
func (f *fn) equalMemory(x *ir.Value, xo int64, y *ir.Value, yo int64, n int) *ir.Value {
	if n == 0 {
		return f.b.Const(1)
	}
	if n <= maxUnrolled {
		var diff *ir.Value
		chunks(n, func(at, size int) {
			diff = orDiff(f.b, diff, f.b.Load(x, xo+int64(at), size, false), f.b.Load(y, yo+int64(at), size, false))
		})
		return f.b.Op(ir.OpEq, diff, f.b.Const(0))
	}
	words := n / 8
	var rest func() *ir.Value
	if n%8 != 0 {
		rest = func() *ir.Value {
			return f.equalMemory(x, xo+int64(words*8), y, yo+int64(words*8), n%8)
		}
	}
	return f.wordLoop(x, xo, y, yo, words, func(f *fn, a, b *ir.Value) (diff, end *ir.Value) {
		return f.b.Op(ir.OpXor, a, b), nil
	}, rest)
}

// equalText compares two strings up to their NUL or, without one, to their end.
func (f *fn) equalText(x *ir.Value, xo int64, xs int, y *ir.Value, yo int64, ys int) *ir.Value {
	if xs > ys {
		x, xo, xs, y, yo, ys = y, yo, ys, x, xo, xs
	}
	n := xs
	differ := func(f *fn, a, b *ir.Value) (diff, end *ir.Value) {
		nul := nulByte(f.b, a)
		upTo := f.b.Op(ir.OpXor, nul, f.b.Op(ir.OpSub, nul, f.b.Const(1)))
		return f.b.Op(ir.OpAnd, f.b.Op(ir.OpXor, a, b), upTo), nul
	}
	rest := func() *ir.Value {
		at, left := int64(n/8*8), n%8
		if ys == n && left == 0 {
			return f.b.Const(1)
		}
		// The end of the shorter one counts as a NUL.
		diff, _ := differ(f, loadSized(f.b, x, xo+at, left), loadSized(f.b, y, yo+at, min(left+1, ys-int(at))))
		return f.b.Op(ir.OpEq, diff, f.b.Const(0))
	}
	if n < 8 {
		return rest()
	}
	return f.wordLoop(x, xo, y, yo, n/8, differ, rest)
}

// differ returns a value that is 0 if two words are equal, and whether the compared
// text ends in them (nil: it never does).
type differ func(f *fn, a, b *ir.Value) (diff, end *ir.Value)

// maxWords is the maximum number of words for a loop that compares one word per
// iteration. The kernel's verifier follows each iteration of such a loop, with a path
// out of each. For more words, an iteration compares wordGroup words, and the loop uses
// bpf_loop if the kernel has it.
const (
	maxWords  = 512
	wordGroup = 16
)

// wordLoop compares words until a pair differs or the text ends in it. If all words are
// equal, the result is that of rest, or 1 if rest is nil.
func (f *fn) wordLoop(x *ir.Value, xo int64, y *ir.Value, yo int64, words int, d differ, rest func() *ir.Value) *ir.Value {
	group := 1
	if words > maxWords {
		group = wordGroup
		if left := words % group; left > 0 {
			words -= left
			base, tail := int64(8*words), rest
			rest = func() *ir.Value { return f.wordLoop(x, xo+base, y, yo+base, left, d, tail) }
		}
	}
	x, y = f.b.AddImm(x, xo), f.b.AddImm(y, yo)
	if group > 1 && f.k.Has(probes.FeatLoop) {
		return f.wordCalls(x, y, words/group, d, rest)
	}
	i, result := &ir.Var{Name: "i", Type: ir.Int}, &ir.Var{Name: "equal", Type: ir.Int}
	f.b.Write(i, f.b.Const(0))
	f.b.Section(func(decided *ir.Block) {
		more := func() *ir.Value { return f.b.Op(ir.OpULt, f.b.Read(i), f.b.Const(int64(8*words))) }
		f.b.Step(i, int64(8*group), more, func(*ir.Block) {
			equal, over := f.compareGroup(x, y, f.b.Read(i), group, d)
			f.b.Write(result, equal)
			f.b.Leave(over, decided)
		})
		last := f.b.Const(1)
		if rest != nil {
			last = rest()
		}
		f.b.Write(result, last)
	})
	return f.b.Read(result)
}

// compareGroup compares a group of words at x+at and y+at. It returns whether they are
// equal up to the end of the text, and whether the comparison is complete.
func (f *fn) compareGroup(x, y, at *ir.Value, group int, d differ) (equal, over *ir.Value) {
	x, y = f.b.Op(ir.OpAdd, x, at), f.b.Op(ir.OpAdd, y, at)
	var all, ended *ir.Value // ended: not 0, or (in a group) all ones, after the end
	for k := range group {
		diff, end := d(f, f.b.Load(x, int64(8*k), 8, false), f.b.Load(y, int64(8*k), 8, false))
		if ended != nil {
			diff = f.b.Op(ir.OpAnd, diff, f.b.Op(ir.OpXor, ended, f.b.Const(-1)))
		}
		if all != nil {
			diff = f.b.Op(ir.OpOr, all, diff)
		}
		all = diff
		if end == nil {
			continue
		}
		if group > 1 {
			end = f.b.Op(ir.OpSar, f.b.Op(ir.OpOr, end, f.b.Op(ir.OpNeg, end)), f.b.Const(63))
		}
		if ended != nil {
			end = f.b.Op(ir.OpOr, ended, end)
		}
		ended = end
	}
	over = all
	if ended != nil {
		over = f.b.Op(ir.OpOr, all, ended)
	}
	return f.b.Op(ir.OpEq, all, f.b.Const(0)), over
}

// wordCalls does the same as wordLoop with bpf_loop, which compares a group of words
// per iteration.
func (f *fn) wordCalls(x, y *ir.Value, turns int, d differ, rest func() *ir.Value) *ir.Value {
	const atX, atY, atOver, atEqual, size = 0, 8, 16, 24, 32
	frame := f.b.Slot(size)
	f.b.Store(frame, atX, 8, x)
	f.b.Store(frame, atY, 8, y)
	f.b.Store(frame, atOver, 8, f.b.Const(0))

	g := newFn(f.shared, f.irp, f.prog, fmt.Sprintf("compare%d", len(f.irp.Subs)+1), ir.Int, ir.PtrSlot)
	f.irp.Subs = append(f.irp.Subs, g.b.Fn)
	g.at(f.b.Pos)
	turn, up := g.b.Extend(g.b.Param(0), 4, false), g.b.Param(1)
	px, py := g.b.Load(up, atX, 8, false), g.b.Load(up, atY, 8, false)
	px.Type, py.Type = ir.PtrSlot, ir.PtrSlot
	g.b.Section(func(out *ir.Block) {
		g.b.Need(g.b.Op(ir.OpULt, turn, g.b.Const(int64(turns))), out) // for the verifier
		equal, over := g.compareGroup(px, py, g.b.Op(ir.OpMul, turn, g.b.Const(8*wordGroup)), wordGroup, d)
		g.b.Need(over, out)
		g.b.Store(up, atEqual, 8, equal)
		g.b.Store(up, atOver, 8, g.b.Const(1))
		g.b.Ret(g.b.Const(stop))
	})
	g.b.Ret(g.b.Const(goOn))

	f.b.Call(ir.Loop, f.b.Const(int64(turns)), f.b.FuncAddr(g.b.Fn), frame, f.b.Const(0))
	return f.b.IfElse(f.b.Load(frame, atOver, 8, false), func() *ir.Value { return f.b.Load(frame, atEqual, 8, false) }, func() *ir.Value {
		if rest == nil {
			return f.b.Const(1)
		}
		return rest()
	})
}

// equalObjects compares two objects in the program's own memory, member by member.
// Bytes between members and after the end of strings do not count.
func (f *fn) equalObjects(x *ir.Value, xo int64, tx *types.Type, y *ir.Value, yo int64, ty *types.Type) *ir.Value {
	switch {
	case tx.IsScalar():
		return f.b.Op(ir.OpEq, loadOwn(f.b, x, xo, tx), loadOwn(f.b, y, yo, ty))
	case tx.Kind == types.String:
		return f.equalText(x, xo, tx.Size, y, yo, ty.Size)
	case tx.Kind == types.Tuple || tx.Kind == types.Record:
		var all *ir.Value
		for i, m := range tx.Fields {
			n := ty.Fields[i]
			if tx.Kind == types.Record {
				n = ty.Fields[fieldIndex(ty, m.Name)]
			}
			eq := f.equalObjects(x, xo+int64(m.Off), m.Type, y, yo+int64(n.Off), n.Type)
			if all == nil {
				all = eq
			} else {
				all = f.b.Op(ir.OpAnd, all, eq)
			}
		}
		if all == nil {
			return f.b.Const(1)
		}
		return all
	case tx.Kind == types.Array && (tx.Elem.Size != ty.Elem.Size || tx.Elem.Signed != ty.Elem.Signed):
		if tx.Len != ty.Len {
			return f.b.Const(0)
		}
		all := f.b.Const(1)
		for i := range tx.Len {
			eq := f.equalObjects(x, xo+int64(i*tx.Elem.Size), tx.Elem, y, yo+int64(i*ty.Elem.Size), ty.Elem)
			all = f.b.Op(ir.OpAnd, all, eq)
		}
		return all
	case tx.Size == ty.Size:
		return f.equalMemory(x, xo, y, yo, tx.Size)
	case tx.Kind == types.Buffer && ty.Kind == types.Buffer:
		// The length comes first, and what follows the data is zero.
		return f.equalMemory(x, xo, y, yo, min(tx.Size, ty.Size))
	}
	panic(fmt.Sprintf("lower: comparison of %s and %s", tx, ty))
}
