package live

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dnsAnswer returns an answer with n addresses of IPv4 and n of IPv6 to a question about the
// given name. If full is set, each record has the name. Otherwise it refers to the name in
// the question.
func dnsAnswer(name string, n int, full bool) []byte {
	text := []byte{}
	for label := range strings.SplitSeq(name, ".") {
		text = append(append(text, byte(len(label))), label...)
	}
	text = append(text, 0)
	m := append([]byte{0, 1, 0x81, 0x80, 0, 1, 0, byte(2 * n), 0, 0, 0, 0}, text...)
	m = append(m, 0, 1, 0, 1)
	for i := range 2 * n {
		if full {
			m = append(m, text...)
		} else {
			m = append(m, 0xc0, 12)
		}
		if i%2 == 0 {
			m = append(m, 0, 1, 0, 1, 0, 0, 1, byte(i), 0, 4, 10, 0, 0, byte(i))
			continue
		}
		m = append(m, 0, 28, 0, 1, 0, 0, 2, byte(i), 0, 16, 0xfd)
		m = append(append(m, make([]byte, 14)...), byte(i))
	}
	return m
}

// TestDNSAddresses sends answers of DNS with up to 16 records. In an XDP program, the
// verifier must not follow each iteration of the loops over the records.
func TestDNSAddresses(t *testing.T) {
	needRoot(t)
	const script = ` { $a = dns_addresses(); if ($a[0].ttl >= 0) { print((dns_name(), $a[0], $a[1], $a[15])); } }`
	const none = "{ .addr = , .ttl = -1 }"
	for _, at := range []string{"xdp:lo", "tc:lo:ingress", "cgroup_skb:ingress"} {
		t.Run(at, func(t *testing.T) {
			ownLoopback(t)
			to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			port := to.LocalAddr().(*net.UDPAddr).Port
			s := start(t, "-e", fmt.Sprintf("%s /pkt.udp.dport == %d/ %s", at, port, script))
			s.attachedOr("tc needs Linux 6.6")
			var want strings.Builder
			for _, c := range []struct {
				name string
				n    int
				full bool
			}{{"a.example", 1, false}, {"long.name.of.many.labels.example", 1, true}, {"b.example", 8, false}, {"c.example", 8, true}} {
				if _, err := to.WriteTo(dnsAnswer(c.name, c.n, c.full), to.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				last := none
				if c.n == 8 {
					last = "{ .addr = fd00::f, .ttl = 527 }"
				}
				fmt.Fprintf(&want, "(%s, { .addr = 10.0.0.0, .ttl = 256 }, { .addr = fd00::1, .ttl = 513 }, %s)\n", c.name, last)
			}
			s.signal(unix.SIGINT)
			res := s.wait()
			res.quiet(t)
			got := strings.TrimSpace(res.stdout)
			if w := strings.TrimSpace(want.String()); got != w {
				t.Errorf("got\n%s\nwant\n%s", got, w)
			}
		})
	}
}
