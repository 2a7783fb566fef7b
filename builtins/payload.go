package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func payload() *Def {
	return &Def{
		Name:   "payload",
		Kind:   Function,
		Params: []Param{{Name: "size", Kind: Literal}},
		Doc: Doc{
			Summary: "At most the first size bytes of the data after the TCP or UDP header of a packet, in probes that have pkt. size is a literal, at most max_strlen. " +
				"The result is empty for other packets. In tracepoint, rawtracepoint, kprobe and fentry probes it is also empty if the data is not in the first fragment of the packet in memory.",
			Examples: []string{`cgroup_skb:ingress /pkt.udp.sport == 53/ { printf("%r\n", payload(64)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !hasPacket(c, call, "payload()") {
				return types.TInvalid
			}
			a := &call.Args[0]
			if a.Type.Kind != types.Int {
				c.Errorf(a.Span, "payload() expects a number of bytes")
				return types.TInvalid
			}
			if a.Lit == nil {
				return types.TInvalid // an error, or its value is not known yet
			}
			if limit := int64(c.Config().MaxStrlen); a.Lit.Int < 1 || a.Lit.Int > limit {
				c.Errorf(a.Span, "The size must be from 1 to max_strlen, which is %d", limit)
				return types.TInvalid
			}
			return types.NewBuffer(int(a.Lit.Int))
		},
		Store: func(g Gen, call *Call, dst Dest) {
			b := g.B()
			parsed := parsedPacket(g, call)
			from, end := b.Load(parsed, pktData, 4, false), b.Load(parsed, pktEnd, 4, false)
			readPacket(g, call, packetOf(g, call), dst, from, end, call.Type.Len)
		},
	}
}
