package cilium

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/policy/cilium"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// Flow is a packet about which policies decided.
type Flow struct {
	Time     time.Time
	Decision *cilium.Decision
	Kind     int // cilium.NewConnection …
	Denied   bool
	Enforced bool // whether a denied packet was dropped
	Src, Dst netip.AddrPort
	Protocol uint8
	Flags    uint8  // of TCP, the type of a message of ICMP, or the kind of Kafka's request
	Text     string // of the request
	// Entry is the entry that decided; nil: the default.
	Entry *cilium.Entry
}

// Verdict returns what happened to the packet, in Hubble's words.
func (f *Flow) Verdict() string {
	switch {
	case !f.Denied:
		return "FORWARDED"
	case f.Enforced:
		return "DROPPED"
	}
	return "AUDIT"
}

// Decode returns the flow that a result of the script describes.
func Decode(s *cilium.Script, v value.Value) (*Flow, error) {
	t, ok := v.(value.Tuple)
	if !ok || len(t) < cilium.AtWords {
		return nil, outline.Errorf("the result %s is not one of a policy", v)
	}
	f := &Flow{Enforced: s.Unsafe}
	n := number(t[cilium.AtDecision])
	if n >= uint64(len(s.Decisions)) {
		return nil, outline.Errorf("the result %s names no decision", v)
	}
	f.Decision = s.Decisions[n]
	f.Time = wall(number(t[cilium.AtTime]))
	f.Kind = int(number(t[cilium.AtKind]))
	f.Denied = number(t[cilium.AtDenied]) != 0
	f.Src = end(t[cilium.AtSource], t[cilium.AtSourcePort])
	f.Dst = end(t[cilium.AtDestination], t[cilium.AtDestinationPort])
	f.Protocol, f.Flags = uint8(number(t[cilium.AtProtocol])), uint8(number(t[cilium.AtFlags]))
	if text, ok := t[cilium.AtText].(value.Str); ok {
		f.Text = text.S
	}
	var words []uint64
	for _, w := range t[cilium.AtWords:] {
		words = append(words, number(w))
	}
	f.Entry = f.decided(f.Decision.Matched(words))
	return f, nil
}

// decided returns the entry that decided, among those that match.
func (f *Flow) decided(list []*cilium.Entry) *cilium.Entry {
	var request *cilium.Entry
	for _, e := range list {
		switch {
		case e.Rule.Deny == f.Denied && e.Plain():
			return e
		case !e.Rule.Deny && request == nil:
			request = e
		}
	}
	return request
}

//go:noinline
func number(v value.Value) uint64 {
	n, _ := value.Number(v)
	return uint64(n)
}

func end(addr, port value.Value) netip.AddrPort {
	a, _ := netip.ParseAddr(addr.String())
	return netip.AddrPortFrom(a, uint16(number(port)))
}

// wall returns the time of a number of nanoseconds since boot.
func wall(ns uint64) time.Time {
	var boot unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
	return time.Now().Add(time.Duration(int64(ns) - boot.Nano()))
}

// Sink prints the flows that a script reports, and passes all else on.
type Sink struct {
	output.Through
	script *cilium.Script
	flow   func(f *Flow)
	reset  Resetter
}

// NewText returns a sink that prints a line for each flow, in the compact form of hubble
// observe.
func NewText(s *cilium.Script, out *output.Writer, err io.Writer, style output.Style) *Sink {
	return &Sink{output.Through{Sink: output.NewText(out, err, style)}, s, func(f *Flow) {
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s: %s -> %s %s %s (%s) %s\n", f.Time.Format(time.StampMilli), f.side(f.Src, cilium.Egress), f.side(f.Dst, cilium.Ingress),
			f.what(), f.Verdict(), f.Summary(), f.Rule())
		out.Write(b.Bytes())
	}, Resetter{Err: err}}
}

// NewJSON returns a sink that prints a line for each flow, in the JSON of hubble observe:
// a GetFlowsResponse with a flow.
func NewJSON(s *cilium.Script, out *output.Writer, err io.Writer, style output.Style) *Sink {
	return &Sink{output.Through{Sink: output.NewJSON(out, style)}, s, func(f *Flow) {
		node, _ := os.Hostname()
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.Encode(f.Response(node))
	}, Resetter{Err: err}}
}

// Map implements output.Sink. The maps of the script are its own.
func (s *Sink) Map(output.Map) {}

// Value implements output.Sink.
func (s *Sink) Value(v value.Value) {
	f, err := Decode(s.script, v)
	if err != nil {
		s.Through.Value(v)
		return
	}
	s.reset.Flow(f)
	s.flow(f)
}

// side returns one side of the flow with the endpoint whose side it is in a direction.
func (f *Flow) side(a netip.AddrPort, of cilium.Direction) string {
	text := a.String()
	switch {
	case a.Addr().IsUnspecified(): // a call was refused, before the socket had an address
		return f.Decision.Endpoint.Name
	case !cilium.HasPorts(f.Protocol):
		text = a.Addr().String()
	}
	if f.Decision.Dir == of {
		text += " (" + f.Decision.Endpoint.Name + ")"
	}
	return text
}

// what returns the kind of the event.
func (f *Flow) what() string {
	switch f.Kind {
	case cilium.HTTPRequest:
		return "http-request"
	case cilium.DNSQuery:
		return "dns-request"
	case cilium.TLSHello:
		return "tls-hello"
	case cilium.KafkaRequest:
		return "kafka-request"
	}
	return "policy-verdict:" + f.Match() + " " + strings.ToUpper(f.Decision.Dir.String())
}

// Match returns which parts of the entry decided, in Hubble's words.
func (f *Flow) Match() string {
	e := f.Entry
	if e == nil {
		return "none"
	}
	l3, l4 := !e.Peers.All, e.Port != nil && len(e.Port.Ports) > 0 || e.Rule.ICMP != nil
	switch {
	case l3 && l4:
		return "L3-L4"
	case l3:
		return "L3-Only"
	case l4:
		return "L4-Only"
	}
	return "all"
}

// Rule returns the policy and the place in it that decided.
func (f *Flow) Rule() string {
	if f.Entry != nil {
		return f.Entry.Rule.Spec.Policy + "/" + f.Entry.Path()
	}
	if !f.Denied {
		return "allowed by default"
	}
	var names []string
	for _, s := range f.Decision.Specs {
		if s.Denies(f.Decision.Dir) {
			names = append(names, s.Policy)
		}
	}
	return "denied by default: " + strings.Join(names, ", ")
}

// tcpFlags are the names of the flags of TCP by bit.
var tcpFlags = []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

// protocolNames are the names of protocols.
var protocolNames = map[uint8]string{1: "ICMPv4", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 112: "VRRP", 132: "SCTP"}

//go:noinline
func protocolName(n uint8) string {
	if name := protocolNames[n]; name != "" {
		return name
	}
	return fmt.Sprintf("protocol %d", n)
}

// Summary returns a description of the packet.
func (f *Flow) Summary() string {
	switch {
	case f.Kind == cilium.HTTPRequest:
		method, path, version, host := f.Request()
		return fmt.Sprintf("%s %s http://%s%s", version, method, host, path)
	case f.Kind == cilium.DNSQuery:
		return "DNS Query " + f.Text
	case f.Kind == cilium.TLSHello:
		return "TLS Server Name " + f.Text
	case f.Kind == cilium.KafkaRequest:
		return strings.TrimSuffix("Kafka "+cilium.KafkaAPI(int(f.Flags))+" topic "+f.Text, " topic ")
	case f.Protocol == 6:
		return "TCP Flags: " + strings.Join(f.flags(), ", ")
	case f.Protocol == 1 || f.Protocol == 58:
		return fmt.Sprintf("%s type %d", protocolName(f.Protocol), f.Flags)
	}
	return protocolName(f.Protocol)
}

func (f *Flow) flags() (names []string) {
	for i, name := range tcpFlags {
		if f.Flags>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Request returns the parts of a request of HTTP. If the beginning of the request does
// not contain the host, the host is the receiver's address.
func (f *Flow) Request() (method, path, version, host string) {
	first, rest, _ := strings.Cut(f.Text, "\r\n")
	method, path, _ = strings.Cut(first, " ")
	path, version, _ = strings.Cut(path, " ")
	host = f.Dst.String()
	head, _, _ := strings.Cut("\r\n"+rest, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		name, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(name, "host") {
			return method, path, version, strings.TrimSpace(v)
		}
	}
	return method, path, version, host
}
