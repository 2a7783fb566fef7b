package bpf

import (
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
)

// zeroInline and copyInline are the maximum numbers of bytes for which OpZero and
// OpCopy become straight-line code. For more bytes, a loop of unrollBytes per iteration
// is emitted. The verifier follows each iteration.
const (
	zeroInline  = 512
	copyInline  = 256
	unrollBytes = 64
)

// legalizer rewrites the operations of a function for which BPF has no instruction. It
// replaces signed division by unsigned division with signs, OpZero and OpCopy by loads
// and stores, and stack accesses that the kernel would refuse as misaligned by smaller
// ones. It removes barriers of pointers, since a null check applies to all copies of a
// pointer. Barriers of integers stay. They become a copy made after the check, since
// the verifier does not apply bounds to copies that were spilled before it.
type legalizer struct {
	f     *ir.Func
	frame map[*ir.Value]int64
	v4    bool
	uses  []int

	blk *ir.Block
	out []*ir.Value
	at  *ir.Value // the value being replaced, for its source span
}

func legalize(f *ir.Func, frame map[*ir.Value]int64, v4 bool) {
	l := &legalizer{f: f, frame: frame, v4: v4}
	sub := make([]*ir.Value, f.NumValues())
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Retypes() {
				sub[v.ID] = v.Args[0]
			}
		}
	}
	f.Substitute(sub)
	l.uses = f.Uses()
	replaced := map[*ir.Value]*ir.Value{}
	for i := 0; i < len(f.Blocks); i++ { // grows: loops split blocks
		l.block(f.Blocks[i], replaced)
	}
	if len(replaced) > 0 {
		sub = make([]*ir.Value, f.NumValues())
		for v, x := range replaced {
			sub[v.ID] = x
		}
		f.Substitute(sub)
	}
	f.RemoveDead()
}

//go:noinline
func (l *legalizer) val(op ir.Op, t ir.Type, args ...*ir.Value) *ir.Value {
	v := l.f.NewValue(l.blk, op, t, args...)
	v.Pos = l.at.Pos
	l.out = append(l.out, v)
	return v
}

//go:noinline
func (l *legalizer) constant(n int64) *ir.Value {
	v := l.val(ir.OpConst, ir.Int)
	v.Imm = n
	return v
}

func (l *legalizer) load(size int, p *ir.Value, off int64) *ir.Value {
	v := l.val(ir.LoadOp(size), ir.Int, p)
	v.Imm = off
	return v
}

func (l *legalizer) store(size int, p *ir.Value, off int64, x *ir.Value) {
	v := l.val(ir.StoreOp(size), ir.Void, p, x)
	v.Imm = off
}

func (l *legalizer) block(b *ir.Block, replaced map[*ir.Value]*ir.Value) {
	l.blk, l.out = b, nil
	for i, v := range b.Values {
		l.at = v
		if v.Retypes() {
			continue
		}
		switch v.Op {
		case ir.OpSDiv, ir.OpSMod:
			d := v.Args[1]
			if l.v4 && d.Op == ir.OpConst && d.Imm != 0 && d.Imm != -1 && fitsS32(d.Imm) {
				l.out = append(l.out, v)
				break
			}
			replaced[v] = l.signedDivision(v)
		case ir.OpZero, ir.OpCopy:
			n := v.Imm2
			if v.Op == ir.OpZero && n > zeroInline || v.Op == ir.OpCopy && n > copyInline {
				l.blockLoop(v, b.Values[i+1:])
				return
			}
			l.fill(v, v.Args[0], v.Imm, 0, n)
		case ir.OpCall:
			if v.Help != ir.MapUpdate && v.Help != ir.MapDelete || l.v4 || v.ID >= len(l.uses) || l.uses[v.ID] == 0 {
				l.out = append(l.out, v)
				break
			}
			// Before Linux 6.4 these return an int, and the upper half of the
			// register is undefined.
			c := l.val(ir.OpCall, ir.Int, v.Args...)
			c.Help = v.Help
			replaced[v] = l.val(ir.OpSext32, ir.Int, c)
		default:
			l.access(v, replaced)
		}
	}
	b.Values = l.out
}

// access appends v. It splits a load or a store of a word that may not be aligned.
func (l *legalizer) access(v *ir.Value, replaced map[*ir.Value]*ir.Value) {
	how, size := v.Op.Info().Access, v.Width()
	if how != ir.Loads && how != ir.Stores {
		l.out = append(l.out, v)
		return
	}
	switch al := l.align(v.Args[0], v.Imm); {
	case al >= size:
		l.out = append(l.out, v)
	case how == ir.Loads:
		replaced[v] = l.splitLoad(v, size, al)
	default:
		for o := int64(0); o < size; o += al {
			x := v.Args[1]
			if o > 0 {
				x = l.val(ir.OpShr, ir.Int, x, l.constant(8*o))
			}
			l.store(int(al), v.Args[0], v.Imm+o, x)
		}
	}
}

// signedDivision divides the magnitudes and sets the sign. The quotient has the sign of
// the operands' product, the remainder that of the dividend. A divisor of 0 gives the
// quotient 0 and the remainder x, as in unsigned division.
func (l *legalizer) signedDivision(v *ir.Value) *ir.Value {
	x, y := v.Args[0], v.Args[1]
	c63 := l.constant(63)
	abs := func(x, s *ir.Value) *ir.Value {
		return l.val(ir.OpSub, ir.Int, l.val(ir.OpXor, ir.Int, x, s), s)
	}
	sx := l.val(ir.OpSar, ir.Int, x, c63)
	ax := abs(x, sx)
	var sy, ay *ir.Value
	if y.Op == ir.OpConst {
		n := y.Imm
		if n < 0 {
			sy, n = l.constant(-1), -n
		}
		ay = l.constant(n)
	} else {
		sy = l.val(ir.OpSar, ir.Int, y, c63)
		ay = abs(y, sy)
	}
	op, sign := ir.OpUMod, sx
	if v.Op == ir.OpSDiv {
		op = ir.OpUDiv
		if sy != nil {
			sign = l.val(ir.OpXor, ir.Int, sx, sy)
		}
	}
	return abs(l.val(op, ir.Int, ax, ay), sign)
}

func (l *legalizer) splitLoad(v *ir.Value, size, al int64) *ir.Value {
	var x *ir.Value
	for o := size - al; o >= 0; o -= al {
		part := l.load(int(al), v.Args[0], v.Imm+o)
		if x == nil {
			x = part
		} else {
			x = l.val(ir.OpOr, ir.Int, l.val(ir.OpShl, ir.Int, x, l.constant(8*al)), part)
		}
	}
	return x
}

// fill expands n bytes of v, an OpZero or OpCopy, from byte from of its source to
// dst+off, with the widest accesses that alignment allows.
func (l *legalizer) fill(v, dst *ir.Value, off, from, n int64) {
	var src, zero *ir.Value
	if v.Op == ir.OpCopy {
		src = v.Args[1]
	} else {
		zero = l.constant(0)
	}
	l.fillFrom(dst, off, src, from, zero, n)
}

func (l *legalizer) fillFrom(dst *ir.Value, off int64, src *ir.Value, from int64, zero *ir.Value, n int64) {
	free := l.unaligned(dst) && (src == nil || l.unaligned(src))
	for done := int64(0); done < n; {
		size := int64(8)
		for size > n-done {
			size /= 2
		}
		if free && n >= 8 && size < 8 && n-done > size {
			done, size = n-8, 8 // one overlapping access instead of several
		}
		size = min(size, l.align(dst, off+done))
		x := zero
		if src != nil {
			size = min(size, l.align(src, from+done))
			x = l.load(int(size), src, from+done)
		}
		l.store(int(size), dst, off+done, x)
		done += size
	}
}

// blockLoop ends the current block with a loop for the bulk of v, an OpZero or OpCopy.
// The other values of the block follow the loop.
func (l *legalizer) blockLoop(v *ir.Value, rest []*ir.Value) {
	b := l.blk
	n, bulk := v.Imm2, v.Imm2/unrollBytes*unrollBytes
	dst := v.Args[0]
	zero := l.constant(0)
	// b keeps the values before v. after contains the remaining bytes of v and rest.
	b.Values = append(append(l.out, v), rest...)
	after := b.SplitAt(len(l.out))
	after.Values = after.Values[1:]
	loop := l.f.AddBlock()
	loop.Unlikely = b.Unlikely
	b.JumpTo(loop)

	l.blk, l.out = loop, nil
	i := l.val(ir.OpPhi, ir.Int)
	to := l.val(ir.OpAdd, dst.Type, dst, i)
	var from *ir.Value
	if v.Op == ir.OpCopy {
		from = l.val(ir.OpAdd, v.Args[1].Type, v.Args[1], i)
	}
	l.fillFrom(to, v.Imm, from, 0, zero, unrollBytes)
	next := l.val(ir.OpAdd, ir.Int, i, l.constant(unrollBytes))
	more := l.val(ir.OpNe, ir.Int, next, l.constant(bulk))
	i.Args = []*ir.Value{zero, next}
	loop.Values = l.out
	loop.BranchTo(more, loop, after)

	l.blk, l.out = after, nil
	if n > bulk {
		l.fill(v, dst, v.Imm+bulk, bulk, n-bulk)
	}
	after.Values = append(l.out, after.Values...)
}

// unaligned reports whether the kernel accepts accesses through p with any alignment.
// It checks the alignment of stack and context, but not of map values and records on
// machines that can access unaligned memory, such as amd64 and arm64.
func (l *legalizer) unaligned(p *ir.Value) bool {
	return p.Type != ir.PtrSlot && p.Type != ir.PtrCtx
}

// align returns the largest power of two up to 8 that p+off is known to be a
// multiple of, or 8 if alignment does not matter.
func (l *legalizer) align(p *ir.Value, off int64) int64 {
	if l.unaligned(p) {
		return 8
	}
	return l.alignOf(p, off, 0)
}

func (l *legalizer) alignOf(p *ir.Value, off int64, depth int) int64 {
	a := func(n int64) int64 { return 1 << min(3, bits.TrailingZeros64(uint64(n)|8)) }
	if p.Loads(8) { // a loaded pointer is the address of a slot
		return a(off)
	}
	switch p.Op {
	case ir.OpSlot, ir.OpParam, ir.OpCall:
		return a(off)
	case ir.OpAdd, ir.OpSub:
		if p.Args[0].Type == ir.Int && p.Op == ir.OpAdd {
			return 1
		}
		if c := p.Args[1]; c.Op == ir.OpConst {
			if p.Op == ir.OpSub {
				return l.alignOf(p.Args[0], off-c.Imm, depth)
			}
			return l.alignOf(p.Args[0], off+c.Imm, depth)
		}
		return min(l.alignOf(p.Args[0], off, depth), multipleOf(p.Args[1], 0))
	case ir.OpPhi:
		if depth > 3 {
			return 1
		}
		al := int64(8)
		for _, x := range p.Args {
			if x != p {
				al = min(al, l.alignOf(x, off, depth+1))
			}
		}
		return al
	}
	return 1
}

// multipleOf returns a power of two up to 8 that x is known to be a multiple of.
func multipleOf(x *ir.Value, depth int) int64 {
	if depth > 6 {
		return 1
	}
	arg := func(i int) int64 { return multipleOf(x.Args[i], depth+1) }
	switch x.Op {
	case ir.OpConst:
		return 1 << min(3, bits.TrailingZeros64(uint64(x.Imm)|8))
	case ir.OpShl:
		if c := x.Args[1]; c.Op == ir.OpConst {
			return 1 << min(3, c.Imm&63)
		}
	case ir.OpMul:
		return min(8, arg(0)*arg(1))
	case ir.OpAnd:
		return max(arg(0), arg(1))
	case ir.OpAdd, ir.OpSub, ir.OpOr:
		return min(arg(0), arg(1))
	case ir.OpPhi:
		al := int64(8)
		for i, y := range x.Args {
			// x = phi(a, x+step) is as aligned as a and step are.
			if y.Op == ir.OpAdd && y.Args[0] == x {
				al = min(al, multipleOf(y.Args[1], depth+1))
			} else if y != x {
				al = min(al, arg(i))
			}
		}
		return al
	}
	return 1
}
