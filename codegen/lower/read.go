package lower

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// load reads a word from a place.
func (f *fn) load(p place) *ir.Value {
	t := p.t
	if p.net {
		return f.loadNet(p)
	}
	if p.bitSize > 0 {
		return f.loadBits(p)
	}
	if !p.direct() {
		tmp := f.temp(8)
		f.Read(tmp, 0, t.Size, p.address(f), p.space, "")
		return loadOwn(f.b, tmp, 0, t)
	}
	if word := f.prog.Ctx.Ctx.Word; p.space == types.Ctx && t.Size < word {
		return f.loadPart(p, word)
	}
	v := loadOwn(f.b, p.ptr, p.off, t)
	if t.Kind == types.Pointer && p.space == types.Ctx && f.prog.Ctx.Ctx.Word > 0 {
		v.Type = ir.PtrBTF // the kernel replaces the loads through it too
		return v
	}
	if t.Kind == types.Pointer && t.Size == 8 && v.Type == ir.Int && t.Space != types.User &&
		(p.space == types.BTF || p.space == types.Ctx && t.Space == types.BTF) {
		v.Type = ir.PtrBTF
		if btfID(t.Elem) == 0 { // newer kernels treat it as a pointer, which is useless here
			v = f.b.AsInt(v)
		}
	}
	return v
}

// byWords reports whether p is part of a context that the kernel reads only by words, or
// of an object that such a context points to.
func (f *fn) byWords(p place) bool {
	ctx := f.prog.Ctx.Ctx
	return ctx.Word > 0 && (p.space == types.Ctx || p.space == types.BTF && pointsTo(ctx.Type, p.t))
}

// pointsTo reports whether a member of the context ctx points to an object of type t. For
// arrays, which are parts of objects, only the context is known.
func pointsTo(ctx, t *types.Type) bool {
	return slices.ContainsFunc(ctx.Members(), func(m types.Field) bool {
		if m.Type.Kind == types.Pointer {
			return t.Kind == types.Array || m.Type.Elem.Name == t.Name
		}
		return m.Name == "" && pointsTo(m.Type, t)
	})
}

// loadPart reads a number from a context that the kernel reads only by words.
func (f *fn) loadPart(p place, word int) *ir.Value {
	n, shift := 8*p.t.Size, 8*(int(p.off)%word)
	whole := f.b.Load(p.ptr, p.off-p.off%int64(word), word, false)
	v := f.b.Op(ir.OpShl, whole, f.b.Const(int64(64-shift-n)))
	if p.t.Signed {
		return f.b.Op(ir.OpSar, v, f.b.Const(int64(64-n)))
	}
	return f.b.Op(ir.OpShr, v, f.b.Const(int64(64-n)))
}

// loadNet reads an integer, or a bitfield of one, that is in network byte order. The bits
// of a bitfield are counted in the integer that results.
func (f *fn) loadNet(p place) *ir.Value {
	swap := map[int]ir.Op{2: ir.OpBswap16, 4: ir.OpBswap32, 8: ir.OpBswap64}
	whole := p.at(0, types.NewInt(p.t.Size, false))
	whole.bitSize = 0
	v := f.b.Op(swap[p.t.Size], f.load(whole))
	if p.bitSize == 0 {
		return v
	}
	v = f.b.Op(ir.OpShr, v, f.b.Const(int64(p.bitOff)))
	return f.b.Op(ir.OpAnd, v, f.b.Const(int64(1)<<p.bitSize-1))
}

// loadBits reads a bitfield: its storage, then shift and mask.
func (f *fn) loadBits(p place) *ir.Value {
	store := p
	store.bitSize = 0
	store.t = types.NewInt(p.t.Size, false)
	// Read only the bytes of the field, since the kernel checks each access.
	first, last := p.bitOff/8, (p.bitOff+p.bitSize-1)/8
	size := 1
	for first/size*size+size <= last {
		size *= 2
	}
	start := first / size * size
	store = store.at(start, types.NewInt(size, false))
	v := f.load(store)
	shift := p.bitOff - 8*start
	if p.t.Signed {
		v = f.b.Op(ir.OpShl, v, f.b.Const(int64(64-shift-p.bitSize)))
		return f.b.Op(ir.OpSar, v, f.b.Const(int64(64-p.bitSize)))
	}
	if shift > 0 {
		v = f.b.Op(ir.OpShr, v, f.b.Const(int64(shift)))
	}
	if p.bitSize < 8*size-shift {
		v = f.b.Op(ir.OpAnd, v, f.b.Const(int64(1)<<p.bitSize-1))
	}
	return v
}

// readHelpers returns the helpers that read bytes and strings in a space.
func readHelpers(s types.Space) (bytes, str *ir.Helper) {
	if s == types.User {
		return ir.ReadUser, ir.ReadUserStr
	}
	return ir.ReadKernel, ir.ReadKernelStr
}

// Read copies size bytes from src. If that fails, the helper clears dst.
func (f *fn) Read(dst *ir.Value, off int64, size int, src *ir.Value, space types.Space, what string) *ir.Value {
	h, _ := readHelpers(space)
	if what == "" {
		what = h.Name
	}
	r := f.b.Call(h, f.b.AddImm(dst, off), f.b.Const(int64(size)), src)
	span := f.b.Pos
	f.b.If(f.b.Op(ir.OpSLt, r, f.b.Const(0)), func() { f.Count(object.ReadFault, span, what) })
	return r
}

// ReadStr copies a string. If size is not constant, the destination must be initialised
// before, since the kernel's verifier assumes that the helper may leave part of it
// unchanged.
func (f *fn) ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value {
	_, h := readHelpers(space)
	if size.Op != ir.OpConst {
		f.b.Zero(dst, off, max)
	}
	r := f.b.Call(h, f.b.AddImm(dst, off), size, src)
	span := f.b.Pos
	f.b.If(f.b.Op(ir.OpSLt, r, f.b.Const(0)), func() {
		if f.retry != nil && space == types.User {
			f.readLater(f.retry, src)
			return
		}
		f.Count(object.ReadFault, span, h.Name)
	})
	return r
}
