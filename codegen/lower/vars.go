package lower

import (
	"strconv"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
)

// local is the location of a scratch variable: an SSA variable or memory. Callbacks
// access a variable of the enclosing function through that function's frame, which is
// on the stack. A word is in the frame itself; for a larger variable, the frame holds
// the address. If there are many variables, they share one block of memory, and the
// frame holds its address. Variables of while loops stay in the frame, since the
// verifier must be able to prove that the loop ends, and tracks integers only on the
// stack.
type local struct {
	v      *ir.Var
	mem    *ir.Value // address, in the function that owns the variable
	off    int64     // of the word, or of the address, in the frame; -1: not captured
	word   bool
	common bool // off is the variable's offset in that memory
}

// maxInFrame is the maximum number of variables that callbacks use through the frame
// directly.
const maxInFrame = 24

// captures finds the variables that are used both inside and outside of a loop body
// that becomes a function. A variable belongs to the innermost function that contains
// all of its uses; params belong to the outermost. It also records in inWhile the
// variables that while loops use.
func (u *shared) captures(params []*check.Var, nodes ...ast.Node) map[*check.Var]bool {
	type use struct {
		chain []*ast.For
		many  bool
	}
	uses := map[*check.Var]*use{}
	var chain []*ast.For
	note := func(v *check.Var) {
		o := uses[v]
		if o == nil {
			uses[v] = &use{chain: append([]*ast.For(nil), chain...)}
			return
		}
		n := 0
		for n < len(o.chain) && n < len(chain) && o.chain[n] == chain[n] {
			n++
		}
		if n < len(o.chain) || n < len(chain) {
			o.chain, o.many = o.chain[:n], true
		}
	}
	for _, v := range params {
		note(v)
	}
	var walk func(n ast.Node)
	walk = func(n ast.Node) {
		ast.Inspect(n, func(c ast.Node) bool {
			switch c := c.(type) {
			case *ast.Var:
				if v := u.info.Vars[c]; v != nil {
					note(v)
				}
			case *ast.While:
				ast.Inspect(c, func(n ast.Node) bool {
					if v, ok := n.(*ast.Var); ok {
						u.inWhile[u.info.Vars[v]] = true
					}
					return true
				})
			case *ast.For:
				if c == n {
					return true
				}
				walk(c.Iter)
				if !u.callsBack(c) {
					walk(c.Var)
					walk(c.Body)
					return false
				}
				chain = append(chain, c)
				walk(c.Var)
				walk(c.Body)
				chain = chain[:len(chain)-1]
				return false
			}
			return true
		})
	}
	for _, n := range nodes {
		walk(n)
	}
	out := map[*check.Var]bool{}
	for v, o := range uses {
		if o.many {
			out[v] = true
		}
	}
	return out
}

// local returns the location of v in this function or, in a callback, in the function
// that owns it. It creates the location at the first use. init is set if the whole
// variable is about to be written; otherwise a new variable starts as zero.
func (f *fn) local(v *check.Var, init bool) *local {
	if l := f.vars[v]; l != nil {
		return l
	}
	if f.callback != nil {
		if l := f.callback.outer(f, v); l != nil {
			return l
		}
	}
	l := &local{off: -1, word: v.Type.IsScalar()}
	f.vars[v] = l
	switch {
	case f.captured[v] && len(f.captured) > maxInFrame && !f.inWhile[v]:
		l.common = true
		f.prologue(func() {
			size := types.RoundUp(max(v.Type.Size, 1), 8)
			l.off = f.extendCommon(size)
			l.mem = f.b.AddImm(f.common, l.off)
			f.b.Zero(l.mem, 0, size)
		})
	case f.captured[v]:
		f.prologue(func() {
			size := int64(8)
			l.off = f.extendFrame(size)
			if l.word {
				l.mem = f.b.AddImm(f.frame, l.off)
				f.b.Store(f.frame, l.off, 8, f.b.Const(0))
			} else {
				l.mem = f.b.Slot(types.RoundUp(v.Type.Size, 8))
				f.b.Zero(l.mem, 0, v.Type.Size)
				f.b.Store(f.frame, l.off, 8, l.mem)
			}
		})
	case l.word && !v.AddrTaken:
		if l.mem = f.mapVar(v); l.mem == nil {
			l.v = &ir.Var{Name: v.Name, Type: ir.Int}
		} else if !init && !f.isPart() { // another part may have written it
			f.prologue(func() { f.b.Store(l.mem, 0, 8, f.b.Const(0)) })
		}
	default:
		if l.mem = f.mapVar(v); l.mem != nil {
			if !init && !f.isPart() {
				f.prologue(func() { f.b.Zero(l.mem, 0, max(v.Type.Size, 1)) })
			}
			return l
		}
		f.prologue(func() {
			l.mem = f.b.Slot(max(types.RoundUp(v.Type.Size, 8), 8))
			if !init || l.word {
				f.b.Zero(l.mem, 0, max(v.Type.Size, 1))
			}
		})
	}
	return l
}

// extendFrame adds size bytes to the frame and returns their offset. It must run in the
// prologue.
func (f *fn) extendFrame(size int64) int64 {
	if f.frame == nil {
		f.frame = f.b.Slot(0)
		f.b.Store(f.frame, frameCtx, 8, f.ctxValue())
		f.frameSize = frameUp + 8
		if f.callback != nil {
			f.b.Store(f.frame, frameUp, 8, f.callback.up)
		}
	}
	off := f.frameSize
	f.frameSize += size
	f.frame.Imm = f.frameSize
	return off
}

// extendCommon adds size bytes to the memory shared with callbacks and returns their
// offset. It must run in the prologue.
func (f *fn) extendCommon(size int) int64 {
	if f.common == nil {
		f.commonAt = f.extendFrame(8)
		f.common = f.b.Slot(0)
		f.b.Store(f.frame, f.commonAt, 8, f.common)
	}
	off := f.common.Imm
	f.common.Imm += int64(size)
	return off
}

// readVar returns the value of a variable of one word.
func (f *fn) readVar(v *check.Var) *ir.Value {
	if isContext(v.Type) {
		return f.ctxValue()
	}
	l := f.local(v, false)
	if l.v != nil {
		return f.b.Read(l.v)
	}
	return loadOwn(f.b, l.mem, 0, v.Type)
}

// writeVar assigns a variable of one word.
func (f *fn) writeVar(v *check.Var, x *ir.Value) {
	if isContext(v.Type) {
		return
	}
	l := f.local(v, true)
	if l.v != nil {
		f.b.Write(l.v, x)
		return
	}
	f.b.Store(l.mem, 0, v.Type.Size, x)
}

// isContext reports whether t is the type of the program's context. A program has one
// context, so a variable of that type needs no memory.
func isContext(t *types.Type) bool { return t.Kind == types.Pointer && t.Space == types.Ctx }

// zeroVar sets a variable to its initial value.
func (f *fn) zeroVar(v *check.Var) {
	if isContext(v.Type) {
		return
	}
	switch l := f.local(v, true); {
	case l.v != nil:
		f.b.Write(l.v, f.b.Const(0))
	case v.Type.Size > 0:
		f.b.Zero(l.mem, 0, v.Type.Size)
	}
}

// assignVar evaluates e into v.
func (f *fn) assignVar(v *check.Var, e ast.Expr) {
	if v.Type.IsScalar() {
		f.writeVar(v, f.convert(f.value(e), f.typeOf(e), v.Type))
		return
	}
	l := f.local(v, true)
	d := Dest{Ptr: l.mem, Size: v.Type.Size, Padded: true}
	if f.uses(e, func(n ast.Node) bool { x, ok := n.(*ast.Var); return ok && f.info.Vars[x] == v }) {
		tmp := f.temp(v.Type.Size)
		f.store(e, v.Type, Dest{Ptr: tmp, Size: v.Type.Size, Padded: true})
		f.b.Copy(d.Ptr, d.Off, tmp, v.Type.Size)
		return
	}
	f.store(e, v.Type, d)
}

// uses reports whether is returns true for a node below e. If e is only a variable or a
// map access, the result is false, since copying it onto itself is harmless.
func (f *fn) uses(e ast.Expr, is func(ast.Node) bool) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if n != ast.Node(e) && is(n) {
			found = true
		}
		return !found
	})
	return found
}

// member returns the field of a tuple or record type by its index in the source.
func member(t *types.Type, i int) types.Field {
	if t.Kind == types.Record || t.Kind == types.Tuple {
		return t.Fields[i]
	}
	panic("lower: element " + strconv.Itoa(i) + " of " + t.String())
}
