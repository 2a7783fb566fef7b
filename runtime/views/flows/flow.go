// Package flows shows connections and datagrams with their processes, and whether the
// kernel forwards or drops their packets. It writes a script in the tracing language
// (script.go), runs it with package tracer, decodes its output to flows (decode.go) and
// prints them in the formats of Hubble (print.go, json.go).
//
// A Filter selects flows. Each criterion of it is a row of the table in criteria.go. Most
// criteria become conditions of the script, so that the kernel reports only flows that
// can match. Match then tests all criteria exactly.
package flows

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// Verdict is what happened to a packet.
type Verdict string

const (
	Forwarded Verdict = "FORWARDED" // a socket has sent or received it
	Dropped   Verdict = "DROPPED"   // the kernel has dropped it
	Audit     Verdict = "AUDIT"     // a policy that is not enforced would have dropped it
)

// Direction is the direction of a packet, seen from this machine.
type Direction string

const (
	Ingress Direction = "INGRESS"
	Egress  Direction = "EGRESS"
)

// Flow is a packet that begins, ends or represents a flow, with the sums of the flow so
// far. A flow is the packets with the same protocol, addresses, ports and direction.
type Flow struct {
	Time      time.Time
	Verdict   Verdict
	Reason    string // the kernel's name for the reason of a drop; "" if it was not dropped or the reason is not known
	Place     string // the function of the kernel that dropped it
	Direction Direction
	Proto     Proto
	Src, Dst  Endpoint
	Flags     Flags  // of TCP
	ICMP      *ICMP  // nil: it is neither ICMP nor ICMPv6
	Len       uint64 // bytes of this packet, with the header of IP
	Packets   uint64 // packets of the flow so far, with this one
	Bytes     uint64 // their bytes
	Interface string
	NetNS     uint64 // the network namespace, as its inode number; 0: not known
	DNS       *DNS   // a message of DNS in the packet
	HTTP      *HTTP  // the beginning of a request or response in the packet
	Policy    string // the policy that decided, if one did

	skb uint64 // the kernel's address of the packet
	seq uint64 // distinguishes packets with the same address
}

// Endpoint is an end of a flow.
type Endpoint struct {
	Addr  netip.Addr
	Port  uint16
	Names []string // names for which DNS has returned the address
	Local *Process // the process that owns the socket here; nil: it is remote or not known
}

// Process is the owner of a socket.
type Process struct {
	PID       uint32
	Comm      string
	Cgroup    uint64 // ID of the cgroup of version 2
	Container string // "" if there is none
	Unit      string // systemd unit; "" if there is none
}

// ICMP is the type and code of a message of ICMP or ICMPv6.
type ICMP struct{ Type, Code uint8 }

// Proto is the number of a protocol above IP.
type Proto uint8

const (
	protoICMP   Proto = 1
	protoTCP    Proto = 6
	protoUDP    Proto = 17
	protoICMPv6 Proto = 58
	protoSCTP   Proto = 132
)

var protoNames = map[Proto]string{
	protoICMP: "ICMPv4", 2: "IGMP", protoTCP: "TCP", protoUDP: "UDP", 47: "GRE", protoICMPv6: "ICMPv6", 112: "VRRP", protoSCTP: "SCTP",
}

//go:noinline
func (p Proto) String() string {
	if name, ok := protoNames[p]; ok {
		return name
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// hasPorts reports whether the protocol has ports.
func (p Proto) hasPorts() bool { return p == protoTCP || p == protoUDP || p == protoSCTP }

// Flags are the flags of TCP, as in its header.
type Flags uint8

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// flagNames has the names in the order in which Hubble prints them.
var flagNames = []struct {
	flag Flags
	name string
}{{FIN, "FIN"}, {SYN, "SYN"}, {RST, "RST"}, {PSH, "PSH"}, {ACK, "ACK"}, {URG, "URG"}, {ECE, "ECE"}, {CWR, "CWR"}}

func (f Flags) names() []string {
	var list []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			list = append(list, n.name)
		}
	}
	return list
}

func (f Flags) String() string { return strings.Join(f.names(), ", ") }

// local returns the end of the flow at this machine's socket.
//
//go:noinline
func (f *Flow) local() *Endpoint {
	if f.Direction == Ingress {
		return &f.Dst
	}
	return &f.Src
}

// Type returns the kind of event as Hubble names it in its text: the point at which the
// packet was seen, the protocol of its data, or the reason of a drop.
//
//go:noinline
func (f *Flow) Type() string {
	switch {
	case f.Verdict == Dropped && f.Reason == "":
		return "drop"
	case f.Verdict == Dropped:
		return f.Reason
	case f.Verdict == Audit:
		return "policy-verdict:" + f.Policy
	case f.HTTP != nil && f.HTTP.Status != 0:
		return "http-response"
	case f.HTTP != nil:
		return "http-request"
	case f.DNS != nil && f.DNS.Response:
		return "dns-response"
	case f.DNS != nil:
		return "dns-request"
	case f.Direction == Ingress:
		return "to-endpoint"
	}
	return "from-endpoint"
}

// Summary describes the packet, as Hubble does at the end of a line.
func (f *Flow) Summary() string {
	switch {
	case f.HTTP != nil:
		return f.HTTP.summary()
	case f.DNS != nil:
		return f.DNS.summary()
	case f.Proto == protoTCP:
		return "TCP Flags: " + f.Flags.String()
	case f.ICMP != nil:
		return fmt.Sprintf("%s %s", f.Proto, f.ICMP.name(f.Proto))
	}
	return f.Proto.String()
}

// icmpNames are the names of the usual types of messages.
var icmpNames = lazy.Table[map[Proto]map[uint8]string]{New: func() map[Proto]map[uint8]string {
	return map[Proto]map[uint8]string{
		protoICMP: {0: "EchoReply", 3: "DestinationUnreachable", 5: "Redirect", 8: "EchoRequest", 11: "TimeExceeded", 12: "ParameterProblem"},
		protoICMPv6: {1: "DestinationUnreachable", 2: "PacketTooBig", 3: "TimeExceeded", 4: "ParameterProblem", 128: "EchoRequest", 129: "EchoReply",
			133: "RouterSolicitation", 134: "RouterAdvertisement", 135: "NeighborSolicitation", 136: "NeighborAdvertisement", 137: "Redirect"},
	}
}}

func (m *ICMP) name(p Proto) string {
	name, ok := icmpNames.Get()[p][m.Type]
	if !ok {
		name = fmt.Sprintf("type %d", m.Type)
	}
	if m.Code != 0 {
		name += fmt.Sprintf(" (code %d)", m.Code)
	}
	return name
}
