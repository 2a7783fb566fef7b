package flows

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/runtime/dns"
)

// DNS is the part of a DNS message that the first bytes of the packet contain.
type DNS struct {
	Response bool
	Query    string // the name in question, with a dot at its end
	Type     string // the type in question
	RCode    uint16
	IPs      []string // addresses in the answer
	CNames   []string // other names in the answer
	TTL      uint32   // the least TTL of the addresses; 0 if there are none

	addrs []netip.Addr
}

// dnsCodes are the texts of the results, as Hubble prints them.
var dnsCodes = [...]string{
	1: "Format Error", 2: "Server Failure", 3: "Non-Existent Domain", 4: "Not Implemented", 5: "Query Refused",
}

// parseDNS parses a message of DNS. The message may be cut off after its question; then
// the answers that are missing are left out.
func parseDNS(b []byte) (m *DNS, ok bool) {
	p, ok := dns.Parse(b)
	if !ok {
		return nil, false
	}
	m = &DNS{Response: p.Response, RCode: uint16(p.Code), Query: p.Name, Type: dns.TypeName(p.Type)}
	for r := range p.Records() {
		if a, ok := r.Addr(); ok {
			m.addrs, m.IPs = append(m.addrs, a), append(m.IPs, a.String())
			if len(m.IPs) == 1 || r.TTL < m.TTL {
				m.TTL = r.TTL
			}
		}
		if name, ok := r.Target(); ok {
			m.CNames = append(m.CNames, name)
		}
	}
	return m, true
}

func (m *DNS) summary() string {
	question := fmt.Sprintf("Query %s %s", m.Query, m.Type)
	switch {
	case !m.Response:
		return "DNS " + question
	case m.RCode != 0:
		code := fmt.Sprintf("RCode %d", m.RCode)
		if int(m.RCode) < len(dnsCodes) {
			code = dnsCodes[m.RCode]
		}
		return fmt.Sprintf("DNS Answer RCode: %s (%s)", code, question)
	}
	var parts []string
	if len(m.IPs) > 0 {
		parts = append(parts, fmt.Sprintf("%q", strings.Join(m.IPs, ",")))
	}
	if len(m.CNames) > 0 {
		parts = append(parts, fmt.Sprintf("CNAMEs: %q", strings.Join(m.CNames, ",")))
	}
	if len(m.IPs) > 0 {
		parts = append(parts, fmt.Sprintf("TTL: %d", m.TTL))
	}
	if len(parts) == 0 {
		parts = []string{"empty"}
	}
	return fmt.Sprintf("DNS Answer %s (%s)", strings.Join(parts, " "), question)
}

// names are the names for which DNS has returned addresses, the latest last.
type names struct {
	of    map[netip.Addr][]string
	order []netip.Addr // by when they were first seen
}

const (
	maxNamed   = 16384 // maximum number of addresses
	maxPerAddr = 4     // maximum number of names of an address
)

// learn stores the addresses of an answer.
func (n *names) learn(m *DNS) {
	if n.of == nil {
		n.of = map[netip.Addr][]string{}
	}
	name := strings.TrimSuffix(m.Query, ".")
	for _, a := range m.addrs {
		known, ok := n.of[a]
		if !ok {
			if len(n.order) == maxNamed {
				delete(n.of, n.order[0])
				n.order = n.order[1:]
			}
			n.order = append(n.order, a)
		}
		known = append(slices.DeleteFunc(known, func(s string) bool { return s == name }), name)
		n.of[a] = known[max(0, len(known)-maxPerAddr):]
	}
}
