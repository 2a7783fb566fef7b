package lower

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// The functions of this file emit code that loads, stores and compares the program's own
// memory: its stack, temporaries and values of maps. They need only the builder.

// loadOwn reads a word by a plain load.
//
//go:noinline
func loadOwn(b *ir.Builder, p *ir.Value, off int64, t *types.Type) *ir.Value {
	return b.Load(p, off, t.Size, t.Signed && t.Size < 8)
}

// loadSized loads 1 to 8 bytes of the program's own memory, zero-extended.
func loadSized(b *ir.Builder, p *ir.Value, off int64, size int) *ir.Value {
	if size == 1 || size == 2 || size == 4 || size == 8 {
		return b.Load(p, off, size, false)
	}
	var x *ir.Value
	for done := 0; done < size; {
		n := 4
		for n > size-done {
			n /= 2
		}
		part := b.Load(p, off+int64(done), n, false)
		if x == nil {
			x = part
		} else {
			x = b.Op(ir.OpOr, x, b.Op(ir.OpShl, part, b.Const(int64(8*done))))
		}
		done += n
	}
	if x == nil {
		return b.Const(0)
	}
	return x
}

// addAt adds n atomically to the integer or pointer of type t at p, so that no CPU's
// addition is lost.
func addAt(b *ir.Builder, p *ir.Value, t *types.Type, n *ir.Value) {
	if t.Size == 4 || t.Size == 8 {
		b.AtomicAdd(p, 0, t.Size, n)
	} else {
		b.Store(p, 0, t.Size, b.Op(ir.OpAdd, loadOwn(b, p, 0, t), n))
	}
}

// storeWord writes x as type t.
func storeWord(b *ir.Builder, x *ir.Value, t *types.Type, d Dest) {
	b.Store(d.Ptr, d.Off, t.Size, x)
	clearTail(b, d, t.Size)
}

// storeConst writes constant bytes by stores of the largest size that fits.
func storeConst(b *ir.Builder, data []byte, d Dest) {
	chunks(len(data), func(at, n int) {
		var word [8]byte
		copy(word[:], data[at:at+n])
		b.Store(d.Ptr, d.Off+int64(at), n, b.Const(int64(binary.LittleEndian.Uint64(word[:]))))
	})
}

// zeroDest zeroes d.
//
//go:noinline
func zeroDest(b *ir.Builder, d Dest) { b.Zero(d.Ptr, d.Off, d.Size) }

// clearTail zeroes the bytes of d after the first used bytes, if they must be defined.
//
//go:noinline
func clearTail(b *ir.Builder, d Dest, used int) {
	if d.Padded && used < d.Size {
		b.Zero(d.Ptr, d.Off+int64(used), d.Size-used)
	}
}

// clearAfterNUL zeroes the bytes after the first NUL in n bytes, eight at a time.
func clearAfterNUL(b *ir.Builder, d Dest, n int) {
	keep := b.Const(-1) // all ones until the NUL
	for i := 0; i < n; i += 8 {
		off := d.Off + int64(i)
		w := b.Op(ir.OpAnd, b.Load(d.Ptr, off, 8, false), keep)
		nul := nulByte(b, w)
		// Bits below the first NUL's top bit; all bits if there is none.
		below := b.Op(ir.OpXor, nul, b.Op(ir.OpSub, nul, b.Const(1)))
		b.Store(d.Ptr, off, 8, b.Op(ir.OpAnd, w, below))
		if i+8 < n {
			keep = b.Op(ir.OpNeg, b.Op(ir.OpEq, nul, b.Const(0)))
		}
	}
}

// nulByte returns 0x80 in the first (lowest) zero byte of w and any value in the bytes
// above it, or 0 if no byte is zero.
func nulByte(b *ir.Builder, w *ir.Value) *ir.Value {
	const ones, tops = 0x0101010101010101, -0x7f7f7f7f7f7f7f80
	return b.Op(ir.OpAnd, b.Op(ir.OpAnd, b.Op(ir.OpSub, w, b.Const(ones)), b.Op(ir.OpXor, w, b.Const(-1))), b.Const(tops))
}

// equalConst compares memory with constant bytes.
func equalConst(b *ir.Builder, p *ir.Value, off int64, data []byte) *ir.Value {
	var diff *ir.Value
	chunks(len(data), func(at, n int) {
		var word [8]byte
		copy(word[:], data[at:at+n])
		c := b.Const(int64(binary.LittleEndian.Uint64(word[:])))
		diff = orDiff(b, diff, b.Load(p, off+int64(at), n, false), c)
	})
	return b.Op(ir.OpEq, diff, b.Const(0))
}

// orDiff adds to diff the bits in which x and y differ.
func orDiff(b *ir.Builder, diff, x, y *ir.Value) *ir.Value {
	other := b.Op(ir.OpXor, x, y)
	if diff == nil {
		return other
	}
	return b.Op(ir.OpOr, diff, other)
}
