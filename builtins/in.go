package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
)

func isIn() *Def {
	return &Def{
		Name:   "in",
		Kind:   Function,
		Syntax: Syntax{Operator: "in"},
		Params: []Param{{Name: "x", Chars: true, Keep: holdsAddress}, {Name: "value", Variadic: true, Ranges: true}},
		Doc: Doc{
			Summary: "Whether a value is one of a list: x in (1, 2, 5..9), comm in (\"sh\", \"bash\"), address in 10.0.0.0/8, address in (10.0.0.0/8, fd00::/8). A range includes both its ends. " +
				"Addresses and prefixes are written as they are or as strings. They are compared with a result of ntop(), an array of 4 or 16 bytes, or a 32-bit integer in network byte order, as in packets and in the kernel (__be32). " +
				"An IPv4 address inside IPv6, as ::ffff:10.0.0.1, is an IPv6 address. port() and proto() know ports and protocols by name. Long lists of literals become tables.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_openat /comm in ("sh", "bash", "dash")/ { print(str(args.filename)); }`,
				`tracepoint:syscalls:sys_exit_read /args.ret in (1..9, 4096)/ { @ = count(); }`,
				`cgroup_skb:/sys/fs/cgroup:egress /pkt.daddr in (10.0.0.0/8, 192.168.0.0/16, fd00::/8) && pkt.dport in (port("https"), 8000..8999)/ { @[pkt.daddr] = count(); }`,
			},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			for _, a := range call.Args[1:] {
				if a.Lit != nil && a.Lit.IsAddress && t.Kind != types.Invalid && !mayBeAddress(t) {
					c.ErrorHint(call.Args[0].Span, "ntop() makes an address of the bytes of one", "%s can only be compared with an internet address (%s provided)", a.Lit.Str, className(t))
					return types.TInvalid
				}
			}
			switch {
			case t.Kind == types.Invalid:
				return types.TInvalid
			case isAddress(t), allPrefixes(call):
				return checkPrefixes(c, call)
			case t.IsInteger() || t.Castable:
				return checkNumbers(c, call)
			case t.Kind == types.String, decode.IsText(t):
				return checkWords(c, call)
			case t.Kind == types.Opaque && c.Later(call, nil):
				return checkMatch(c, call, asLiteral(pattern.AtStart|pattern.AtEnd, false), never, nil)
			}
			if c.Final() {
				c.Errorf(call.Args[0].Span, "in expects an integer, a string or an internet address (%s provided)", className(t))
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Lit != nil {
				return emitLit(g, call)
			}
			return call.Data.(membership).emit(g, call)
		},
	}
}

// membership computes whether the first argument of a call is one of the others.
type membership interface {
	emit(g Gen, call *Call) *ir.Value
}
