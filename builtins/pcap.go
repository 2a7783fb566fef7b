package builtins

import (
	"github.com/gotrace/gotrace/lang/pcap"
)

func pcapFilter() *Def {
	return &Def{
		Name:   "pcap",
		Kind:   Function,
		Params: []Param{{Name: "filter", Kind: Literal, Long: true}},
		Syntax: Syntax{Prefix: true, Written: pcap.Translate},
		Doc: Doc{
			Summary: "Whether the packet of the probe matches a tcpdump filter: protocols, host, net, port, portrange, src, dst, vlan, less, greater, len, tcp[tcpflags], icmp[icmptype], and, or, not. The parentheses may be omitted. Addresses and ports are numbers.",
			Examples: []string{
				`xdp:lo /pcap "tcp port 80"/ { @[pkt.saddr] = count(); }`,
				`cgroup_skb:/sys/fs/cgroup:egress { if (pcap("udp and not port 53")) { @ = count(); } }`,
			},
		},
	}
}
