package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
)

// store evaluates e as type t into d.
func (f *fn) store(e ast.Expr, t *types.Type, d Dest) {
	defer f.at(f.at(e.Span()))
	a := f.typeOf(e)
	if l := f.lit(e); l != nil && l.IsStr && t.Kind == types.String {
		f.storeLiteral(l.Str, t, d)
		return
	}
	if r, ok := f.ready[e]; ok && !a.IsScalar() && !a.Castable {
		f.copyPlace(r, t, d)
		return
	}
	switch e := e.(type) {
	case *ast.Tuple:
		if t.Kind == types.Tuple {
			f.storeFields(e.Elems, t, d)
			return
		}
	case *ast.Record:
		if t.Kind == types.Record {
			f.storeRecord(e, t, d)
			return
		}
	case *ast.Comptime:
		f.store(e.X, t, d)
		return
	case *ast.Typeinfo:
		f.storeTypeinfo(e, t, d)
		return
	}
	if t.IsScalar() {
		if a.Castable {
			a = intType(a)
		}
		storeWord(f.b, f.convert(f.value(e), a, t), t, d)
		return
	}
	switch e := e.(type) {
	case *ast.Ternary:
		x := e.X
		if x == nil {
			x = e.Cond
		}
		f.cond(e.Cond, func() { f.store(x, t, d) }, func() { f.store(e.Y, t, d) })
		return
	case *ast.Block:
		f.stmts(e)
		if e.Value != nil {
			f.store(e.Value, t, d)
		}
		return
	case *ast.If:
		f.cond(e.Cond, func() { f.store(e.Then, t, d) }, func() {
			if e.Else != nil {
				f.store(e.Else, t, d)
			} else {
				zeroDest(f.b, d)
			}
		})
		return
	case *ast.Cast:
		f.storeCast(e, t, d)
		return
	case *ast.Ident, *ast.Call:
		if !f.inMemory(e) {
			f.storeCall(e, t, d)
			return
		}
	}
	f.guardDo(func() { f.copyPlace(f.place(e), t, d) }, func() { zeroDest(f.b, d) })
}

// storeFields writes the elements of a tuple or record at their offsets.
func (f *fn) storeFields(elems []ast.Expr, t *types.Type, d Dest) {
	end := 0
	for i, e := range elems {
		m := t.Fields[i]
		if d.Padded && m.Off > end {
			f.b.Zero(d.Ptr, d.Off+int64(end), m.Off-end)
		}
		end = m.Off + m.Type.Size
		f.store(e, m.Type, Dest{Ptr: d.Ptr, Off: d.Off + int64(m.Off), Size: m.Type.Size, Padded: d.Padded})
	}
	clearTail(f.b, d, end)
}

// storeRecord writes the fields of a record, in the order of the source.
func (f *fn) storeRecord(e *ast.Record, t *types.Type, d Dest) {
	end := 0
	for _, m := range t.Fields {
		if d.Padded && m.Off > end {
			f.b.Zero(d.Ptr, d.Off+int64(end), m.Off-end)
		}
		end = m.Off + m.Type.Size
	}
	clearTail(f.b, d, end)
	for i, x := range e.Elems {
		m := t.Fields[fieldIndex(t, e.Names[i].Text)]
		f.store(x, m.Type, Dest{Ptr: d.Ptr, Off: d.Off + int64(m.Off), Size: m.Type.Size, Padded: d.Padded})
	}
}

// storeTypeinfo writes the record (btf_id, base_type, full_type) of a type.
func (f *fn) storeTypeinfo(e *ast.Typeinfo, t *types.Type, d Dest) {
	id, base, full := f.info.TypeInfo(e)
	zeroDest(f.b, d)
	at := func(i int) Dest {
		m := t.Fields[i]
		return Dest{Ptr: d.Ptr, Off: d.Off + int64(m.Off), Size: m.Type.Size}
	}
	storeWord(f.b, f.b.Const(int64(id)), t.Fields[0].Type, at(0))
	f.storeLiteral(base, t.Fields[1].Type, at(1))
	f.storeLiteral(full, t.Fields[2].Type, at(2))
}

// maxInline is the maximum number of bytes of a literal that is written as constants. A
// longer one is copied.
const maxInline = 64

func (f *fn) storeLiteral(s string, t *types.Type, d Dest) {
	if len(s) > t.Size-1 {
		s = s[:max(t.Size-1, 0)]
	}
	data := append([]byte(s), 0)
	if d.Padded {
		for len(data) < d.Size && len(data)%8 != 0 {
			data = append(data, 0)
		}
	}
	if len(data) > maxInline {
		f.b.Copy(d.Ptr, d.Off, f.Rodata(data), len(data))
	} else {
		storeConst(f.b, data, d)
	}
	clearTail(f.b, d, len(data))
}

// storeCall writes the result of a builtin or script function.
func (f *fn) storeCall(e ast.Expr, t *types.Type, d Dest) {
	a := f.typeOf(e)
	fits := a.Kind == t.Kind && (types.Equal(a, t) || a.Kind == types.String && a.Size <= t.Size)
	into := d
	if fits {
		into.Size = a.Size
	} else {
		into = Dest{Ptr: f.temp(max(a.Size, 8)), Size: a.Size, Padded: true}
	}
	call, _ := e.(*ast.Call)
	switch fun := f.info.FnCalls[call]; {
	case call != nil && fun != nil:
		if into.Off%8 != 0 { // the function writes whole words
			fits, into = false, Dest{Ptr: f.temp(max(a.Size, 8)), Size: a.Size, Padded: true}
		}
		f.callScript(fun, call, f.b.AddImm(into.Ptr, into.Off))
	default:
		c := f.info.Calls[e]
		if c.Def.Store == nil {
			panic("lower: builtin " + c.Def.Name + " does not say how its value is stored")
		}
		f.retry = f.p.Retries[c]
		c.Def.Store(f, c, into)
		f.retry = nil
	}
	if fits {
		clearTail(f.b, d, a.Size)
	} else {
		f.copyPlace(place{t: a, ptr: into.Ptr}, t, d)
	}
}

// storeCast writes (type) x if the result is larger than a word. It reads an array of
// integers as an array of another type, or the bytes of an integer as an array, or changes
// the size of a string or buffer.
func (f *fn) storeCast(e *ast.Cast, t *types.Type, d Dest) {
	a := f.typeOf(e.X)
	switch {
	case a.IsScalar():
		n := min(a.Size, t.Size)
		f.b.Store(d.Ptr, d.Off, n, f.value(e.X))
		clearTail(f.b, d, n)
		if !d.Padded && t.Size > n {
			f.b.Zero(d.Ptr, d.Off+int64(n), t.Size-n)
		}
	case t.Kind == types.Array || a.Kind != t.Kind:
		f.guardDo(func() {
			p := f.place(e.X)
			n := min(a.Size, t.Size)
			f.copyBytes(p, n, d)
			clearTail(f.b, d, n)
		}, func() { zeroDest(f.b, d) })
	default:
		f.store(e.X, t, d)
	}
}

// copyPlace copies the object at p to d, converted to t.
func (f *fn) copyPlace(p place, t *types.Type, d Dest) {
	switch {
	case t.IsScalar():
		storeWord(f.b, f.convert(f.loadSeen(p), p.t, t), t, d)
		return
	case t.Kind == types.String:
		f.copyString(p, t, d)
		return
	case (t.Kind == types.Tuple || t.Kind == types.Record) && !types.Equal(p.t, t):
		end := 0
		for i, m := range t.Fields {
			if d.Padded && m.Off > end {
				f.b.Zero(d.Ptr, d.Off+int64(end), m.Off-end)
			}
			end = m.Off + m.Type.Size
			src := p.t.Fields[i]
			if t.Kind == types.Record {
				src = p.t.Fields[fieldIndex(p.t, m.Name)]
			}
			f.copyPlace(p.at(src.Off, src.Type), m.Type, Dest{Ptr: d.Ptr, Off: d.Off + int64(m.Off), Size: m.Type.Size, Padded: d.Padded})
		}
		clearTail(f.b, d, end)
		return
	case t.Kind == types.Array && p.t.Kind == types.Array && p.t.Elem.Size != t.Elem.Size:
		for i := range min(t.Len, p.t.Len) {
			f.copyPlace(p.at(i*p.t.Elem.Size, p.t.Elem), t.Elem, Dest{Ptr: d.Ptr, Off: d.Off + int64(i*t.Elem.Size), Size: t.Elem.Size})
		}
		clearTail(f.b, d, min(t.Len, p.t.Len)*t.Elem.Size)
		return
	}
	n := min(p.t.Size, t.Size)
	f.copyBytes(p, n, d)
	clearTail(f.b, d, n)
}

// copyBytes copies n bytes from p to d unchanged.
func (f *fn) copyBytes(p place, n int, d Dest) {
	switch {
	case n == 0:
	case p.space == types.NoSpace:
		f.b.Copy(d.Ptr, d.Off, p.address(f), n)
	case p.space == types.User:
		f.Read(d.Ptr, d.Off, n, p.address(f), types.User, "")
	case f.byWords(p):
		for size, off := f.prog.Ctx.Ctx.Word, 0; off < n; off += size {
			for off+size > n {
				size /= 2
			}
			f.b.Store(d.Ptr, d.Off+int64(off), size, f.load(p.at(off, types.NewInt(size, false))))
		}
	default:
		f.Read(d.Ptr, d.Off, n, p.address(f), types.Kernel, "")
	}
}

// copyString copies a string. In the memory of the kernel or of a process a string is
// an array of characters, which may have no NUL and any contents after it.
func (f *fn) copyString(p place, t *types.Type, d Dest) {
	n := min(p.t.Size, t.Size)
	switch {
	case p.upToNUL:
		if d.Padded {
			zeroDest(f.b, d)
		}
		builtins.SetStrLen(f, d, f.ReadStr(d.Ptr, d.Off, f.b.Const(int64(n)), n, p.address(f), p.space))
	case p.space == types.NoSpace && d.Len != nil && n > maxInline:
		builtins.SetStrLen(f, d, f.readText(p, n, t, d, types.Kernel))
	case p.space == types.NoSpace:
		f.b.Copy(d.Ptr, d.Off, p.address(f), n)
		switch {
		case t.Size > 0 && (p.t.Size > t.Size || p.t.Full && !t.Full && p.t.Size == t.Size):
			f.b.Store(d.Ptr, d.Off+int64(t.Size-1), 1, f.b.Const(0))
		case p.t.Full && t.Size > n && !d.Padded:
			f.b.Store(d.Ptr, d.Off+int64(n), 1, f.b.Const(0))
		}
		clearTail(f.b, d, n)
	case !d.Padded || n <= maxInline && n%8 == 0:
		f.copyBytes(p, n, d)
		if d.Padded {
			clearAfterNUL(f.b, d, n)
		}
		clearTail(f.b, d, n)
		switch { // in case there is no NUL
		case t.Size > n:
			f.b.Store(d.Ptr, d.Off+int64(n), 1, f.b.Const(0))
		case !t.Full && n > 0:
			f.b.Store(d.Ptr, d.Off+int64(n-1), 1, f.b.Const(0))
		}
	default:
		zeroDest(f.b, d)
		f.readText(p, n, t, d, p.space)
	}
}

// readText copies a string of up to n characters to its NUL, or all of an array without
// one, as a string of type t. It returns the result of the helper that reads strings,
// which replaces the last character by a NUL.
func (f *fn) readText(p place, n int, t *types.Type, d Dest, space types.Space) *ir.Value {
	size := f.b.Const(int64(n))
	r := f.ReadStr(d.Ptr, d.Off, size, n, p.address(f), space)
	if !p.t.Full || !t.Full && t.Size <= n {
		return r
	}
	f.b.If(f.b.Op(ir.OpEq, r, size), func() {
		last := int64(n - 1)
		f.Read(d.Ptr, d.Off+last, 1, f.b.AddImm(p.address(f), last), space, "")
		if d.Size > n {
			f.b.Store(d.Ptr, d.Off+int64(n), 1, f.b.Const(0))
		}
	})
	return r
}
