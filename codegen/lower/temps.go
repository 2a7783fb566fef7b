package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
)

// tempPool holds the memory of temporaries.
type tempPool struct {
	temps     int                 // number of temporaries used so far
	usedTemps []*ir.Value         // in use, oldest first
	freeTemps map[int][]*ir.Value // by size in bytes
}

// temp returns memory that is not used otherwise during this statement. In a long
// function later statements reuse it.
func (f *fn) temp(size int) *ir.Value {
	if f.temps++; f.temps <= maxTemps || f.entry == nil {
		return f.b.Slot(max(size, 1))
	}
	size = types.RoundUp(max(size, 1), 8)
	var p *ir.Value
	if free := f.freeTemps[size]; len(free) > 0 {
		p = free[len(free)-1]
		f.freeTemps[size] = free[:len(free)-1]
	} else {
		f.prologue(func() { p = f.b.Slot(size) })
	}
	f.usedTemps = append(f.usedTemps, p)
	return p
}

// endTemps frees the temporaries after the first n.
func (f *fn) endTemps(n int) {
	for _, p := range f.usedTemps[n:] {
		if f.freeTemps == nil {
			f.freeTemps = map[int][]*ir.Value{}
		}
		f.freeTemps[int(p.Imm)] = append(f.freeTemps[int(p.Imm)], p)
	}
	f.usedTemps = f.usedTemps[:n]
}

// tmp stores an expression larger than a word in the program's own memory and returns
// its address. Bytes after a string's NUL are not defined.
func (f *fn) tmp(e ast.Expr) *ir.Value {
	t := f.typeOf(e)
	size := max(t.Size, 8)
	if !f.inMemory(e) {
		tmp := f.temp(size)
		f.store(e, t, Dest{Ptr: tmp, Size: t.Size})
		return tmp
	}
	var own, tmp *ir.Value
	f.guardDo(func() {
		p := f.place(e)
		if p.space == types.NoSpace && *f.nilExit == (exit{}) {
			own = p.address(f)
			return
		}
		f.prologue(func() { tmp = f.temp(size) })
		f.copyPlace(p, t, Dest{Ptr: tmp, Size: t.Size})
	}, func() { f.b.Zero(tmp, 0, t.Size) })
	if own != nil {
		return own
	}
	return tmp
}

// inMemory reports whether e has a place of its own.
func (f *fn) inMemory(e ast.Expr) bool {
	if l := f.lit(e); l != nil {
		return l.IsStr
	}
	if _, ok := f.ready[e]; ok {
		return true
	}
	switch e := e.(type) {
	case *ast.Var, *ast.Map, *ast.Field, *ast.Index:
		return true
	case *ast.Unary:
		return e.Op == "*"
	case *ast.Comptime:
		return f.inMemory(e.X)
	case *ast.Ident, *ast.Call:
		t := f.typeOf(e)
		return t.Kind == types.Struct && t.Space == types.Ctx && !scattered(t)
	}
	return false
}
