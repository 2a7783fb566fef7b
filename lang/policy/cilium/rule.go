package cilium

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/policy/yaml"
)

// Entities returns the names of entities.
func Entities() []string {
	return strings.Fields("all world world-ipv4 world-ipv6 cluster host init ingress unmanaged remote-node health none kube-apiserver")
}

// rule reads an item of a section.
func (r *reader) rule(n *yaml.Node, rule *Rule) {
	prefix := [...]string{"from", "to"}[rule.Dir]
	var members []string // of the peer, that are given and not empty
	member := func(name string, read func(i int, n *yaml.Node)) field {
		return field{prefix + name, func(n *yaml.Node) {
			rule.Peer.Given = true
			if r.list(n, prefix+name, read); len(n.Items) > 0 {
				members = append(members, prefix+name)
			}
		}}
	}
	p := &rule.Peer
	fields := []field{
		member("Endpoints", func(_ int, n *yaml.Node) { p.Endpoints = append(p.Endpoints, r.selector(n)) }),
		{prefix + "Requires", func(n *yaml.Node) {
			r.list(n, prefix+"Requires", func(_ int, n *yaml.Node) { rule.Requires = append(rule.Requires, r.selector(n)) })
		}},
		member("CIDR", func(_ int, n *yaml.Node) { p.CIDRs = append(p.CIDRs, CIDR{Prefix: r.prefix(n)}) }),
		member("CIDRSet", func(_ int, n *yaml.Node) { r.cidrSet(n, p) }),
		member("Entities", func(_ int, n *yaml.Node) {
			if i := r.one(n, "an entity", Entities()); i >= 0 {
				p.Entities = append(p.Entities, Entities()[i])
			}
		}),
		member("Nodes", func(_ int, n *yaml.Node) { p.Nodes = append(p.Nodes, r.selector(n)) }),
		{prefix + "Groups", func(n *yaml.Node) {
			r.unsupported(n.At, "%sGroups needs the API of a cloud, which gotrace does not use", prefix)
		}},
		{"toPorts", func(n *yaml.Node) {
			rule.Ports = []*PortRule{}
			r.list(n, "toPorts", func(i int, n *yaml.Node) {
				rule.Ports = append(rule.Ports, r.portRule(n, fmt.Sprintf("%s.toPorts[%d]", rule.Path, i), rule.Deny))
			})
		}},
		{"icmps", func(n *yaml.Node) {
			rule.ICMP = []Message{}
			r.list(n, "icmps", func(_ int, n *yaml.Node) {
				r.object(n, "an item of icmps", field{"fields", func(n *yaml.Node) {
					r.list(n, "fields", func(_ int, n *yaml.Node) { rule.ICMP = append(rule.ICMP, r.message(n)) })
				}})
			})
		}},
		{"authentication", func(n *yaml.Node) {
			r.object(n, "authentication", field{"mode", func(n *yaml.Node) {
				modes := []string{"disabled", "required", "test-always-fail"}
				if i := r.one(n, "the mode", modes); i > 0 {
					r.unsupported(n.At, "authentication of peers needs SPIRE, which gotrace does not support")
				}
			}})
		}},
	}
	if rule.Dir == Egress {
		fields = append(fields, member("Services", func(_ int, n *yaml.Node) { p.Services = append(p.Services, r.service(n)) }))
		if !rule.Deny {
			fields = append(fields, member("FQDNs", func(_ int, n *yaml.Node) { p.Names = append(p.Names, r.name(n)) }))
		}
	}
	r.object(n, "the item of "+strings.SplitN(rule.Path, "[", 2)[0], fields...)
	if len(members) > 1 && !sameKind(members, prefix) {
		r.diags.ErrorHint(n.At, "write two items, one for each: what one of them allows is allowed",
			"Cilium cannot combine %s and %s in one item", members[0], members[1])
	}
	if rule.Ports != nil && rule.ICMP != nil {
		r.diags.Errorf(n.At, "Cilium cannot combine toPorts and icmps in one item: write two items")
	}
}

// sameKind reports whether members can be in one item.
func sameKind(members []string, prefix string) bool {
	for _, m := range members {
		if m != prefix+"CIDR" && m != prefix+"CIDRSet" {
			return false
		}
	}
	return true
}

func (r *reader) cidrSet(n *yaml.Node, p *Peer) {
	c := CIDR{}
	g := GroupRef{At: n.At}
	given := 0
	r.object(n, "the item",
		field{"cidr", func(n *yaml.Node) { given++; c.Prefix = r.prefix(n) }},
		field{"cidrGroupRef", func(n *yaml.Node) { given++; g.Name = r.text(n, "cidrGroupRef") }},
		field{"cidrGroupSelector", func(n *yaml.Node) { given++; g.Selector = r.selector(n) }},
		field{"except", func(n *yaml.Node) {
			r.list(n, "except", func(_ int, n *yaml.Node) {
				e := r.prefix(n)
				if c.Prefix.IsValid() && e.IsValid() && (!c.Prefix.Overlaps(e) || c.Prefix.Bits() > e.Bits()) {
					r.diags.Errorf(n.At, "the exception %s is not part of %s", e, c.Prefix)
				}
				c.Except = append(c.Except, e)
			})
		}})
	switch {
	case given != 1:
		r.diags.Errorf(n.At, "an item must have one of cidr, cidrGroupRef and cidrGroupSelector")
	case g.Name != "" || g.Selector != nil:
		g.Except = c.Except
		p.Groups = append(p.Groups, g)
	default:
		p.CIDRs = append(p.CIDRs, c)
	}
}

func (r *reader) service(n *yaml.Node) Service {
	s := Service{At: n.At}
	r.object(n, "the service",
		field{"k8sService", func(n *yaml.Node) {
			r.object(n, "k8sService",
				field{"serviceName", func(n *yaml.Node) { s.Name = r.text(n, "serviceName") }},
				field{"namespace", func(n *yaml.Node) { s.Namespace = r.text(n, "namespace") }})
		}},
		field{"k8sServiceSelector", func(n *yaml.Node) {
			r.object(n, "k8sServiceSelector",
				field{"selector", func(n *yaml.Node) { s.Selector = r.selector(n) }},
				field{"namespace", func(n *yaml.Node) { s.Namespace = r.text(n, "namespace") }})
		}})
	if (s.Name == "") == (s.Selector == nil) {
		r.diags.Errorf(n.At, "a service has either a k8sService with a serviceName, or a k8sServiceSelector with a selector")
	}
	return s
}

// name reads a domain name or a pattern of names.
func (r *reader) name(n *yaml.Node) Name {
	out := Name{At: n.At}
	given := 0
	read := func(key string, is bool) field {
		return field{key, func(n *yaml.Node) {
			given++
			out.Text, out.Pattern, out.At = strings.ToLower(strings.TrimSpace(r.text(n, key))), is, n.At
			if err := out.check(); err != "" {
				r.diags.Errorf(n.At, "%s", err)
			}
			out.Text = strings.TrimSuffix(out.Text, ".")
		}}
	}
	r.object(n, "the name", read("matchName", false), read("matchPattern", true))
	if given != 1 {
		r.diags.Errorf(n.At, "there must be one of matchName and matchPattern")
	}
	return out
}

// check returns an error message if the text is not valid, or "".
func (n *Name) check() string {
	for i := range len(n.Text) {
		switch c := n.Text[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && (i == 0 || n.Text[i-1] != '.'), c == '*' && n.Pattern:
		default:
			return fmt.Sprintf("'%s' is not a domain name: it has %q at place %d", n.Text, n.Text[i:i+1], i+1)
		}
	}
	if n.Text == "" || n.Text[0] == '.' {
		return fmt.Sprintf("'%s' is not a domain name", n.Text)
	}
	return ""
}

// Expression returns a regular expression for the name, without the dot at its end. It
// matches a whole text in lower case.
func (n *Name) Expression() string {
	const char = `[-a-z0-9_]`
	switch rest, deep := strings.CutPrefix(n.Text, "**."); {
	case n.Pattern && n.Text == "*":
		return `\A(?:` + char + `+\.)*` + char + `+\z`
	case n.Pattern && deep:
		return `\A` + char + `+(?:\.` + char + `+)*\.` + starred(rest) + `\z`
	case n.Pattern:
		return `\A` + starred(n.Text) + `\z`
	}
	return `\A` + strings.ReplaceAll(n.Text, ".", `\.`) + `\z`
}

// starred returns a regular expression in which * stands for a part of a label.
func starred(text string) string {
	text = strings.ReplaceAll(text, ".", `\.`)
	for strings.Contains(text, "**") {
		text = strings.ReplaceAll(text, "**", "*")
	}
	return strings.ReplaceAll(text, "*", `[-a-z0-9_]*`)
}

// message reads a field of icmps.
func (r *reader) message(n *yaml.Node) Message {
	m := Message{}
	var kind *yaml.Node
	r.object(n, "the message",
		field{"family", func(n *yaml.Node) { m.Six = r.one(n, "the family", []string{"IPv4", "IPv6"}) == 1 }},
		field{"type", func(n *yaml.Node) { kind = n }})
	if kind == nil {
		r.diags.Errorf(n.At, "the message has no type")
		return m
	}
	if kind.Kind == yaml.Scalar && kind.Value != "" && (kind.Value[0] < '0' || kind.Value[0] > '9') {
		names := messages[0]
		if m.Six {
			names = messages[1]
		}
		var list []string
		for _, e := range names {
			list = append(list, e.name)
		}
		if i := r.one(kind, "the type of a message", list); i >= 0 {
			m.Type = names[i].number
		}
		return m
	}
	m.Type = uint8(r.number(kind, "the type of a message", 0, 255))
	return m
}

// messages are the names of the types of messages of ICMP and of ICMPv6.
var messages = [2][]struct {
	name   string
	number uint8
}{
	{{"EchoReply", 0}, {"DestinationUnreachable", 3}, {"Redirect", 5}, {"Echo", 8}, {"EchoRequest", 8}, {"RouterAdvertisement", 9}, {"RouterSelection", 10},
		{"TimeExceeded", 11}, {"ParameterProblem", 12}, {"Timestamp", 13}, {"TimestampReply", 14}, {"Photuris", 40}, {"ExtendedEchoRequest", 42}, {"ExtendedEchoReply", 43}},
	{{"DestinationUnreachable", 1}, {"PacketTooBig", 2}, {"TimeExceeded", 3}, {"ParameterProblem", 4}, {"EchoRequest", 128}, {"EchoReply", 129},
		{"MulticastListenerQuery", 130}, {"MulticastListenerReport", 131}, {"MulticastListenerDone", 132}, {"RouterSolicitation", 133}, {"RouterAdvertisement", 134},
		{"NeighborSolicitation", 135}, {"NeighborAdvertisement", 136}, {"RedirectMessage", 137}, {"RouterRenumbering", 138}, {"ICMPNodeInformationQuery", 139},
		{"ICMPNodeInformationResponse", 140}, {"InverseNeighborDiscoverySolicitation", 141}, {"InverseNeighborDiscoveryAdvertisement", 142}, {"HomeAgentAddressDiscoveryRequest", 144},
		{"HomeAgentAddressDiscoveryReply", 145}, {"MobilePrefixSolicitation", 146}, {"MobilePrefixAdvertisement", 147}, {"DuplicateAddressRequestCodeSuffix", 157},
		{"DuplicateAddressConfirmationCodeSuffix", 158}, {"ExtendedEchoRequest", 160}, {"ExtendedEchoReply", 161}},
}

// expression checks a regular expression of HTTP and returns it. It must match the whole
// of a text.
func (r *reader) regexp(n *yaml.Node, what string) string {
	text := r.text(n, what)
	if _, err := pattern.Regexp(text); err != nil {
		r.diags.Errorf(n.At, "%s is not a regular expression: %v", what, err)
		return ""
	}
	return text
}
