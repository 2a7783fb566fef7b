package cilium_test

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	front "github.com/gotrace/gotrace/lang/policy/cilium"
)

// This file is a model of the semantics of policies: Cilium's documentation in plain Go,
// independent of the compiler.

// packet is a packet that an endpoint sends or receives.
type packet struct {
	dir          front.Direction
	peer         netip.Addr
	pport, lport uint16
	proto        uint8
	flags        uint8  // of TCP, or the type of a message of ICMP
	data         []byte // of UDP or TCP
	http         *httpRequest
	query        string // of a message of DNS
	answer       []netip.Addr
	server       string // of a greeting of TLS; "-": none
	kafka        *kafkaRequest
}

// httpRequest is a request of HTTP.
type httpRequest struct {
	method, path, host string
	headers            [][2]string
}

// outcome is the result that the model expects. If silent is set, nothing is printed.
// rules are the places of a policy of which the output must name one; "": the default.
type outcome struct {
	silent, denied bool
	rules          []string
}

// exchange is a flow of datagrams, seen from the endpoint.
type exchange struct {
	proto        uint8
	peer         netip.Addr
	pport, lport uint16
}

// model decides about the packets of one endpoint, in order.
type model struct {
	policies *front.Policies
	machine  *front.Machine
	endpoint *front.Endpoint
	enforce  bool

	began map[exchange]front.Direction
	names map[netip.Addr][]string
}

func (m *model) decide(p *packet) outcome {
	key := exchange{p.proto, p.peer, p.pport, p.lport}
	icmp := p.proto == 1 || p.proto == 58
	request := false
	known := false
	if p.proto == 6 {
		if p.flags&0x12 != 2 {
			if p.http == nil && p.query == "" && p.server == "" && p.kafka == nil {
				return outcome{silent: true}
			}
			request = true
		}
	} else if dir, ok := m.began[key]; ok {
		if dir != p.dir {
			if p.proto == 17 && p.pport == 53 && p.dir == front.Ingress {
				for _, a := range p.answer {
					m.names[a] = append(m.names[a], p.query)
				}
			}
			return outcome{silent: true}
		}
		known = true
	}
	if p.proto == 58 && p.flags >= 133 && p.flags <= 137 {
		return outcome{silent: true}
	}
	deny, plain, deep, selected, defaults := m.matching(p)
	if !selected {
		return outcome{silent: true}
	}
	out := outcome{}
	switch {
	case len(deny) > 0:
		if request {
			return outcome{silent: true}
		}
		out.denied, out.rules = true, deny
	case icmp && isError(p):
		return outcome{silent: true}
	case len(plain) > 0:
		if request {
			return outcome{silent: true}
		}
		out.rules = plain
	case len(deep) > 0:
		ours, ok := false, false
		for _, d := range deep {
			o, k := d.accepts(p)
			ours, ok = ours || o, ok || k
			out.rules = append(out.rules, d.path)
		}
		if request && !ours {
			return outcome{silent: true}
		}
		if ours {
			request = true
			out.denied = !ok
		}
	case request:
		return outcome{silent: true}
	default:
		out.denied, out.rules = defaults, []string{""}
	}
	if p.proto != 6 && !(m.enforce && out.denied) {
		m.began[key] = p.dir
	}
	out.silent = known && !request && !(m.enforce && out.denied)
	return out
}

func isError(p *packet) bool {
	if p.proto == 1 {
		return slices.Contains([]uint8{3, 5, 11, 12}, p.flags)
	}
	return p.flags >= 1 && p.flags <= 4
}

// deepRule is an allowed item of toPorts with rules for requests.
type deepRule struct {
	path string
	rule *front.PortRule
}

// matching returns the places of the rules that match, by their effect.
func (m *model) matching(p *packet) (deny, plain []string, deep []deepRule, selected, defaults bool) {
	// What one rule requires of endpoints holds for all of the direction and the effect.
	requires := map[bool][]*front.Selector{}
	for _, s := range m.policies.Specs {
		for _, r := range s.Rules {
			if !s.Node && s.Selector.Matches(m.endpoint.Labels) && r.Dir == p.dir {
				requires[r.Deny] = append(requires[r.Deny], r.Requires...)
			}
		}
	}
	for _, s := range m.policies.Specs {
		if s.Node || !s.Selector.Matches(m.endpoint.Labels) {
			continue
		}
		has := s.Has[p.dir]
		if d := s.Default[p.dir]; d != nil {
			defaults = defaults || *d
			selected = selected || *d || has
		} else {
			defaults = defaults || has
			selected = selected || has
		}
		for _, r := range s.Rules {
			if r.Dir != p.dir || !m.peer(&r.Peer, requires[r.Deny], p.peer) {
				continue
			}
			place := s.Policy + "/"
			if s.Path != "spec" {
				place += s.Path + "."
			}
			add := func(place string, port *front.PortRule) {
				switch {
				case r.Deny:
					deny = append(deny, place)
				case port != nil && (port.HTTP != nil || port.DNS != nil || port.SNI != nil || port.Kafka != nil):
					deep = append(deep, deepRule{place, port})
				default:
					plain = append(plain, place)
				}
			}
			switch {
			case r.ICMP != nil:
				for _, i := range r.ICMP {
					if i.Type == p.flags && (i.Six && p.proto == 58 || !i.Six && p.proto == 1) {
						add(place+r.Path, nil)
						break
					}
				}
			case r.Ports == nil && !r.Peer.Given: // an empty rule allows nothing
			case r.Ports == nil:
				add(place+r.Path, nil)
			}
			for _, port := range r.Ports {
				if portMatches(port, p) {
					add(place+port.Path, port)
				}
			}
		}
	}
	return deny, plain, deep, selected, defaults
}

func portMatches(r *front.PortRule, p *packet) bool {
	to := p.lport
	if p.dir == front.Egress {
		to = p.pport
	}
	for _, port := range r.Ports {
		if port.Protocols == nil {
			return true
		}
		if slices.Contains(port.Protocols, p.proto) && (port.From == 0 || port.From <= to && to <= port.To) {
			return true
		}
	}
	return len(r.Ports) == 0
}

// peer reports whether an address is one of the peers of a rule.
func (m *model) peer(p *front.Peer, requires []*front.Selector, a netip.Addr) bool {
	within := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Contains(a) })
	}
	endpoint := slices.IndexFunc(m.machine.Endpoints, func(e *front.Endpoint) bool { return within(e.Addrs) })
	inside := within(m.machine.Host) || within(m.machine.Cluster) || endpoint >= 0 || within(m.machine.Entities["kube-apiserver"])
	if !p.Given {
		return true
	}
	for _, c := range p.CIDRs {
		if c.Prefix.Contains(a) && !within(c.Except) {
			return true
		}
	}
	for _, e := range p.Entities {
		switch e {
		case "all":
			return true
		case "world":
			if !inside {
				return true
			}
		case "world-ipv4", "world-ipv6":
			if !inside && a.Is4() == (e == "world-ipv4") {
				return true
			}
		case "cluster":
			if inside {
				return true
			}
		case "host":
			if within(m.machine.Host) {
				return true
			}
		default:
			if within(m.machine.Entities[e]) {
				return true
			}
		}
	}
	for _, s := range p.Endpoints {
		if endpoint < 0 {
			if len(s.Needs) == 0 && len(requires) == 0 && within(m.machine.Cluster) {
				return true
			}
			continue
		}
		have := m.machine.Endpoints[endpoint].Labels
		misses := func(q *front.Selector) bool { return !q.Matches(have) }
		if s.Matches(have) && !slices.ContainsFunc(requires, misses) || len(s.Needs) == 0 && len(requires) == 0 && within(m.machine.Cluster) {
			return true
		}
	}
	for _, g := range p.Groups { // all name the one group that there is
		if within(prefixList("10.1.0.0/16", "192.0.2.0/24", "fd00::/16")) && !within(g.Except) {
			return true
		}
	}
	for _, s := range p.Services {
		if within(m.machine.Services[s.Namespace+"/"+s.Name]) {
			return true
		}
	}
	for i := range p.Names {
		for _, name := range m.names[a] {
			if nameMatches(p.Names[i], name) {
				return true
			}
		}
	}
	return false
}

// nameMatches compares a name label by label.
func nameMatches(n front.Name, name string) bool {
	if !n.Pattern {
		return n.Text == name
	}
	if n.Text == "*" {
		return true
	}
	want, have := strings.Split(n.Text, "."), strings.Split(name, ".")
	if want[0] == "**" {
		if len(have) < len(want) {
			return false
		}
		want, have = want[1:], have[len(have)-len(want)+1:]
	}
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if !starMatches(want[i], have[i]) {
			return false
		}
	}
	return true
}

// starMatches reports whether text matches a pattern in which * is any text.
func starMatches(pattern, text string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, before) {
		return false
	}
	for rest := text[len(before):]; ; rest = rest[1:] {
		if starMatches(after, rest) {
			return true
		}
		if rest == "" {
			return false
		}
	}
}

// accepts reports whether the rules apply to the packet's request, and accept it.
func (d *deepRule) accepts(p *packet) (ours, ok bool) {
	switch {
	case p.http != nil && d.rule.HTTP != nil:
		return true, slices.ContainsFunc(d.rule.HTTP, p.http.meets)
	case d.rule.DNS != nil && (p.query != "" || p.proto == 17):
		return true, slices.ContainsFunc(d.rule.DNS, func(n front.Name) bool { return p.query != "" && nameMatches(n, p.query) })
	case p.kafka != nil && d.rule.Kafka != nil:
		return true, slices.ContainsFunc(d.rule.Kafka, p.kafka.meets)
	case p.server != "" && d.rule.SNI != nil:
		return true, slices.ContainsFunc(d.rule.SNI, func(n front.Name) bool { return nameMatches(n, p.server) })
	}
	return false, false
}

func (r *httpRequest) meets(h front.HTTPRule) bool {
	whole := func(re, text string) bool { return re == "" || regexp.MustCompile(`\A(?:`+re+`)\z`).MatchString(text) }
	if !whole(h.Method, r.method) || !whole(h.Path, r.path) || !whole(h.Host, r.host) {
		return false
	}
	for _, want := range h.Headers {
		if !slices.ContainsFunc(r.headers, func(have [2]string) bool {
			return strings.EqualFold(have[0], want.Name) && (want.Value == nil || have[1] == *want.Value)
		}) {
			return false
		}
	}
	return true
}
