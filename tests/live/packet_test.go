package live

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// packetScript prints the members of a packet. The number of a packet is in its
// destination address.
const packetScript = ` /pkt.eth.h_dest[0] == 2 && pkt.eth.h_dest[1] == 0x77/ {
	$n = (uint64)pkt.eth.h_dest[4] * 256 + (uint64)pkt.eth.h_dest[5];
	printf("%d len %d type %x\n", $n, pkt.len, pkt.eth.h_proto);
	printf("%d vlan %d %d\n", $n, pkt.vlan.id, pkt.vlan.priority);
	printf("%d from %s to %s proto %d\n", $n, pkt.saddr, pkt.daddr, pkt.proto);
	printf("%d ports %d %d\n", $n, pkt.sport, pkt.dport);
	printf("%d ip %d %d %d %d %d %d %s\n", $n, pkt.ip.version, pkt.ip.ihl, pkt.ip.tot_len, pkt.ip.id, pkt.ip.frag_off, pkt.ip.ttl, ntop(pkt.ip.saddr));
	printf("%d ip6 %d %d %d %d %d %s\n", $n, pkt.ip6.version, pkt.ip6.priority, pkt.ip6.flow_lbl, pkt.ip6.payload_len, pkt.ip6.hop_limit, ntop(pkt.ip6.daddr));
	printf("%d tcp %u %u %d %d%d%d%d %d\n", $n, pkt.tcp.seq, pkt.tcp.ack_seq, pkt.tcp.doff, pkt.tcp.syn, pkt.tcp.ack, pkt.tcp.fin, pkt.tcp.rst, pkt.tcp.window);
	printf("%d udp %d %d\n", $n, pkt.udp.source, pkt.udp.len);
	printf("%d icmp %d %d\n", $n, pkt.icmp.type, pkt.icmp.code);
	if (pkt.tcp.dport < 30000 || pkt.udp.dport < 30000) { printf("%d either\n", $n); }
	if (!(pkt.tcp.dport < 30000)) { printf("%d not\n", $n); } else { printf("%d is\n", $n); }
	$low = pkt.udp.dport < 30000;
	if ($low) { printf("%d low\n", $n); }
}`

// described returns the lines that packetScript prints for a frame, according to a
// separate parser.
func described(n int, f []byte) (out []string) {
	say := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("%d "+format, append([]any{n}, args...)...))
	}
	be := binary.BigEndian
	var l4 []byte
	var proto byte
	ports := func() (tcp, udp bool) {
		return proto == 6 && len(l4) >= 20, proto == 17 && len(l4) >= 8
	}
	kind, rest := be.Uint16(f[12:]), f[14:]
	tags := 0
	first := -1
	whole := true
	for (kind == 0x8100 || kind == 0x88a8) && tags < 3 {
		if len(rest) < 4 {
			whole = false
			break
		}
		if first < 0 {
			first = int(be.Uint16(rest))
		}
		kind, rest = be.Uint16(rest[2:]), rest[4:]
		tags++
	}
	if first >= 0 {
		say("vlan %d %d", first&0xfff, first>>13)
	}
	switch {
	case !whole:
	case kind == 0x0800 && len(rest) >= 20 && rest[0]>>4 == 4 && rest[0]&15 >= 5:
		h := rest
		size := int(h[0]&15) * 4
		rest = rest[:min(len(rest), int(be.Uint16(h[2:])))]
		proto = h[9]
		src, dst := netip.AddrFrom4([4]byte(h[12:16])), netip.AddrFrom4([4]byte(h[16:20]))
		say("from %s to %s proto %d", src, dst, proto)
		say("ip 4 %d %d %d %d %d %s", h[0]&15, be.Uint16(h[2:]), be.Uint16(h[4:]), be.Uint16(h[6:]), h[8], src)
		if be.Uint16(h[6:])&0x1fff == 0 && len(rest) >= size {
			l4 = rest[size:]
		}
		if proto == 58 {
			proto = 255
		}
	case kind == 0x86dd && len(rest) >= 40 && rest[0]>>4 == 6:
		h := rest
		var shown byte
		shown, proto, l4 = skipExtensions(h[6], rest[40:][:min(len(rest)-40, int(be.Uint16(h[4:])))])
		say("from %s to %s proto %d", netip.AddrFrom16([16]byte(h[8:24])), netip.AddrFrom16([16]byte(h[24:40])), shown)
		say("ip6 6 %d %d %d %d %s", be.Uint16(h)>>4&255, be.Uint32(h)&0xfffff, be.Uint16(h[4:]), h[7], netip.AddrFrom16([16]byte(h[24:40])))
		if proto == 1 {
			proto = 255
		}
	}
	tcp, udp := ports()
	if tcp || udp || proto == 132 && len(l4) >= 12 {
		say("ports %d %d", be.Uint16(l4), be.Uint16(l4[2:]))
	}
	low := (tcp || udp) && be.Uint16(l4[2:]) < 30000
	if tcp {
		bit := func(n int) int { return int(l4[13]) >> n & 1 }
		say("tcp %d %d %d %d%d%d%d %d", be.Uint32(l4[4:]), be.Uint32(l4[8:]), l4[12]>>4, bit(1), bit(4), bit(0), bit(2), be.Uint16(l4[14:]))
	}
	if udp {
		say("udp %d %d", be.Uint16(l4), be.Uint16(l4[4:]))
	}
	if (proto == 1 || proto == 58) && len(l4) >= 8 {
		say("icmp %d %d", l4[0], l4[1])
	}
	if low {
		say("either")
	}
	if tcp && low {
		say("is")
	} else {
		say("not")
	}
	if udp && low {
		say("low")
	}
	return out
}

// skipExtensions skips the extension headers of IPv6. It returns the number of the first
// header that it does not know, its protocol for scripts, and its bytes. For a later fragment,
// and for a header that is cut off, the protocol for scripts is 255.
func skipExtensions(proto byte, rest []byte) (shown, known byte, l4 []byte) {
	shown = proto
	for turn := 0; turn < 8 && slices.Contains([]byte{0, 43, 44, 51, 60}, proto); turn++ {
		if len(rest) < 8 {
			rest, proto = nil, 255
			break
		}
		was := proto
		size := 8 * (int(rest[1]) + 1)
		if was == 51 {
			size = 4 * (int(rest[1]) + 2)
		}
		if was == 44 {
			size = 8
		}
		proto = rest[0]
		shown = proto
		if was == 44 && binary.BigEndian.Uint16(rest[2:])>>3 != 0 {
			rest, proto = nil, 255
			break
		}
		rest = rest[min(size, len(rest)):]
	}
	return shown, proto, rest
}

// randomFrame returns a frame with random VLAN tags, IPv4 or IPv6 with options or
// extension headers, fragments, a protocol, and sometimes invalid or missing parts.
func randomFrame(r *rand.Rand, n int) []byte {
	be := binary.BigEndian
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	f := []byte{2, 0x77, 0, 0, byte(n >> 8), byte(n), 2, 0, 0, 0, 0, 1}
	for range []int{0, 0, 0, 0, 1, 1, 2, 3}[r.IntN(8)] {
		f = append(be.AppendUint16(f, []uint16{0x8100, 0x88a8}[r.IntN(2)]), noise(2)...)
	}
	l4 := noise(r.IntN(60))
	if r.IntN(40) == 0 {
		l4 = noise(9000) // more than the kernel keeps in one piece
	}
	proto := []byte{1, 6, 6, 6, 17, 17, 58, 132, 47}[r.IntN(9)]
	switch r.IntN(9) {
	case 0:
		f = append(be.AppendUint16(f, []uint16{0x0806, 0x88cc, 0x0800, 0x86dd}[r.IntN(4)]), noise(r.IntN(50))...)
	case 1, 2, 3, 4:
		words := 5
		if r.IntN(3) == 0 {
			words = r.IntN(16)
		}
		h := noise(max(20, 4*words))
		h[0] = 4<<4 | byte(words)
		be.PutUint16(h[2:], uint16(len(h)+len(l4)))
		if r.IntN(8) == 0 {
			be.PutUint16(h[2:], uint16(r.IntN(60)))
		}
		if r.IntN(4) > 0 {
			be.PutUint16(h[6:], []uint16{0, 0x4000, 0x2000}[r.IntN(3)])
		}
		h[9] = proto
		f = append(append(be.AppendUint16(f, 0x0800), h...), l4...)
	default:
		var ext []byte
		next := proto
		for range []int{0, 0, 1, 2, 3, 8, 9}[r.IntN(7)] {
			kind := []byte{0, 43, 44, 51, 60}[r.IntN(5)]
			size := r.IntN(3)
			e := noise(8 * (size + 1))
			e[1] = byte(size)
			switch kind {
			case 51:
				e[1] = byte(2 * size)
			case 44:
				e = e[:8]
				if r.IntN(3) > 0 {
					be.PutUint16(e[2:], uint16(r.IntN(8)))
				}
			}
			e[0] = next
			next = kind
			ext = append(e, ext...)
		}
		h := noise(40)
		h[0] = 6<<4 | h[0]&15
		h[6] = next
		be.PutUint16(h[4:], uint16(len(ext)+len(l4)))
		if r.IntN(8) == 0 {
			be.PutUint16(h[4:], uint16(r.IntN(60)))
		}
		f = append(append(append(be.AppendUint16(f, 0x86dd), h...), ext...), l4...)
	}
	if r.IntN(5) == 0 {
		f = f[:14+r.IntN(len(f)-13)]
	}
	return f
}

// ownLoopback moves the test to a new network namespace in which the loopback interface
// is up. Processes that it starts are in it too.
func ownLoopback(t *testing.T) {
	runtime.LockOSThread() // permanently
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, _ := unix.NewIfreq("lo")
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// TestPackets sends random frames, on the loopback interface or through a pair of virtual
// ones, and compares the members that a program reads with
// those that a plain parser finds.
func TestPackets(t *testing.T) {
	needRoot(t)
	const frames = 600
	for _, at := range []string{"xdp:lo", "tc:lo:ingress", "tc:lo:egress", "xdp:gt0", "tc:gt0:ingress"} {
		t.Run(at, func(t *testing.T) {
			ownLoopback(t)
			out := "lo"
			if strings.Contains(at, "gt0") {
				out = "gt1"
				for _, args := range []string{"add gt0 address 2:77:0:0:0:1 type veth peer name gt1", "set gt0 promisc on up", "set gt1 up"} {
					if text, err := exec.Command("ip", append([]string{"link"}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
						t.Skipf("ip link %s: %v %s", args, err, text)
					}
				}
			}
			s := start(t, "-e", at+packetScript)
			s.attachedOr("tc needs Linux 6.6")
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			lo, err := net.InterfaceByName(out)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			var want []string
			for n := range frames {
				f := randomFrame(r, n)
				if out != "lo" && len(f) > 1500 {
					continue
				}
				if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: lo.Index}); err != nil {
					t.Fatalf("frame %d of %d bytes: %v", n, len(f), err)
				}
				// The kernel removes the tag before tc sees the frame, and drops the
				// frame if fewer than six bytes follow the outer EtherType.
				kind := binary.BigEndian.Uint16(f[12:])
				if strings.HasSuffix(at, ":ingress") && (kind == 0x8100 || kind == 0x88a8) && len(f) < 14+6 {
					continue
				}
				want = append(want, described(n, f)...)
			}
			s.signal(unix.SIGINT)
			res := s.wait()
			res.quiet(t)
			var got []string
			for line := range strings.Lines(res.stdout) {
				// If a tag was removed from the packet, the length differs.
				if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, " len ") && !strings.HasPrefix(line, "Att") {
					got = append(got, line)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestCgroupPackets counts datagrams of known size between known ports, for IPv4 and
// IPv6.
func TestCgroupPackets(t *testing.T) {
	needRoot(t)
	cgroup := "/sys/fs/cgroup/unified"
	if _, err := os.Stat(cgroup); err != nil {
		cgroup = "/sys/fs/cgroup"
	}
	for _, addr := range []string{"127.0.0.1", "::1"} {
		for _, dir := range []string{"ingress", "egress"} {
			t.Run(addr+" "+dir, func(t *testing.T) {
				in, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
				if err != nil {
					t.Skip(err)
				}
				defer in.Close()
				port := in.LocalAddr().(*net.UDPAddr).Port
				s := start(t, "-e", fmt.Sprintf("cgroup_skb:%s:%s /pkt.udp.dport == %d/ { @[pkt.daddr, pkt.udp.len, pkt.len, pkt.iface, pkt.dir] = count(); }", cgroup, dir, port))
				s.attached()
				exchange(t, in, 100)
				s.signal(unix.SIGINT)
				res := s.wait()
				res.quiet(t)
				size := 31
				if strings.Contains(addr, ":") {
					size = 51
				}
				if want := fmt.Sprintf("@[%s, 11, %d, lo, %s]: 100\n", addr, size, dir); !strings.Contains(res.stdout, want) {
					t.Errorf("want %q:\n%s", want, res.stdout)
				}
			})
		}
	}
}

// TestPacketEvents checks the arguments of pkt:in and pkt:out, and the data of packets, with
// datagrams of known size between known ports.
func TestPacketEvents(t *testing.T) {
	needRoot(t)
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			in, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
			if err != nil {
				t.Skip(err)
			}
			defer in.Close()
			port := in.LocalAddr().(*net.UDPAddr).Port
			s := start(t, "-e", fmt.Sprintf(`pkt:in, pkt:out /args.dport == %d/ {
				@[probe, args.family, args.proto, args.saddr == args.daddr, args.sport == args.dport, args.tcpflags, args.len, args.ifname,
				  args.sock.__sk_common.skc_num == (probe == "pkt:in" ? args.dport : args.sport)] = count();
				@data[payload(2), payload(64)] = count(); }`, port))
			s.attached()
			exchange(t, in, 100)
			s.signal(unix.SIGINT)
			res := s.wait()
			res.quiet(t)
			family, size := 2, 31
			if strings.Contains(addr, ":") {
				family, size = 10, 51
			}
			for _, want := range []string{
				fmt.Sprintf("@[pkt:in, %d, 17, true, false, 0, %d, lo, true]: 100\n", family, size),
				fmt.Sprintf("@[pkt:out, %d, 17, true, false, 0, %d, lo, true]: 100\n", family, size),
				"@data[ab, abc]: 200\n",
			} {
				if !strings.Contains(res.stdout, want) {
					t.Errorf("want %q:\n%s", want, res.stdout)
				}
			}
		})
	}
}

// exchange sends n datagrams of three bytes to in, and receives each before the next.
func exchange(t *testing.T, in net.PacketConn, n int) {
	t.Helper()
	out, err := net.Dial("udp", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	buf := make([]byte, 10)
	for range n {
		if _, err := out.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := in.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSkbPackets finds the packet in the buffers that tracepoints and functions are given.
func TestSkbPackets(t *testing.T) {
	needRoot(t)
	for i, c := range []struct{ point, need string }{
		{"tracepoint:net:netif_receive_skb", ""},
		{"tracepoint:net:net_dev_queue", ""},
		{"rawtracepoint:net_dev_start_xmit", ""},
		{"kprobe:ip_rcv", "kprobe"},
		{"kprobe:ip_output", "kprobe"},
		{"fentry:udp_rcv", "fentry"},
	} {
		for _, v6 := range []bool{false, true} {
			if elsewhere(i) && c.need == "" {
				continue
			}
			if v6 && strings.Contains(c.point, ":ip_") || v6 && strings.HasSuffix(c.point, "udp_rcv") {
				continue
			}
			t.Run(fmt.Sprintf("%s %v", c.point, v6), func(t *testing.T) {
				if why := missing(c.need); c.need != "" && why != "" {
					t.Skip(why)
				}
				ownLoopback(t)
				addr, size, iface := "127.0.0.1", 31, ", pkt.iface"
				if c.point == "kprobe:ip_output" {
					iface = "" // the function sets it
				}
				if v6 {
					addr, size = "::1", 51
				}
				in, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
				if err != nil {
					t.Skip(err)
				}
				defer in.Close()
				s := start(t, "-e", fmt.Sprintf("%s /pkt.udp.dport == %d/ { @[pkt.daddr, pkt.udp.len, pkt.len%s] = count(); }", c.point, in.LocalAddr().(*net.UDPAddr).Port, iface))
				s.attached()
				exchange(t, in, 50)
				s.signal(unix.SIGINT)
				res := s.wait()
				want := fmt.Sprintf("@[%s, 11, %d%s]: 50\n", addr, size, strings.Replace(iface, "pkt.iface", "lo", 1))
				if !strings.Contains(res.stdout, want) {
					t.Errorf("want %q:\n%s%s", want, res.stdout, res.stderr)
				}
			})
		}
	}
	r := trace(t, "-e", "tracepoint:sched:sched_switch { print(pkt.len); }")
	if r.status == 0 || !strings.Contains(r.stderr, "no argument of the type struct sk_buff *") {
		t.Errorf("stderr: %s", r.stderr)
	}
}
