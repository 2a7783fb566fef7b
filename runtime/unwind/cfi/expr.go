package cfi

import (
	"bytes"

	"github.com/gotrace/gotrace/runtime/cursor"
)

// DWARF expressions compute an address from registers and memory. The ones that
// compilers and assembly files use for frames have a few forms, which this file
// recognizes.

const (
	exprDeref      = 0x06
	exprConst1u    = 0x08
	exprConst1s    = 0x09
	exprConst2u    = 0x0a
	exprConst2s    = 0x0b
	exprConst4u    = 0x0c
	exprConst4s    = 0x0d
	exprPlus       = 0x22
	exprPlusUconst = 0x23
	exprLit0       = 0x30
	exprLit31      = 0x4f
	exprBreg0      = 0x70
	exprBreg31     = 0x8f
	exprBregx      = 0x92
	exprNop        = 0x96
)

// address returns the CFA that an expression computes.
func (a *Arch) address(expr []byte) address {
	if p, ok := a.plt(expr); ok {
		return p
	}
	stack, ok := terms(expr, nil)
	if !ok || len(stack) != 1 || stack[0].kind == constant {
		return address{kind: Unknown}
	}
	return stack[0].address
}

// saved returns the column of a register that is saved at the address of an expression.
// The expression starts with the CFA on its stack.
func (a *Arch) saved(expr []byte) column {
	stack, ok := terms(expr, []term{{kind: ofCFA}})
	if !ok || len(stack) == 0 {
		return column{how: other}
	}
	switch top := stack[len(stack)-1]; {
	case top.kind == ofCFA:
		return column{how: savedCFA, off: top.off}
	case top.kind == plain && top.address.kind == Register:
		return column{how: savedAt, reg: top.reg, off: top.off}
	}
	return column{how: other}
}

// term is a value on an expression's stack.
type term struct {
	kind termKind
	address
}

type termKind uint8

const (
	plain    termKind = iota // the address
	constant                 // off
	ofCFA                    // the CFA plus off
)

const maxTerms = 16

// terms runs an expression that starts with a stack. ok is false if the expression does
// anything other than adding and loading.
func terms(expr []byte, stack []term) (out []term, ok bool) {
	r := cursor.Cursor{Data: expr}
	push := func(t term) { stack = append(stack, t) }
	num := func(n int64) { push(term{kind: constant, address: address{off: n}}) }
	add := func(t *term, n int64) {
		if t.kind == plain && t.address.kind == Deref {
			t.add += n
			return
		}
		t.off += n
	}
	for r.More() {
		if len(stack) > maxTerms {
			return nil, false
		}
		op := r.Byte()
		switch {
		case op >= exprLit0 && op <= exprLit31:
			num(int64(op - exprLit0))
		case op >= exprBreg0 && op <= exprBreg31:
			push(term{address: address{kind: Register, reg: op - exprBreg0, off: r.Sleb()}})
		case op == exprBregx:
			reg := smallReg(r.Uleb())
			push(term{address: address{kind: Register, reg: reg, off: r.Sleb()}})
		case op == exprConst1u:
			num(int64(r.U8()))
		case op == exprConst1s:
			num(int64(int8(r.Byte())))
		case op == exprConst2u:
			num(int64(r.U16()))
		case op == exprConst2s:
			num(int64(int16(r.U16())))
		case op == exprConst4u:
			num(int64(r.U32()))
		case op == exprConst4s:
			num(int64(int32(r.U32())))
		case op == exprPlusUconst && len(stack) > 0:
			add(&stack[len(stack)-1], int64(r.Uleb()))
		case op == exprPlus && len(stack) > 1:
			x, y := stack[len(stack)-2], stack[len(stack)-1]
			if x.kind == constant {
				x, y = y, x
			}
			if y.kind != constant {
				return nil, false
			}
			add(&x, y.off)
			stack = append(stack[:len(stack)-2], x)
		case op == exprDeref && len(stack) > 0:
			top := &stack[len(stack)-1]
			if top.kind != plain || top.address.kind != Register {
				return nil, false
			}
			top.address.kind = Deref
		case op == exprNop:
		default:
			return nil, false
		}
	}
	return stack, !r.Bad
}

// plt recognizes the expression that linkers write for the procedure linkage table: SP
// + 8 + ((PC & 15) >= n) * 8. From byte n on, the entry has pushed its number.
func (a *Arch) plt(expr []byte) (address, bool) {
	n := len(a.PLTBefore)
	if len(expr) != n+1+len(a.PLTAfter) || !bytes.HasPrefix(expr, a.PLTBefore) || !bytes.HasSuffix(expr, a.PLTAfter) {
		return address{}, false
	}
	at := expr[n]
	if at < exprLit0 || at > exprLit31 {
		return address{}, false
	}
	return address{kind: PLT, reg: uint8(a.SP), off: 8, add: int64(at - exprLit0)}, true
}
