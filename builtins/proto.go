package builtins

import (
	"slices"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// protocols are the names of protocols above IP, from the registry of the IANA.
var protocols = lazy.Table[map[string]int64]{New: func() map[string]int64 {
	return map[string]int64{
		"hopopt": 0, "icmp": 1, "igmp": 2, "ipv4": 4, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44,
		"rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115,
		"sctp": 132, "udplite": 136, "mpls": 137,
	}
}}

func protocol() *Def {
	return &Def{
		Name:   "proto",
		Kind:   Function,
		Params: []Param{{Name: "name"}},
		Doc: Doc{
			Summary:  "The number of a protocol above IP by its name: proto(\"tcp\") is 6.",
			Examples: []string{`cgroup_skb:/sys/fs/cgroup:egress /pkt.proto == proto("udp")/ { @[pkt.dport] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkNumber(c, call, protocols.Get(), "protocol") },
		Emit:  emitLit,
	}
}

// checkNumber is the type rule of a builtin that knows numbers by their names.
func checkNumber(c Checker, call *Call, table map[string]int64, what string) *types.Type {
	name, ok := wantString(c, call, 0)
	if !ok {
		return types.TInvalid
	}
	n, ok := table[name]
	if !ok {
		var names []string
		for name := range table {
			names = append(names, name)
		}
		slices.Sort(names)
		hint := source.DidYouMean(name, names)
		if hint == "" {
			hint = "write its number"
		}
		c.ErrorHint(call.Args[0].Span, hint, "Unknown %s: %q", what, name)
		return types.TInvalid
	}
	call.Lit = &Lit{Int: n}
	return types.TUint64
}
