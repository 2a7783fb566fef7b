package cilium

import (
	"fmt"
	"strings"
	"time"

	"github.com/gotrace/gotrace/lang/policy/cilium"
)

// Response returns the flow as Hubble's message of the type GetFlowsResponse.
func (f *Flow) Response(node string) map[string]any {
	return map[string]any{"flow": f.JSON(node), "node_name": node, "time": f.Time.UTC().Format(time.RFC3339Nano)}
}

// Numbers of Hubble's events and reasons.
const (
	eventDrop       = 1
	eventVerdict    = 5
	eventL7         = 129
	reasonDefault   = 133 // no rule allows it
	reasonDenied    = 181 // a rule denies it
	matchNone       = 0
	matchL3Only     = 1
	matchL3L4       = 2
	matchL4Only     = 3
	matchAll        = 4
	matchL3Protocol = 5
)

// JSON returns the flow as Hubble's message of the type Flow.
func (f *Flow) JSON(node string) map[string]any {
	version := "IPv4"
	if f.Src.Addr().Is6() {
		version = "IPv6"
	}
	out := map[string]any{
		"time": f.Time.UTC().Format(time.RFC3339Nano), "verdict": f.Verdict(), "node_name": node,
		"IP":          map[string]any{"source": f.Src.Addr().String(), "destination": f.Dst.Addr().String(), "ipVersion": version},
		"l4":          f.l4(),
		"source":      f.endpoint(cilium.Egress),
		"destination": f.endpoint(cilium.Ingress),
		"Type":        "L3_L4", "event_type": map[string]any{"type": eventVerdict},
		"traffic_direction": strings.ToUpper(f.Decision.Dir.String()),
		"is_reply":          false,
		"policy_match_type": map[string]int{"none": matchNone, "L3-Only": matchL3Only, "L3-L4": matchL3L4, "L4-Only": matchL4Only, "all": matchAll}[f.Match()],
		"Summary":           f.Summary(),
		"extensions":        map[string]any{"@type": "type.googleapis.com/google.protobuf.Struct", "value": map[string]any{"rule": f.Rule()}},
	}
	if f.Kind != cilium.NewConnection {
		out["Type"], out["event_type"] = "L7", map[string]any{"type": eventL7}
		out["l7"] = f.l7()
	}
	if f.Denied {
		out["drop_reason"], out["drop_reason_desc"] = reasonDefault, "POLICY_DENIED"
		if f.Entry != nil && f.Entry.Rule.Deny {
			out["drop_reason"], out["drop_reason_desc"] = reasonDenied, "POLICY_DENY"
		}
		if f.Enforced {
			out["event_type"] = map[string]any{"type": eventDrop}
		}
	}
	if f.Entry != nil {
		way := "_allowed_by"
		if f.Denied {
			way = "_denied_by"
		}
		out[f.Decision.Dir.String()+way] = []any{policyJSON(f.Entry.Rule.Spec)}
	}
	return out
}

func policyJSON(s *cilium.Spec) map[string]any {
	out := map[string]any{"name": s.Policy}
	if s.Namespace != "" {
		out["namespace"] = s.Namespace
	}
	return out
}

// endpoint returns the policy's endpoint if its direction is dir. For the other side it
// returns an empty object.
func (f *Flow) endpoint(dir cilium.Direction) map[string]any {
	if f.Decision.Dir != dir {
		return map[string]any{}
	}
	e := f.Decision.Endpoint
	out := map[string]any{"labels": e.Labels.List()}
	first := func(key string) string {
		if list := e.Labels[key]; len(list) > 0 {
			return list[0]
		}
		return ""
	}
	if pod := first("k8s:io.kubernetes.pod.name"); pod != "" {
		out["pod_name"], out["namespace"] = pod, first("k8s:"+cilium.NamespaceLabel)
	}
	return out
}

// l4 returns the header of the transport protocol.
func (f *Flow) l4() map[string]any {
	ports := map[string]any{"source_port": f.Src.Port(), "destination_port": f.Dst.Port()}
	switch f.Protocol {
	case 6:
		flags := map[string]bool{}
		for _, name := range f.flags() {
			flags[name] = true
		}
		ports["flags"] = flags
		return map[string]any{"TCP": ports}
	case 17, 132:
		return map[string]any{protocolName(f.Protocol): ports}
	case 1, 58:
		return map[string]any{protocolName(f.Protocol): map[string]any{"type": f.Flags}}
	}
	return map[string]any{}
}

// l7 returns the request.
func (f *Flow) l7() map[string]any {
	out := map[string]any{"type": "REQUEST"}
	switch f.Kind {
	case cilium.HTTPRequest:
		method, path, version, host := f.Request()
		out["http"] = map[string]any{"method": method, "url": fmt.Sprintf("http://%s%s", host, path), "protocol": version}
	case cilium.DNSQuery:
		out["dns"] = map[string]any{"query": f.Text + ".", "observation_source": "proxy"}
	case cilium.TLSHello:
		out["tls"] = map[string]any{"sni": f.Text}
	case cilium.KafkaRequest:
		out["kafka"] = map[string]any{"api_key": cilium.KafkaAPI(int(f.Flags)), "topic": f.Text}
	}
	return out
}
