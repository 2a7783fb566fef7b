package pcap

import (
	"strings"
	"testing"
)

func TestTranslate(t *testing.T) {
	for _, c := range []struct{ filter, want string }{
		{"tcp port 80", "((pkt.proto == 6) && (pkt.sport == 80 || pkt.dport == 80))"},
		{"port 80 or 443", "((pkt.sport == 80 || pkt.dport == 80) || (pkt.sport == 443 || pkt.dport == 443))"},
		{"ip or udp or tcp", "((pkt.ip.version == 4) || (pkt.proto == 17) || (pkt.proto == 6))"},
		{"not src host ::1", "!(pkt.saddr in (::1/128))"},
		{"ether src 0:1:2:a:B:ff", "(pkt.eth.h_source[0] == 0 && pkt.eth.h_source[1] == 1 && pkt.eth.h_source[2] == 2 && pkt.eth.h_source[3] == 10 && pkt.eth.h_source[4] == 11 && pkt.eth.h_source[5] == 255)"},
		{`ether proto \arp or ether multicast`, "((pkt.eth.h_proto == 2054) || ((pkt.eth.h_dest[0] & 1) == 1))"},
		{"ether[6] & 2 != 0 and ether[12:2] > 1536", "(((pkt.eth.h_source[0] & 2) != 0) && (pkt.eth.h_proto > 1536))"},
		{"ip multicast", "((pkt.ip.version == 4) && pkt.daddr in (224.0.0.0/3))"},
		{"dst 10.0.0.1", "(pkt.daddr in (10.0.0.1/32))"},
		{"net 192.168", "(pkt.saddr in (192.168.0.0/16) || pkt.daddr in (192.168.0.0/16))"},
		{"ip or ip6 and udp", "(((pkt.ip.version == 4) || (pkt.ip6.version == 6)) && (pkt.proto == 17))"},
		{"ip or (ip6 and udp)", "((pkt.ip.version == 4) || ((pkt.ip6.version == 6) && (pkt.proto == 17)))"},
		{"src or dst port 1", "(pkt.sport == 1 || pkt.dport == 1)"},
		{"src and dst port 1", "(pkt.sport == 1 && pkt.dport == 1)"},
		{"len&1=1", "((pkt.len & 1) == 1)"},
		{"tcp[tcpflags]&(tcp-syn|tcp-ack)!=0", "((pkt.proto == 6) && ((pkt.tcp.flags & 18) != 0))"},
		{"inbound and less 0x40", `((pkt.dir == "ingress") && (pkt.len <= 64))`},
		{"ip proto \\icmp", "((pkt.ip.version == 4) && (pkt.proto == 1))"},
	} {
		got, err := Translate(c.filter)
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.filter, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for filter, want := range map[string]string{
		"":                                 "empty",
		"tcp port":                         "not a port",
		"tcp port 65536":                   "not a port",
		"port 80-90":                       "not a port",
		"portrange 90-80":                  "not a port",
		"host localhost":                   "names are not looked up",
		"host 1.2.3":                       "names are not looked up",
		"net 10.0.0.1/8":                   "bits after its prefix",
		"host fe80::1%eth0":                "not looked up",
		"ether host 1":                     "not an Ethernet address",
		"ether src 1:2:3:4:5:6:7":          "not an Ethernet address",
		"ether dst 1:2:3:4:5:100":          "not an Ethernet address",
		"ether 1:2:3:4:5:6":                "after ether",
		"ether":                            "after ether",
		"ether proto 65536":                "not a type of a frame",
		"ether[12] = 8":                    "not supported",
		"tcp[4:4] = 5":                     "not supported",
		"ip[0] & 0xf != 5":                 "not supported",
		"tcp port 80 and":                  "ends where",
		"(tcp":                             ") is missing",
		"tcp)":                             "not expected",
		"len 5":                            "comparison",
		"vlan 4096":                        "not a VLAN",
		"greater":                          "not a length",
		"80":                               "not supported",
		"not":                              "ends where",
		"src":                              "at the end",
		strings.Repeat("(", 60) + "tcp":    "too deeply",
		strings.Repeat("not ", 60) + "tcp": "too deeply",
	} {
		if got, err := Translate(filter); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", filter, got, err, want)
		}
	}
}
