// Package cilium translates network policies of Cilium to a script: CiliumNetworkPolicy
// and CiliumClusterwideNetworkPolicy.
//
//	Read       YAML documents → Policies. Unknown keys are errors.
//	Resolve    Policies and the endpoints of this machine → Decisions: for each endpoint
//	           and direction, which entries allow and which deny
//	Translate  Decisions → a script with one program for each
//
// An endpoint is a cgroup. For each packet, the program computes the set of entries that
// match it. An entry that denies beats all that allow. A packet that nothing matches is
// denied if a policy that selects the endpoint has a section for the direction.
package cilium

import (
	"net/netip"

	"github.com/gotrace/gotrace/lang/source"
)

// Policies are the policies of all documents.
type Policies struct {
	Specs  []*Spec
	Groups []*CIDRGroup
}

// CIDRGroup is a list of prefixes with a name, a CiliumCIDRGroup.
type CIDRGroup struct {
	Name     string
	Labels   Labels
	Prefixes []netip.Prefix
}

// Direction is the direction of a section.
type Direction uint8

const (
	Ingress Direction = iota
	Egress
)

// String returns the name of the direction, as in a policy and in cgroup_skb probes.
func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// Spec is one rule of Cilium: a spec of a policy, or an item of its specs.
type Spec struct {
	Policy    string // name of the policy
	Namespace string // "" for all
	Path      string // "spec", "specs[1]"
	Node      bool   // the selector is for nodes, not endpoints
	Selector  *Selector
	Rules     []*Rule // of all sections, in the order of the text
	Has       [2]bool // whether there is a section for the direction
	// Default is the value of enableDefaultDeny for each direction, or nil if it is missing.
	Default [2]*bool
	At      source.Span
}

// Denies reports whether the spec denies by default in a direction.
func (s *Spec) Denies(d Direction) bool {
	if s.Default[d] != nil {
		return *s.Default[d]
	}
	return s.Has[d]
}

// Rule is an item of a section: ingress, ingressDeny, egress or egressDeny.
type Rule struct {
	Spec *Spec
	Dir  Direction
	Deny bool
	Path string // "egress[0]"
	Peer Peer
	// Requires are selectors that all peers of the direction must match.
	Requires []*Selector
	// Ports are the items of toPorts. ICMP are the messages of icmps. If both are nil, all
	// ports and protocols match.
	Ports []*PortRule
	ICMP  []Message
	At    source.Span
}

// Peer is the other side of the traffic that a rule applies to. If Given is false, every
// peer matches. Otherwise it matches if one of its members matches.
type Peer struct {
	Given     bool
	Endpoints []*Selector
	Nodes     []*Selector
	Entities  []string
	CIDRs     []CIDR
	Groups    []GroupRef
	Services  []Service
	Names     []Name
}

// CIDR is a prefix without others.
type CIDR struct {
	Prefix netip.Prefix
	Except []netip.Prefix
}

// GroupRef selects CIDR groups, by name or by labels.
type GroupRef struct {
	Name     string
	Selector *Selector // nil: by name
	Except   []netip.Prefix
	At       source.Span
}

// Service is a service by name, or by labels.
type Service struct {
	Namespace, Name string
	Selector        *Selector // nil: by name
	At              source.Span
}

// Name is a domain name, or a pattern of names.
type Name struct {
	Text    string // in lower case, without the dot at the end
	Pattern bool
	At      source.Span
}

// PortRule is an item of toPorts.
type PortRule struct {
	Path  string // "egress[0].toPorts[1]"
	Ports []Port // empty: all ports
	// HTTP, Kafka, DNS and SNI are the rules for requests. If a list is not nil, a request
	// must match one of its rules.
	HTTP  []HTTPRule
	Kafka []KafkaRule
	DNS   []Name
	SNI   []Name
	At    source.Span
}

// Plain reports whether the item has no rules for requests.
func (p *PortRule) Plain() bool {
	return p.HTTP == nil && p.Kafka == nil && p.DNS == nil && p.SNI == nil
}

// Port is a range of ports of protocols.
type Port struct {
	// Protocols are the numbers of the protocols; nil: all.
	Protocols []uint8
	// From and To are the first and the last port. If From is 0, all ports match. If it is
	// greater than To, no port matches. For ICMP they are the type of the message.
	From, To uint16
}

// Message is a type of message of ICMP.
type Message struct {
	Six  bool // of ICMPv6
	Type uint8
}

// HTTPRule describes the HTTP requests that match. An empty member matches everything.
type HTTPRule struct {
	// Method, Path and Host are regular expressions that match the whole text.
	Method, Path, Host string
	Headers            []Header
	At                 source.Span
}

// Header is a header that a request must have, with a value if Value is not nil.
type Header struct {
	Name  string
	Value *string
	At    source.Span
}
