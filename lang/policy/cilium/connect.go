package cilium

import (
	"fmt"
	"slices"

	"github.com/gotrace/gotrace/lang/source"
)

// synFlag is the flag of TCP in the first packet of a connection.
const synFlag = 2

// connect writes the programs that make connect() fail for TCP connections that decision
// i denies, so that the process gets an error at once. Without them, the packet program
// would drop the first packet, and the process would wait. The packet program decides
// whatever these programs cannot: which endpoint of this machine the peer is, and
// requests. Datagrams need no such program, since sending one that is dropped is already
// an error.
func (w *writer) connect(i int, d *Decision) {
	if d.Dir != Egress || !d.Denies() {
		return
	}
	for _, six := range []bool{false, true} {
		w.d, w.rules, w.calls = d, requestRules{}, true
		version, addr := 4, "ntop(ctx->user_ip4)"
		if six {
			version, addr = 6, "ntop(ctx->user_ip6)"
		}
		w.b.From(d.Specs[0].At)
		point := fmt.Sprintf("cgroup_sock_addr:connect%d", version)
		if d.Endpoint.Dir != "" {
			point = fmt.Sprintf("cgroup_sock_addr:%s:connect%d", source.Quote(d.Endpoint.Dir), version)
		}
		w.line("\n// %s: the calls that connect", printable(d.Endpoint.Name))
		w.line("%s {", point)
		w.line("if (ctx->protocol != %d) { return; }", protoTCP)
		w.line("$proto = (uint8)%d; $type = (uint8)%d; $lport = (uint16)0;", protoTCP, synFlag)
		w.line("$peer = %s;", addr)
		if six {
			w.line("if (ctx->user_ip6[0] == 0 && ctx->user_ip6[1] == 0 && ctx->user_ip6[2] == bswap((uint32)0xffff)) {")
			w.line("$peer = ntop(ctx->user_ip6[3]); // IPv4 by a socket for IPv6")
			w.line("}")
		}
		w.line("$pport = bswap((uint16)ctx->user_port); $port = $pport;")
		w.line("$salt = nsecs;")
		w.forget()
		w.known()
		w.entries()
		w.line("$denied = false;")
		if denies := w.d.some(func(e *Entry) bool { return e.Rule.Deny }); denies != never {
			w.line("if (%s) { $denied = true; }", denies)
		}
		// Where an entry that allows may match, the packet decides.
		if allows := w.d.some(func(e *Entry) bool { return !e.Rule.Deny }); d.Default && allows != never {
			w.line("if (!%s) { $denied = true; }", paren(allows))
		} else if d.Default {
			w.line("$denied = true;")
		}
		hits := ""
		for k := range d.Words() {
			hits += fmt.Sprintf(", $hit%d", k)
		}
		none := "0.0.0.0"
		if six {
			none = "::"
		}
		w.line("if ($denied) {")
		w.line(`print((%d, nsecs, (uint64)%d, (uint64)1, ntop(pton("%s")), $lport, $peer, $pport, $proto, $type, ""%s));`, i, NewConnection, none, hits)
		w.line("deny();")
		w.line("}")
		w.end()
		w.calls = false
	}
}

// peersOfCall returns the condition for the peers of an entry, given only the address
// that a process connects to. If the address does not decide it, an entry that allows
// matches and an entry that denies does not.
func (w *writer) peersOfCall(e *Entry) string {
	s := e.Peers
	if len(s.Local) > 0 && !e.Rule.Deny && !s.All {
		s.Terms = append(slices.Clone(s.Terms), Term{In: w.d.Here})
	}
	s.Local = nil
	return w.peers(&s)
}
