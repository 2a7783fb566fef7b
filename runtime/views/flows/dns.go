package flows

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// DNS is a message of DNS, as far as the packet's first bytes contain it.
type DNS struct {
	Response bool
	Query    string // the name in question, with a dot at its end
	Type     string // the type in question
	RCode    uint16
	IPs      []string // addresses in the answer
	CNames   []string // other names in the answer
	TTL      uint32   // the least of the addresses; 0 if there are none

	addrs []netip.Addr
}

const (
	dnsPort     = 53
	dnsHeader   = 12
	dnsMaxNames = 64 // labels and pointers in a name
)

// dnsTypes are the names of the types of records.
var dnsTypes = lazy.Value[map[uint16]string]{New: func() map[uint16]string {
	return map[uint16]string{
		1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 43: "DS", 46: "RRSIG", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS", 255: "ANY",
	}
}}

// dnsCodes are the texts of the results, as Hubble prints them.
var dnsCodes = map[uint16]string{
	1: "Format Error", 2: "Server Failure", 3: "Non-Existent Domain", 4: "Not Implemented", 5: "Query Refused",
}

var errDNS = errors.New("not a message of DNS")

// parseDNS parses a message of DNS. The message may be cut off after its question; then
// the answers that are missing are left out.
func parseDNS(b []byte) (*DNS, error) {
	if len(b) < dnsHeader {
		return nil, errDNS
	}
	word := func(off int) uint16 { return binary.BigEndian.Uint16(b[off:]) }
	flags := word(2)
	if opcode := flags >> 11 & 15; opcode != 0 || word(4) != 1 {
		return nil, errDNS // no standard query
	}
	m := &DNS{Response: flags&0x8000 != 0, RCode: flags & 15}
	name, at, ok := dnsName(b, dnsHeader)
	if !ok || at+4 > len(b) {
		return nil, errDNS
	}
	m.Query, m.Type = name, dnsType(word(at))
	at += 4
	for range word(6) {
		_, next, ok := dnsName(b, at)
		if !ok || next+10 > len(b) {
			break
		}
		kind, ttl, size := word(next), binary.BigEndian.Uint32(b[next+4:]), int(word(next+8))
		at = next + 10 + size
		if at > len(b) {
			break
		}
		m.answer(b, kind, ttl, next+10, size)
	}
	return m, nil
}

// answer adds a record of the answer, whose data is size bytes at off.
func (m *DNS) answer(b []byte, kind uint16, ttl uint32, off, size int) {
	addr, ok := netip.AddrFromSlice(b[off : off+size])
	switch {
	case ok && (kind == 1 && size == 4 || kind == 28 && size == 16):
		m.addrs, m.IPs = append(m.addrs, addr), append(m.IPs, addr.String())
		if len(m.IPs) == 1 || ttl < m.TTL {
			m.TTL = ttl
		}
	case kind == 5:
		if name, _, ok := dnsName(b, off); ok {
			m.CNames = append(m.CNames, name)
		}
	}
}

func dnsType(n uint16) string {
	if s, ok := dnsTypes.Get()[n]; ok {
		return s
	}
	return fmt.Sprintf("TYPE%d", n)
}

// dnsName returns the name at an offset, in small letters, and the offset after it.
func dnsName(b []byte, at int) (name string, end int, ok bool) {
	var s bytes.Buffer
	for range dnsMaxNames {
		if at >= len(b) {
			return "", 0, false
		}
		n := int(b[at])
		switch {
		case n == 0:
			if end == 0 {
				end = at + 1
			}
			if s.Len() == 0 {
				return ".", end, true
			}
			return s.String(), end, true
		case n >= 0xc0:
			if at+2 > len(b) {
				return "", 0, false
			}
			if end == 0 {
				end = at + 2
			}
			at = int(binary.BigEndian.Uint16(b[at:]) & 0x3fff)
			continue
		case n > 63 || at+1+n > len(b):
			return "", 0, false
		}
		for _, c := range b[at+1 : at+1+n] {
			switch {
			case c >= 'A' && c <= 'Z':
				c += 'a' - 'A'
			case c <= ' ' || c > '~' || c == '.' || c == '\\':
				fmt.Fprintf(&s, "\\%03d", c)
				continue
			}
			s.WriteByte(c)
		}
		s.WriteByte('.')
		at += 1 + n
	}
	return "", 0, false
}

func (m *DNS) summary() string {
	question := fmt.Sprintf("Query %s %s", m.Query, m.Type)
	switch {
	case !m.Response:
		return "DNS " + question
	case m.RCode != 0:
		code, ok := dnsCodes[m.RCode]
		if !ok {
			code = fmt.Sprintf("RCode %d", m.RCode)
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
	maxNamed   = 16384 // addresses that are remembered
	maxPerAddr = 4     // names of an address
)

// learn remembers the addresses of an answer.
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
