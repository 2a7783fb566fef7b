// Package pcap translates packet filters of tcpdump and libpcap to expressions of the
// language.
package pcap

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Translate returns the expression that is true for the packets that a filter selects. It
// reads the packet by the builtin pkt.
func Translate(filter string) (string, error) {
	p := &parser{tokens: tokens(filter)}
	if len(p.tokens) == 0 {
		return "", outline.Errorf("the filter is empty")
	}
	out, err := p.filter()
	if err == nil && !p.done() {
		err = outline.Errorf("%q is not expected there", p.next())
	}
	if err != nil {
		return "", err
	}
	return out, nil
}

// tokens splits a filter into words, numbers, operators and brackets.
func tokens(s string) []string {
	var list []string
	for s != "" {
		switch c := s[0]; {
		case c == ' ' || c == '\t' || c == '\n':
			s = s[1:]
		case wordByte(c):
			n := 0
			for n < len(s) && wordByte(s[n]) {
				n++
			}
			list, s = append(list, s[:n]), s[n:]
		case len(s) > 1 && strings.Contains(" && || == != <= >= ", " "+s[:2]+" "):
			list, s = append(list, s[:2]), s[2:]
		default:
			list, s = append(list, s[:1]), s[1:]
		}
	}
	return list
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(`_.:/-%\`, c) >= 0
}

type parser struct {
	tokens []string
	depth  int
	last   qualifiers // qualifiers of the previous primitive, which a primitive without qualifiers repeats
}

// qualifiers are the words before the value of a primitive: "tcp src port".
type qualifiers struct{ proto, dir, what string }

func (p *parser) done() bool { return len(p.tokens) == 0 }

// peek returns the next token, or "" at the end.
func (p *parser) peek() string {
	if p.done() {
		return ""
	}
	return p.tokens[0]
}

// next consumes a token and returns it, or "" at the end.
//
//go:noinline
func (p *parser) next() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept consumes the next token if it is one of the list.
//
//go:noinline
func (p *parser) accept(list ...string) (string, bool) {
	for _, t := range list {
		if !p.done() && p.peek() == t {
			return p.next(), true
		}
	}
	return "", false
}

// filter parses terms that are joined by "and" and "or", which have the same precedence.
func (p *parser) filter() (string, error) {
	first, err := p.term()
	terms, joined := []string{first}, ""
	join := func() string {
		if len(terms) == 1 {
			return terms[0]
		}
		return "(" + strings.Join(terms, joined) + ")"
	}
	for err == nil {
		op := ""
		if _, ok := p.accept("and", "&&"); ok {
			op = " && "
		} else if _, ok := p.accept("or", "||"); ok {
			op = " || "
		} else {
			break
		}
		var next string
		next, err = p.term()
		if op != joined {
			terms, joined = []string{join()}, op
		}
		terms = append(terms, next)
	}
	return join(), err
}

// maxNesting is the maximum depth of nested conditions.
const maxNesting = 50

func (p *parser) term() (string, error) {
	if p.depth++; p.depth > maxNesting {
		return "", outline.Errorf("the filter is nested too deeply")
	}
	defer func() { p.depth-- }()
	if _, ok := p.accept("not", "!"); ok {
		x, err := p.term()
		return "!" + x, err
	}
	if _, ok := p.accept("("); ok {
		x, err := p.filter()
		if _, ok := p.accept(")"); err == nil && !ok {
			err = outline.Errorf("a ) is missing")
		}
		return x, err
	}
	return p.primitive()
}

// protocols are the conditions for the protocols by their names.
var protocols = lazy.Table[map[string]string]{New: func() map[string]string {
	return map[string]string{
		"ip": "(pkt.ip.version == 4)", "ip6": "(pkt.ip6.version == 6)", "arp": "(pkt.eth.h_proto == 0x806)",
		"tcp": "(pkt.proto == 6)", "udp": "(pkt.proto == 17)", "sctp": "(pkt.proto == 132)",
		"icmp": "(pkt.ip.protocol == 1)", "icmp6": "(pkt.ip6.version == 6 && pkt.proto == 58)",
	}
}}

// numbers are the numbers of Internet protocols by their names.
var numbers = lazy.Table[map[string]int64]{New: func() map[string]int64 {
	return map[string]int64{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmp6": 58, "sctp": 132}
}}

// primitive parses a condition without "and", "or" and "not".
func (p *parser) primitive() (string, error) {
	switch t := p.peek(); {
	case t == "":
		return "", outline.Errorf("the filter ends where a condition is expected")
	case t == "less" || t == "greater":
		p.next()
		n, err := p.number("length", 1<<31)
		return fmt.Sprintf("(pkt.len %s %d)", map[string]string{"less": "<=", "greater": ">="}[t], n), err
	case t == "len":
		p.next()
		return p.comparison("pkt.len", nil)
	case t == "vlan":
		p.next()
		if c := p.peek(); c == "" || c[0] < '0' || c[0] > '9' {
			return "(pkt.vlan.id >= 0)", nil
		}
		n, err := p.number("VLAN", 4095)
		return fmt.Sprintf("(pkt.vlan.id == %d)", n), err
	case t == "ether" || t == "link":
		p.next()
		return p.ether()
	case t == "broadcast" || t == "multicast":
		return groups[p.next()], nil
	case t == "inbound" || t == "outbound":
		p.next()
		return fmt.Sprintf("(pkt.dir == %q)", map[string]string{"inbound": "ingress", "outbound": "egress"}[t]), nil
	}
	var q qualifiers
	if protocols.Get()[p.peek()] != "" {
		q.proto = p.next()
		if p.peek() == "[" {
			return p.member(q.proto)
		}
		if group := addresses[q.proto]; group != "" && p.peek() == "multicast" {
			p.next()
			return fmt.Sprintf("(%s && pkt.daddr in (%s))", protocols.Get()[q.proto], group), nil
		}
	}
	q.dir = p.direction()
	q.what, _ = p.accept("host", "net", "port", "portrange", "proto")
	switch {
	case q == (qualifiers{}):
		q = p.last
	case q.dir == "" && q.what == "":
		return protocols.Get()[q.proto], nil
	case q.what == "":
		q.what = "host"
	}
	return p.value(q)
}

// direction parses "src", "dst", "src or dst" or "src and dst". It returns the word in the
// middle if there is one, and "" if there is no direction.
func (p *parser) direction() string {
	dir, ok := p.accept("src", "dst")
	if ok && len(p.tokens) > 1 && (p.tokens[0] == "or" || p.tokens[0] == "and") && (p.tokens[1] == "src" || p.tokens[1] == "dst") {
		dir = p.next()
		p.next()
	}
	return dir
}

// value parses the value of a primitive and returns its condition.
func (p *parser) value(q qualifiers) (string, error) {
	t := p.peek()
	var test string
	switch q.what {
	case "":
		return "", outline.Errorf("%q is not supported; supported are conditions on protocols, hosts, nets, ports, VLANs and lengths", t)
	case "host", "net":
		prefix, err := network(p.next(), q.what == "net")
		if err != nil {
			return "", err
		}
		test = bothWays(q.dir, fmt.Sprintf("pkt.%%s in (%s)", prefix), "saddr", "daddr")
	case "port", "portrange":
		low, high, err := ports(p.next(), q.what == "portrange")
		if err != nil {
			return "", err
		}
		cond := fmt.Sprintf("pkt.%%s == %d", low)
		if low != high {
			cond = fmt.Sprintf("pkt.%%s in (%d..%d)", low, high)
		}
		test = bothWays(q.dir, cond, "sport", "dport")
	case "proto":
		n, ok := numbers.Get()[strings.TrimPrefix(t, `\`)]
		if ok {
			p.next()
		} else {
			var err error
			if n, err = p.number("protocol", 255); err != nil {
				return "", err
			}
		}
		test = fmt.Sprintf("(pkt.proto == %d)", n)
	}
	p.last = q
	if q.proto != "" {
		test = fmt.Sprintf("(%s && %s)", protocols.Get()[q.proto], test)
	}
	return test, nil
}

// bothWays returns a condition on the source, the destination, or both.
func bothWays(dir, cond, src, dst string) string {
	switch dir {
	case "src":
		return "(" + fmt.Sprintf(cond, src) + ")"
	case "dst":
		return "(" + fmt.Sprintf(cond, dst) + ")"
	case "and":
		return "(" + fmt.Sprintf(cond, src) + " && " + fmt.Sprintf(cond, dst) + ")"
	}
	return "(" + fmt.Sprintf(cond, src) + " || " + fmt.Sprintf(cond, dst) + ")"
}

// network parses an address or, if net is set, an address with the length of its prefix,
// or its first bytes.
func network(s string, net bool) (string, error) {
	if s == "" {
		return "", outline.Errorf("an address is expected at the end")
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()).String(), nil
	}
	if net {
		if prefix, err := netip.ParsePrefix(s); err == nil {
			if prefix != prefix.Masked() {
				return "", outline.Errorf("%s has bits after its prefix", s)
			}
			return prefix.String(), nil
		}
		if n := strings.Count(s, "."); n < 3 {
			if a, err := netip.ParseAddr(s + strings.Repeat(".0", 3-n)); err == nil {
				return netip.PrefixFrom(a, 8*(n+1)).String(), nil
			}
		}
	}
	return "", outline.Errorf("%q is not an address: names are not looked up", s)
}

// ports parses a port or, if wide is set, a range of them.
func ports(s string, wide bool) (low, high uint64, err error) {
	first, last, ok := strings.Cut(s, "-")
	if !ok || !wide {
		first, last = s, s
	}
	low, err1 := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || low > high {
		return 0, 0, outline.Errorf("%q is not a port: a number up to 65535 is expected", s)
	}
	return low, high, nil
}

// number parses a number up to most.
func (p *parser) number(what string, most uint64) (int64, error) {
	t := p.next()
	n, err := strconv.ParseUint(t, 0, 32)
	if err != nil || n > most {
		return 0, outline.Errorf("%q is not a %s: a number up to %d is expected", t, what, most)
	}
	return int64(n), nil
}

// members are the expressions for the bytes of headers that filters name, and constants
// the names of their values.
var (
	members = map[string]string{
		"tcp[tcpflags]": "pkt.tcp.flags", "tcp[13]": "pkt.tcp.flags",
		"icmp[icmptype]": "pkt.icmp.type", "icmp[0]": "pkt.icmp.type", "icmp[icmpcode]": "pkt.icmp.code", "icmp[1]": "pkt.icmp.code",
		"icmp6[icmp6type]": "pkt.icmp.type", "icmp6[0]": "pkt.icmp.type",
		"ip[8]": "pkt.ip.ttl", "ip[9]": "pkt.ip.protocol", "ip6[6]": "pkt.ip6.nexthdr", "ip6[7]": "pkt.ip6.hop_limit",
	}
	constants = map[string]int64{
		"tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
		"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-redirect": 5, "icmp-echo": 8, "icmp-timxceed": 11,
		"icmp6-destinationunreach": 1, "icmp6-echo": 128, "icmp6-echoreply": 129,
	}
)

// member parses a condition on a byte of a header: "tcp[tcpflags] & tcp-syn != 0".
func (p *parser) member(proto string) (string, error) {
	p.next()
	name := fmt.Sprintf("%s[%s]", proto, p.next())
	if _, ok := p.accept("]"); !ok {
		return "", outline.Errorf("%s is not supported", name)
	}
	expr := members[name]
	if proto == link {
		expr = etherBytes(name)
	}
	if expr == "" {
		return "", outline.Errorf("%s is not supported; pkt has the members of the headers", name)
	}
	test, err := p.comparison(expr, constants)
	if proto == link {
		return test, err
	}
	return fmt.Sprintf("(%s && %s)", protocols.Get()[proto], test), err
}

// comparison parses a comparison of a number, of which a mask may select bits.
func (p *parser) comparison(expr string, names map[string]int64) (string, error) {
	if _, ok := p.accept("&"); ok {
		mask, err := p.constant(names)
		if err != nil {
			return "", err
		}
		expr = fmt.Sprintf("(%s & %d)", expr, mask)
	}
	op, ok := p.accept("==", "=", "!=", "<=", ">=", "<", ">")
	if !ok {
		return "", outline.Errorf("a comparison is expected, not %q", p.peek())
	}
	if op == "=" {
		op = "=="
	}
	n, err := p.constant(names)
	return fmt.Sprintf("(%s %s %d)", expr, op, n), err
}

// constant parses a number, a name of one, or several of them joined by "|" in brackets.
func (p *parser) constant(names map[string]int64) (int64, error) {
	if _, ok := p.accept("("); ok {
		all := int64(0)
		for {
			n, err := p.constant(names)
			if err != nil {
				return 0, err
			}
			all |= n
			if _, ok := p.accept("|"); !ok {
				break
			}
		}
		if _, ok := p.accept(")"); !ok {
			return 0, outline.Errorf("a ) is missing")
		}
		return all, nil
	}
	if n, ok := names[p.peek()]; ok {
		p.next()
		return n, nil
	}
	return p.number("value", 1<<32-1)
}
