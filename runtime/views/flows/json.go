package flows

import (
	"encoding/json"
	"io"
	"strconv"
	"time"
)

// The JSON is that of Hubble: a message of the type GetFlowsResponse in the form of
// Protocol Buffers, with the names of its .proto file. 64-bit integers are strings there.
// Values without a member in Hubble are in flow.extensions, which can hold any type; here
// it is a Struct. The reasons of drops are the kernel's names, which Hubble's enum lacks,
// so in the strict form they are in flow.extensions.

type jsonLine struct {
	Flow jsonFlow  `json:"flow"`
	Node string    `json:"node_name,omitempty"`
	Time time.Time `json:"time"`
}

type jsonFlow struct {
	Time       time.Time      `json:"time"`
	Verdict    Verdict        `json:"verdict"`
	DropReason string         `json:"drop_reason_desc,omitempty"`
	IP         jsonIP         `json:"IP"`
	L4         map[string]any `json:"l4,omitempty"`
	Source     *jsonEnd       `json:"source,omitempty"`
	Dest       *jsonEnd       `json:"destination,omitempty"`
	Type       string         `json:"Type"`
	Node       string         `json:"node_name,omitempty"`
	SrcNames   []string       `json:"source_names,omitempty"`
	DstNames   []string       `json:"destination_names,omitempty"`
	L7         *jsonL7        `json:"l7,omitempty"`
	EventType  jsonEventType  `json:"event_type"`
	Direction  Direction      `json:"traffic_direction"`
	Point      string         `json:"trace_observation_point,omitempty"`
	Reply      *bool          `json:"is_reply,omitempty"`
	Interface  *jsonInterface `json:"interface,omitempty"`
	Cgroup     string         `json:"cgroup_id,omitempty"`
	Summary    string         `json:"Summary"`
	Extensions jsonAny        `json:"extensions"`
}

type jsonAny struct {
	Type  string   `json:"@type"`
	Value jsonMore `json:"value"`
}

const structType = "type.googleapis.com/google.protobuf.Struct"

type jsonIP struct {
	Source  string `json:"source"`
	Dest    string `json:"destination"`
	Version string `json:"ipVersion"`
}

type jsonEnd struct {
	Identity  int            `json:"identity,omitempty"`
	Labels    []string       `json:"labels,omitempty"`
	PodName   string         `json:"pod_name,omitempty"`
	Workloads []jsonWorkload `json:"workloads,omitempty"`
}

type jsonWorkload struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

type jsonL7 struct {
	Type    string    `json:"type"`
	Latency string    `json:"latency_ns,omitempty"`
	DNS     *jsonDNS  `json:"dns,omitempty"`
	HTTP    *jsonHTTP `json:"http,omitempty"`
}

type jsonDNS struct {
	Query  string   `json:"query"`
	IPs    []string `json:"ips,omitempty"`
	TTL    uint32   `json:"ttl,omitempty"`
	CNames []string `json:"cnames,omitempty"`
	Source string   `json:"observation_source"`
	RCode  uint16   `json:"rcode,omitempty"`
	QTypes []string `json:"qtypes,omitempty"`
}

type jsonHTTP struct {
	Code     int    `json:"code,omitempty"`
	Method   string `json:"method,omitempty"`
	URL      string `json:"url,omitempty"`
	Protocol string `json:"protocol,omitempty"`
}

type jsonEventType struct {
	Type    int `json:"type"`
	SubType int `json:"sub_type,omitempty"`
}

type jsonInterface struct {
	Name string `json:"name"`
}

// jsonMore holds the values that Hubble does not have.
type jsonMore struct {
	PID       uint32 `json:"pid,omitempty"`
	Comm      string `json:"comm,omitempty"`
	Container string `json:"container,omitempty"`
	Unit      string `json:"unit,omitempty"`
	Reason    string `json:"drop_reason,omitempty"`
	Place     string `json:"drop_place,omitempty"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
	NetNS     uint64 `json:"netns,omitempty"`
	Policy    string `json:"policy,omitempty"`
}

// Numbers of Hubble's event types and of the points at which a packet is seen.
const (
	eventDrop   = 1
	eventTrace  = 4
	eventPolicy = 5
	eventL7     = 129
	toEndpoint  = 0
	fromLXC     = 5
)

type jsonPrinter struct {
	*json.Encoder
	opt    Style
	strict bool
}

func newJSON(w io.Writer, opt Style, strict bool) Printer {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &jsonPrinter{e, opt, strict}
}

func (p *jsonPrinter) Close() error { return nil }

func (p *jsonPrinter) Flow(f *Flow) error {
	at := f.Time.UTC()
	out := jsonFlow{
		Time: at, Verdict: f.Verdict, DropReason: f.Reason,
		IP:     jsonIP{f.Src.Addr.String(), f.Dst.Addr.String(), "IPv4"},
		L4:     f.l4(),
		Source: f.Src.json(), Dest: f.Dst.json(),
		Type: "L3_L4", Node: p.opt.Node, SrcNames: f.Src.Names, DstNames: f.Dst.Names,
		L7: f.l7(), Direction: f.Direction, Summary: f.Summary(),
		Extensions: jsonAny{structType, jsonMore{Place: f.Place, Packets: f.Packets, Bytes: f.Bytes, NetNS: f.NetNS, Policy: f.Policy}},
	}
	if p.strict && f.Reason != "" {
		out.DropReason, out.Extensions.Value.Reason = "DROP_REASON_UNKNOWN", f.Reason
	}
	if f.Src.Addr.Is6() {
		out.IP.Version = "IPv6"
	}
	if f.Interface != "" {
		out.Interface = &jsonInterface{f.Interface}
	}
	switch {
	case f.Verdict == Dropped:
		out.EventType.Type = eventDrop
	case f.Verdict == Audit:
		out.EventType.Type = eventPolicy
	case out.L7 != nil:
		out.Type, out.EventType.Type = "L7", eventL7
		reply := out.L7.Type == "RESPONSE"
		out.Reply = &reply
	case f.Direction == Ingress:
		out.EventType, out.Point = jsonEventType{eventTrace, toEndpoint}, "TO_ENDPOINT"
	default:
		out.EventType, out.Point = jsonEventType{eventTrace, fromLXC}, "FROM_ENDPOINT"
	}
	if l := f.local().Local; l != nil {
		m := &out.Extensions.Value
		m.PID, m.Comm, m.Container, m.Unit = l.PID, l.Comm, l.Container, l.Unit
		if l.Cgroup != 0 {
			out.Cgroup = decimal(l.Cgroup)
		}
	}
	return p.Encode(jsonLine{Flow: out, Node: p.opt.Node, Time: at})
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// l4 returns the member of that name.
func (f *Flow) l4() map[string]any {
	ports := map[string]any{"source_port": f.Src.Port, "destination_port": f.Dst.Port}
	switch f.Proto {
	case protoTCP:
		flags := map[string]bool{}
		for _, n := range f.Flags.names() {
			flags[n] = true
		}
		ports["flags"] = flags
		return map[string]any{"TCP": ports}
	case protoUDP, protoSCTP:
		return map[string]any{f.Proto.String(): ports}
	case protoICMP, protoICMPv6:
		m := map[string]any{}
		if f.ICMP != nil {
			m["type"], m["code"] = f.ICMP.Type, f.ICMP.Code
		}
		return map[string]any{f.Proto.String(): m}
	}
	return nil
}

// l7 returns the member of that name, or nil.
func (f *Flow) l7() *jsonL7 {
	out := &jsonL7{Type: "REQUEST"}
	switch {
	case f.HTTP != nil:
		if f.HTTP.Status != 0 {
			out.Type = "RESPONSE"
		}
		if f.HTTP.Latency > 0 {
			out.Latency = strconv.FormatInt(f.HTTP.Latency.Nanoseconds(), 10)
		}
		out.HTTP = &jsonHTTP{f.HTTP.Status, f.HTTP.Method, f.HTTP.url(), f.HTTP.Protocol}
	case f.DNS != nil:
		if f.DNS.Response {
			out.Type = "RESPONSE"
		}
		out.DNS = &jsonDNS{f.DNS.Query, f.DNS.IPs, f.DNS.TTL, f.DNS.CNames, "agent", f.DNS.RCode, []string{f.DNS.Type}}
	default:
		return nil
	}
	return out
}

// json returns an end of a flow.
func (e *Endpoint) json() *jsonEnd {
	p := e.Local
	if p == nil {
		return &jsonEnd{Labels: []string{"reserved:unknown"}}
	}
	out := &jsonEnd{Labels: []string{"process:comm=" + p.Comm}}
	if p.Container != "" {
		out.Labels = append(out.Labels, "container:name="+p.Container)
		out.Workloads = append(out.Workloads, jsonWorkload{p.Container, "Container"})
	}
	if p.Unit != "" {
		out.Labels = append(out.Labels, "systemd:unit="+p.Unit)
		out.Workloads = append(out.Workloads, jsonWorkload{p.Unit, "Unit"})
	}
	return out
}
