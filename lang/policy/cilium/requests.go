package cilium

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// headSize is the number of bytes that are read of an HTTP request, and textSize the number
// of bytes of it in a result.
const (
	headSize = 1023
	textSize = 255
)

// isRequest matches data that starts like an HTTP request.
const isRequest = `\A[A-Z]{2,20} [^ \r\n]`

// expressions returns expressions that match the start of a request if the rule matches
// the request. A method and a path contain no space, and a header ends with its line.
func (h *HTTPRule) expressions() (list []string) {
	const line, end = "\r\n", `[ \t]*\r\n`
	if h.Method != "" {
		list = append(list, `\A`+without(h.Method, " \r\n")+` `)
	}
	if h.Path != "" {
		list = append(list, `\A[^ \r\n]+ `+without(h.Path, " \r\n")+` HTTP/`)
	}
	if h.Host != "" {
		list = append(list, `(?i:\r\nhost):[ \t]*`+without(h.Host, line)+end)
	}
	for _, header := range h.Headers {
		e := `(?i:\r\n` + regexp.QuoteMeta(header.Name) + `):`
		if header.Value != nil {
			e += `[ \t]*` + without(regexp.QuoteMeta(*header.Value), line) + end
		}
		list = append(list, e)
	}
	return list
}

// requestRules are the expressions for the requests of a decision.
type requestRules struct {
	http, dns, tls groups
	// kafka is set if there are rules for Kafka, and topics if one names a topic.
	kafka, topics bool
}

func (w *writer) rulesOf(d *Decision) (r requestRules) {
	var http, dns, tls []string
	for _, e := range d.Entries {
		if e.Port == nil {
			continue
		}
		for i := range e.Port.HTTP {
			if http == nil {
				http = append(http, isRequest)
			}
			http = append(http, e.Port.HTTP[i].expressions()...)
		}
		for i := range e.Port.Kafka {
			r.kafka = true
			r.topics = r.topics || e.Port.Kafka[i].Topic != ""
		}
		dns = append(dns, expressions(e.Port.DNS)...)
		tls = append(tls, expressions(e.Port.SNI)...)
	}
	r.http, r.dns, r.tls = w.groupsOf(d, http), w.groupsOf(d, dns), w.groupsOf(d, tls)
	return r
}

// zero writes the definitions of variables for groups.
//
//go:noinline
func (w *writer) zero(variable string, g groups) {
	for i := range g {
		w.line("$%s%d = $salt;", variable, i)
	}
}

// match writes the assignments of the expressions that match in a text.
func (w *writer) match(variable, text string, g groups) {
	for i, group := range g {
		w.line("$%s%d = $salt ^ %s;", variable, i, call(text, group))
	}
}

// message writes the statements that read a DNS message, if the program needs one.
func (w *writer) message() {
	learns := w.names != nil && w.d.Dir == Ingress
	if w.rules.dns == nil && !learns {
		return
	}
	w.zero("dns", w.rules.dns)
	var conds []string
	for _, e := range w.d.Entries {
		if e.Port != nil && e.Port.DNS != nil {
			conds = append(conds, "("+w.protocols(e)+")")
		}
	}
	if learns {
		w.zero("new", w.names)
		conds = append(conds, fmt.Sprintf("($proto == %d && $pport == 53)", protoUDP))
	}
	slices.Sort(conds)
	w.line(`$name = "";`)
	w.line("if ($proto in (%d, %d) && %s) {", protoTCP, protoUDP, either(slices.Compact(conds)))
	w.line("$name = dns_name();")
	w.match("dns", "$name", w.rules.dns)
	if learns {
		w.match("new", "$name", w.names)
	}
	w.line("}")
}

// segment writes the statements for data of a connection: they determine which kind of
// request it starts, or let it pass.
func (w *writer) segment() {
	r := &w.rules
	if r.http == nil && r.dns == nil && r.tls == nil && !r.kafka {
		w.line("return;")
		return
	}
	if r.tls != nil {
		w.line("$server = tls_name();")
		w.line(`if ($server != "") {`)
		w.line("$kind = $salt ^ %d;", TLSHello)
		w.match("tls", "$server", r.tls)
		w.line("}")
	}
	if r.dns != nil {
		w.line("if ($kind == $salt) {")
		w.line(`if ($name != "") { $kind = $salt ^ %d; }`, DNSQuery)
		w.line("}")
	}
	if r.http != nil {
		w.line("if ($kind == $salt) {")
		w.line("$head = str(payload(%d));", headSize)
		w.match("http", "$head", r.http)
		w.line("if (%s) { $kind = $salt ^ %d; }", r.http.all("http", []string{isRequest}), HTTPRequest)
		w.line("}")
	}
	if r.kafka {
		w.line("if ($kind == $salt) {")
		w.kafkaHead()
		w.line("}")
	}
	w.line("if ($kind == $salt) { return; }")
}

// kinds are the kinds of requests, each with a function that reports whether an entry has
// rules for them.
var kinds = []struct {
	kind int
	has  func(e *Entry) bool
}{
	{HTTPRequest, func(e *Entry) bool { return e.Port != nil && e.Port.HTTP != nil }},
	{DNSQuery, func(e *Entry) bool { return e.Port != nil && e.Port.DNS != nil }},
	{TLSHello, func(e *Entry) bool { return e.Port != nil && e.Port.SNI != nil }},
	{KafkaRequest, func(e *Entry) bool { return e.Port != nil && e.Port.Kafka != nil }},
}

// requests writes the statements that decide about a request. They run if no plain entry
// matches.
func (w *writer) requests() {
	r := &w.rules
	if r.dns != nil {
		dns := w.d.some(kinds[1].has)
		w.line("if ($proto == %d && %s) {", protoUDP, paren(dns))
		w.line("$kind = $salt ^ %d;", DNSQuery)
		w.line("}")
	}
	w.line("if ($kind != $salt) {")
	w.line("$ok = false; $ours = false;")
	for _, k := range kinds {
		if !slices.ContainsFunc(w.d.Entries, k.has) {
			continue
		}
		w.line("if (($kind ^ $salt) == %d && %s) {", k.kind, paren(w.d.some(k.has)))
		w.line("$ours = true;")
		for i, e := range w.d.Entries {
			if !k.has(e) {
				continue
			}
			w.b.From(entrySpan(e))
			if cond := w.request(e, k.kind); cond != "" {
				w.line("if (($hit%d & 0x%x) != 0 && %s) { $ok = true; } // %s", i/wordBits, uint64(1)<<(i%wordBits), cond, e.Path())
			} else {
				w.line("if (($hit%d & 0x%x) != 0) { $ok = true; } // %s", i/wordBits, uint64(1)<<(i%wordBits), e.Path())
			}
		}
		w.b.From(w.d.Specs[0].At)
		w.line("}")
	}
	w.line("if (!$ours) { return; }")
	w.line("if (!$ok) { $denied = $salt ^ 1; }")
	w.line("}")
}

// request returns the condition for requests that match an entry, or "" if it accepts
// all.
func (w *writer) request(e *Entry, kind int) string {
	var list []string
	switch kind {
	case HTTPRequest:
		for i := range e.Port.HTTP {
			texts := e.Port.HTTP[i].expressions()
			if len(texts) == 0 {
				return ""
			}
			list = append(list, paren(w.rules.http.all("http", texts)))
		}
		return either(list)
	case KafkaRequest:
		for i := range e.Port.Kafka {
			cond := e.Port.Kafka[i].condition()
			if cond == "" {
				return ""
			}
			list = append(list, paren(cond))
		}
		return either(list)
	case DNSQuery:
		return w.rules.dns.any("dns", expressions(e.Port.DNS))
	}
	return w.rules.tls.any("tls", expressions(e.Port.SNI))
}

// any returns the condition that one of the expressions of a list matches.
func (g groups) any(variable string, list []string) string {
	var conds []string
	for w, bits := range g.mask(list) {
		if bits != 0 {
			conds = append(conds, fmt.Sprintf("(($%s%d ^ $salt) & 0x%x) != 0", variable, w, bits))
		}
	}
	return either(conds)
}

// learn writes the statements that store the addresses in a DNS answer.
func (w *writer) learn() {
	if w.names == nil {
		return
	}
	w.line("if ($proto == %d && $pport == 53) {", protoUDP)
	w.line("// The program of the socket that asked sees the answer before the process does.")
	var some, bits []string
	for i := range w.names {
		some = append(some, fmt.Sprintf("$new%d != $salt", i))
		bits = append(bits, fmt.Sprintf("$now%d", i))
	}
	w.line("if (%s) {", strings.Join(some, " || "))
	w.line("$list = dns_addresses();")
	w.line("$i = 0;")
	w.line("while ($i < 16) {")
	w.line("if ($list[$i].ttl >= 0) {")
	w.line("$ttl = $list[$i].ttl > %d ? $list[$i].ttl : %d;", minTTL, minTTL)
	for i := range w.names {
		w.line("$now%d = $new%d ^ $salt;", i, i)
	}
	w.line("let $old;")
	w.line("if (find(@names, (%d, $list[$i].addr), $old) && nsecs < $old.0) {", w.index)
	for i := range w.names {
		w.line("$now%d |= $old.%d;", i, i+1)
	}
	w.line("}")
	w.line("@names[%d, $list[$i].addr] = (nsecs + (uint64)$ttl * 1000000000, %s);", w.index, strings.Join(bits, ", "))
	w.line("}")
	w.line("$i++;")
	w.line("}")
	w.line("}")
	w.line("}")
}

// minTTL is the minimum number of seconds for which an address of a name is stored.
// Cilium removes addresses once a minute.
const minTTL = 60

// known writes the statements that look up the names of the peer.
func (w *writer) known() {
	if w.names == nil || !slices.ContainsFunc(w.d.Entries, func(e *Entry) bool { return e.Peers.Names != nil }) {
		return
	}
	w.zero("names", w.names)
	w.line("let $found;")
	w.line("if (find(@names, (%d, $peer), $found) && nsecs < $found.0) {", w.index)
	for i := range w.names {
		w.line("$names%d = $found.%d ^ $salt;", i, i+1)
	}
	w.line("}")
}
