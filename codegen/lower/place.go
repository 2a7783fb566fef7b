package lower

import (
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
)

// place describes the location of an object: its type, its address, and the means to
// read it.
type place struct {
	t     *types.Type
	ptr   *ir.Value
	off   int64
	space types.Space // NoSpace, Ctx and BTF: plain loads; Kernel and User: helpers

	bitOff, bitSize int  // of a bitfield within its storage
	net             bool // an integer in network byte order

	// upToNUL is set if a string's NUL may come before the size of its type. The bytes
	// after the NUL may have other contents, or be unmapped.
	upToNUL bool
}

//go:noinline
func (p place) at(off int, t *types.Type) place {
	p.off += int64(off)
	p.t = t
	p.net = false
	return p
}

// direct reports whether plain loads may read the place.
func (p place) direct() bool { return p.space != types.Kernel && p.space != types.User }

// address returns the address of the place.
//
//go:noinline
func (p place) address(f *fn) *ir.Value {
	return f.b.AddImm(p.ptr, p.off)
}

// exit holds the blocks to which a chain of loads jumps if it ends early: null for a
// null pointer, zero for an error that has already been counted.
type exit struct{ null, zero *ir.Block }

// guarded emits a chain of loads and returns its value. A null pointer in the chain is
// counted and makes the value zero.
func (f *fn) guarded(emit func() *ir.Value) *ir.Value {
	return f.guard(emit, func() *ir.Value { return f.b.Const(0) })
}

// guard emits a chain of loads, and failed, which runs if the chain ends early. It
// returns the value of the one that ran.
func (f *fn) guard(emit, failed func() *ir.Value) *ir.Value {
	old, span := f.nilExit, f.b.Pos
	x := &exit{}
	f.nilExit = x
	v := emit()
	f.nilExit = old
	if x.null == nil && x.zero == nil {
		return v
	}
	join := f.b.NewBlock()
	f.b.Jump(join)
	if x.null != nil {
		if x.zero == nil {
			x.zero = f.b.NewBlock()
		}
		f.b.SealSet(x.null)
		f.Count(object.ReadFault, span, "null pointer")
		f.b.Jump(x.zero)
	}
	f.b.SealSet(x.zero)
	x.zero.Unlikely = true
	vals := []*ir.Value{v, failed()}
	f.b.Join(join)
	return f.b.Merge(vals)
}

// guardDo is guard for code without a value.
func (f *fn) guardDo(emit, failed func()) {
	f.guard(func() *ir.Value { emit(); return nil }, func() *ir.Value { failed(); return nil })
}

// notNull leaves the chain of loads if v is null. It emits nothing for the current
// task, which is never null, nor for an argument of the program that the kernel's
// verifier treats as an object, since a load through it is safe.
func (f *fn) notNull(v *ir.Value) {
	switch {
	case current(v):
		return
	case v.Type == ir.PtrBTF && v.Loads(8) && v.Args[0].Type == ir.PtrCtx && !f.prog.Ctx.Ctx.Nullable && f.prog.Ctx.Ctx.Word == 0:
		return
	}
	if f.nilExit.null == nil {
		f.nilExit.null = f.b.NewBlock()
	}
	f.b.Need(v, f.nilExit.null)
}

// object returns the word at the place of e. It counts null pointers on the way and an
// address that is not mapped.
func (f *fn) object(e ast.Expr) *ir.Value {
	return f.guarded(func() *ir.Value { return f.loadSeen(f.place(e)) })
}

// loadSeen is load, except that with -k it counts a plain load from an address that is
// not mapped, such as a wild pointer. A plain load returns zero for that without an
// error. So if the result is zero, loadSeen reads the word again with the helper, which
// returns an error.
func (f *fn) loadSeen(p place) *ir.Value {
	v := f.load(p)
	if p.space != types.BTF || current(p.ptr) || !f.p.Invocation.Warnings {
		return v
	}
	off, size := p.off, p.t.Size
	if p.bitSize > 0 {
		off, size = p.off+int64(p.bitOff/8), 1
	}
	f.b.Unless(v, func() {
		f.b.Cur.Unlikely = true
		f.Read(f.temp(8), 0, size, f.b.AddImm(p.ptr, off), types.Kernel, "")
	})
	return v
}

// current reports whether p is the current task, which is never null.
func current(p *ir.Value) bool { return p.Help == ir.CurrentTaskBTF }

// chained returns the value of an expression as part of the enclosing chain of loads,
// which ends at a null pointer.
func (f *fn) chained(e ast.Expr) *ir.Value {
	if f.lit(e) == nil {
		switch x := e.(type) {
		case *ast.Field:
			return f.load(f.place(e))
		case *ast.Index:
			if _, ok := x.X.(*ast.Map); !ok {
				return f.load(f.place(e))
			}
		case *ast.Unary:
			if x.Op == "*" {
				return f.load(f.place(e))
			}
		}
	}
	return f.value(e)
}

// place returns the place of the object that e denotes. It stores a value without a
// place in a temporary.
func (f *fn) place(e ast.Expr) place {
	defer f.at(f.at(e.Span()))
	t := f.typeOf(e)
	if l := f.lit(e); l != nil && l.IsStr {
		data := append([]byte(l.Str), 0)
		if len(data) < t.Size {
			data = append(data, make([]byte, t.Size-len(data))...)
		}
		return place{t: t, ptr: f.Rodata(data)}
	}
	if r, ok := f.ready[e]; ok {
		return r
	}
	switch e := e.(type) {
	case *ast.Var:
		if v := f.info.Vars[e]; !v.Type.IsScalar() {
			return place{t: v.Type, ptr: f.local(v, false).mem}
		}
	case *ast.Map:
		return f.mapPlace(e, nil)
	case *ast.Field:
		return f.fieldPlace(e)
	case *ast.Index:
		if m, ok := e.X.(*ast.Map); ok {
			return f.mapPlace(m, e.Args)
		}
		return f.indexPlace(e, t)
	case *ast.Unary:
		if e.Op == "*" {
			return f.deref(e.X).at(0, t)
		}
	case *ast.Comptime:
		return f.place(e.X)
	case *ast.Ident, *ast.Call:
		if t.Kind == types.Struct && t.Space == types.Ctx {
			if f.prog.Ctx.Args.Base != nil {
				return place{t: t, ptr: f.prog.Ctx.Args.Addr(f.b, f.ctxValue()), space: types.BTF}
			}
			return place{t: t, ptr: f.ctxValue(), space: types.Ctx}
		}
	}
	tmp := f.temp(max(t.Size, 8))
	f.store(e, t, Dest{Ptr: tmp, Size: t.Size, Padded: true})
	return place{t: t, ptr: tmp}
}

// base returns the object that contains a member or element of e: the target of e if e is
// a pointer, otherwise e itself.
func (f *fn) base(e ast.Expr) place {
	if f.typeOf(e).Kind == types.Pointer {
		return f.deref(e)
	}
	return f.place(e)
}

// deref returns the object that e points to. Kernel objects are read by plain loads if
// the verifier allows it: those with a BTF type, and, through bpf_rdonly_cast, any
// address that the script casts to one.
func (f *fn) deref(e ast.Expr) place {
	t := f.typeOf(e)
	v := f.chained(e)
	if t.Kind != types.Pointer { // *n: a word at that address
		space := t.Space
		if space == types.NoSpace {
			space = f.prog.Ctx.Args.Space
		}
		t = types.NewPointer(types.TUint64, space)
	}
	p := place{t: t.Elem, ptr: v, space: types.Kernel}
	if (v.Type == ir.PtrBTF || v.Type == ir.Int && t.Space != types.User) && f.isWalked(e) {
		p.ptr = f.b.AsInt(v)
		return p
	}
	switch v.Type {
	case ir.PtrBTF:
		f.notNull(v)
		p.space = types.BTF
	case ir.PtrCtx:
		p.space = types.Ctx
	case ir.PtrMapNil, ir.PtrRecNil:
		f.notNull(v)
		p.ptr, p.space = f.b.NonNil(v), types.NoSpace
	case ir.PtrSlot, ir.PtrMap, ir.PtrRec:
		p.space = types.NoSpace
	default:
		if t.Space == types.User {
			p.space = types.User
		} else if isContext(t) && f.prog.Ctx.Ctx.Word > 0 { // out of a tuple
			p.ptr, p.space = f.ctxValue(), types.Ctx
		} else if id := castable(p.t); id != 0 && f.k.Has(probes.FeatRdonlyCast) {
			if kf, ok := f.k.Kfunc("bpf_rdonly_cast"); ok {
				f.notNull(v)
				p.ptr = f.b.Kfunc("bpf_rdonly_cast", int64(kf), ir.PtrBTF, v, f.b.Const(int64(id)))
				p.space = types.BTF
			}
		}
	}
	return p
}

// castable returns the BTF id by which the kernel lets programs read an address as a t,
// or 0. bpf_rdonly_cast accepts only ids of the kernel's own BTF, not of modules.
func castable(t *types.Type) uint32 {
	if t == nil || t.Split {
		return 0
	}
	return btfID(t)
}

// btfID returns the BTF id of a kernel object's type, or 0.
func btfID(t *types.Type) uint32 {
	if t != nil && t.Kind == types.Struct {
		return t.BTFID
	}
	return 0
}

func (f *fn) fieldPlace(e *ast.Field) place {
	fld, ok := f.info.Fields[e]
	b := f.base(e.X)
	if !ok {
		if fld, ok = b.t.Field(e.Name.Text); !ok {
			panic(fmt.Sprintf("lower: %s has no member %s", b.t, e.Name.Text))
		}
	}
	if fld.Has != 0 {
		f.mustHave(f.b.Op(ir.OpAnd, f.load(b.at(0, types.TUint32)), f.b.Const(int64(fld.Has))))
	}
	p := b.at(fld.Off, fld.Type)
	p.net = fld.Net
	switch {
	case fld.Loc != nil && b.space == types.Ctx:
		p = f.parameter(b, fld)
		p.bitOff, p.bitSize = fld.BitOff, fld.BitSize
	case fld.Closed && b.space == types.Ctx:
		p = place{t: fld.Type, ptr: f.b.AddImm(f.b.AsInt(b.address(f)), int64(fld.Off)), space: types.Kernel}
	case fld.Recorded() && b.space != types.Ctx: // from a copy
		p = b.at(fld.Copy, fld.Type)
	case fld.Recorded():
		loc := f.b.Op(ir.OpAnd, f.load(b.at(fld.Off, types.TUint32)), f.b.Const(0xffff))
		if fld.RelLoc {
			loc = f.b.Op(ir.OpAdd, loc, f.b.Const(int64(fld.Off)+4))
		}
		addr := f.b.Op(ir.OpAdd, f.b.AsInt(b.address(f)), loc)
		p = place{t: fld.Type, ptr: addr, space: types.Kernel, upToNUL: fld.Type.Kind == types.String}
		if fld.Type.Kind == types.Pointer { // the value is the address itself
			tmp := f.temp(8)
			f.b.Store(tmp, 0, 8, addr)
			p = place{t: fld.Type, ptr: tmp}
		}
	case fld.BitSize > 0:
		p.bitOff, p.bitSize = fld.BitOff, fld.BitSize
	}
	return p
}

// parameter returns the place of a user function's parameter.
func (f *fn) parameter(ctx place, fld types.Field) place {
	l := fld.Loc
	if l.Memory {
		addr := f.load(ctx.at(l.Base, types.TUint64))
		return place{t: fld.Type, ptr: addr, off: l.Disp, space: types.User}
	}
	if fld.Type.IsScalar() && len(l.Parts) == 1 {
		if p := l.Parts[0]; !p.Fixed && p.Value == 0 && p.Off == 0 && p.From%fld.Type.Size == 0 {
			return ctx.at(p.From, fld.Type)
		}
	}
	tmp := f.temp(types.RoundUp(max(fld.Type.Size, 8), 8))
	f.b.Zero(tmp, 0, types.RoundUp(max(fld.Type.Size, 8), 8))
	binary.StoreParts(f.b, ctx.ptr, l.Parts, tmp, 0)
	return place{t: fld.Type, ptr: tmp}
}

// scattered reports whether a struct in the context has members at other offsets than
// in a copy.
func scattered(t *types.Type) bool {
	return slices.ContainsFunc(t.Members(), func(m types.Field) bool { return m.Loc != nil || m.Closed || m.Recorded() })
}

// indexPlace returns x[i] for a pointer, an array, a string or a tuple. An index beyond
// the end of an array is counted and gives zero.
func (f *fn) indexPlace(e *ast.Index, t *types.Type) place {
	xt := f.typeOf(e.X)
	if xt.Kind == types.Tuple || xt.Kind == types.Record {
		m := member(xt, f.tupleIndex(e.Args[0]))
		return f.place(e.X).at(m.Off, m.Type)
	}
	b := f.base(e.X)
	size := max(t.Size, 1)
	if b.t.Kind == types.Buffer {
		b.off += 4
	}
	if l := f.lit(e.Args[0]); l != nil {
		if n := f.length(xt); n > 0 && (l.Int < 0 || l.Int >= int64(n)) {
			return f.outOfBounds(e, t)
		}
		return b.at(int(l.Int)*size, t)
	}
	i := f.word(f.operand(e.Args[0]))
	if n := f.length(xt); n > 0 {
		f.b.Unless(f.b.Op(ir.OpULt, i, f.b.Const(int64(n))), func() {
			f.Count(object.OutOfBounds, e.Span(), "")
			if f.nilExit.zero == nil {
				f.nilExit.zero = f.b.NewBlock()
			}
			f.b.Jump(f.nilExit.zero)
		})
		if b.direct() {
			i = f.b.Opaque(i) // so that the kernel's verifier sees the bounds
		}
	}
	if size > 1 {
		i = f.b.Op(ir.OpMul, i, f.b.Const(int64(size)))
	}
	addr := f.b.AddImm(b.ptr, b.off)
	if b.direct() {
		// Some of the kernel's types of memory do not allow plain loads at a variable
		// offset. The read helper accepts any address.
		b.space = types.Kernel
	}
	if b.ptr.Type == ir.PtrCtx || b.ptr.Type == ir.PtrBTF {
		addr = f.b.AsInt(addr)
	}
	return place{t: t, ptr: f.b.Op(ir.OpAdd, addr, i), space: b.space}
}

// length returns the number of elements of t, or 0 if it is not known.
func (f *fn) length(t *types.Type) int {
	switch t.Kind {
	case types.Array, types.Buffer:
		return t.Len
	case types.String:
		return t.Size
	}
	return 0
}

func (f *fn) outOfBounds(e ast.Expr, t *types.Type) place {
	pos := f.b.Cur
	f.Count(object.OutOfBounds, e.Span(), "")
	if pos != nil {
		pos.Unlikely = false
	}
	return place{t: t, ptr: f.Zeros(max(t.Size, 8))}
}

// maxTemps is the maximum number of temporaries of a function that have their own
// memory.
const maxTemps = 128

// ctxValue returns the program's context in this function.
func (f *fn) ctxValue() *ir.Value {
	if f.ctx == nil && f.callback != nil {
		f.prologue(func() {
			f.ctx = f.b.Load(f.callback.up, frameCtx, 8, false)
			f.ctx.Type = ir.PtrCtx
		})
	}
	return f.ctx
}

// Dest is memory to be filled.
type Dest = builtins.Dest

// fieldIndex returns the position of a record's field.
func fieldIndex(t *types.Type, name string) int {
	for i, m := range t.Fields {
		if m.Name == name {
			return i
		}
	}
	panic("lower: " + t.String() + " has no field " + name)
}
