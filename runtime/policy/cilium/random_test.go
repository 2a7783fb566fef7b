package cilium_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/gotrace/gotrace/lang/policy"
	front "github.com/gotrace/gotrace/lang/policy/cilium"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/policy/cilium"
	"github.com/gotrace/gotrace/runtime/tracer"
	"github.com/gotrace/gotrace/tests/schema"
)

// policies and packets are the numbers of random policies, and of packets for each.
const (
	randomPolicies = 9
	randomPackets  = 70
)

// addresses are the peers of random packets. Random policies name prefixes of them.
var addresses = []string{
	"10.1.2.3", "10.1.9.9", "10.2.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.8", "127.0.0.1", "10.9.0.2", "10.96.0.1",
	"fd00::1", "fd00:1::2", "2001:db8::5", "::1",
}

var prefixes = []string{
	"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "192.0.2.0/24", "198.51.100.0/25", "0.0.0.0/0", "127.0.0.0/8",
	"fd00::/16", "fd00:1::/32", "2001:db8::/32", "::/0",
}

var names = []string{"www.example.com", "a.b.example.com", "example.com", "cilium.io", "api.cilium.io", "org"}

var namePatterns = []string{"*.example.com", "**.example.com", "w*.example.com", "*", "*.io", "*", "a*.c*m.io"}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// generator writes the text of random policies.
type generator struct {
	r *rand.Rand
	b strings.Builder
}

func (g *generator) line(depth int, format string, args ...any) {
	g.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&g.b, format+"\n", args...)
}

func (g *generator) policy(n int) {
	r := g.r
	g.line(0, "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p%d}\nspec:", n)
	g.line(1, "endpointSelector: {matchLabels: {%s}}", pick(r, []string{"app: web", "tier: front", "", "app: web", "app: other"}))
	if r.IntN(4) == 0 {
		g.line(1, "enableDefaultDeny: {%s: %v}", pick(r, []string{"ingress", "egress"}), r.IntN(3) == 0)
	}
	for _, section := range []string{"ingress", "egress", "ingressDeny", "egressDeny"} {
		deny := strings.HasSuffix(section, "Deny")
		if r.IntN(3) == 0 || deny && r.IntN(3) > 0 {
			continue
		}
		g.line(1, "%s:", section)
		for range 1 + r.IntN(4) {
			g.rule(section, deny)
		}
	}
	if r.IntN(5) == 0 {
		g.line(1, "labels: []")
	}
}

func (g *generator) rule(section string, deny bool) {
	r := g.r
	way, egress := "from", strings.HasPrefix(section, "egress")
	if egress {
		way = "to"
	}
	if r.IntN(12) == 0 && !deny {
		g.line(2, "- {}")
		return
	}
	peer, what := true, r.IntN(4)
	switch r.IntN(12) {
	case 0, 1:
		g.line(2, "- %sCIDR: [%q, %q]", way, pick(r, prefixes), pick(r, prefixes))
	case 2:
		c := pick(r, []string{"10.0.0.0/8", "0.0.0.0/0"})
		g.line(2, "- %sCIDRSet: [{cidr: %s, except: [10.1.0.0/16, %s]}, {cidr: %q}]", way, c, pick(r, []string{"10.2.0.0/15", "10.9.0.2/32"}), pick(r, prefixes))
	case 3, 4:
		g.line(2, "- %sEntities: [%s]", way, pick(r, []string{"all", "world", "cluster", "host", "kube-apiserver", "none", "host, world", "world-ipv4", "world-ipv6"}))
	case 5:
		g.line(2, "- %sEndpoints: [%s]", way, pick(r, []string{"{}", "{matchLabels: {app: db}}", "{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}"}))
		if r.IntN(3) == 0 {
			g.line(2, "  %sRequires: [%s]", way, pick(r, []string{"{matchLabels: {app: db}}", "{matchExpressions: [{key: tier, operator: DoesNotExist}]}", "{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}"}))
		}
	case 9:
		g.line(2, "- %sCIDRSet: [{cidrGroupRef: offices, except: [%s]}]", way, pick(r, []string{"10.1.2.0/24", "192.0.2.1/32"}))
	case 10:
		g.line(2, "- %s%s: []", way, pick(r, []string{"CIDR", "Endpoints", "Entities"}))
	case 11:
		if egress {
			g.line(2, "- toServices: [{k8sService: {serviceName: shop, namespace: store}}]")
			break
		}
		peer = false
	case 6:
		if egress && !deny {
			g.line(2, "- toFQDNs: [%s, %s]", g.name(), g.name())
			break
		}
		fallthrough
	default:
		peer = false
	}
	if peer && what == 0 {
		return
	}
	lead := "- "
	if peer {
		lead = "  "
	}
	if what == 1 {
		g.line(2, "%sicmps: [{fields: [{family: IPv4, type: %d}, {family: IPv6, type: %s}]}]", lead, pick(r, []int{0, 8, 3, 13}), pick(r, []string{"EchoRequest", "EchoReply", "2"}))
		return
	}
	g.line(2, "%stoPorts:", lead)
	for range 1 + r.IntN(2) {
		g.ports(deny)
	}
}

func (g *generator) name() string {
	if g.r.IntN(2) == 0 {
		return "{matchName: " + pick(g.r, names) + "}"
	}
	return fmt.Sprintf("{matchPattern: %q}", pick(g.r, namePatterns))
}

func (g *generator) ports(deny bool) {
	r := g.r
	deep := r.IntN(2) == 0 && !deny
	switch kind := r.IntN(4); {
	case deep && kind == 2:
		g.line(3, "- ports: [{port: \"9092\", protocol: TCP}]")
		g.line(3, "  rules:")
		g.line(3, "    kafka:")
		for range 1 + r.IntN(3) {
			g.kafka()
		}
	case deep && kind == 0:
		g.line(3, "- ports: [{port: %q, protocol: TCP}]", pick(r, []string{"80", "8080", "http"}))
		g.line(3, "  rules:")
		g.line(3, "    http:")
		for range 1 + r.IntN(3) {
			g.http()
		}
	case deep && kind == 1:
		g.line(3, "- ports: [{port: \"53\", protocol: %s}]", pick(r, []string{"UDP", "ANY"}))
		g.line(3, "  rules: {dns: [%s, %s]}", g.name(), g.name())
	case deep:
		g.line(3, "- ports: [{port: \"443\", protocol: TCP}]")
		g.line(3, "  serverNames: [%q, %q]", pick(r, names), pick(r, namePatterns[:3]))
	default:
		var list []string
		for range 1 + r.IntN(2) {
			list = append(list, pick(r, []string{
				`{port: "80", protocol: TCP}`, `{port: "53"}`, `{port: "0", protocol: UDP}`, `{port: "0"}`, `{port: "8000", endPort: 8100, protocol: TCP}`,
				`{port: "443", protocol: ANY}`, `{port: https, protocol: tcp}`, `{port: "1", endPort: 65535, protocol: SCTP}`, `{port: "0", protocol: ICMP}`, `{port: "0", protocol: VRRP}`,
			}))
		}
		g.line(3, "- ports: [%s]", strings.Join(list, ", "))
	}
}

func (g *generator) kafka() {
	r := g.r
	var parts []string
	if what := r.IntN(3); what == 0 {
		parts = append(parts, "role: "+pick(r, []string{"produce", "consume"}))
	} else if what == 1 {
		parts = append(parts, "apiKey: "+pick(r, []string{"fetch", "Produce", "metadata", "heartbeat", "offsetcommit"}))
	}
	if r.IntN(3) == 0 {
		parts = append(parts, `apiVersion: "`+pick(r, []string{"0", "3", "9"})+`"`)
	}
	if r.IntN(3) == 0 {
		parts = append(parts, "clientID: "+pick(r, []string{"shop", "billing"}))
	}
	if r.IntN(2) == 0 {
		parts = append(parts, "topic: "+pick(r, []string{"orders", "deaths", strings.Repeat("t", 200)}))
	}
	g.line(5, "- {%s}", strings.Join(parts, ", "))
}

func (g *generator) http() {
	r := g.r
	rule := "- {"
	sep := ""
	add := func(format string, args ...any) { rule, sep = rule+sep+fmt.Sprintf(format, args...), ", " }
	if r.IntN(2) == 0 {
		add("method: %q", pick(r, []string{"GET", "PUT|POST", "P.*", ".*"}))
	}
	if r.IntN(3) > 0 {
		add("path: %q", pick(r, []string{"/public.*", "/items/[0-9]+", "/", ".*\\\\?x=1", "/[^/]*", "^/a$"}))
	}
	if r.IntN(3) == 0 {
		add("host: %q", pick(r, []string{"api\\\\..*", ".*", "www.example.com", "[^.]*"}))
	}
	if r.IntN(3) == 0 {
		add("headers: [%q]", pick(r, []string{"X-Token: 42", "x-token", "Accept: */*"}))
	}
	if r.IntN(4) == 0 {
		add("headerMatches: [{name: x-Token, value: %q}, {name: Accept, mismatch: LOG}]", pick(r, []string{"42", ""}))
	}
	g.line(5, "%s}", strings.ReplaceAll(rule, `\\\\`, `\\`))
}

// randomPacket returns a packet, often related to an earlier one.
func randomPacket(r *rand.Rand, n int, before []*packet) *packet {
	if len(before) > 0 && r.IntN(4) == 0 { // an answer, or another packet of the exchange
		p := *pick(r, before)
		if p.proto == 17 || p.proto == 1 || p.proto == 58 {
			if r.IntN(3) > 0 {
				p.dir = 1 - p.dir
				if p.query != "" {
					for range r.IntN(3) {
						p.answer = append(p.answer, netip.MustParseAddr(pick(r, addresses)))
					}
					p.data = dnsMessage(p.query, p.answer)
				}
			}
			return &p
		}
	}
	p := &packet{dir: front.Direction(r.IntN(2)), peer: netip.MustParseAddr(pick(r, addresses)), proto: pick(r, []uint8{6, 6, 6, 6, 17, 17, 1, 58, 132, 112})}
	if p.peer.Is6() && p.proto == 1 || p.peer.Is4() && p.proto == 58 {
		p.proto = 17
	}
	other, to := uint16(20000+n), pick(r, []uint16{80, 8080, 8050, 53, 443, 22, 9, 9092})
	p.pport, p.lport = other, to
	if p.dir == front.Egress {
		p.pport, p.lport = to, other
	}
	switch p.proto {
	case 6:
		p.flags = pick(r, []uint8{2, 2, 0x12, 0x10, 0x18, 0x18, 0x18})
		if p.flags == 0x18 {
			p.segment(r)
		}
	case 17:
		if r.IntN(3) > 0 {
			p.query = pick(r, names)
			p.data = dnsMessage(mixed(r, p.query), nil)
			if p.dir == front.Egress {
				p.pport = 53
			}
		}
	case 1:
		p.flags, p.pport, p.lport = pick(r, []uint8{0, 8, 3, 11, 13}), 0, uint16(n)
	case 58:
		p.flags, p.pport, p.lport = pick(r, []uint8{1, 2, 128, 129, 135}), 0, uint16(n)
	case 112:
		p.pport, p.lport = 0, 0
	}
	return p
}

// mixed returns a name with letters of both cases.
func mixed(r *rand.Rand, name string) string {
	if r.IntN(2) == 0 {
		return strings.ToUpper(name)
	}
	return name
}

// segment adds data to a packet of TCP.
func (p *packet) segment(r *rand.Rand) {
	switch n := r.IntN(8); {
	case n == 6, p.lport == 9092 || p.pport == 9092:
		p.kafka = randomKafka(r)
		p.data = p.kafka.message(r)
	case n == 0:
		p.data = []byte("HTTP/1.1 200 OK\r\n\r\n")
	case n == 1:
		p.query = pick(r, names)
		m := dnsMessage(p.query, nil)
		p.data = append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
	case n == 2:
		p.server = pick(r, append(slices.Clone(names), "-"))
		p.data = clientHello(r, p.server)
	default:
		h := &httpRequest{method: pick(r, []string{"GET", "PUT", "POST", "PATCH"}), path: pick(r, []string{"/public", "/public/x", "/items/42", "/items/x", "/", "/y?x=1", "/a", "/a/b"}), host: pick(r, []string{"api.example.com", "www.example.com", "localhost"})}
		if r.IntN(2) == 0 {
			h.headers = append(h.headers, [2]string{pick(r, []string{"X-Token", "x-TOKEN"}), pick(r, []string{"42", "421", ""})})
		}
		if r.IntN(3) == 0 {
			h.headers = append(h.headers, [2]string{"Accept", "*/*"})
		}
		text := h.method + " " + h.path + " HTTP/1.1\r\n" + pick(r, []string{"Host: ", "HOST:", "host: \t"}) + h.host + "\r\n"
		for _, header := range h.headers {
			text += header[0] + ": " + header[1] + "\r\n"
		}
		p.http, p.data = h, []byte(text+"\r\n")
	}
}

// dnsMessage returns a question, or an answer to it.
func dnsMessage(name string, answer []netip.Addr) []byte {
	be := binary.BigEndian
	m := []byte{0x12, 0x34, 1, 0, 0, 1, 0, byte(len(answer)), 0, 0, 0, 0}
	if answer != nil {
		m[2] = 0x81
	}
	for label := range strings.SplitSeq(name, ".") {
		m = append(append(m, byte(len(label))), label...)
	}
	m = append(m, 0, 0, 1, 0, 1)
	for _, a := range answer {
		kind := uint16(1)
		if a.Is6() {
			kind = 28
		}
		m = be.AppendUint16(append(m, 0xc0, 12), kind)
		m = be.AppendUint32(append(m, 0, 1), 30)
		m = be.AppendUint16(m, uint16(a.BitLen()/8))
		m = append(m, a.AsSlice()...)
	}
	return m
}

// clientHello returns the greeting of a client of TLS.
func clientHello(r *rand.Rand, server string) []byte {
	be := binary.BigEndian
	body := append([]byte{3, 3}, make([]byte, 32)...)
	session := r.IntN(33)
	body = append(append(body, byte(session)), make([]byte, session)...)
	ciphers := 2 * (1 + r.IntN(20))
	body = append(be.AppendUint16(body, uint16(ciphers)), make([]byte, ciphers)...)
	body = append(body, 1, 0)
	var ext []byte
	other := func() {
		size := r.IntN(40)
		ext = be.AppendUint16(be.AppendUint16(ext, uint16(1+r.IntN(50))), uint16(size))
		ext = append(ext, make([]byte, size)...)
	}
	for range r.IntN(5) {
		other()
	}
	if server != "-" {
		ext = be.AppendUint16(append(ext, 0, 0), uint16(len(server)+5))
		ext = be.AppendUint16(ext, uint16(len(server)+3))
		ext = be.AppendUint16(append(ext, 0), uint16(len(server)))
		ext = append(ext, server...)
	}
	other()
	body = append(be.AppendUint16(body, uint16(len(ext))), ext...)
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append(be.AppendUint16([]byte{22, 3, 1}, uint16(len(message))), message...)
}

// frame returns the packet with an Ethernet header.
func (p *packet) frame() []byte {
	be := binary.BigEndian
	src, dst, sport, dport := netip.MustParseAddr("192.0.2.200"), p.peer, p.lport, p.pport
	if p.peer.Is6() {
		src = netip.MustParseAddr("2001:db8::200")
	}
	if p.dir == front.Ingress {
		src, dst, sport, dport = dst, src, dport, sport
	}
	var l4 []byte
	switch p.proto {
	case 6:
		l4 = make([]byte, 20)
		l4[12], l4[13] = 5<<4, p.flags
	case 17:
		l4 = make([]byte, 8)
		be.PutUint16(l4[4:], uint16(8+len(p.data)))
	case 132:
		l4 = make([]byte, 12)
	default:
		l4 = make([]byte, 8)
		l4[0] = p.flags
		be.PutUint16(l4[4:], p.lport)
	}
	if front.HasPorts(p.proto) {
		be.PutUint16(l4, sport)
		be.PutUint16(l4[2:], dport)
	}
	l4 = append(l4, p.data...)
	f := make([]byte, 12)
	if p.peer.Is4() {
		h := make([]byte, 20)
		h[0], h[8], h[9] = 0x45, 64, p.proto
		be.PutUint16(h[2:], uint16(20+len(l4)))
		copy(h[12:], src.AsSlice())
		copy(h[16:], dst.AsSlice())
		return append(append(be.AppendUint16(f, 0x0800), h...), l4...)
	}
	h := make([]byte, 40)
	h[0], h[6], h[7] = 0x60, p.proto, 64
	be.PutUint16(h[4:], uint16(len(l4)))
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return append(append(be.AppendUint16(f, 0x86dd), h...), l4...)
}

// testCgroup makes a cgroup without processes.
func testCgroup(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loading programs needs root")
	}
	root, err := cgroups.Version2("/proc")
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp(root, "gotrace-policy-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	return dir
}

// programs returns the program of a cgroup for each direction.
func programs(t *testing.T, dir string) (list [2]*ebpf.Program) {
	t.Helper()
	fd, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	for d, at := range []ebpf.AttachType{ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress} {
		res, err := link.QueryPrograms(link.QueryOptions{Target: int(fd.Fd()), Attach: at})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range res.Programs {
			prog, err := ebpf.NewProgramFromID(p.ID)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { prog.Close() })
			list[d] = prog
		}
	}
	return list
}

// newGenerator returns a generator that has written 1 to most policies, and the group of
// addresses that they name.
func newGenerator(r *rand.Rand, most int) *generator {
	g := &generator{r: r}
	g.line(0, "apiVersion: cilium.io/v2alpha1\nkind: CiliumCIDRGroup\nmetadata: {name: offices}\nspec: {externalCIDRs: [10.1.0.0/16, 192.0.2.0/24, fd00::/16]}")
	for i := range 1 + r.IntN(most) {
		g.policy(i)
	}
	return g
}

// TestRandom runs random packets through the programs of random policies, which observe or
// enforce, and compares the verdicts and the rules with those of the model. The variable
// SEED selects others.
func TestRandom(t *testing.T) {
	dir := testCgroup(t)
	seed := uint64(1)
	if text := os.Getenv("SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	cases, denied := 0, 0
	for n := 0; n < randomPolicies || cases < 1000; n++ { // some select nothing
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		g := newGenerator(r, 3)
		var packets []*packet
		for i := range randomPackets {
			packets = append(packets, randomPacket(r, i, packets))
		}
		for _, enforce := range []bool{false, true} {
			c, d := compare(t, dir, g.b.String(), packets, enforce)
			cases, denied = cases+c, denied+d
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d packets, %d denied", cases, denied)
	if denied < cases/20 {
		t.Errorf("too few of %d packets are denied: %d", cases, denied)
	}
}

// translated returns the script for the endpoint of a cgroup, and its translation.
func translated(dir, text string, enforce bool) (*front.Policies, *front.Machine, *front.Script, error) {
	machine := &front.Machine{
		Endpoints: []*front.Endpoint{
			{Name: "web", Dir: dir, ID: 1 << 40, Level: 1, Labels: labels("app=web,tier=front")},
			{Name: "db", Labels: labels("app=db"), Addrs: prefixList("10.9.0.2/32")},
		},
		Host: prefixList("127.0.0.0/8", "::1/128", "192.0.2.1/32"), Cluster: prefixList("10.0.0.0/8"),
		Entities: map[string][]netip.Prefix{"kube-apiserver": prefixList("10.96.0.1/32")},
		Services: map[string][]netip.Prefix{"store/shop": prefixList("198.51.100.0/28", "fd00:1::2/128")},
	}
	var diags source.Diags
	docs := policy.Documents(source.NewFile("policy.yaml", text), &diags)
	p := front.Read(docs, &policy.Terms{Unsafe: enforce}, &diags)
	list := front.Resolve(p, machine, &diags)
	script := front.Translate(list, enforce, &diags)
	return p, machine, script, diags.Err()
}

// run runs a script while during runs, and returns the flows that the script reports.
func run(t *testing.T, script *front.Script, text string, during func()) (got []*cilium.Flow) {
	t.Helper()
	compiled, err := tracer.Compile(script.File.Text, tracer.Options{Unsafe: script.Unsafe, Kernel: kernel.Live()})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s, err := compiled.Start(context.Background(), func(e tracer.Event) {
		switch e := e.(type) {
		case tracer.Printed:
			flow, err := cilium.Decode(script, e.Value)
			if err != nil {
				t.Error(err)
				return
			}
			line, err := json.Marshal(flow.Response("here"))
			if err == nil {
				err = schema.Flows(line)
			}
			if err != nil {
				t.Error(err)
			}
			got = append(got, flow)
		case tracer.Lost:
			t.Errorf("lost %d", e)
		}
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	during()
	s.Stop()
	if _, err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	return got
}

// compare runs packets through the programs of policies. It returns the number of packets
// and of those that were denied.
func compare(t *testing.T, dir, text string, packets []*packet, enforce bool) (cases, denied int) {
	t.Helper()
	p, machine, script, err := translated(dir, text, enforce)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(script.Decisions) == 0 {
		return 0, 0
	}
	m := &model{policies: p, machine: machine, endpoint: machine.Endpoints[0], enforce: enforce, began: map[exchange]front.Direction{}, names: map[netip.Addr][]string{}}
	var want []outcome
	var of []*packet
	got := run(t, script, text, func() {
		progs := programs(t, dir)
		for i, packet := range packets {
			o := m.decide(packet)
			cases++
			if prog := progs[packet.dir]; prog != nil {
				ret, err := prog.Run(&ebpf.RunOptions{Data: packet.frame()})
				if err != nil {
					t.Fatal(err)
				}
				passes := uint32(1)
				if o.denied && enforce {
					passes = 0
				}
				if ret != passes {
					t.Errorf("packet %d %+v: the program returns %d, the model wants %+v\n%s", i, *packet, ret, o, text)
				}
			}
			if !o.silent {
				want = append(want, o)
				of = append(of, packet)
				if o.denied {
					denied++
				}
			}
		}
	})
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			t.Errorf("enforce %v: no result for %+v: %+v\n%s", enforce, *of[i], want[i], text)
			return cases, denied
		case i >= len(want):
			t.Errorf("enforce %v: a result too many: %s %s %s\n%s", enforce, got[i].Src, got[i].Dst, got[i].Rule(), text)
			return cases, denied
		}
		rule := ""
		if e := got[i].Entry; e != nil {
			rule = got[i].Rule()
		}
		peer := netip.AddrPortFrom(of[i].peer, of[i].pport)
		side := got[i].Src
		if of[i].dir == front.Egress {
			side = got[i].Dst
		}
		if got[i].Denied != want[i].denied || !slices.Contains(want[i].rules, rule) || side != peer {
			t.Errorf("enforce %v: %+v\ngot  %s -> %s denied %v by %q\nwant denied %v by one of %q\n%s", enforce, *of[i], got[i].Src, got[i].Dst, got[i].Denied, rule, want[i].denied, want[i].rules, text)
			return cases, denied
		}
	}
	return cases, denied
}

func labels(text string) front.Labels {
	l, err := front.ParseLabels(text)
	if err != nil {
		panic(err)
	}
	return l
}

func prefixList(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
