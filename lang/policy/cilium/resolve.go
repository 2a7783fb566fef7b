package cilium

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// Endpoint is a cgroup, or a peer on another machine that is known by its addresses.
type Endpoint struct {
	Name   string
	Dir    string // directory of the cgroup; "" if it is on another machine
	ID     uint64 // of the cgroup
	Level  int    // of the cgroup: 0 is the root
	Labels Labels
	// Addrs are the addresses that belong to the endpoint alone. An endpoint that shares
	// the network of the machine has none.
	Addrs []netip.Prefix
	// Host is set for the machine itself, which policies for nodes select.
	Host bool
}

// Machine describes the machine for which policies are resolved.
type Machine struct {
	Endpoints []*Endpoint
	Host      []netip.Prefix // its addresses
	Cluster   []netip.Prefix
	Entities  map[string][]netip.Prefix
	// Services are addresses of services by NAMESPACE/NAME.
	Services map[string][]netip.Prefix
}

// Term is a set of addresses: those in a prefix of In, but not in a prefix of Not. If In
// is nil, it is all addresses that are not in Not.
type Term struct{ In, Not []netip.Prefix }

// Set is a set of peers.
type Set struct {
	All   bool
	Terms []Term
	// Local are endpoints of this machine, found by the socket at the other end.
	Local []*Endpoint
	// Names are domain names, found by the answers of DNS.
	Names []Name
}

// Entry is a rule for some ports, as it applies to one endpoint.
type Entry struct {
	Rule  *Rule
	Port  *PortRule // nil: the rule has no toPorts
	Peers Set
}

// Path returns the place of the entry in its policy.
//
//go:noinline
func (e *Entry) Path() string {
	path := e.Rule.Path
	if e.Port != nil {
		path = e.Port.Path
	}
	if e.Rule.Spec.Path == "spec" {
		return path
	}
	return e.Rule.Spec.Path + "." + path
}

// Plain reports whether the entry has no rules for requests.
//
//go:noinline
func (e *Entry) Plain() bool {
	return e.Port == nil || e.Port.Plain()
}

// Decision holds the entries that decide about the traffic of an endpoint in a direction.
type Decision struct {
	Endpoint *Endpoint
	Dir      Direction
	// Default is set if traffic that no entry matches is denied.
	Default bool
	Entries []*Entry // those that deny come first
	Specs   []*Spec  // that select the endpoint and have a section for the direction
	// Here are the addresses at which the endpoint reaches others of this machine.
	Here []netip.Prefix
}

// Denies reports whether the decision can deny anything.
func (d *Decision) Denies() bool {
	return d.Default || slices.ContainsFunc(d.Entries, func(e *Entry) bool { return e.Rule.Deny || !e.Plain() })
}

// resolver resolves policies. It warns once about each name that has no meaning on this
// machine.
type resolver struct {
	p     *Policies
	m     *Machine
	diags *source.Diags
	at    source.Span
}

// selects reports whether a spec selects an endpoint.
func (s *Spec) selects(e *Endpoint) bool {
	if e.Dir == "" || s.Node != e.Host {
		return false
	}
	return s.inNamespace(e, s.Selector) && s.Selector.Matches(e.Labels)
}

// inNamespace reports whether a selector of a spec applies to the namespace of an
// endpoint. A policy with a namespace applies to the pods of that namespace, unless a
// selector names another one. An endpoint without a namespace counts as part of every
// namespace.
func (s *Spec) inNamespace(e *Endpoint, sel *Selector) bool {
	if s.Namespace == "" || sel.Names(NamespaceLabel) {
		return true
	}
	list, ok := e.Labels.values(NamespaceLabel)
	return !ok || policy.Among(list, s.Namespace)
}

// Resolve returns the decisions for all endpoints that policies select.
func Resolve(p *Policies, m *Machine, diags *source.Diags) (list []*Decision) {
	r := &resolver{p: p, m: m, diags: diags}
	used := map[*Spec]bool{}
	for _, e := range m.Endpoints {
		var specs []*Spec
		for _, s := range p.Specs {
			if s.selects(e) {
				used[s] = true
				specs = append(specs, s)
			}
		}
		list = append(list, r.decisions(e, specs)...)
	}
	for _, s := range p.Specs {
		if !used[s] && s.Policy != "" { // else it is an error
			kind := "--endpoint 'LABELS: CGROUP' gives a cgroup labels"
			if s.Node {
				kind = "--endpoint 'LABELS: host' gives this machine labels"
			}
			diags.Add(source.Diag{Span: s.Selector.At, Severity: source.Warning, Hint: kind,
				Msg: fmt.Sprintf("the policy %s selects nothing on this machine: %s", s.Policy, s.Selector)})
		}
	}
	limits(list, diags)
	return list
}

// limits warns, once for each protocol, about requests that rules cannot see.
func limits(list []*Decision, diags *source.Diags) {
	kinds := []struct {
		limit string
		has   func(p *PortRule) bool
	}{
		{"requests of HTTP that are encrypted, of version 2, or do not start with their packet are not seen, and pass", func(p *PortRule) bool { return p.HTTP != nil }},
		{"requests of Kafka that are encrypted or do not start with their packet are not seen, and pass", func(p *PortRule) bool { return p.Kafka != nil }},
		{"a ClientHello whose server name is encrypted, or not in its first packet, is not seen, and passes", func(p *PortRule) bool { return p.SNI != nil }},
	}
	for _, k := range kinds {
		for _, d := range list {
			if i := slices.IndexFunc(d.Entries, func(e *Entry) bool { return e.Port != nil && k.has(e.Port) }); i >= 0 {
				warn(diags, d.Entries[i].Port.At, "", "%s", k.limit)
				break
			}
		}
	}
}

// Example returns the decisions for an endpoint that all specs select, to show their
// translation if they select none. Its cgroup is the root, but it is not the machine.
func Example(p *Policies, m *Machine, diags *source.Diags) []*Decision {
	r := &resolver{p: p, m: m, diags: diags}
	return r.decisions(&Endpoint{Name: "any endpoint", Labels: Labels{}}, p.Specs)
}

// decisions returns the decisions that the specs make for an endpoint.
func (r *resolver) decisions(e *Endpoint, specs []*Spec) (list []*Decision) {
	for _, dir := range []Direction{Ingress, Egress} {
		d := &Decision{Endpoint: e, Dir: dir, Here: r.m.Host}
		if len(e.Addrs) > 0 { // it has a separate network
			d.Here = append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, e.Addrs...)
		}
		for _, s := range specs {
			if s.Has[dir] || s.Denies(dir) {
				d.Specs = append(d.Specs, s)
				d.Default = d.Default || s.Denies(dir)
			}
		}
		if len(d.Specs) > 0 {
			r.entries(d)
			list = append(list, d)
		}
	}
	return list
}

// entries adds the entries of a decision.
func (r *resolver) entries(d *Decision) {
	for _, deny := range []bool{true, false} {
		var requires []*Selector
		for _, s := range d.Specs {
			for _, rule := range s.Rules {
				if rule.Dir == d.Dir && rule.Deny == deny {
					requires = append(requires, rule.Requires...)
				}
			}
		}
		for _, s := range d.Specs {
			for _, rule := range s.Rules {
				if rule.Dir == d.Dir && rule.Deny == deny {
					r.rule(d, rule, requires)
				}
			}
		}
	}
}

func (r *resolver) rule(d *Decision, rule *Rule, requires []*Selector) {
	if !rule.Peer.Given && rule.Ports == nil && rule.ICMP == nil {
		return // it allows nothing, but makes the direction denied by default
	}
	set := r.peers(rule, requires)
	if rule.Ports == nil {
		d.Entries = append(d.Entries, &Entry{Rule: rule, Peers: set})
	}
	for _, p := range rule.Ports {
		d.Entries = append(d.Entries, &Entry{Rule: rule, Port: p, Peers: set})
	}
}

// peers returns the peers of a rule.
func (r *resolver) peers(rule *Rule, requires []*Selector) (set Set) {
	p := &rule.Peer
	r.at = rule.At
	if !p.Given {
		return Set{All: true}
	}
	add := func(in ...netip.Prefix) {
		if len(in) > 0 {
			set.Terms = append(set.Terms, Term{In: in})
		}
	}
	for _, sel := range p.Endpoints {
		r.endpoints(rule.Spec, sel, requires, &set)
	}
	for _, sel := range p.Nodes {
		r.nodes(sel, &set)
	}
	for _, e := range p.Entities {
		r.entity(e, &set)
	}
	for _, c := range p.CIDRs {
		set.Terms = append(set.Terms, Term{[]netip.Prefix{c.Prefix}, c.Except})
	}
	for _, g := range p.Groups {
		r.group(g, &set)
	}
	for _, s := range p.Services {
		add(r.service(s, rule.Spec.Namespace)...)
	}
	set.Names = p.Names
	return set
}

// endpoints adds the endpoints that a selector selects.
func (r *resolver) endpoints(s *Spec, sel *Selector, requires []*Selector, set *Set) {
	if e := sel.Entity(); e != "" {
		r.entity(e, set)
		return
	}
	found := false
	for _, e := range r.m.Endpoints {
		meets := !slices.ContainsFunc(requires, func(q *Selector) bool { return !q.Matches(e.Labels) })
		if e.Host || !meets || !s.inNamespace(e, sel) || !sel.Matches(e.Labels) {
			continue
		}
		found = true
		if len(e.Addrs) > 0 {
			set.Terms = append(set.Terms, Term{In: e.Addrs})
		}
		if e.Dir != "" && e.ID != 0 {
			set.Local = append(set.Local, e)
		}
	}
	if len(sel.Needs) == 0 && len(r.m.Cluster) > 0 && len(requires) == 0 {
		set.Terms = append(set.Terms, Term{In: r.m.Cluster})
		found = true
	}
	if !found {
		warn(r.diags, sel.At, "--endpoint 'LABELS: PLACE' names an endpoint: a cgroup, or a prefix on another machine",
			"no endpoint that is known here matches %s: labels of other machines are not known", sel)
	}
}

// warn adds a warning.
func warn(diags *source.Diags, at source.Span, hint, format string, args ...any) {
	diags.Add(source.Diag{Span: at, Severity: source.Warning, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// nodes adds the machines that a selector selects.
func (r *resolver) nodes(sel *Selector, set *Set) {
	found := false
	for _, e := range r.m.Endpoints {
		_, remote := e.Labels.values(sourceReserved + ":remote-node")
		if !(e.Host || remote) || !sel.Matches(e.Labels) {
			continue
		}
		found = true
		in := e.Addrs
		if e.Host {
			in = r.m.Host
		}
		if len(in) > 0 {
			set.Terms = append(set.Terms, Term{In: in})
		}
	}
	if !found {
		warn(r.diags, sel.At, "--endpoint 'reserved:remote-node,LABELS: PREFIX' names one", "no machine that is known here matches %s", sel)
	}
}

// entity adds the addresses of an entity.
func (r *resolver) entity(name string, set *Set) {
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	switch name {
	case "all":
		set.All = true
	case "none":
	case "host":
		set.Terms = append(set.Terms, Term{In: r.m.Host})
	case "world", "world-ipv4", "world-ipv6":
		in := map[string][]netip.Prefix{"world": all, "world-ipv4": all[:1], "world-ipv6": all[1:]}[name]
		set.Terms = append(set.Terms, Term{In: in, Not: r.inside()})
	case "cluster":
		set.Terms = append(set.Terms, Term{In: r.inside()})
	default:
		in := r.m.Entities[name]
		if len(in) == 0 {
			warn(r.diags, r.at, "--entity "+name+"=CIDR gives it addresses", "the entity %s matches nothing: its addresses are not known here", name)
			return
		}
		set.Terms = append(set.Terms, Term{In: in})
	}
}

// inside returns all addresses that are not part of the world.
func (r *resolver) inside() []netip.Prefix {
	list := slices.Concat(r.m.Host, r.m.Cluster)
	for _, e := range r.m.Endpoints {
		list = append(list, e.Addrs...)
	}
	for _, in := range r.m.Entities {
		list = append(list, in...)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Compare(list[j]) < 0 })
	return slices.Compact(list)
}

func (r *resolver) group(g GroupRef, set *Set) {
	found := false
	for _, group := range r.p.Groups {
		if g.Selector == nil && group.Name == g.Name || g.Selector != nil && g.Selector.Matches(group.Labels) {
			found = true
			if len(group.Prefixes) > 0 {
				set.Terms = append(set.Terms, Term{group.Prefixes, g.Except})
			}
		}
	}
	if !found {
		warn(r.diags, g.At, "give gotrace the file with the "+kindGroup+" too", "no CIDR group of that name or with those labels is known")
	}
}

func (r *resolver) service(s Service, namespace string) (in []netip.Prefix) {
	if s.Namespace != "" {
		namespace = s.Namespace
	}
	name := s.Name
	if s.Selector != nil {
		name = s.Selector.String()
	}
	for key, list := range r.m.Services {
		if key == name || key == namespace+"/"+name {
			in = append(in, list...)
		}
	}
	if len(in) == 0 {
		warn(r.diags, s.At, fmt.Sprintf("--service '%s=CIDR' gives it addresses", name), "the addresses of the service '%s' are not known here", name)
	}
	sort.Slice(in, func(i, j int) bool { return in[i].Compare(in[j]) < 0 })
	return slices.Compact(in)
}
