package builtins

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func deny() *Def {
	return &Def{
		Name:   "deny",
		Kind:   Action,
		Traits: Traits{AtOnce: true, Ends: true},
		Params: []Param{{Name: "errno", Optional: true}},
		Doc: Doc{
			Summary:  "Makes the call fail with an error, by number or name: EPERM if none is given. The probe ends here. Without --unsafe, the call continues, and the number of calls that would have failed is reported at the end.",
			Examples: []string{`lsm:bprm_check_security /comm == "sh"/ { deny("EACCES"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			if ctx == nil || ctx.Verdict.Deny == nil {
				c.Errorf(call.Span, "deny() can only be used in probes that decide about calls: not in %s", kindOf(c, "these"))
				return types.TInvalid
			}
			call.Data = int64(unix.EPERM)
			a := call.arg(0)
			if a == nil || !call.known(0) {
				return types.TVoid
			}
			switch {
			case a.Lit != nil && a.Lit.IsStr:
				n := errorNumber(a.Lit.Str)
				if n == 0 {
					c.Errorf(a.Span, "%s is not the name of an error: ENOENT is one", a.Lit.Str)
				}
				call.Data = int64(n)
			case !wantInt(c, call, 0):
				return types.TVoid
			case a.Lit == nil:
				call.Data = nil
			case a.Lit.Int < 1 || a.Lit.Int > lastErrno:
				c.Errorf(a.Span, "deny() takes the number of an error, from 1 to %d, or its name", lastErrno)
			default:
				call.Data = a.Lit.Int
			}
			if why := ctx.Verdict.OnlyEPERM; why != "" && call.Data != int64(unix.EPERM) {
				c.Errorf(call.Span, "%s", why)
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			return decide(g, call, func() *ir.Value {
				b := g.B()
				if n, ok := call.Data.(int64); ok {
					return g.Context().Verdict.Deny(b, b.Const(n))
				}
				// The kernel accepts no other results. 0 would permit the call.
				n := b.Op(ir.OpAnd, g.Value(&call.Args[0]), b.Const(lastErrno))
				n = b.IfElse(n, func() *ir.Value { return n }, func() *ir.Value { return b.Const(int64(unix.EPERM)) })
				return g.Context().Verdict.Deny(b, n)
			})
		},
	}
}

// lastErrno is the greatest error number that the kernel returns (MAX_ERRNO).
const lastErrno = 4095

// errorNumber returns the number of an error by its name, or 0.
func errorNumber(name string) syscall.Errno {
	for n := syscall.Errno(1); n <= maxErrno; n++ {
		if unix.ErrnoName(n) == name {
			return n
		}
	}
	return 0
}
