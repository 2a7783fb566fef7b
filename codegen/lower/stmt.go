package lower

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// block runs a block for its effects.
func (f *fn) block(b *ast.Block) {
	f.stmts(b)
	if b.Value != nil {
		f.mayBeLeft(func() { f.eval(b.Value) })
	}
}

func (f *fn) stmts(b *ast.Block) {
	if f.cuts(b) {
		f.cutStmts(b)
		return
	}
	for _, s := range b.Stmts {
		f.stmt(s)
	}
}

// maxValues is the maximum number of values of a function. The kernel accepts no
// program with that many instructions, and the optimiser would take long for it.
const maxValues = 500_000

// tooLarge reports whether the function has become too large to be loaded. It reports
// the error at the first statement where that happens.
func (f *fn) tooLarge(s ast.Stmt) bool {
	if f.b.Fn.NumValues() <= maxValues {
		return false
	}
	if !f.diags.HasErrors() {
		f.diags.Errorf(s.Span(), "the program is too large for the kernel: it grows beyond %d operations here", maxValues)
	}
	return true
}

func (f *fn) stmt(s ast.Stmt) {
	if f.tooLarge(s) {
		return
	}
	defer f.at(f.at(s.Span()))
	defer f.endTemps(len(f.usedTemps))
	f.mayBeLeft(func() { f.stmtItself(s) })
}

func (f *fn) stmtItself(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.ExprStmt:
		f.eval(s.X)
	case *ast.Assign:
		f.assign(s)
	case *ast.Let:
		v := f.info.Vars[s.Var]
		switch {
		case v == nil || v.Type == nil: // never used
		case s.Value != nil:
			f.assignVar(v, s.Value)
		default:
			f.zeroVar(v)
		}
	case *ast.For:
		f.forLoop(s)
	case *ast.While:
		f.walk(s.Body, func() { f.while(s) })
	case *ast.Unroll:
		f.walk(s.Body, func() { f.unroll(s) })
	case *ast.Jump:
		f.jump(s)
	default:
		panic(fmt.Sprintf("lower: statement %T", s))
	}
}

func (f *fn) assign(a *ast.Assign) {
	switch t := a.Target.(type) {
	case *ast.Discard:
		f.eval(a.Value)
	case *ast.Var:
		v := f.info.Vars[t]
		if a.Op == "" {
			f.assignVar(v, a.Value)
			return
		}
		y := f.operand(a.Value)
		x := operand{f.readVar(v), v.Type}
		f.writeVar(v, f.computed(f.arith(a.Op, x, y, f.info.Compound[a], a), a, v.Type))
	default:
		if a.Op == "" {
			f.assignMap(a)
			return
		}
		f.updateMap(a)
	}
}

// computed converts x, the result of a compound assignment, to the target's type.
func (f *fn) computed(x *ir.Value, a *ast.Assign, t *types.Type) *ir.Value {
	if from := f.info.Compound[a]; from != nil {
		return f.convert(x, from, t)
	}
	return x
}

// ifStmt emits an if for its effects.
func (f *fn) ifStmt(e *ast.If) {
	var els func()
	if e.Else != nil {
		els = func() { f.eval(e.Else) }
	}
	f.cond(e.Cond, func() { f.block(e.Then) }, els)
}

// jumps holds functions that emit the break and continue of a loop.
type jumps struct{ brk, cont func() }

func (f *fn) jump(j *ast.Jump) {
	switch j.Kind {
	case ast.Break:
		f.loops[len(f.loops)-1].brk()
	case ast.Continue:
		f.loops[len(f.loops)-1].cont()
	case ast.Return:
		f.ret(j.Value)
	}
}

// ret emits return [value].
func (f *fn) ret(value ast.Expr) {
	if value == nil {
		f.Return(nil)
		return
	}
	script := f.scriptFunc()
	if script == nil || script.Result == nil {
		x := f.word(f.operand(value))
		if script == nil && f.prog.Ctx.FixedResult {
			if f.prog.Ctx.Kind.Decides {
				refuses := f.b.Op(ir.OpNe, x, f.b.Const(f.prog.Ctx.Result))
				f.b.If(refuses, func() { f.Count(object.Audit, f.b.Pos, "return") })
			}
			x = nil // its side effects remain
		}
		f.Return(x)
		return
	}
	t := script.Result
	if t.IsScalar() {
		x := f.operand(value)
		f.Return(f.convert(f.word(x), x.t, t))
		return
	}
	f.store(value, t, Dest{Ptr: f.outPtr(), Size: t.Size, Padded: true})
	f.Return(nil)
}

func (f *fn) while(w *ast.While) {
	f.b.While(func(in, out *ir.Block) { f.branch(w.Cond, in, out) }, func(head, out *ir.Block) {
		f.loop(jumps{brk: func() { f.b.Jump(out) }, cont: func() { f.b.Jump(head) }}, w.Body)
	})
}

// loop emits a loop's body.
//
//go:noinline
func (f *fn) loop(j jumps, body *ast.Block) {
	f.loops = append(f.loops, j)
	f.block(body)
	f.loops = f.loops[:len(f.loops)-1]
}

// unroll repeats its body, in which break and continue apply to the enclosing loop.
func (f *fn) unroll(u *ast.Unroll) {
	n := f.lit(u.Count)
	if n == nil {
		panic("lower: unroll count at " + u.Span().String() + " is not constant")
	}
	for range n.Int {
		if f.b.Cur == nil || f.tooLarge(u) {
			return
		}
		f.block(u.Body)
	}
}

// forRange emits the body of s in this function, with its variable running from from to
// to-1.
func (f *fn) forRange(s *ast.For, from, to *ir.Value) {
	v := f.info.Vars[s.Var]
	i := &ir.Var{Name: v.Name, Type: ir.Int}
	f.b.Write(i, from)
	less := func() *ir.Value { return f.b.Op(ir.OpSLt, f.b.Read(i), to) }
	f.b.Step(i, 1, less, func(out *ir.Block) {
		f.b.Section(func(next *ir.Block) {
			f.writeVar(v, f.convert(f.b.Read(i), types.TInt64, v.Type))
			f.loop(jumps{brk: func() { f.b.Jump(out) }, cont: func() { f.b.Jump(next) }}, s.Body)
		})
	})
}
