package cilium

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// ruleCases are rules for the endpoint app=web that use each field of the schema. The first
// message about a rule contains the text in want: "" if there is none. A warning begins
// with "~".
var ruleCases = []struct{ rule, want string }{
	{"ingress: []", ""},
	{"ingress: [{}]", ""},
	{"{ingress: [], egress: []}", ""},
	{"ingress: [{fromEndpoints: []}]", ""},
	{"ingress: [{fromEndpoints: [{}]}]", ""},
	{"ingress: [{fromEndpoints: [{matchLabels: {app: db}}]}]", ""},
	{"ingress: [{fromEndpoints: [{matchLabels: {app: unknown}}]}]", "~no endpoint that is known here matches app=unknown"},
	{"egress: [{toEndpoints: [{matchExpressions: [{key: app, operator: In, values: [db, x]}, {key: y, operator: NotIn, values: [x]}, {key: app, operator: exists}, {key: z, operator: DoesNotExist}]}]}]", ""},
	{"egress: [{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system, 'any:k8s-app': kube-dns}}]}]", ""},
	{"egress: [{toEndpoints: [{matchLabels: {'reserved:host': ''}}]}]", ""},
	{"ingress: [{fromRequires: [{matchLabels: {app: db}}], fromEndpoints: [{}]}]", ""},
	{"egress: [{toRequires: [{matchLabels: {app: db}}]}]", ""},
	{"egress: [{toEntities: [all, world, world-ipv4, world-ipv6, cluster, host, none, kube-apiserver]}]", ""},
	{"egress: [{toEntities: [init]}]", "~the entity init matches nothing"},
	{"egress: [{toEntities: [remote-node, ingress, unmanaged, health]}]", "~the entity remote-node matches nothing"},
	{"egress: [{toEntities: [moon]}]", "an entity cannot be 'moon'"},
	{"egress: [{toCIDR: [192.0.2.0/24, '2001:db8::/32', 192.0.2.1]}]", ""},
	{"egress: [{toCIDR: [192.0.2.0/33]}]", "'192.0.2.0/33' is neither an address nor a prefix"},
	{"egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.96.0.0/12, 10.1.2.3/32]}]}]", ""},
	{"egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [192.0.2.0/24]}]}]", "the exception 192.0.2.0/24 is not part of 10.0.0.0/8"},
	{"ingress: [{fromCIDRSet: [{cidrGroupRef: known, except: [10.1.0.0/16]}]}]", ""},
	{"ingress: [{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {role: vpn}}}]}]", ""},
	{"ingress: [{fromCIDRSet: [{cidrGroupRef: other}]}]", "~no CIDR group of that name or with those labels is known"},
	{"egress: [{toFQDNs: [{matchName: a.example.com}, {matchPattern: '*.example.com'}, {matchPattern: '**.example.com'}, {matchPattern: '*'}]}]", ""},
	{"egress: [{toFQDNs: [{matchName: a.example.com, matchPattern: '*'}]}]", "there must be one of matchName and matchPattern"},
	{"egressDeny: [{toFQDNs: [{matchName: a.example.com}]}]", "has no field 'toFQDNs'"},
	{"egress: [{toServices: [{k8sService: {serviceName: db, namespace: store}}]}]", ""},
	{"egress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {a: b}}, namespace: store}}]}]", "~the addresses of the service 'a=b' are not known here"},
	{"egress: [{toGroups: [{aws: {securityGroupsIds: [sg-1]}}]}]", "toGroups needs the API of a cloud"},
	{"ingress: [{fromGroups: [{aws: {securityGroupsIds: [sg-1]}}]}]", "fromGroups needs the API of a cloud"},
	{"egress: [{toNodes: [{matchLabels: {node: there}}]}]", ""},
	{"ingress: [{fromNodes: [{matchLabels: {node: nowhere}}]}]", "~no machine that is known here matches node=nowhere"},
	{"ingress: [{fromEndpoints: [{}], fromEntities: [host]}]", "Cilium cannot combine fromEndpoints and fromEntities in one item"},
	{"ingress: [{fromCIDR: [10.0.0.0/8], fromCIDRSet: [{cidr: 192.0.2.0/24}]}]", ""},
	{"egress: [{toPorts: [{ports: [{port: '80', protocol: TCP}, {port: 53, protocol: udp}, {port: '132', protocol: SCTP}, {port: '1', protocol: ANY}, {port: '2'}]}]}]", ""},
	{"egress: [{toPorts: [{ports: [{port: '8080', endPort: 8090, protocol: TCP}, {port: '0', protocol: UDP}, {port: https, protocol: TCP}, {protocol: TCP}]}]}]", ""},
	{"egress: [{toPorts: [{ports: [{port: '8080', endPort: 80}]}]}]", "the range of ports ends before it starts"},
	{"egress: [{toPorts: [{ports: [{port: metrics, protocol: TCP}]}]}]", "~no port of the name 'metrics' is known here"},
	{"egress: [{toPorts: [{ports: [{port: '0', protocol: VRRP}, {protocol: IGMP}, {port: '8', protocol: ICMP}, {port: '128', protocol: ICMPv6}]}]}]", ""},
	{"egress: [{toPorts: [{ports: [{port: '70000'}]}]}]", "'70000' is not a port"},
	{"egress: [{toEntities: [world], toPorts: [{ports: [{port: '80'}]}], icmps: [{fields: [{type: 8}]}]}]", "Cilium cannot combine toPorts and icmps in one item"},
	{"egress: [{toPorts: [{ports: [{port: '80'}], listener: {envoyConfig: {name: e}, name: l}}]}]", "a listener needs Envoy"},
	{"egress: [{toPorts: [{ports: [{port: '443'}], terminatingTLS: {secret: {name: s}}}]}]", "terminatingTLS needs Envoy"},
	{"egress: [{toPorts: [{ports: [{port: '443'}], originatingTLS: {secret: {name: s}}}]}]", "originatingTLS needs Envoy"},
	{"egress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], serverNames: [example.com, '*.example.org', '**.example.net']}]}]", "~a ClientHello whose server name is encrypted"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET, path: /a/.*}, {method: GET|PUT, host: '.*[.]example[.]com', headers: ['X-My: true', X-Token]}, {}]}}]}]", "~requests of HTTP"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: [{name: X, value: y}, {name: Z}]}]}}]}]", "~requests of HTTP"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: [{name: X, value: y, mismatch: LOG}]}]}}]}]", "~requests of HTTP"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: [{name: X, value: y, mismatch: ADD}]}]}}]}]", "gotrace cannot change a request whose header does not match: mismatch ADD"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: [{name: X, value: y, mismatch: DELETE}]}]}}]}]", "mismatch DELETE"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: [{name: X, value: y, mismatch: REPLACE}]}]}}]}]", "mismatch REPLACE"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: [{name: X, secret: {name: s}}]}]}}]}]", "the value of a header is in a secret"},
	{"ingress: [{toPorts: [{ports: [{port: '80', protocol: UDP}], rules: {http: [{}]}}]}]", "rules for HTTP and Kafka are for ports of TCP"},
	{"egress: [{toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchName: a.b}, {matchPattern: '*.c'}]}}]}]", ""},
	{"ingress: [{toPorts: [{ports: [{port: '9092', protocol: TCP}], rules: {kafka: [{role: produce, topic: t}, {apiKey: fetch, apiVersion: '1', clientID: c}]}}]}]", "~requests of Kafka"},
	{"ingress: [{toPorts: [{ports: [{port: '9042', protocol: TCP}], rules: {l7proto: cassandra, l7: [{query_action: select}]}}]}]", "gotrace has no parser for requests of 'cassandra'"},
	{"egress: [{icmps: [{fields: [{type: 8, family: IPv4}, {type: EchoRequest, family: IPv6}, {type: EchoReply}, {type: '3'}]}]}]", ""},
	{"egress: [{icmps: [{fields: [{type: Nothing}]}]}]", "Nothing"},
	{"ingress: [{fromEndpoints: [{}], authentication: {mode: disabled}}]", ""},
	{"ingress: [{fromEndpoints: [{}], authentication: {mode: required}}]", "authentication of peers needs SPIRE"},
	{"{enableDefaultDeny: {egress: false, ingress: true}, egress: [{toEntities: [world]}], labels: [{key: a, value: b}], description: d, log: {value: v}}", ""},
	{"egressDeny: [{toCIDR: [192.0.2.0/24], toPorts: [{ports: [{port: '80'}]}]}]", ""},
	{"egressDeny: [{toPorts: [{ports: [{port: '80'}], rules: {http: [{}]}}]}]", "has no field 'rules'"},
	{"ingressDeny: [{fromEntities: [world]}, {icmps: [{fields: [{type: 8}]}]}]", ""},
	{"ingres: []", "has no field 'ingres'"},
	{"ingress: {}", "ingress must be a list, not a mapping"},
}

// TestSchema translates a rule for each field of the schema, in a policy of a namespace and
// in a clusterwide one.
func TestSchema(t *testing.T) {
	const group = "\n---\napiVersion: cilium.io/v2alpha1\nkind: CiliumCIDRGroup\nmetadata: {name: known, labels: {role: vpn}}\nspec: {externalCIDRs: [10.0.0.0/8, 192.0.2.1]}\n"
	for _, kind := range []string{kindPolicy, kindCluster} {
		for _, c := range ruleCases {
			rule := strings.TrimSuffix(strings.TrimPrefix(c.rule, "{"), "}")
			if !strings.HasPrefix(c.rule, "{") {
				rule = c.rule
			}
			text := "apiVersion: cilium.io/v2\nkind: " + kind + "\nmetadata: {name: p, annotations: {a: b}}\nspec: {endpointSelector: {matchLabels: {app: web}}, " + rule + "}" + group
			for _, unsafe := range []bool{false, true} {
				var diags source.Diags
				p := Read(documents(text, &diags), &policy.Terms{Unsafe: unsafe}, &diags)
				list := Resolve(p, testMachine(), &diags)
				got := ""
				for _, d := range diags.All() {
					mark := ""
					if d.Severity == source.Warning {
						mark = "~"
					}
					if got == "" || mark == "" && got[0] == '~' {
						got = mark + d.Msg
					}
				}
				if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
					t.Errorf("%s: %s\ngot  %s\nwant %s", kind, c.rule, got, c.want)
				}
				if diags.HasErrors() {
					continue
				}
				if len(list) == 0 {
					t.Errorf("%s: %s: it decides nothing", kind, c.rule)
					continue
				}
				formatted(t, Translate(list, unsafe, &diags).File)
			}
		}
	}
}

// TestGroups divides expressions that together are too large for one automaton, and refuses
// those that need too many automata.
func TestGroups(t *testing.T) {
	var plain, hard, many []string
	for i := range 70 {
		plain = append(plain, fmt.Sprintf(`\A/a%d\z`, i), fmt.Sprintf(`\A/a%d\z`, i/2))
	}
	for i := range 40 {
		hard = append(hard, fmt.Sprintf(`\A/%d/.*b.*c`, i))
	}
	for i := range maxGroups*groupSize + 1 {
		many = append(many, fmt.Sprintf(`\A%d\z`, i))
	}
	for _, c := range []struct {
		list []string
		want bool
	}{{nil, true}, {plain, true}, {hard, true}, {many[1:], true}, {many, false}} {
		g, ok := groupsOf(slices.Clone(c.list))
		if ok != c.want {
			t.Errorf("%d expressions as %s: %v, want %v", len(c.list), c.list[0], ok, c.want)
		}
		for _, text := range c.list {
			if word, _ := g.find(text); ok && word < 0 {
				t.Errorf("%s is in no group", text)
			}
		}
		for _, list := range g {
			if len(list) > groupSize || !compiles(list) {
				t.Errorf("%d expressions do not make an automaton: %s", len(list), list[0])
			}
		}
	}
}

// TestTooManyPatterns translates a policy with more names than automata can hold.
func TestTooManyPatterns(t *testing.T) {
	var names []string
	for i := range maxGroups*groupSize + 1 {
		names = append(names, fmt.Sprintf("{matchName: n%d.example.com}", i))
	}
	text := "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {endpointSelector: {matchLabels: {app: web}}, egress: [{toFQDNs: [" + strings.Join(names, ", ") + "]}]}\n"
	var diags source.Diags
	p := Read(documents(text, &diags), &policy.Terms{}, &diags)
	Translate(Resolve(p, testMachine(), &diags), false, &diags)
	if got, want := fmt.Sprint(diags.Err()), "the 1921 patterns for names or requests are too many or too complex: they need more than 32 automata"; !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}
