package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

func socketCookie() *Def {
	return &Def{
		Name:   "socket_cookie",
		Kind:   Function,
		Params: []Param{{Name: "sock"}},
		Doc: Doc{
			Summary:  "A number that identifies a socket until the machine reboots.",
			Examples: []string{`fentry:tcp_rcv_established { @[socket_cookie(args.sk)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			switch {
			case t.Kind == types.Invalid:
			case t.Kind != types.Pointer || t.Elem.Kind != types.Struct || t.Elem.Name != "struct sock":
				c.Errorf(call.Span, "socket_cookie() only supports 'struct sock *' arguments (%s provided)", t)
				return types.TInvalid
			case t.Space != types.BTF:
				c.Errorf(call.Span, "socket_cookie() needs a pointer that the kernel trusts, such as the args of fentry, fexit and rawtracepoint")
				return types.TInvalid
			}
			if !c.Kernel().Has(probes.FeatSocketCookie) {
				c.Errorf(call.Span, "%s", probes.Needs(c.Kernel(), "socket_cookie() here", probes.FeatSocketCookie))
				return types.TInvalid
			}
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			cookie := &ir.Var{Name: "cookie", Type: ir.Int}
			g.Object(&call.Args[0], func(sk *ir.Value) {
				b := g.B()
				b.Write(cookie, b.Call(ir.SocketCookie, sk))
			}, func() { g.B().Write(cookie, g.B().Const(0)) })
			return g.B().Read(cookie)
		},
	}
}
