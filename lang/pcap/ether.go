package pcap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/outline"
)

// link is the protocol of conditions on the Ethernet header.
const link = "ether"

// groups are the conditions for frames to many stations, and addresses the multicast
// addresses of the Internet protocols.
var (
	groups = map[string]string{
		"broadcast": bytesOf("h_dest", []byte("\xff\xff\xff\xff\xff\xff")),
		"multicast": "((pkt.eth.h_dest[0] & 1) == 1)",
	}
	addresses = map[string]string{"ip": "224.0.0.0/3", "ip6": "ff00::/8"}
)

// etherTypes are the numbers of protocols after "ether proto" by their names.
var etherTypes = map[string]int64{"ip": 0x800, "arp": 0x806, "rarp": 0x8035, "ip6": 0x86dd, "lldp": 0x88cc, "vlan": 0x8100}

// ether parses a condition on the Ethernet header, after "ether".
func (p *parser) ether() (string, error) {
	if p.peek() == "[" {
		return p.member(link)
	}
	if t, ok := p.accept("broadcast", "multicast"); ok {
		return groups[t], nil
	}
	if _, ok := p.accept("proto"); ok {
		n, ok := etherTypes[strings.TrimPrefix(p.peek(), `\`)]
		if ok {
			p.next()
		} else {
			var err error
			if n, err = p.number("type of a frame", 0xffff); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("(pkt.eth.h_proto == %d)", n), nil
	}
	dir := p.direction()
	_, host := p.accept("host")
	if dir == "" && !host {
		return "", outline.Errorf("after ether, host, src, dst, proto, broadcast, multicast or [ is expected, not %q", p.peek())
	}
	t := p.next()
	mac, ok := macAddress(t)
	if !ok {
		return "", outline.Errorf("%q is not an Ethernet address, such as 00:1b:21:0a:ff:07", t)
	}
	src, dst := bytesOf("h_source", mac), bytesOf("h_dest", mac)
	switch dir {
	case "src":
		return src, nil
	case "dst":
		return dst, nil
	case "and":
		return "(" + src + " && " + dst + ")", nil
	}
	return "(" + src + " || " + dst + ")", nil
}

// macAddress parses six bytes in hexadecimal, separated by colons or hyphens.
func macAddress(s string) ([]byte, bool) {
	var mac []byte
	for part := range strings.SplitSeq(strings.ReplaceAll(s, "-", ":"), ":") {
		n, err := strconv.ParseUint(part, 16, 8)
		if err != nil || len(part) > 2 {
			return nil, false
		}
		mac = append(mac, byte(n))
	}
	return mac, len(mac) == 6
}

// bytesOf returns the condition that a member of the Ethernet header has a value.
func bytesOf(member string, value []byte) string {
	var tests []string
	for i, b := range value {
		tests = append(tests, fmt.Sprintf("pkt.eth.%s[%d] == %d", member, i, b))
	}
	return "(" + strings.Join(tests, " && ") + ")"
}

// etherBytes returns the expression for "ether[n]" or "ether[12:2]", or "".
func etherBytes(name string) string {
	at := strings.TrimSuffix(strings.TrimPrefix(name, link+"["), "]")
	if at == "12:2" {
		return "pkt.eth.h_proto"
	}
	switch n, err := strconv.Atoi(at); {
	case err != nil || n < 0 || n > 11:
		return ""
	case n < 6:
		return fmt.Sprintf("pkt.eth.h_dest[%d]", n)
	default:
		return fmt.Sprintf("pkt.eth.h_source[%d]", n-6)
	}
}
