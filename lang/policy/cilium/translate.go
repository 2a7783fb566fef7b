package cilium

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// Script is the translation of policies, and describes the results of the script.
//
// A result is a tuple of:
//
//   - the number of the decision
//   - the time in nanoseconds since boot
//   - the Kind
//   - whether the packet is denied
//   - the source's address and port
//   - the destination's address and port
//   - the protocol
//   - the flags of TCP, the type of ICMP or the kind of Kafka's request
//   - the text of a request
//   - Words numbers with a bit for each entry that matches
type Script struct {
	File      *source.File
	Decisions []*Decision
	Unsafe    bool
}

// Kinds of results.
const (
	NewConnection = iota
	HTTPRequest
	DNSQuery
	TLSHello
	KafkaRequest
)

// Offsets of the parts of a result.
const (
	AtDecision = iota
	AtTime
	AtKind
	AtDenied
	AtSource
	AtSourcePort
	AtDestination
	AtDestinationPort
	AtProtocol
	AtFlags
	AtText
	AtWords
)

// wordBits is the number of entries in a word. A literal with more bits would be negative.
const wordBits = 60

// Words returns the number of words for the entries of d.
func (d *Decision) Words() int { return (len(d.Entries) + wordBits - 1) / wordBits }

// Matched returns the entries that a result's words name.
func (d *Decision) Matched(words []uint64) (list []*Entry) {
	for i, e := range d.Entries {
		if w := i / wordBits; w < len(words) && words[w]>>(i%wordBits)&1 != 0 {
			list = append(list, e)
		}
	}
	return list
}

// flowAge is the number of nanoseconds without packets after which an exchange of
// datagrams is over.
const flowAge = "60s"

// Translate returns the script for decisions. With unsafe, it drops denied packets.
func Translate(list []*Decision, unsafe bool, diags *source.Diags) *Script {
	s := &Script{Decisions: list, Unsafe: unsafe}
	w := &writer{b: &source.Builder{Words: policy.Words}, diags: diags, unsafe: unsafe}
	w.line("// Exchanges without connections, by endpoint, protocol, peer and ports: who began, and when")
	w.line("// the last packet was.")
	w.line("let @flow = lruhash(65536);")
	for _, d := range list {
		if slices.ContainsFunc(d.Entries, func(e *Entry) bool { return e.Peers.Names != nil }) {
			w.line("// Addresses of names, by endpoint: until when, and which expressions match the name.")
			w.line("let @names = lruhash(16384);")
			break
		}
	}
	for i := 0; i < len(list); {
		n := i + 1
		for n < len(list) && list[n].Endpoint == list[i].Endpoint {
			n++
		}
		w.endpoint(list[i:n], i)
		i = n
	}
	s.File = w.b.File("policy")
	return s
}

// writer writes the script.
type writer struct {
	b      *source.Builder
	diags  *source.Diags
	unsafe bool
	d      *Decision
	index  int    // of the endpoint: that of its first decision
	names  groups // expressions for the names that policies of the endpoint allow
	rules  requestRules
	calls  bool // the program is for a call, not for packets
}

// line writes a line.
//
//go:noinline
func (w *writer) line(format string, args ...any) { w.b.Printf(format+"\n", args...) }

// endpoint writes the programs for the decisions about an endpoint, the first of which has
// the number index.
func (w *writer) endpoint(list []*Decision, index int) {
	w.index = index
	var names []string
	for _, d := range list {
		for _, e := range d.Entries {
			names = append(names, expressions(e.Peers.Names)...)
		}
	}
	w.names = w.groupsOf(list[0], names)
	if w.names != nil && list[0].Dir != Ingress {
		w.listen(&Decision{Endpoint: list[0].Endpoint, Dir: Ingress, Specs: list[0].Specs})
	}
	for i, d := range list {
		w.decision(index+i, d)
	}
}

// groupsOf returns the groups of the expressions of a decision.
func (w *writer) groupsOf(d *Decision, list []string) groups {
	g, ok := groupsOf(list)
	if !ok {
		w.diags.Errorf(d.Specs[0].At, "the %d patterns for names or requests are too many or too complex: they need more than %d automata", len(list), maxGroups)
	}
	return g
}

// listen writes a program that only reads the answers of DNS.
func (w *writer) listen(d *Decision) {
	w.begin(d)
	w.packet()
	w.key()
	w.line("let $flow;")
	w.line("if ($proto == %d && find(@flow, $key, $flow) && $flow.0 == %d) {", protoUDP, Egress)
	w.learn()
	w.line("@flow[$key] = ($flow.0, nsecs);")
	w.line("}")
	w.end()
}

// begin writes the attach point and the start of the program for a decision.
func (w *writer) begin(d *Decision) {
	w.d, w.rules = d, w.rulesOf(d)
	point := "cgroup_skb:" + d.Dir.String()
	if d.Endpoint.Dir != "" {
		point = fmt.Sprintf("cgroup_skb:%s:%s", source.Quote(d.Endpoint.Dir), d.Dir)
	}
	w.b.From(d.Specs[0].At)
	w.line("\n// %s: %s", printable(d.Endpoint.Name), printable(strings.Join(policiesOf(d.Specs), ", ")))
	w.line("%s {", point)
}

// printable returns a text without characters that would end a comment.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}

func (w *writer) end() {
	w.line("}")
	w.b.From(source.Span{})
}

// decision writes the program for decision i.
func (w *writer) decision(i int, d *Decision) {
	w.begin(d)
	w.packet()
	w.state()
	w.known()
	w.entries()
	w.forget()
	w.verdict()
	w.report(i)
	w.end()
	if w.unsafe {
		w.connect(i, d)
	}
}

// policiesOf returns the names of policies, each once.
func policiesOf(specs []*Spec) (names []string) {
	for _, s := range specs {
		if !policy.Among(names, s.Policy) {
			names = append(names, s.Policy)
		}
	}
	return names
}

// packet writes the statements that read the packet. $peer and $pport are the other
// side's, $lport is the endpoint's. $port is the port of the receiver.
func (w *writer) packet() {
	peer, pport, lport, port := "saddr", "sport", "dport", "lport"
	if w.d.Dir == Egress {
		peer, pport, lport, port = "daddr", "dport", "sport", "pport"
	}
	w.line("if (!(pkt.proto >= 0)) { return; }")
	w.line("$proto = pkt.proto; $peer = pkt.%s; $pport = (uint16)0; $lport = (uint16)0; $type = (uint8)0;", peer)
	w.line("if ($proto in (%d, %d, %d)) {", protoTCP, protoUDP, protoSCTP)
	w.line("if (!(pkt.sport >= 0)) { return; }")
	w.line("$pport = pkt.%s; $lport = pkt.%s;", pport, lport)
	w.line("if ($proto == %d) { $type = pkt.tcp.flags; }", protoTCP)
	w.line("} else if ($proto in (%d, %d)) {", protoICMP, protoICMP6)
	w.line("if (!(pkt.icmp.type >= 0)) { return; }")
	w.line("$type = pkt.icmp.type; $lport = pkt.icmp.id;")
	w.line("// The discovery of neighbours belongs to the machine.")
	w.line("if ($proto == %d && $type in (133..137)) { return; }", protoICMP6)
	w.line("}")
	w.line("$port = $%s;", port)
	w.line("// The results are stored combined with a number that the kernel's verifier cannot know, so")
	w.line("// that it need not follow the rest of the program for each combination.")
	w.line("$salt = nsecs;")
	w.forget()
	w.message()
}

// forget writes the statements that make the verifier forget the values of the packet.
func (w *writer) forget() {
	w.line("$proto = (uint8)__forget($proto); $type = (uint8)__forget($type); $port = (uint16)__forget($port);")
	w.line("$pport = (uint16)__forget($pport); $lport = (uint16)__forget($lport);")
}

// key writes the key of an exchange.
func (w *writer) key() { w.line("$key = (%d, $proto, $peer, $pport, $lport);", w.index) }

// state writes the statements that pass packets of an exchange that was allowed.
func (w *writer) state() {
	w.line("$kind = $salt; $known = $salt; $denied = $salt;")
	w.zero("http", w.rules.http)
	w.zero("tls", w.rules.tls)
	if w.rules.kafka {
		w.line(`$api = (uint16)0; $apiversion = (uint16)0; $client = ""; $topics = (uint64)0; $topic = "";`)
	}
	w.key()
	w.line("if ($proto == %d) {", protoTCP)
	w.line("// The first packet of a connection asks for it.")
	w.line("if (($type & 0x12) != 2) {")
	w.segment()
	w.line("}")
	w.line("} else {")
	w.line("let $flow;")
	w.line("if (find(@flow, $key, $flow) && nsecs - $flow.1 < %s) {", flowAge)
	w.line("if ($flow.0 != %d) {", w.d.Dir)
	if w.d.Dir == Ingress {
		w.learn()
	}
	w.line("@flow[$key] = ($flow.0, nsecs);")
	w.line("return;")
	w.line("}")
	w.line("$known = $salt ^ 1;")
	w.line("}")
	w.line("}")
}

// entries writes the statements that compute which entries match.
func (w *writer) entries() {
	var all Set
	for _, e := range w.d.Entries {
		all.Local = append(all.Local, e.Peers.Local...)
	}
	for _, level := range all.levels() {
		if w.calls {
			break
		}
		w.line("$cgroup%d = peer_cgroup(%d);", level, level)
	}
	if len(w.d.Entries) == 0 {
		return
	}
	w.line("// A bit for each entry that matches.")
	for i := range w.d.Words() {
		w.line("$hit%d = $salt;", i)
	}
	for i, e := range w.d.Entries {
		w.b.From(entrySpan(e))
		cond := w.condition(e)
		bit := fmt.Sprintf("$hit%d ^= 0x%x;", i/wordBits, uint64(1)<<(i%wordBits))
		switch cond {
		case "":
			w.line("%s // %s", bit, e.Path())
		case never:
			w.line("// %s matches nothing here", e.Path())
		default:
			w.line("if (%s) { %s } // %s", cond, bit, e.Path())
		}
	}
	w.b.From(w.d.Specs[0].At)
	for i := range w.d.Words() {
		w.line("$hit%d ^= $salt;", i)
	}
}

func entrySpan(e *Entry) source.Span {
	if e.Port != nil {
		return e.Port.At
	}
	return e.Rule.At
}

// mask returns, for a word, the bits of the entries that want accepts.
func (d *Decision) mask(word int, want func(e *Entry) bool) (bits uint64) {
	for i, e := range d.Entries {
		if i/wordBits == word && want(e) {
			bits |= 1 << (i % wordBits)
		}
	}
	return bits
}

// some returns the condition that one of the entries that want accepts matches.
func (d *Decision) some(want func(e *Entry) bool) string {
	var list []string
	for i := range d.Words() {
		if bits := d.mask(i, want); bits != 0 {
			list = append(list, fmt.Sprintf("($hit%d & 0x%x) != 0", i, bits))
		}
	}
	return either(list)
}

// verdict writes the statements that decide.
func (w *writer) verdict() {
	denies := w.d.some(func(e *Entry) bool { return e.Rule.Deny })
	plain := w.d.some(func(e *Entry) bool { return !e.Rule.Deny && e.Plain() })
	deep := w.d.some(func(e *Entry) bool { return !e.Plain() })
	if denies != never {
		w.line("if (%s) {", denies)
		if deep != never {
			w.line("if ($kind != $salt) { return; } // the first packet has decided")
		}
		w.line("$denied = $salt ^ 1;")
		w.line("} else ")
	}
	w.line("if ($proto == %d && $type in (3, 5, 11, 12) || $proto == %d && $type in (1..4)) {", protoICMP, protoICMP6)
	w.line("return; // about an exchange that was allowed")
	w.line("}")
	if plain != never {
		w.line("else if (%s) {", plain)
		if deep != never {
			w.line("if ($kind != $salt) { return; } // no entry is about requests alone")
		}
		w.line("}")
	}
	if deep != never {
		w.line("else if (%s) {", deep)
		w.requests()
		w.line("}")
	}
	if w.d.Default {
		w.line("else { $denied = $salt ^ 1; }")
	}
	if deep != never {
		w.line("// About requests of connections that are not allowed, the first packet has decided.")
		w.line("if ($kind != $salt && !%s) { return; }", paren(deep))
	}
}

// report writes the statements that store the exchange, print the result and drop the
// packet.
func (w *writer) report(i int) {
	keep := fmt.Sprintf("$proto != %d", protoTCP)
	news := "$known == $salt || $kind != $salt"
	if w.unsafe {
		keep += " && $denied == $salt"
		news += " || $denied != $salt"
	}
	w.line("if (%s) { @flow[$key] = (%d, nsecs); }", keep, w.d.Dir)
	sport, dport := "$pport", "$lport"
	if w.d.Dir == Egress {
		sport, dport = dport, sport
	}
	hits := ""
	for k := range w.d.Words() {
		hits += fmt.Sprintf(", $hit%d", k)
	}
	show := func(kind, text string) {
		w.line("print((%d, nsecs, $kind ^ $salt, $denied ^ $salt, pkt.saddr, %s, pkt.daddr, %s, $proto, %s, %s%s));", i, sport, dport, kind, text, hits)
	}
	w.line("if (%s) {", news)
	for _, k := range []struct {
		kind       int
		has        bool
		what, text string
	}{
		{HTTPRequest, w.rules.http != nil, "$type", fmt.Sprintf("str(payload(%d))", textSize)},
		{DNSQuery, w.rules.dns != nil, "$type", "$name"},
		{TLSHello, w.rules.tls != nil, "$type", "tls_name()"},
		{KafkaRequest, w.rules.kafka, "(uint8)$api", "$topic"},
	} {
		if k.has {
			w.line("if (($kind ^ $salt) == %d) {", k.kind)
			show(k.what, k.text)
			w.line("} else ")
		}
	}
	w.line("{")
	show("$type", `""`)
	w.line("}")
	w.line("}")
	if w.unsafe {
		w.line("if ($denied != $salt) { drop(); }")
	}
}

//go:noinline
func paren(cond string) string { return "(" + cond + ")" }
