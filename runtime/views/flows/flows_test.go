package flows

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/tests/schema"

	"github.com/gotrace/gotrace/runtime/dns"
)

// sample returns a flow that differs from others in everything that filters compare.
func sample(r *rand.Rand) *Flow {
	pick := func(n int) bool { return r.IntN(n) == 0 }
	addrs := []string{"10.1.2.3", "10.2.0.1", "192.0.2.7", "::1", "2001:db8::7"}
	ends := [2]Endpoint{}
	six := pick(2)
	for i := range ends {
		a := netip.MustParseAddr(addrs[r.IntN(3)])
		if six {
			a = netip.MustParseAddr(addrs[3+r.IntN(2)])
		}
		ends[i] = Endpoint{Addr: a}
		if pick(2) {
			ends[i].Names = []string{"www.example.com"}
		}
	}
	f := &Flow{Verdict: Forwarded, Direction: Ingress, Src: ends[0], Dst: ends[1], Proto: []Proto{protoTCP, protoUDP, protoICMP}[r.IntN(3)], Interface: []string{"lo", "eth0"}[r.IntN(2)]}
	if pick(2) {
		f.Direction = Egress
	}
	if f.Proto.hasPorts() {
		ports := []uint16{53, 80, 443}
		f.Src.Port, f.Dst.Port = ports[r.IntN(3)], ports[r.IntN(3)]
	}
	if pick(2) {
		f.local().Local = &Process{PID: uint32(1 + r.IntN(2)), Comm: []string{"curl", "nginx"}[r.IntN(2)], Container: []string{"", "web"}[r.IntN(2)], Unit: "nginx.service"}
	}
	switch {
	case pick(3):
		f.Verdict, f.Reason, f.Place = Dropped, []string{"NO_SOCKET", "NETFILTER_DROP"}[r.IntN(2)], "tcp_v4_rcv"
	case f.Proto == protoUDP && pick(2):
		f.Dst.Port = dns.Port
		f.DNS = &DNS{Query: "www.example.com.", Type: "A", Response: pick(2)}
	case f.Proto == protoTCP && pick(2):
		f.HTTP = &HTTP{Method: "GET", Path: "/a", Host: "www.example.com", Status: []int{0, 200, 404}[r.IntN(3)]}
	}
	if f.Proto == protoTCP {
		f.Flags = Flags(r.IntN(32))
	}
	return f
}

// values are values of all filters.
var values = map[string][]string{
	"from-ip": {"10.0.0.0/8", "::1"}, "to-ip": {"10.1.2.3", "2001:db8::/32"}, "ip": {"192.0.2.0/24", "::/0"},
	"from-port": {"53", "80"}, "to-port": {"80", "443"}, "port": {"53", "443"},
	"protocol": {"tcp", "udp", "icmp", "dns", "http", "1"}, "ip-version": {"4", "v6"}, "ipv4": {"4"}, "ipv6": {"6"},
	"tcp-flags": {"SYN", "SYN,ACK"}, "traffic-direction": {"ingress", "EGRESS"}, "interface": {"lo"},
	"verdict": {"FORWARDED", "DROPPED"}, "drop-reason": {"NO_SOCKET", "SKB_DROP_REASON_NETFILTER_DROP"}, "drop-reason-desc": {"no_socket"}, "type": {"trace", "drop", "l7"},
	"pid": {"1", "2"}, "comm": {"curl", "nginx"}, "container": {"web"}, "unit": {"nginx", "nginx.service"},
	"from-fqdn": {"*.example.com"}, "to-fqdn": {"www.example.com"}, "fqdn": {"www.*"},
	"http-status": {"404", "2+"}, "http-method": {"get"}, "http-path": {"^/a$"}, "http-url": {"example"},
}

// holds evaluates a condition of the script for a flow, as the kernel does.
func holds(t *testing.T, cond string, f *Flow) bool {
	owner := Process{}
	if p := f.local().Local; p != nil {
		owner = *p
	}
	family := 2
	if f.Src.Addr.Is6() {
		family = 10
	}
	e := &evaluator{t: t, text: cond, names: map[string]string{
		"args.sport": fmt.Sprint(f.Src.Port), "args.dport": fmt.Sprint(f.Dst.Port), "args.proto": fmt.Sprint(uint8(f.Proto)), "args.family": fmt.Sprint(family),
		"args.saddr": f.Src.Addr.String(), "args.daddr": f.Dst.Addr.String(), "$owner.0": fmt.Sprint(owner.PID), "$owner.1": `"` + owner.Comm + `"`,
		"$out": fmt.Sprint(f.Direction == Egress),
	}, flags: f.Flags}
	return e.or()
}

// evaluator evaluates the conditions into which filters are translated.
type evaluator struct {
	t     *testing.T
	text  string
	names map[string]string
	flags Flags
}

func (e *evaluator) skip(s string) bool {
	e.text = strings.TrimLeft(e.text, " ")
	if !strings.HasPrefix(e.text, s) {
		return false
	}
	e.text = e.text[len(s):]
	return true
}

func (e *evaluator) or() bool {
	v := e.and()
	for e.skip("||") {
		w := e.and()
		v = v || w
	}
	return v
}

func (e *evaluator) and() bool {
	v := e.unary()
	for e.skip("&&") {
		w := e.unary()
		v = v && w
	}
	return v
}

func (e *evaluator) unary() bool {
	var mask, want int
	switch {
	case e.skip("(args.tcpflags & "):
		if _, err := fmt.Sscanf(e.text, "%d) == %d", &mask, &want); err != nil {
			e.t.Fatalf("%v: %s", err, e.text)
		}
		e.text = e.text[len(fmt.Sprintf("%d) == %d", mask, want)):]
		return int(e.flags)&mask == want
	case e.skip("!"):
		return !e.unary()
	case e.skip("("):
		v := e.or()
		if !e.skip(")") {
			e.t.Fatalf("no ): %s", e.text)
		}
		return v
	}
	x := e.word()
	switch {
	case e.skip("=="):
		return x == e.word()
	case e.skip("in"):
		return netip.MustParsePrefix(e.word()).Contains(netip.MustParseAddr(x))
	}
	return x == "true"
}

func (e *evaluator) word() string {
	e.text = strings.TrimLeft(e.text, " ")
	n := strings.IndexAny(e.text, " )")
	if n < 0 {
		n = len(e.text)
	}
	w := e.text[:n]
	e.text = e.text[n:]
	if v, ok := e.names[w]; ok {
		return v
	}
	return w
}

// TestHeld checks that a flow is held until the records that may withdraw it have been read,
// however late that is.
func TestHeld(t *testing.T) {
	var got []Verdict
	w := &watcher{open: exchanges{}, owners: newOwners(), on: func(f *Flow) bool { got = append(got, f.Verdict); return true }}
	began := time.Now()
	record := func(verdict Verdict, kind string, after time.Duration) {
		w.record(&record{kind: kind, flow: Flow{Verdict: verdict, Time: began.Add(after), Direction: Egress, Proto: protoUDP, skb: uint64(after / time.Second)}})
	}
	flush := func(after time.Duration, pending bool, want ...Verdict) {
		t.Helper()
		got = nil
		if w.flush(began.Add(after), pending); !slices.Equal(got, want) {
			t.Errorf("after %v with pending records %v: %v, want %v", after, pending, got, want)
		}
	}
	record(Forwarded, kindPacket, 0)
	flush(hold/2, false)
	flush(time.Hour, true)
	record(Dropped, kindDrop, 0) // the packet from before
	record(Forwarded, kindPacket, time.Second)
	flush(time.Hour, true, Dropped)
	record(Forwarded, kindPacket, time.Second+hold/2)
	flush(time.Hour, true)
	flush(time.Hour, false, Forwarded, Forwarded)
}

// TestConditions checks that the kernel reports all flows that a filter selects, for each
// filter and for combinations. Flows about which only Match can decide must not be lost.
func TestConditions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var names []string
	for _, f := range FilterFlags() {
		if len(values[f.Name]) == 0 {
			t.Errorf("no values for --%s", f.Name)
		}
		names = append(names, f.Name)
	}
	selected, dropped := 0, 0
	for n := range 4000 {
		var x Filter
		add := func(s *Set) {
			name := names[r.IntN(len(names))]
			for range 1 + r.IntN(2) {
				list := values[name]
				if err := s.Add(name, list[r.IntN(len(list))]); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range n % 3 {
			add(&x.Allow)
		}
		for range n / 3 % 3 {
			add(&x.Deny)
		}
		at := x.conds()
		for range 20 {
			f := sample(r)
			sent := x.wants(f.Verdict)
			for _, conds := range at {
				for _, c := range conds {
					sent = sent && holds(t, c, f)
				}
			}
			switch match := x.Match(f); {
			case match && !sent:
				t.Fatalf("the kernel drops a flow of %+v: %v %+v", x, at, *f)
			case match:
				selected++
			case !sent:
				dropped++
			}
		}
	}
	if selected < 5000 || dropped < 5000 {
		t.Errorf("%d flows were selected, %d dropped by the kernel", selected, dropped)
	}
}

func TestFilterErrors(t *testing.T) {
	for flag, value := range map[string]string{
		"from-ip": "10.0.0.0/40", "ip": "here", "port": "0", "to-port": "65536", "protocol": "xyz", "ip-version": "5", "tcp-flags": "SYN,XYZ", "traffic-direction": "up",
		"verdict": "AUDIT", "drop-reason": "a b", "type": "agent", "pid": "0", "comm": "a name that is too long", "container": "", "fqdn": "[", "http-status": "x",
		"http-path": "(", "interface": "", "nothing": "1",
	} {
		var s Set
		if err := s.Add(flag, value); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("--%s %s: %v", flag, value, err)
		}
	}
}

// TestScripts checks that the scripts of all filters have the conditions that they need.
func TestScripts(t *testing.T) {
	for name, list := range values {
		var x Filter
		if err := x.Allow.Add(name, list[0]); err != nil {
			t.Fatal(err)
		}
		script := Script(&x, true)
		for _, conds := range x.conds() {
			for _, c := range conds {
				if !strings.Contains(script, c) {
					t.Errorf("--%s %s: the script does not have %s", name, list[0], c)
				}
			}
		}
		if got := strings.Contains(script, "pkt:out"); got != x.wants(Forwarded) {
			t.Errorf("--%s %s: packets %v", name, list[0], got)
		}
		if got := strings.Contains(script, "net:drop"); got != x.wants(Dropped) {
			t.Errorf("--%s %s: drops %v", name, list[0], got)
		}
	}
}

// TestPrinters prints flows in all formats.
func TestPrinters(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	addr := netip.MustParseAddr
	list := []*Flow{
		{Time: at, Verdict: Forwarded, Direction: Egress, Proto: protoTCP, Flags: SYN, Packets: 1, Bytes: 60, Interface: "eth0",
			Src: Endpoint{Addr: addr("10.0.0.1"), Port: 4000, Local: &Process{PID: 7, Comm: "curl", Container: "web"}},
			Dst: Endpoint{Addr: addr("192.0.2.1"), Port: 443, Names: []string{"www.example.com"}}},
		{Time: at, Verdict: Dropped, Reason: "NO_SOCKET", Place: "udpv6_queue_rcv", Direction: Ingress, Proto: protoUDP, Packets: 2, Bytes: 99,
			Src: Endpoint{Addr: addr("::1"), Port: 9}, Dst: Endpoint{Addr: addr("::2"), Port: 8}},
		{Time: at, Verdict: Forwarded, Direction: Ingress, Proto: protoTCP, Flags: PSH | ACK, Packets: 3, Bytes: 500,
			Src: Endpoint{Addr: addr("192.0.2.1"), Port: 80}, Dst: Endpoint{Addr: addr("10.0.0.1"), Port: 4001, Local: &Process{PID: 8, Comm: "a\x1bb", Unit: "x.service"}},
			HTTP: &HTTP{Status: 404, Method: "GET", Host: "h", Path: "/p", Query: masked, Protocol: "HTTP/1.1", Latency: 2 * time.Millisecond}},
		{Time: at, Verdict: Forwarded, Direction: Ingress, Proto: protoICMP, ICMP: &ICMP{3, 1}, Packets: 1, Bytes: 88, Src: Endpoint{Addr: addr("192.0.2.1")}, Dst: Endpoint{Addr: addr("10.0.0.1")}},
	}
	for format, want := range map[string]string{
		"compact": `Jan  2 03:04:05.006: 10.0.0.1:4000 (web curl[7]) -> www.example.com:443 from-endpoint FORWARDED (TCP Flags: SYN; 1 packet, 60 bytes)
Jan  2 03:04:05.006: [::1]:9 -> [::2]:8 NO_SOCKET at udpv6_queue_rcv DROPPED (UDP; 2 packets, 99 bytes)
Jan  2 03:04:05.006: 192.0.2.1:80 -> 10.0.0.1:4001 (x.service a\x1bb[8]) http-response FORWARDED (HTTP/1.1 404 2ms (GET http://h/p?***); 3 packets, 500 bytes)
Jan  2 03:04:05.006: 192.0.2.1 -> 10.0.0.1 to-endpoint FORWARDED (ICMPv4 DestinationUnreachable (code 1); 1 packet, 88 bytes)
`,
		"json": `{"flow":{"time":"2030-01-02T03:04:05.006Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"192.0.2.1","ipVersion":"IPv4"},"l4":{"TCP":{"destination_port":443,"flags":{"SYN":true},"source_port":4000}},"source":{"labels":["process:comm=curl","container:name=web"],"workloads":[{"name":"web","kind":"Container"}]},"destination":{"labels":["reserved:unknown"]},"Type":"L3_L4","node_name":"here","destination_names":["www.example.com"],"event_type":{"type":4,"sub_type":5},"traffic_direction":"EGRESS","trace_observation_point":"FROM_ENDPOINT","interface":{"name":"eth0"},"Summary":"TCP Flags: SYN","extensions":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"pid":7,"comm":"curl","container":"web","packets":1,"bytes":60}}},"node_name":"here","time":"2030-01-02T03:04:05.006Z"}
`,
	} {
		var b bytes.Buffer
		p := NewPrinter(format, &b, Style{Node: "here"})
		for _, f := range list {
			if err := p.Flow(f); err != nil {
				t.Fatal(err)
			}
			if format == "json" {
				break
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("%s (- want, + got):\n%s", format, d)
		}
	}
	for _, format := range Formats() {
		var b bytes.Buffer
		p := NewPrinter(format, &b, Style{})
		for _, f := range list {
			if err := p.Flow(f); err != nil {
				t.Fatal(err)
			}
		}
		p.Close()
		if strict := strings.Contains(b.String(), `"drop_reason_desc":"DROP_REASON_UNKNOWN"`); strict != (format == "jsonpb") {
			t.Errorf("%s has the wrong reason:\n%s", format, b.String())
		}
		if strings.HasPrefix(format, "json") {
			if err := schema.View("flows", b.Bytes()); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
		for _, want := range []string{"NO_SOCKET", "DROPPED", "404", "curl"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s lacks %s:\n%s", format, want, b.String())
			}
		}
	}
}

// TestPairs checks that responses are paired with the right requests.
func TestPairs(t *testing.T) {
	end := func(port uint16) Endpoint { return Endpoint{Addr: netip.MustParseAddr("10.0.0.1"), Port: port} }
	x := exchanges{}
	send := func(d Direction, from, to uint16, h *HTTP) *HTTP {
		f := &Flow{Direction: d, Src: end(from), Dst: end(to), HTTP: h}
		x.pair(f)
		return f.HTTP
	}
	request := func(path string) *HTTP { return &HTTP{Method: "GET", Path: path} }
	send(Egress, 1000, 80, request("/a"))
	send(Egress, 1000, 80, request("/b"))  // pipelined
	send(Egress, 1001, 80, request("/c"))  // another connection
	send(Ingress, 1000, 80, request("/d")) // the other end of the first one
	for _, c := range []struct {
		dir    Direction
		to     uint16
		status int
		want   string
	}{{Ingress, 1000, 100, ""}, {Ingress, 1000, 200, "/a"}, {Egress, 1000, 200, "/d"}, {Ingress, 1001, 404, "/c"}, {Ingress, 1000, 200, "/b"}, {Ingress, 1000, 200, ""}} {
		if got := send(c.dir, 80, c.to, &HTTP{Status: c.status}); got.Path != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	for range maxRequests + 1 {
		send(Egress, 1002, 80, request("/e"))
	}
	if got := send(Ingress, 80, 1002, &HTTP{Status: 200}); got.Path != "" {
		t.Errorf("more requests than are kept: %+v", got)
	}
	for port := range uint16(maxExchanges + 10) {
		send(Egress, 2000+port, 80, request("/f"))
	}
	if len(x) > maxExchanges {
		t.Errorf("%d connections", len(x))
	}
	x.end(&Flow{Direction: Egress, Src: end(2000), Dst: end(80), Flags: FIN})
	if got := send(Ingress, 80, 2000, &HTTP{Status: 200}); got.Path != "" {
		t.Errorf("after the end: %+v", got)
	}
}

func FuzzDNS(f *testing.F) {
	f.Add([]byte("\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x02"))
	f.Add([]byte("\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := parseDNS(b)
		if !ok {
			return
		}
		m.summary()
		if !strings.HasSuffix(m.Query, ".") || len(m.Query) > 4*255 {
			t.Errorf("%q", m.Query)
		}
		for _, c := range m.Query {
			if c <= ' ' || c > '~' {
				t.Errorf("%q", m.Query)
			}
		}
		var n names
		n.learn(m)
	})
}

func FuzzHTTP(f *testing.F) {
	f.Add([]byte("GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Add([]byte("GET http://u:p@h/a HTTP/1.1\r\n"))
	f.Add([]byte("HTTP/1.1 404 Not Found\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := parseHTTP(b)
		if h == nil {
			return
		}
		query := h.Query
		h.mask()
		h.summary()
		if len(query) > 3 && strings.Contains(h.url(), "?"+query) {
			t.Errorf("%q is shown: %q", query, h.url())
		}
	})
}

func TestParse(t *testing.T) {
	m, ok := parseDNS([]byte("\x00\x07\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00\x03WWW\x07example\x03com\x00\x00\x01\x00\x01\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01x\xc0\x10\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x02"))
	if !ok {
		t.Fatal("it is not read")
	}
	if got, want := m.summary(), `DNS Answer "127.0.0.2" CNAMEs: "x.example.com." TTL: 60 (Query www.example.com. A)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	h := parseHTTP([]byte("GET http://u:p@h.example/a?b=c HTTP/1.0\r\n\r\n"))
	h.mask()
	if got, want := h.summary(), "HTTP/1.0 GET http://***@h.example/a?***"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
