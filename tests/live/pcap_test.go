package live

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// frame has the values of a packet that filters test, from the lines of described.
type frame struct {
	raw               []byte
	ip, proto, vlan   int // 0, 4 or 6; -1: none
	src, dst          netip.Addr
	ported, tcp, icmp bool
	sport, dport      int
	flags             [4]bool // syn, ack, fin, rst
	kind              int     // of ICMP
}

func frameOf(n int, f []byte) frame {
	p := frame{raw: f, vlan: -1, proto: -1}
	for _, line := range described(n, f) {
		var a, b string
		var skip, bits int
		_, text, _ := strings.Cut(line, " ")
		scan := func(format string, args ...any) bool {
			k, _ := fmt.Sscanf(text, format, args...)
			return k == len(args)
		}
		switch word, _, _ := strings.Cut(text, " "); word {
		case "vlan":
			scan("vlan %d %d", &p.vlan, &skip)
		case "from":
			scan("from %s to %s proto %d", &a, &b, &p.proto)
			p.src, p.dst = netip.MustParseAddr(a), netip.MustParseAddr(b)
			p.ip = 4
			if p.src.Is6() {
				p.ip = 6
			}
		case "ports":
			p.ported = scan("ports %d %d", &p.sport, &p.dport)
		case "tcp":
			p.tcp = scan("tcp %d %d %d %4d", &skip, &skip, &skip, &bits)
			for i, d := range []int{1000, 100, 10, 1} {
				p.flags[i] = bits/d%10 == 1
			}
		case "icmp":
			p.icmp = scan("icmp %d %d", &p.kind, &skip)
		}
	}
	return p
}

// filters are conditions of tcpdump, with the same condition on a frame.
var filters = []struct {
	text  string
	match func(p frame) bool
}{
	{"ip", func(p frame) bool { return p.ip == 4 }},
	{"ip6", func(p frame) bool { return p.ip == 6 }},
	{"tcp", func(p frame) bool { return p.proto == 6 }},
	{"udp", func(p frame) bool { return p.proto == 17 }},
	{"icmp", func(p frame) bool { return p.ip == 4 && p.proto == 1 }},
	{"icmp6", func(p frame) bool { return p.ip == 6 && p.proto == 58 }},
	{"ip proto 47", func(p frame) bool { return p.ip == 4 && p.proto == 47 }},
	{"vlan", func(p frame) bool { return p.vlan >= 0 }},
	{"portrange 20000-40000", func(p frame) bool {
		return p.ported && (p.sport >= 20000 && p.sport <= 40000 || p.dport >= 20000 && p.dport <= 40000)
	}},
	{"src and dst portrange 1-30000", func(p frame) bool {
		return p.ported && p.sport >= 1 && p.sport <= 30000 && p.dport >= 1 && p.dport <= 30000
	}},
	{"tcp dst portrange 0-30000", func(p frame) bool { return p.proto == 6 && p.ported && p.dport <= 30000 }},
	{"udp src portrange 30000-65535", func(p frame) bool { return p.proto == 17 && p.ported && p.sport >= 30000 }},
	{"net 128.0.0.0/1", func(p frame) bool { return p.ip == 4 && (p.src.As4()[0] >= 128 || p.dst.As4()[0] >= 128) }},
	{"src net 0.0.0.0/2", func(p frame) bool { return p.ip == 4 && p.src.As4()[0] < 64 }},
	{"dst net 8000::/1", func(p frame) bool { return p.ip == 6 && p.dst.As16()[0] >= 128 }},
	{"tcp[tcpflags] & tcp-syn != 0", func(p frame) bool { return p.tcp && p.flags[0] }},
	{"tcp[13] & (tcp-syn|tcp-ack) == tcp-syn", func(p frame) bool { return p.tcp && p.flags[0] && !p.flags[1] }},
	{"tcp[tcpflags] & (tcp-rst | tcp-fin) != 0", func(p frame) bool { return p.tcp && (p.flags[2] || p.flags[3]) }},
	{"ether src 2:0:0:0:0:1", func(p frame) bool { return true }},
	{"ether host 02-77-00-00-01-05", func(p frame) bool { return p.raw[4] == 1 && p.raw[5] == 5 }},
	{"ether src or dst host 2:77:0:0:0:7", func(p frame) bool { return p.raw[4] == 0 && p.raw[5] == 7 }},
	{"ether proto 0x86dd", func(p frame) bool { return p.raw[12] == 0x86 && p.raw[13] == 0xdd }},
	{"ether[5] & 3 != 2", func(p frame) bool { return p.raw[5]&3 != 2 }},
	{"ether[12:2] = 0x8100", func(p frame) bool { return p.raw[12] == 0x81 && p.raw[13] == 0 }},
	{"ether multicast or broadcast", func(p frame) bool { return false }},
	{"ip6 multicast", func(p frame) bool { return p.ip == 6 && p.dst.As16()[0] == 0xff }},
	{"icmp[icmptype] < 128", func(p frame) bool { return p.ip == 4 && p.proto == 1 && p.icmp && p.kind < 128 }},
}

// randomFilter joins up to n conditions by "and" and "or", which bind equally strongly,
// some of them negated and some in parentheses.
func randomFilter(r *rand.Rand, n int) (string, func(frame) bool) {
	one := func() (string, func(frame) bool) {
		f := filters[r.IntN(len(filters))]
		text, match := f.text, f.match
		if n > 2 && r.IntN(3) == 0 {
			inner, m := randomFilter(r, n-2)
			text, match = "("+inner+")", m
		}
		if r.IntN(3) == 0 {
			return []string{"not ", "!"}[r.IntN(2)] + text, func(p frame) bool { return !match(p) }
		}
		return text, match
	}
	text, match := one()
	for range r.IntN(n) {
		right, m := one()
		left := match
		if r.IntN(2) == 0 {
			text, match = text+[]string{" and ", " && "}[r.IntN(2)]+right, func(p frame) bool { return left(p) && m(p) }
		} else {
			text, match = text+[]string{" or ", " || "}[r.IntN(2)]+right, func(p frame) bool { return left(p) || m(p) }
		}
	}
	return text, match
}

// TestFilters counts random frames by filters of tcpdump and compares the numbers with
// those of conditions in Go.
func TestFilters(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no filters")
	}
	ownLoopback(t)
	r := rand.New(rand.NewPCG(3, 4))
	texts, matches := []string{}, []func(frame) bool{}
	for _, f := range filters {
		texts, matches = append(texts, f.text), append(matches, f.match)
	}
	for range 25 {
		text, match := randomFilter(r, 4)
		texts, matches = append(texts, text), append(matches, match)
	}
	var script strings.Builder
	script.WriteString("xdp:lo /pkt.eth.h_dest[0] == 2 && pkt.eth.h_dest[1] == 0x77/ {\n")
	for i, text := range texts {
		fmt.Fprintf(&script, "\tif (pcap(%q)) { @[%d] = count(); }\n", text, i)
	}
	script.WriteString("}")
	s := start(t, "-e", script.String())
	s.attached()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, len(texts))
	for n := range 500 {
		f := randomFrame(r, n)
		if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: lo.Index}); err != nil {
			t.Fatal(err)
		}
		p := frameOf(n, f)
		for i, match := range matches {
			if match(p) {
				counts[i]++
			}
		}
	}
	s.signal(unix.SIGINT)
	res := s.wait()
	res.quiet(t)
	var got, want []string
	for line := range strings.Lines(res.stdout) {
		var i, n int
		if k, _ := fmt.Sscanf(line, "@[%d]: %d", &i, &n); k == 2 {
			got = append(got, fmt.Sprintf("%s: %d", texts[i], n))
		}
	}
	for i, n := range counts {
		if n > 0 {
			want = append(want, fmt.Sprintf("%s: %d", texts[i], n))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
