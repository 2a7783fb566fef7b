package builtins

import (
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// concatSize returns the size of the concatenation of two strings of a and b bytes,
// including NULs. It is at most limit, because otherwise a variable that is repeatedly
// appended to would have no finite size. Longer text is truncated. Sizes grow in steps,
// so that such a variable reaches the limit soon.
func concatSize(a, b, limit int) int {
	size := max(a+b-1, 1)
	if size <= 64 {
		size = types.RoundUp(size, 8)
	} else {
		size = 1 << bits.Len(uint(size-1))
	}
	return min(size, max(limit, a, b))
}

func strConcat() *Def {
	return &Def{
		Name:   "str_concat",
		Kind:   Function,
		Params: []Param{{Name: "a", Chars: true}, {Name: "b", Chars: true}},
		Doc: Doc{
			Summary:  "The concatenation of two strings.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[str_concat(comm, "!")] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantStr(c, call, 0) || !wantStr(c, call, 1) {
				return types.TInvalid
			}
			x, isX := call.litStr(0)
			y, isY := call.litStr(1)
			if isX && isY {
				call.Lit = &Lit{Str: x + y, IsStr: true}
				return types.NewString(len(x) + len(y) + 1)
			}
			return types.NewString(concatSize(call.typeOf(0).Size, call.typeOf(1).Size, c.Config().MaxStrlen+1))
		},
		Store: func(g Gen, call *Call, dst Dest) {
			if call.Lit != nil {
				storeLit(g, call, dst)
				return
			}
			a, o := &call.Args[0], &call.Args[1]
			b := g.B()
			if dst.Padded {
				b.Zero(dst.Ptr, dst.Off, dst.Size)
			}
			p := b.AddImm(dst.Ptr, dst.Off)
			if whole := a.Type.Size + o.Type.Size; whole-1 > dst.Size {
				// The verifier adds the maximum sizes of both strings, for which dst
				// has no room.
				p = g.Temp(whole)
				defer func() {
					g.ReadStr(dst.Ptr, dst.Off, g.B().Const(int64(dst.Size)), dst.Size, p, types.Kernel)
				}()
			}
			n := g.ReadStr(p, 0, b.Const(int64(a.Type.Size)), a.Type.Size, g.Addr(a), types.Kernel)
			b = g.B()
			// The verifier knows the helper's result only as a signed number. Reading
			// the program's own memory cannot fault, so the result is at least 1, for
			// the NUL.
			end := b.Op(ir.OpSub, n, b.Const(1))
			g.B().If(b.Op(ir.OpULt, end, b.Const(int64(a.Type.Size))), func() {
				b := g.B()
				size := o.Type.Size
				g.ReadStr(b.Op(ir.OpAdd, p, end), 0, b.Const(int64(size)), size, g.Addr(o), types.Kernel)
			})
		},
	}
}
