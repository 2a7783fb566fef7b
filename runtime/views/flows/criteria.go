package flows

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// FilterFlag is a flag of the command that selects flows.
type FilterFlag struct {
	Name, Short, Value, Doc string
	// Fixed is the value of a flag that takes none; "" if it takes one.
	Fixed string
	parse func(value string) (criterion, error)
}

// FilterFlags returns the flags that select flows, in the order in which help shows them.
func FilterFlags() []FilterFlag { return flags }

func lookup(name string) *FilterFlag {
	for i := range flags {
		if flags[i].Name == name {
			return &flags[i]
		}
	}
	return nil
}

// flags is the table of criteria. A flag that Hubble has means the same here.
var flags = []FilterFlag{
	{Name: "from-ip", Value: "IP|CIDR", Doc: "packets from this address or network", parse: address(true, false)},
	{Name: "to-ip", Value: "IP|CIDR", Doc: "packets to this address or network", parse: address(false, true)},
	{Name: "ip", Value: "IP|CIDR", Doc: "packets from or to it", parse: address(true, true)},
	{Name: "from-port", Value: "PORT", Doc: "packets from this port", parse: port(true, false)},
	{Name: "to-port", Value: "PORT", Doc: "packets to this port", parse: port(false, true)},
	{Name: "port", Value: "PORT", Doc: "packets from or to it", parse: port(true, true)},
	{Name: "protocol", Value: "NAME", Doc: "tcp, udp, icmp, sctp, or a number; dns and http by the data", parse: protocol},
	{Name: "ip-version", Value: "4|6", Doc: "only IPv4 or only IPv6", parse: version},
	{Name: "ipv4", Short: "4", Fixed: "4", Doc: "the same as --ip-version 4", parse: version},
	{Name: "ipv6", Short: "6", Fixed: "6", Doc: "the same as --ip-version 6", parse: version},
	{Name: "tcp-flags", Value: "LIST", Doc: "TCP packets with all of these flags: SYN,ACK", parse: tcpFlags},
	{Name: "traffic-direction", Value: "ingress|egress", Doc: "packets that come in, or go out", parse: direction},
	{Name: "interface", Value: "NAME", Doc: "packets at this interface", parse: equal("the name of an interface", func(f *Flow) string { return f.Interface })},
	{Name: "verdict", Value: "VERDICT", Doc: "FORWARDED, DROPPED or AUDIT", parse: verdict},
	{Name: "drop-reason", Value: "NAME", Doc: "packets dropped for this reason, as the kernel names it, such as NO_SOCKET", parse: reason},
	{Name: "drop-reason-desc", Value: "NAME", Doc: "the same as --drop-reason", parse: reason},
	{Name: "type", Short: "t", Value: "TYPE", Doc: "trace (forwarded), drop or l7 (DNS, HTTP)", parse: kind},
	{Name: "pid", Value: "PID", Doc: "packets of sockets of this process", parse: pid},
	{Name: "comm", Value: "NAME", Doc: "packets of sockets of processes with this name", parse: comm},
	{Name: "container", Value: "NAME|ID", Doc: "packets of sockets of this container", parse: owner(func(p *Process) string { return p.Container })},
	{Name: "unit", Value: "UNIT", Doc: "packets of sockets of this systemd unit", parse: owner(func(p *Process) string { return p.Unit })},
	{Name: "from-fqdn", Value: "PATTERN", Doc: "packets from an address that DNS returned for a name; * matches any text", parse: name(true, false)},
	{Name: "to-fqdn", Value: "PATTERN", Doc: "packets to such an address", parse: name(false, true)},
	{Name: "fqdn", Value: "PATTERN", Doc: "packets from or to it", parse: name(true, true)},
	{Name: "http-status", Value: "CODE", Doc: "HTTP responses with this status: 404, or 4+ for 400 to 499", parse: httpStatus},
	{Name: "http-method", Value: "METHOD", Doc: "HTTP requests with this method, and their responses", parse: httpMethod},
	{Name: "http-path", Value: "REGEX", Doc: "HTTP requests with such a path, and their responses", parse: httpPattern(func(h *HTTP) string { return h.Path })},
	{Name: "http-url", Value: "REGEX", Doc: "HTTP requests with such a URL, and their responses", parse: httpPattern(func(h *HTTP) string { return h.url() })},
}

// ends returns a parse function for criteria about the ends of a flow. It calls of for
// each end, with the first letter of the end's arguments in the script.
//
//go:noinline
func ends(from, to bool, of func(value string) (match func(e *Endpoint) bool, cond func(end string) string, err error)) func(string) (criterion, error) {
	return func(value string) (criterion, error) {
		match, cond, err := of(value)
		if err != nil {
			return criterion{}, err
		}
		c := criterion{match: func(f *Flow) bool { return from && match(&f.Src) || to && match(&f.Dst) }}
		var conds []string
		if cond != nil && from {
			conds = append(conds, cond("s"))
		}
		if cond != nil && to {
			conds = append(conds, cond("d"))
		}
		c.cond = strings.Join(conds, " || ")
		return c, nil
	}
}

//go:noinline
func address(from, to bool) func(string) (criterion, error) {
	return ends(from, to, func(value string) (func(e *Endpoint) bool, func(string) string, error) {
		p, err := netip.ParsePrefix(value)
		if err != nil {
			a, aerr := netip.ParseAddr(value)
			if aerr != nil || a.Zone() != "" {
				return nil, nil, errors.New("not an IP address or network such as 10.0.0.0/8")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		p = p.Masked()
		return func(e *Endpoint) bool { return p.Contains(e.Addr) }, func(end string) string { return fmt.Sprintf("args.%saddr in %s", end, p) }, nil
	})
}

//go:noinline
func port(from, to bool) func(string) (criterion, error) {
	return ends(from, to, func(value string) (func(e *Endpoint) bool, func(string) string, error) {
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n == 0 {
			return nil, nil, errors.New("not a port: a number from 1 to 65535")
		}
		return func(e *Endpoint) bool { return e.Port == uint16(n) }, func(end string) string { return fmt.Sprintf("args.%sport == %d", end, n) }, nil
	})
}

//go:noinline
func name(from, to bool) func(string) (criterion, error) {
	return ends(from, to, func(value string) (func(e *Endpoint) bool, func(string) string, error) {
		pattern := strings.ToLower(strings.TrimSuffix(value, "."))
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return nil, nil, errors.New("not a name or pattern such as *.example.com")
		}
		return func(e *Endpoint) bool {
			for _, n := range e.Names {
				if ok, _ := path.Match(pattern, n); ok {
					return true
				}
			}
			return false
		}, nil, nil
	})
}

// protocols are the names of protocols that --protocol accepts.
var protocols = map[string]Proto{"tcp": protoTCP, "udp": protoUDP, "icmpv4": protoICMP, "icmpv6": protoICMPv6, "sctp": protoSCTP, "igmp": 2, "vrrp": 112}

func protocol(value string) (criterion, error) {
	value = strings.ToLower(value)
	switch value {
	case "icmp":
		return criterion{
			match: func(f *Flow) bool { return f.Proto == protoICMP || f.Proto == protoICMPv6 },
			cond:  "args.proto == 1 || args.proto == 58",
		}, nil
	case "dns":
		return criterion{match: func(f *Flow) bool { return f.DNS != nil }, cond: "args.proto == 17 && (args.sport == 53 || args.dport == 53)", loose: true}, nil
	case "http":
		return criterion{match: func(f *Flow) bool { return f.HTTP != nil }, cond: "args.proto == 6", loose: true}, nil
	}
	p, ok := protocols[value]
	if !ok {
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			return criterion{}, errors.New("not a protocol: tcp, udp, icmp, icmpv4, icmpv6, sctp, igmp, vrrp, dns, http or a number")
		}
		p = Proto(n)
	}
	return criterion{match: func(f *Flow) bool { return f.Proto == p }, cond: fmt.Sprintf("args.proto == %d", p)}, nil
}

func version(value string) (criterion, error) {
	switch strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(value), "ip"), "v") {
	case "4":
		return criterion{match: func(f *Flow) bool { return f.Src.Addr.Is4() }, cond: "args.family == 2"}, nil
	case "6":
		return criterion{match: func(f *Flow) bool { return f.Src.Addr.Is6() }, cond: "args.family == 10"}, nil
	}
	return criterion{}, errors.New("the versions are 4 and 6")
}

func tcpFlags(value string) (criterion, error) {
	var want Flags
	for part := range strings.SplitSeq(strings.ToUpper(value), ",") {
		known := false
		for _, n := range flagNames {
			if n.name == part {
				want, known = want|n.flag, true
			}
		}
		if !known {
			return criterion{}, outline.Errorf("%s is not a flag of TCP: the flags are FIN, SYN, RST, PSH, ACK, URG, ECE and CWR", part)
		}
	}
	return criterion{
		match: func(f *Flow) bool { return f.Proto == protoTCP && f.Flags&want == want },
		cond:  fmt.Sprintf("args.proto == 6 && (args.tcpflags & %d) == %d", want, want), needs: atReport,
	}, nil
}

func direction(value string) (criterion, error) {
	d := Direction(strings.ToUpper(value))
	if d != Ingress && d != Egress {
		return criterion{}, errors.New("the directions are ingress and egress")
	}
	return criterion{match: func(f *Flow) bool { return f.Direction == d }, cond: map[Direction]string{Ingress: "!$out", Egress: "$out"}[d], needs: atReport}, nil
}

// equal returns a parse function for a text that only Match compares, not the script.
func equal(what string, of func(f *Flow) string) func(string) (criterion, error) {
	return func(value string) (criterion, error) {
		if value == "" {
			return criterion{}, outline.Errorf("not %s", what)
		}
		return criterion{match: func(f *Flow) bool { return of(f) == value }}, nil
	}
}

func verdict(value string) (criterion, error) {
	v := Verdict(strings.ToUpper(value))
	switch v {
	case Forwarded, Dropped:
		return criterion{match: func(f *Flow) bool { return f.Verdict == v }}, nil
	case Audit:
		return criterion{}, errors.New("gotrace policy gives this verdict; without a policy there is none")
	case "ERROR", "REDIRECTED", "TRACED", "TRANSLATED":
		return criterion{}, errors.New("only Cilium's data path gives this verdict")
	}
	return criterion{}, errors.New("the verdicts are FORWARDED and DROPPED")
}

// reasonPrefix is the beginning of the kernel's names of reasons.
const reasonPrefix = "SKB_DROP_REASON_"

var isReason = lazy.Regexp{Expr: `^[A-Z0-9_]+$`}

func reason(value string) (criterion, error) {
	value = trimReason(strings.ToUpper(value))
	if !isReason.Get().MatchString(value) {
		return criterion{}, errors.New("not the name of a reason, such as NO_SOCKET or NETFILTER_DROP")
	}
	return criterion{match: func(f *Flow) bool { return f.Verdict == Dropped && f.Reason == value }}, nil
}

func kind(value string) (criterion, error) {
	switch strings.ToLower(value) {
	case "trace":
		return criterion{match: func(f *Flow) bool { return f.Verdict == Forwarded && f.DNS == nil && f.HTTP == nil }}, nil
	case "drop":
		return verdict(string(Dropped))
	case "l7":
		return criterion{match: func(f *Flow) bool { return f.DNS != nil || f.HTTP != nil }}, nil
	}
	return criterion{}, errors.New("the types are trace, drop and l7; Hubble's others come from Cilium's data path")
}

// ofOwner returns a criterion about the process at this machine's end.
func ofOwner(match func(p *Process) bool) criterion {
	return criterion{match: func(f *Flow) bool {
		p := f.local().Local
		return p != nil && match(p)
	}, needs: atOwner}
}

func pid(value string) (criterion, error) {
	n, err := strconv.ParseUint(value, 10, 22)
	if err != nil || n == 0 {
		return criterion{}, errors.New("not the ID of a process")
	}
	c := ofOwner(func(p *Process) bool { return p.PID == uint32(n) })
	c.cond = fmt.Sprintf("$owner.0 == 0 || $owner.0 == %d", n)
	return c, nil
}

func comm(value string) (criterion, error) {
	const most = 15
	if value == "" || len(value) > most {
		return criterion{}, outline.Errorf("the name of a process has 1 to %d bytes", most)
	}
	c := ofOwner(func(p *Process) bool { return p.Comm == value })
	c.cond = "$owner.0 == 0 || $owner.1 == " + source.Quote(value)
	return c, nil
}

func owner(of func(p *Process) string) func(string) (criterion, error) {
	return func(value string) (criterion, error) {
		if value == "" {
			return criterion{}, errors.New("the name is empty")
		}
		return ofOwner(func(p *Process) bool { return sameOwner(of(p), value) }), nil
	}
}

// sameOwner compares the name of a container or unit with the user's text. A unit also
// matches without .service, and a container of a pod without the pod.
func sameOwner(name, value string) bool {
	return name != "" && (name == value || name == value+".service" || strings.HasSuffix(name, "/"+value))
}

func httpStatus(value string) (criterion, error) {
	prefix, more := strings.CutSuffix(value, "+")
	n, err := strconv.Atoi(prefix)
	if err != nil || n < 1 || n > 999 || !more && n < 100 {
		return criterion{}, errors.New("not a status such as 404, or the beginning of one such as 4+")
	}
	return criterion{match: func(f *Flow) bool {
		if f.HTTP == nil || f.HTTP.Status == 0 {
			return false
		}
		s := strconv.Itoa(f.HTTP.Status)
		return s == prefix || more && strings.HasPrefix(s, prefix)
	}, cond: "args.proto == 6", loose: true}, nil
}

func httpMethod(value string) (criterion, error) {
	value = strings.ToUpper(value)
	return criterion{match: func(f *Flow) bool { return f.HTTP != nil && f.HTTP.Method == value }, cond: "args.proto == 6", loose: true}, nil
}

func httpPattern(of func(h *HTTP) string) func(string) (criterion, error) {
	return func(value string) (criterion, error) {
		re, err := regexp.Compile(value)
		if err != nil {
			return criterion{}, err
		}
		return criterion{match: func(f *Flow) bool { return f.HTTP != nil && f.HTTP.Method != "" && re.MatchString(of(f.HTTP)) }, cond: "args.proto == 6", loose: true}, nil
	}
}

// trimReason returns the kernel's name of a reason without the common prefix.
func trimReason(name string) string { return strings.TrimPrefix(name, reasonPrefix) }
