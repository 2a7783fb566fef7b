package requests

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
)

func dnsProtocol() *Protocol {
	return &Protocol{
		Name: "dns", About: "DNS over UDP", Ports: []uint16{53}, Op: "qtype", Target: "name", Event: "dns:piece", Datagrams: true,
		split:  splitDNS,
		reader: func(*Options) reader { return dnsReader{} },
	}
}

// dnsTypes are the names of types of records.
var dnsTypes = lazy.Value[map[uint16]string]{New: func() map[uint16]string {
	return map[uint16]string{
		1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 35: "NAPTR", 43: "DS",
		46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 255: "ANY", 257: "CAA",
	}
}}

// dnsCodes are the names of the results of queries.
var dnsCodes = []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}

// splitDNS returns the query in a datagram.
func splitDNS(data []byte, size uint64, _ *Options) []*Request {
	if len(data) < 12 || data[2]&0x80 != 0 || binary.BigEndian.Uint16(data[4:]) != 1 {
		return nil
	}
	name, rest, ok := dnsName(data[12:])
	if !ok || len(rest) < 4 {
		return nil
	}
	kind := binary.BigEndian.Uint16(rest)
	r := &Request{Op: dnsTypes.Get()[kind], Target: name, Rows: -1, size: size}
	if r.Op == "" {
		r.Op = fmt.Sprintf("TYPE%d", kind)
	}
	r.route = r.Op + " " + name
	return []*Request{r}
}

// dnsName returns the name at the start of b, without compression, and what comes after it.
func dnsName(b []byte) (name string, rest []byte, ok bool) {
	var parts []string
	total := 0
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 {
			if parts == nil {
				return ".", b[1:], true
			}
			return strings.Join(parts, "."), b[1:], true
		}
		if total += n + 1; n > 63 || total > 254 || len(b) < 1+n {
			return "", nil, false
		}
		parts = append(parts, string(b[1:1+n]))
		b = b[1+n:]
	}
	return "", nil, false
}

// dnsReader reads an answer, which is one datagram.
type dnsReader struct{}

func (dnsReader) lost() bool { return true }

func (dnsReader) read(data []byte, n uint64, to answers) {
	if len(data) < 12 {
		return
	}
	if r := to.begin(); r != nil {
		code := int(data[3] & 15)
		if r.Status = fmt.Sprintf("RCODE%d", code); code < len(dnsCodes) {
			r.Status = dnsCodes[code]
		}
		r.Failed = code != 0
		r.Rows = int(binary.BigEndian.Uint16(data[6:]))
	}
	to.count(n)
	to.end()
}
