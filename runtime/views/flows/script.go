package flows

import (
	"bytes"
	"fmt"
	"strings"
)

// Sizes of the maps. A full map drops the entries that were not used for the longest time. The
// sums of such a flow start again from 0.
const (
	maxFlows     = 65536
	maxSockets   = 65536
	maxListeners = 4096
)

// firstBytes is the number of bytes of a packet's data from which a DNS or HTTP message
// is parsed.
const firstBytes = 512

// The first value of the script's output, which determines the others.
const (
	kindPacket  = "packet"  // a socket has sent or received it
	kindRefused = "refused" // a listening socket is full: it drops the packet
	kindData    = "data"    // like kindPacket, with the first bytes of the data
	kindNames   = "names"   // an answer of DNS, for the names
	kindDrop    = "drop"    // the kernel has dropped it
)

// scriptHead begins all scripts.
const scriptHead = `// Flows of this machine, for gotrace flows.
config = { max_strlen = %d }

// The owners of sockets (process, name, cgroup) by socket, and those of listening sockets by
// namespace and port. A socket without an owner here is older than the script.
let @owner = lruhash(%d);
let @listen = lruhash(%d);

// The flows: packets, bytes, the flags of TCP that were seen, when they were last reported.
let @packets = lruhash(%[4]d);
let @bytes = lruhash(%[4]d);
let @seen = lruhash(%[4]d);
let @told = lruhash(%[4]d);

// Dropped packets by reason, place and flow: packets, bytes, when they were last reported.
let @drops = lruhash(%[4]d);
let @dropped = lruhash(%[4]d);
let @toldrop = lruhash(%[4]d);

macro netns(sk) { sk.__sk_common.skc_net.net.ns.inum }
macro me() { ((uint32)task.pid, comm, (uint64)cgroup) }
macro socket(fd) { ((struct socket*)curtask.files.fdt.fd[fd].private_data).sk }

// datagrams(fd) records the owner of a socket that does not connect as TCP does.
macro datagrams(@owner, fd)
{
  let $sk = socket(fd);
  if (($sk.__sk_common.skc_family == 2 || $sk.__sk_common.skc_family == 10) && $sk.sk_type != 1) {
    @owner[(uint64)$sk] = me();
  }
}

rawtracepoint:inet_sock_set_state /args.sk.sk_protocol == 6/
{
  let $sk = (uint64)args.sk;
  let $at = (netns(args.sk), args.sk.__sk_common.skc_num);
  if (args.newstate == 2) {
    @owner[$sk] = me();
  } else if (args.newstate == 10) {
    // It listens. It may not be that of the call of listen, but the one in which MPTCP uses TCP.
    @owner[$sk] = me();
    @listen[$at] = me();
  } else if (args.newstate == 1 && args.oldstate == 3) {
    // A connection that no process has accepted yet.
    if (has_key(@listen, $at)) { @owner[$sk] = @listen[$at]; } else { @owner[$sk] = ((uint32)0, "", (uint64)0); }
  }
}

net:listen /args.ret == 0 && (args.family == 2 || args.family == 10)/
{
  let $sk = socket(args.fd);
  @owner[(uint64)$sk] = me();
  @listen[(netns($sk), $sk.__sk_common.skc_num)] = me();
}

net:accept /args.ret >= 0 && (args.family == 2 || args.family == 10)/ { @owner[(uint64)socket(args.fd)] = me(); }

tracepoint:syscalls:sys_enter_connect, tracepoint:syscalls:sys_enter_bind, tracepoint:syscalls:sys_enter_sendto,
tracepoint:syscalls:sys_enter_sendmsg, tracepoint:syscalls:sys_enter_sendmmsg { datagrams(@owner, (int32)args.fd); }
`

// ownerOf sets $owner, for the socket $sk and the local port $port.
const ownerOf = `  let $owner = ((uint32)0, "               ", (uint64)0);
  let $known = false;
  if (has_key(@owner, $sk)) {
    $owner = @owner[$sk];
    $known = true;
  } else {
    let $at = ($ns, $port);
    if (has_key(@listen, $at)) {
      $owner = @listen[$at];
      $known = true;
    }
  }
`

// sums adds the packet to its flow, whose key is $flow. $back is the key of the flow in
// the other direction. It sets $tell if the packet has to be reported: it is the first of
// its flow, has new flags, begins or ends a connection, or the last report is old.
const sums = `  let $begins = (args.tcpflags & 0x12) == 2;
  if ($begins && (@seen[$flow] & 0x15) != 0) {
    // The ports are used again.
    delete(@packets, $flow); delete(@bytes, $flow); delete(@seen, $flow);
    delete(@packets, $back); delete(@bytes, $back); delete(@seen, $back);
  }
  let $n = ++@packets[$flow];
  @bytes[$flow] += (uint64)args.len;
  let $sum = @bytes[$flow];
  let $now = nsecs;
  let $old = @seen[$flow];
  let $new = (uint64)args.tcpflags | 0x100;
  if (($old & $new) != $new) { @seen[$flow] = $old | $new; }
  let $tell = $begins || (args.tcpflags & 5) != 0 || ($old & $new & ~0x38) != ($new & ~0x38) || @told[$flow] + %d < $now;
`

// packetRecord is the start of a record of the packet, with the members that all events
// have.
const packetRecord = "(proto=args.proto, saddr=args.saddr, sport=args.sport, daddr=args.daddr, dport=args.dport, tcpflags=args.tcpflags, len=args.len, sock=(uint64)args.sock"

// again is the time in nanoseconds after which a flow with packets is reported again.
const again = 5_000_000_000

// Script returns the script for a filter. reasons reports whether the kernel gives
// reasons for dropping packets.
func Script(x *Filter, reasons bool) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, scriptHead, firstBytes, maxSockets, maxListeners, maxFlows)
	at := x.conds()
	b.WriteString("\n// Answers of DNS, for the names of addresses.\npkt:in /args.proto == 17 && args.sport == 53/ { print((\"" + kindNames + "\", payload(512))); }\n")
	if x.wants(Forwarded) {
		packets(&b, "pkt:out", at)
	}
	if x.wants(Forwarded) || x.wants(Dropped) {
		packets(&b, "pkt:in", at)
	}
	if x.wants(Dropped) {
		drops(&b, at, reasons)
	}
	return b.String()
}

// predicate returns the conditions as the predicate of a probe.
func predicate(conds ...string) string {
	var all []string
	for _, c := range conds {
		if c != "" {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " /" + strings.Join(all, " && ") + "/"
}

// only returns a statement that ends the program if one of the conditions does not hold.
//
//go:noinline
func only(conds []string) string {
	if len(conds) == 0 {
		return ""
	}
	return "  if (!(" + strings.Join(conds, " && ") + ")) { return; }\n"
}

// packets writes the probe for the packets of sockets.
func packets(b *bytes.Buffer, event string, at [atReport + 1][]string) {
	out, port := "true", "sport"
	if event == "pkt:in" {
		out, port = "false", "dport"
	}
	fmt.Fprintf(b, "\n%s%s\n{\n", event, predicate(at[atPacket]...))
	fmt.Fprintf(b, "  let $sk = (uint64)args.sock;\n  let $ns = netns(args.sock);\n  let $port = (uint16)args.%s;\n  let $out = %s;\n", port, out)
	b.WriteString(ownerOf + only(at[atOwner]))
	fmt.Fprintf(b, "  let $flow = (%s, args.proto, args.saddr, args.sport, args.daddr, args.dport);\n", out)
	fmt.Fprintf(b, "  let $back = (!%s, args.proto, args.daddr, args.dport, args.saddr, args.sport);\n", out)
	fmt.Fprintf(b, sums, uint64(again))
	b.WriteString(only(at[atReport]))
	facts := packetRecord + ", ifname=args.ifname), $now, $out, $n, $sum, $ns, $known, $owner, (uint64)ctx"
	icmp := "(pkt.icmp.type >= 0 ? pkt.icmp.type * 256 + pkt.icmp.code : 0)"
	seq := "(pkt.tcp.seq >= 0 ? pkt.tcp.seq : pkt.ip.id >= 0 ? pkt.ip.id : 0)"
	if event == "pkt:in" {
		fmt.Fprintf(b, `  if ($begins && args.proto == 6 && args.sock.__sk_common.skc_state == 10 && args.sock.sk_ack_backlog > args.sock.sk_max_ack_backlog) {
    print(("%s", %s, %s, %s));
    return;
  }
`, kindRefused, facts, icmp, seq)
	}
	fmt.Fprintf(b, `  let $data = false;
  if (args.proto == 17) {
    $data = args.sport == 53 || args.dport == 53;
  } else if (args.proto == 6) {
    let $b = payload(4);
    $data = (((uint32)$b[0] << 24) | ((uint32)$b[1] << 16) | ((uint32)$b[2] << 8) | (uint32)$b[3]) in
      (%s);
  }
  if ($data) {
    print(("%s", %s, %s, %s, payload(%d)));
  } else if ($tell) {
    @told[$flow] = $now;
    print(("%s", %s, %s, %s));
  }
}
`, httpWords(), kindData, facts, icmp, seq, firstBytes, kindPacket, facts, icmp, seq)
}

// httpWords returns the first four bytes of responses and requests as numbers.
func httpWords() string {
	var list []string
	for _, m := range append([]string{"HTTP"}, methods...) {
		m = (m + " ")[:4]
		list = append(list, fmt.Sprintf("0x%x", m))
	}
	return strings.Join(list, ", ")
}

// drops writes the probe for packets that the kernel drops.
func drops(b *bytes.Buffer, at [atReport + 1][]string, reasons bool) {
	reason := "0"
	if reasons {
		reason = "args.reason"
	}
	fmt.Fprintf(b, "\nnet:drop%s\n{\n", predicate(append([]string{"args.family != 0"}, at[atPacket]...)...))
	b.WriteString(`  let $sk = (uint64)args.sock;
  let $dev = args.skb.dev;
  let $ns = $sk != 0 ? netns(args.sock) : $dev != 0 ? $dev.nd_net.net.ns.inum : 0;
  let $out = args.sent;
  let $port = $out ? args.sport : args.dport;
`)
	b.WriteString(ownerOf + only(at[atOwner]) + only(at[atReport]))
	fmt.Fprintf(b, `  let $why = (%s, args.location, args.proto, args.saddr, args.sport, args.daddr, args.dport);
  let $n = ++@drops[$why];
  @dropped[$why] += (uint64)pkt.len;
  let $sum = @dropped[$why];
  let $now = nsecs;
  if ($n == 1 || (args.tcpflags & 7) != 0 || @toldrop[$why] + %d < $now) {
    @toldrop[$why] = $now;
    print(("%s", %s), $now, $out, $n, $sum, $ns, $known, $owner, (uint64)args.skb, 0, 0, %s, ksym(args.location)));
  }
}
`, reason, uint64(again), kindDrop, packetRecord, reason)
}
