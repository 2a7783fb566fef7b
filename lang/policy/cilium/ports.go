package cilium

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/policy/yaml"
)

// protocols are the names of protocols and their numbers. ANY stands for those with ports.
var protocols = []struct {
	name    string
	numbers []uint8
}{
	{"TCP", []uint8{6}}, {"UDP", []uint8{17}}, {"SCTP", []uint8{132}}, {"ICMP", []uint8{1}}, {"ICMPv6", []uint8{58}}, {"VRRP", []uint8{112}},
	{"IGMP", []uint8{2}}, {"ANY", []uint8{6, 17, 132}},
}

// Numbers of protocols.
const (
	protoICMP  = 1
	protoTCP   = 6
	protoUDP   = 17
	protoICMP6 = 58
	protoSCTP  = 132
)

// HasPorts reports whether packets of a protocol have ports.
func HasPorts(proto uint8) bool { return proto == protoTCP || proto == protoUDP || proto == protoSCTP }

// portRule reads an item of toPorts.
func (r *reader) portRule(n *yaml.Node, path string, deny bool) *PortRule {
	p := &PortRule{Path: path, At: n.At}
	noEnvoy := func(what string) func(n *yaml.Node) {
		return func(n *yaml.Node) { r.unsupported(n.At, "%s needs Envoy, which gotrace does not run", what) }
	}
	fields := []field{{"ports", func(n *yaml.Node) {
		r.list(n, "ports", func(_ int, n *yaml.Node) { p.Ports = append(p.Ports, r.port(n)) })
	}}}
	kinds := 0 // of rules for requests
	if !deny {
		fields = append(fields,
			field{"serverNames", func(n *yaml.Node) {
				r.list(n, "serverNames", func(_ int, n *yaml.Node) { p.SNI = append(p.SNI, r.serverName(n)) })
			}},
			field{"terminatingTLS", noEnvoy("terminatingTLS")}, field{"originatingTLS", noEnvoy("originatingTLS")},
			field{"listener", noEnvoy("a listener")},
			field{"rules", func(n *yaml.Node) { kinds = r.requests(n, p) }})
	}
	r.object(n, "the item of toPorts", fields...)
	if kinds > 1 {
		r.diags.Errorf(n.Get("rules").At, "an item of toPorts has rules of one kind only: http, dns, kafka or l7")
	}
	if (p.HTTP != nil || p.Kafka != nil || p.DNS != nil) && len(p.Ports) == 0 {
		r.diags.Errorf(n.At, "rules for requests need ports")
	}
	for _, port := range p.Ports {
		if (p.HTTP != nil || p.Kafka != nil) && len(port.Protocols) == 1 && port.Protocols[0] != protoTCP {
			r.diags.Errorf(n.At, "rules for HTTP and Kafka are for ports of TCP")
		}
	}
	return p
}

// requests reads rules for requests. It returns how many kinds of them there are.
func (r *reader) requests(n *yaml.Node, p *PortRule) (kinds int) {
	given := func(n *yaml.Node) bool {
		if n.Kind == yaml.List && len(n.Items) == 0 {
			return false
		}
		kinds++
		return true
	}
	r.object(n, "rules",
		field{"http", func(n *yaml.Node) {
			if given(n) {
				r.list(n, "http", func(_ int, n *yaml.Node) { p.HTTP = append(p.HTTP, r.http(n)) })
			}
		}},
		field{"dns", func(n *yaml.Node) {
			if given(n) {
				r.list(n, "dns", func(_ int, n *yaml.Node) { p.DNS = append(p.DNS, r.name(n)) })
			}
		}},
		field{"kafka", func(n *yaml.Node) {
			if given(n) {
				r.list(n, "kafka", func(_ int, n *yaml.Node) { p.Kafka = append(p.Kafka, r.kafka(n)) })
			}
		}},
		field{"l7proto", func(n *yaml.Node) {
			kinds++
			r.unsupported(n.At, "gotrace has no parser for requests of '%s'", n.Value)
		}},
		field{"l7", anything})
	return kinds
}

// port reads a port: a number, a name, or a range.
func (r *reader) port(n *yaml.Node) Port {
	p := Port{Protocols: protocols[len(protocols)-1].numbers}
	any := true
	var port *yaml.Node
	end := 0
	r.object(n, "the port",
		field{"port", func(n *yaml.Node) { port = n }},
		field{"endPort", func(n *yaml.Node) { end = r.number(n, "endPort", 0, 65535) }},
		field{"protocol", func(n *yaml.Node) {
			text := r.text(n, "protocol")
			for _, q := range protocols {
				if strings.EqualFold(q.name, text) {
					p.Protocols, any = q.numbers, q.name == "ANY"
					return
				}
			}
			var names []string
			for _, q := range protocols {
				names = append(names, q.name)
			}
			r.diags.ErrorHint(n.At, "there are "+strings.Join(names, ", "), "there is no protocol '%s'", text)
		}})
	if port == nil {
		if n.Kind == yaml.Map && !n.Has("protocol") {
			r.diags.Errorf(n.At, "the port has neither a number nor a name: port")
		}
		return p
	}
	text := r.text(port, "port")
	number, err := strconv.ParseUint(text, 0, 16)
	switch {
	case err == nil:
		p.From = uint16(number)
	case port.Kind != yaml.Scalar:
	case isPortName(text):
		number, ok := builtins.PortOf(strings.ToLower(text))
		if !ok {
			warn(r.diags, port.At, "write its number: which port of an endpoint has a name is known to Kubernetes only", "no port of the name '%s' is known here: it matches nothing", text)
			p.From, p.To = 1, 0
			return p
		}
		p.From = uint16(number)
	default:
		r.diags.Errorf(port.At, "'%s' is not a port: it is a number from 0 to 65535, or a name", text)
	}
	p.To = p.From
	switch {
	case end == 0:
	case p.From == 0:
		r.diags.Errorf(n.At, "a range of ports must start with a number above 0")
	case end < int(p.From):
		r.diags.Errorf(n.At, "the range of ports ends before it starts")
	default:
		p.To = uint16(end)
	}
	if p.From == 0 && any {
		p.Protocols = nil
	}
	return p
}

// isPortName reports whether a text can be the name of a port.
func isPortName(text string) bool {
	letters := false
	for _, c := range strings.ToLower(text) {
		switch {
		case 'a' <= c && c <= 'z':
			letters = true
		case '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return letters && len(text) <= 63
}

// serverName reads a name of serverNames.
func (r *reader) serverName(n *yaml.Node) Name {
	out := Name{Text: strings.ToLower(r.text(n, "a server name")), At: n.At}
	out.Pattern = strings.Contains(out.Text, "*")
	if err := out.check(); err != "" && n.Kind == yaml.Scalar {
		r.diags.Errorf(n.At, "%s", err)
	}
	return out
}

func (r *reader) http(n *yaml.Node) HTTPRule {
	h := HTTPRule{At: n.At}
	r.object(n, "the rule for HTTP",
		field{"path", func(n *yaml.Node) { h.Path = r.regexp(n, "path") }},
		field{"method", func(n *yaml.Node) { h.Method = r.regexp(n, "method") }},
		field{"host", func(n *yaml.Node) { h.Host = r.regexp(n, "host") }},
		field{"headers", func(n *yaml.Node) {
			r.list(n, "headers", func(_ int, n *yaml.Node) {
				name, value, has := strings.Cut(strings.TrimSpace(r.text(n, "a header")), " ")
				header := Header{Name: strings.TrimRight(name, ":"), At: n.At}
				if has {
					value = strings.TrimSpace(value)
					header.Value = &value
				}
				r.header(header, &h)
			})
		}},
		field{"headerMatches", func(n *yaml.Node) {
			r.list(n, "headerMatches", func(_ int, n *yaml.Node) { r.headerMatch(n, &h) })
		}})
	return h
}

func (r *reader) header(header Header, h *HTTPRule) {
	for i := range len(header.Name) {
		if c := header.Name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;\"/[]?={}:`, c) >= 0 {
			r.diags.Errorf(header.At, "'%s' is not the name of a header", header.Name)
			return
		}
	}
	if header.Name == "" {
		r.diags.Errorf(header.At, "the header has no name")
		return
	}
	h.Headers = append(h.Headers, header)
}

// headerMatch reads an item of headerMatches. One with the mismatch LOG does not restrict
// requests.
func (r *reader) headerMatch(n *yaml.Node, h *HTTPRule) {
	header, logs := Header{At: n.At}, false
	r.object(n, "the item of headerMatches",
		field{"name", func(n *yaml.Node) { header.Name = r.text(n, "name") }},
		field{"value", func(n *yaml.Node) { v := r.text(n, "value"); header.Value = &v }},
		field{"secret", func(n *yaml.Node) {
			r.unsupported(n.At, "the value of a header is in a secret, which gotrace cannot read")
		}},
		field{"mismatch", func(n *yaml.Node) {
			i := r.one(n, "mismatch", []string{"LOG", "ADD", "DELETE", "REPLACE"})
			if logs = i == 0; i > 0 {
				r.unsupported(n.At, "gotrace cannot change a request whose header does not match: mismatch %s", n.Value)
			}
		}})
	if logs {
		h = &HTTPRule{}
	}
	r.header(header, h)
}
