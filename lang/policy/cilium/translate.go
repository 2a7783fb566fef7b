package cilium

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Script is the script that policies became, and what its results mean.
//
// A result is a tuple: the number of the decision, the time in nanoseconds since boot, the
// Kind, whether the packet is denied, the source's address and port, the destination's,
// the protocol, the flags of TCP or the type of ICMP, the text of a request, and Words
// numbers with a bit for each entry that matches.
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
// datagrams is forgotten.
const flowAge = "60s"

// Translate returns the script for decisions. With unsafe, it drops what is denied.
func Translate(list []*Decision, unsafe bool) *Script {
	s := &Script{Decisions: list, Unsafe: unsafe}
	w := &writer{b: &source.Builder{}, unsafe: unsafe}
	w.names(list)
	w.b.Printf("// Exchanges without connections, by endpoint, protocol, peer and ports: who began, and when\n// the last packet was.\n")
	w.b.Printf("let @flow = lruhash(65536);\n")
	for i, d := range list {
		w.decision(i, d)
	}
	s.File = w.b.File("policy")
	return s
}

// writer writes the script.
type writer struct {
	b      *source.Builder
	unsafe bool
	d      *Decision
	// patterns are the domain names of all decisions.
	patterns []Name
}

// names collects the domain names of all decisions.
func (w *writer) names(list []*Decision) {
	for _, d := range list {
		for _, e := range d.Entries {
			for _, n := range e.Peers.Names {
				if w.nameIndex(n) < 0 {
					w.patterns = append(w.patterns, n)
				}
			}
		}
	}
}

func (w *writer) nameIndex(n Name) int {
	return slices.IndexFunc(w.patterns, func(p Name) bool { return p.Text == n.Text && p.Pattern == n.Pattern })
}

// line writes a line.
func (w *writer) line(format string, args ...any) { w.b.Printf(format+"\n", args...) }

// decision writes the program for a decision.
func (w *writer) decision(i int, d *Decision) {
	w.d = d
	point := "cgroup_skb:" + d.Dir.String()
	if d.Endpoint.Dir != "" {
		point = fmt.Sprintf("cgroup_skb:\"%s\":%s", d.Endpoint.Dir, d.Dir)
	}
	w.b.From(d.Specs[0].At)
	w.line("\n// %s: %s", d.Endpoint.Name, strings.Join(policiesOf(d.Specs), ", "))
	w.line("%s {", point)
	w.packet()
	w.state()
	w.entries()
	w.verdict(i)
	w.line("}")
	w.b.From(source.Span{})
}

// policiesOf returns the names of policies, each once.
func policiesOf(specs []*Spec) (names []string) {
	for _, s := range specs {
		if !slices.Contains(names, s.Policy) {
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
}

// state writes the statements that let packets pass that belong to what has been decided.
func (w *writer) state() {
	w.line("$kind = %d; $known = false; $denied = false;", NewConnection)
	w.line("$key = (%q, $proto, $peer, $pport, $lport);", w.d.Endpoint.Name)
	w.line("if ($proto == %d) {", protoTCP)
	w.line("// Only the first packet of a connection asks for it.")
	w.line("if (($type & 0x12) != 2) { return; }")
	w.line("} else {")
	w.line("let $flow;")
	w.line("if (find(@flow, $key, $flow) && nsecs - $flow.1 < %s) {", flowAge)
	w.line("if ($flow.0 != %d) { @flow[$key] = ($flow.0, nsecs); return; }", w.d.Dir)
	w.line("$known = true;")
	w.line("}")
	w.line("}")
}

// entries writes the statements that compute which entries match.
func (w *writer) entries() {
	w.line("// A bit for each entry that matches. The start is any number, which is removed at the end:")
	w.line("// for the kernel's verifier, the entries then do not multiply.")
	w.line("$start = nsecs;")
	for i := range w.d.Words() {
		w.line("$hit%d = $start;", i)
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
		w.line("$hit%d ^= $start;", i)
	}
}

func entrySpan(e *Entry) source.Span {
	if e.Port != nil {
		return e.Port.At
	}
	return e.Rule.At
}

// never is the condition of an entry that matches nothing.
const never = "false"

// condition returns the condition for an entry, "" if it matches everything.
func (w *writer) condition(e *Entry) string {
	var parts []string
	for _, p := range []string{w.protocols(e), w.peers(&e.Peers)} {
		if p == never {
			return never
		}
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " && ")
}

// either joins alternatives.
func either(list []string) string {
	switch len(list) {
	case 0:
		return never
	case 1:
		return list[0]
	}
	return "(" + strings.Join(list, " || ") + ")"
}

// protocols returns the condition for the protocols and ports of an entry.
func (w *writer) protocols(e *Entry) string {
	if e.Port == nil && e.Rule.ICMP == nil {
		return ""
	}
	if e.Port == nil {
		var four, six []string
		for _, m := range e.Rule.ICMP {
			if m.Six {
				six = append(six, fmt.Sprint(m.Type))
			} else {
				four = append(four, fmt.Sprint(m.Type))
			}
		}
		var list []string
		if four != nil {
			list = append(list, fmt.Sprintf("$proto == %d && $type in (%s)", protoICMP, strings.Join(four, ", ")))
		}
		if six != nil {
			list = append(list, fmt.Sprintf("$proto == %d && $type in (%s)", protoICMP6, strings.Join(six, ", ")))
		}
		return either(list)
	}
	if len(e.Port.Ports) == 0 {
		return ""
	}
	// Ports of the same protocols are one list.
	var order []string
	ranges := map[string][]string{}
	for _, p := range e.Port.Ports {
		if p.Protocols == nil {
			return ""
		}
		key := numbers(p.Protocols)
		if _, ok := ranges[key]; !ok {
			order = append(order, key)
			ranges[key] = nil
		}
		if p.From == 0 {
			ranges[key] = append(ranges[key], "")
		} else {
			ranges[key] = append(ranges[key], interval(p.From, p.To))
		}
	}
	var list []string
	for _, key := range order {
		cond := fmt.Sprintf("$proto in (%s)", key)
		if !slices.Contains(ranges[key], "") {
			what := "$port"
			if key == fmt.Sprint(protoICMP) || key == fmt.Sprint(protoICMP6) {
				what = "$type"
			}
			cond += fmt.Sprintf(" && %s in (%s)", what, strings.Join(ranges[key], ", "))
		}
		list = append(list, cond)
	}
	return either(list)
}

func interval(from, to uint16) string {
	if from == to {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d..%d", from, to)
}

func numbers[T cmp.Ordered](list []T) string {
	var parts []string
	for _, n := range list {
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, ", ")
}

// peers returns the condition for a set of peers.
func (w *writer) peers(s *Set) string {
	if s.All {
		return ""
	}
	var list []string
	var plain []netip.Prefix // of terms without exceptions, which are one list
	for _, t := range s.Terms {
		if len(t.Not) == 0 {
			plain = append(plain, t.In...)
			continue
		}
		cond := fmt.Sprintf("$peer in (%s)", prefixes(t.In))
		list = append(list, fmt.Sprintf("%s && !($peer in (%s))", cond, prefixes(t.Not)))
	}
	if plain != nil {
		list = append(list, fmt.Sprintf("$peer in (%s)", prefixes(plain)))
	}
	return either(list)
}

// prefixes returns prefixes as a list.
func prefixes(list []netip.Prefix) string {
	var parts []string
	for _, p := range list {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
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
func (w *writer) verdict(i int) {
	denies := w.d.some(func(e *Entry) bool { return e.Rule.Deny })
	allows := w.d.some(func(e *Entry) bool { return !e.Rule.Deny })
	if denies != never {
		w.line("if (%s) { $denied = true; }", denies)
		w.line("else ")
	}
	w.line("if ($proto in (%d, %d) && $type in (1, 2, 3, 4, 5, 11, 12) && !($proto == %d && $type > 4) && !($proto == %d && $type < 3)) {",
		protoICMP, protoICMP6, protoICMP6, protoICMP)
	w.line("return; // an error of an exchange that was allowed")
	w.line("}")
	if w.d.Default {
		if allows == never {
			w.line("else { $denied = true; }")
		} else {
			w.line("else if (!%s) { $denied = true; }", paren(allows))
		}
	}
	keep := "$proto != %d"
	if w.unsafe {
		keep += " && !$denied"
	}
	w.line("if ("+keep+") { @flow[$key] = (%d, nsecs); }", protoTCP, w.d.Dir)
	if w.unsafe {
		w.line("if (!$known || $denied) {")
	} else {
		w.line("if (!$known) {")
	}
	sport, dport := "$pport", "$lport"
	if w.d.Dir == Egress {
		sport, dport = dport, sport
	}
	hits := ""
	for k := range w.d.Words() {
		hits += fmt.Sprintf(", $hit%d", k)
	}
	w.line("print((%d, nsecs, $kind, $denied, pkt.saddr, %s, pkt.daddr, %s, $proto, $type, \"\"%s));", i, sport, dport, hits)
	w.line("}")
	if w.unsafe {
		w.line("if ($denied) { drop(); }")
	}
}

func paren(cond string) string { return "(" + cond + ")" }
