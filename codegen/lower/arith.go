package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// operand is an operand of an operation on words.
type operand struct {
	x *ir.Value
	t *types.Type
}

func (f *fn) operand(e ast.Expr) operand {
	t := f.typeOf(e)
	if t.Castable {
		t = intType(t)
	}
	return operand{f.value(e), t}
}

var plainOps = map[string]ir.Op{
	"+": ir.OpAdd, "-": ir.OpSub, "*": ir.OpMul, "&": ir.OpAnd, "|": ir.OpOr, "^": ir.OpXor, "<<": ir.OpShl,
}

func (f *fn) binary(e *ast.Binary) *ir.Value {
	switch e.Op {
	case "&&", "||", "==", "!=", "<", "<=", ">", ">=":
		return f.condition(e)
	}
	return f.arith(e.Op, f.operand(e.X), f.operand(e.Y), f.info.Operands[e], e)
}

// arith computes x op y in type t. A nil t means pointer arithmetic. Division
// truncates. A division by zero is counted and gives one.
func (f *fn) arith(op string, x, y operand, t *types.Type, at ast.Node) *ir.Value {
	if t == nil || x.t.Kind == types.Pointer || y.t.Kind == types.Pointer {
		return f.movePointer(op, x, y)
	}
	a, b := f.convert(f.word(x), x.t, t), f.convert(f.word(y), y.t, t)
	var v *ir.Value
	switch op {
	case "/", "%":
		div := func() *ir.Value { return f.divide(op, operand{a, x.t}, operand{b, y.t}, t) }
		if b.Op == ir.OpConst && b.Imm != 0 {
			v = div()
			break
		}
		v = f.b.IfElse(b, div, func() *ir.Value {
			f.Count(object.DivZero, at.Span(), "")
			return f.b.Const(1)
		})
	case ">>":
		sh := ir.OpShr
		if t.Signed {
			sh = ir.OpSar
		}
		v = f.b.Op(sh, a, b)
	default:
		v = f.b.Op(plainOps[op], a, b)
	}
	return f.b.Extend(v, t.Size, t.Signed)
}

// divide computes x / y or x % y in type t; y is not 0. If only one of them is an unsigned
// number of 64 bits, it may be too large for t, so that only the other one can be negative.
func (f *fn) divide(op string, x, y operand, t *types.Type) *ir.Value {
	signed, unsigned := ir.OpSDiv, ir.OpUDiv
	if op == "%" {
		signed, unsigned = ir.OpSMod, ir.OpUMod
	}
	if !t.Signed {
		return f.b.Op(unsigned, x.x, y.x)
	}
	large := func(o operand) bool { return o.t.Size == 8 && !o.t.Signed }
	if large(x) == large(y) {
		return f.b.Op(signed, x.x, y.x)
	}
	abs := func(v, sign *ir.Value) *ir.Value { return f.b.Op(ir.OpSub, f.b.Op(ir.OpXor, v, sign), sign) }
	if large(y) {
		sign := f.b.Op(ir.OpSar, x.x, f.b.Const(63))
		return abs(f.b.Op(unsigned, abs(x.x, sign), y.x), sign)
	}
	sign := f.b.Op(ir.OpSar, y.x, f.b.Const(63))
	v := f.b.Op(unsigned, x.x, abs(y.x, sign))
	if op == "/" {
		v = abs(v, sign)
	}
	return v
}

// movePointer adds to a pointer or subtracts from it, in units of elements as in C.
func (f *fn) movePointer(op string, x, y operand) *ir.Value {
	if x.t.Kind != types.Pointer {
		x, y = y, x
	}
	n, size := y.x, elemSize(x.t)
	if n.Op == ir.OpConst && max(n.Imm, -n.Imm) < maxMove/size {
		return f.b.Op(plainOps[op], f.b.AsInt(x.x), f.b.Const(n.Imm*size))
	}
	n = f.word(y)
	if size != 1 {
		n = f.b.Op(ir.OpMul, n, f.b.Const(size))
	}
	return f.b.Op(plainOps[op], f.b.AsInt(f.word(x)), n)
}

// maxMove is the maximum distance in bytes by which the kernel's verifier lets a
// pointer be moved (BPF_MAX_VAR_OFF). For most pointers the distance must be constant.
// Other sums are computed with the address as a number.
const maxMove = 1 << 29

func elemSize(p *types.Type) int64 {
	if p.Elem == nil || p.Elem.Size == 0 {
		return 1
	}
	return int64(p.Elem.Size)
}

func (f *fn) unary(e *ast.Unary) *ir.Value {
	t := f.typeOf(e)
	switch e.Op {
	case "!":
		return f.condition(e)
	case "~", "-":
		a := f.operand(e.X)
		x := f.word(a)
		if e.Op == "~" {
			x = f.b.Op(ir.OpXor, x, f.b.Const(-1))
		} else {
			x = f.b.Op(ir.OpNeg, x)
		}
		if !a.t.Signed { // within the operand's own width: ~(uint8)1 is 254, ~~(uint8)1 is 1
			size := a.t.Size
			for in, ok := e.X.(*ast.Unary); ok && (in.Op == "~" || in.Op == "-"); in, ok = in.X.(*ast.Unary) {
				size = f.typeOf(in.X).Size
			}
			x = f.b.Extend(x, size, false)
		}
		return f.convert(x, types.TInt64, t)
	case "*":
		return f.object(e)
	case "&":
		return f.addressOf(e)
	}
	return f.step(e)
}

// addressOf returns &$v or &@m, an address in the program's own memory.
func (f *fn) addressOf(e *ast.Unary) *ir.Value {
	switch x := e.X.(type) {
	case *ast.Var:
		return f.local(f.info.Vars[x], false).mem
	case *ast.Map:
		return f.state(x).Store.Address(f)
	}
	return f.place(e.X).address(f)
}

// stepOf returns the type of the operand of ++ or --, and the number added to it.
func (f *fn) stepOf(e *ast.Unary) (t *types.Type, n int64) {
	if v, ok := e.X.(*ast.Var); ok {
		t = f.info.Vars[v].Type
	} else {
		st, _ := f.indexed(e.X)
		t = st.Info.Value
	}
	n = 1
	if t.Kind == types.Pointer {
		n = elemSize(t)
	}
	if e.Op == "--" {
		n = -n
	}
	return t, n
}

// step emits ++ and --. For an integer in a map it emits one atomic addition.
func (f *fn) step(e *ast.Unary) *ir.Value {
	t, n := f.stepOf(e)
	if v, ok := e.X.(*ast.Var); ok {
		vr := f.info.Vars[v]
		old := f.readVar(vr)
		now := f.b.Op(ir.OpAdd, f.b.AsInt(old), f.b.Const(n))
		if t.Kind != types.Pointer {
			now = f.b.Extend(now, t.Size, t.Signed)
		}
		f.writeVar(vr, now)
		if e.Postfix {
			return old
		}
		return now
	}
	return f.addToMap(e.X, f.b.Const(n), e.Postfix)
}
