package requests

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/runtime/dns"
)

func dnsProtocol() *Protocol {
	return &Protocol{
		Name: "dns", About: "DNS over UDP, TCP and TLS", Ports: []uint16{dns.Port, 853}, Op: "qtype", Target: "name", Event: "dns:piece", Datagrams: true,
		split:  splitDNS,
		reader: func(*Display) reader { return dnsReader{} },
	}
}

// dnsCodes are the names of the results of queries.
var dnsCodes = []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}

// splitDNS returns the query in a datagram.
func splitDNS(data []byte, size uint64, _ *Display) []*Request {
	m, ok := dns.Parse(data)
	if !ok || m.Response {
		return nil
	}
	r := &Request{Op: dns.TypeName(m.Type), Target: m.Name, Rows: -1, size: size}
	if m.Name != "." {
		r.Target = strings.TrimSuffix(m.Name, ".")
	}
	r.route = r.Op + " " + r.Target
	return []*Request{r}
}

// dnsReader reads an answer, which is one datagram.
type dnsReader struct{}

func (dnsReader) lost() bool { return true }

func (dnsReader) read(data []byte, n uint64, to answers) {
	h, ok := dns.ParseHeader(data)
	if !ok {
		return
	}
	if r := to.begin(); r != nil {
		if r.Status = fmt.Sprintf("RCODE%d", h.Code); h.Code < len(dnsCodes) {
			r.Status = dnsCodes[h.Code]
		}
		r.Failed = h.Code != dns.NoError
		r.Rows = h.Answers
	}
	to.count(n)
	to.end()
}
