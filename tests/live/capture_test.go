package live

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// captured is a packet in a file of --pcap.
type captured struct {
	link, iface uint32
	length      int
	dir         uint32
	data        []byte
}

// readPcapng reads a file of --pcap. The error is about a block that is not well formed.
func readPcapng(path string) (list []captured, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	var links []uint32
	for first := true; len(text) > 0; first = false {
		if len(text) < 12 {
			return list, errors.New("the file ends within a block")
		}
		typ, size := le.Uint32(text), le.Uint32(text[4:])
		if size%4 != 0 || int(size) > len(text) || le.Uint32(text[size-4:]) != size || first != (typ == 0x0a0d0d0a) {
			return list, fmt.Errorf("a block of type %#x and %d bytes", typ, size)
		}
		b := text[8 : size-4]
		switch typ {
		case 1:
			links = append(links, uint32(le.Uint16(b)))
		case 6:
			n := le.Uint32(b[12:])
			p := captured{link: links[le.Uint32(b)], iface: le.Uint32(b), length: int(le.Uint32(b[16:])), data: b[20 : 20+n]}
			if opt := b[20+(n+3)&^3:]; len(opt) >= 8 && le.Uint16(opt) == 2 {
				p.dir = le.Uint32(opt[4:])
			}
			list = append(list, p)
		}
		text = text[size:]
	}
	return list, nil
}

// payloads returns the data of the UDP datagrams over IPv4 in a list of packets, whose
// link header depends on the kind of file.
func payloads(t *testing.T, list []captured) (out []string) {
	t.Helper()
	be := binary.BigEndian
	for _, p := range list {
		skip := map[uint32]int{1: 14, 113: 16}[p.link]
		if len(p.data) < skip+28 || be.Uint16(p.data[skip-2:]) != 0x800 {
			t.Fatalf("not a frame of IPv4: %x", p.data)
		}
		ip := p.data[skip:]
		if whole := skip + int(be.Uint16(ip[2:])); ip[0] != 0x45 || ip[9] != 17 || p.length != whole {
			t.Fatalf("%d bytes, %d according to the headers: %x", p.length, whole, ip[:20])
		}
		data := ip[28:]
		if len(data) > 8 {
			data = data[:8]
		}
		out = append(out, string(data))
	}
	return out
}

// TestPcap sends datagrams of known contents and compares the packets that scripts write
// with --pcap: packets that pass the predicate, or only those for which the script prints
// something.
func TestPcap(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("bpftrace writes no such files")
	}
	const all = "1 22 333 4444 55555"
	for i, c := range []struct {
		at, block, want string
		link, dir       uint32
		args            []string
		skip            string
	}{
		{at: "xdp:lo", block: `{ @ = count(); }`, want: all, link: 1, dir: 1},
		{at: "tc:lo:egress", block: `{ @ = count(); }`, want: all, link: 1, dir: 2, skip: "needs Linux 6.6"},
		{at: "netfilter:ip:output", block: `{ @ = count(); }`, want: all, link: 113, dir: 2, skip: "needs Linux 6.4"},
		{at: "cgroup_skb:ingress", block: `{ @ = count(); }`, want: all, link: 113, dir: 1},
		{at: "cgroup_skb:egress", block: `{ }`, want: all, link: 113, dir: 2},
		{at: "tracepoint:net:netif_receive_skb", block: `{ }`, want: all, link: 113},
		// Packets for which the script prints.
		{at: "xdp:lo", block: `{ if (pkt.udp.len > 10) { printf("%d\n", pkt.udp.len); } }`, want: "333 4444 55555", link: 1, dir: 1},
		{at: "xdp:lo", block: `{ print(pkt.tcp.dport); }`, want: "", link: 1},
		{at: "xdp:lo", block: `{ if (pkt.udp.len > 11) { print(1); print(2); return; } @ = count(); }`, want: "4444 55555", link: 1, dir: 1},
		{at: "xdp:lo", block: `{ for ($i : 0..2) { print($i); } }`, want: all, link: 1, dir: 1},
		{at: "xdp:lo", block: `{ if (pkt.udp.len == 12) { exit(); } }`, want: "1 22 333 4444", link: 1, dir: 1},
		// Packets that the script writes itself.
		{at: "xdp:lo", block: `{ print(1); if (pkt.udp.len == 10) { capture(); } }`, want: "22", link: 1, dir: 1},
		// A packet that is dropped is written too.
		{at: "xdp:lo", block: `{ if (pkt.udp.len == 10) { print(1); drop(); } }`, want: "22", link: 1, dir: 1, args: []string{"--unsafe"}},
		// Two kinds of headers in one file.
		{at: "xdp:lo", block: `{ } cgroup_skb:egress /pkt.udp.dport == PORT/ { }`, want: "1 1 22 22 333 333 4444 4444 55555 55555", link: 113},
	} {
		if testing.Short() && (i > 5 || strings.HasPrefix(c.at, "tracepoint")) {
			continue // what is written does not depend on the kernel
		}
		t.Run(c.at+" "+c.block, func(t *testing.T) {
			ownLoopback(t)
			in, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			port := []byte(fmt.Sprint(in.LocalAddr().(*net.UDPAddr).Port))
			script := c.at + " /pkt.udp.dport == PORT/ " + c.block
			file := filepath.Join(t.TempDir(), "out.pcapng")
			args := append([]string{"--pcap", file, "-e", string(bytes.ReplaceAll([]byte(script), []byte("PORT"), port))}, c.args...)
			s := start(t, args...)
			s.attachedOr(c.skip)
			out, err := net.Dial("udp4", in.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			for n := 1; n <= 5; n++ {
				if _, err := out.Write(bytes.Repeat([]byte{byte('0' + n)}, n)); err != nil {
					t.Fatal(err)
				}
			}
			// Records that are pending when the session ends may be dropped.
			eventually(t, "the packets are written", func() bool {
				list, _ := readPcapng(file)
				return len(list) == len(strings.Fields(c.want))
			})
			s.signal(unix.SIGINT)
			s.wait().quiet(t)
			list, err := readPcapng(file)
			if err != nil {
				t.Fatal(err)
			}
			got := payloads(t, list)
			slices.Sort(got)
			text := ""
			for i, p := range got {
				if i > 0 {
					text += " "
				}
				text += p
			}
			if text != c.want {
				t.Errorf("it wrote %q instead of %q", text, c.want)
			}
			for _, p := range list {
				if p.link != c.link || c.dir != 0 && p.dir != c.dir {
					t.Errorf("a packet with link type %d and direction %d", p.link, p.dir)
				}
			}
		})
	}
}

// TestPcapOnFullDisk checks that a full disk is reported once, and that the file then ends
// with a whole packet.
func TestPcapOnFullDisk(t *testing.T) {
	noPeer(t)
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	ownLoopback(t)
	const sent, size = 40, 1000 // datagrams, and their bytes
	in, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := net.Dial("udp4", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	file := filepath.Join(dir, "out.pcapng")
	s := start(t, "--pcap", file, "-e", fmt.Sprintf("cgroup_skb:egress /pkt.udp.dport == %d/ { print(++@n); }", in.LocalAddr().(*net.UDPAddr).Port))
	s.attached()
	for range sent {
		if _, err := out.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	s.waitFor(fmt.Sprint("\n", sent, "\n"))
	s.signal(unix.SIGINT)
	r := s.wait()
	list, err := readPcapng(file)
	if err != nil || len(list) == 0 || len(list) > 16 {
		t.Errorf("the file has %d packets: %v", len(list), err)
	}
	want := fmt.Sprintf("ERROR: --pcap: cannot write %s: No space left on device\nERROR: --pcap: %d packets were not written\n", file, sent-len(list))
	if _, errs, _ := strings.Cut(r.stderr, "probe\n"); r.status != 1 || errs != want {
		t.Errorf("status %d, stderr %q, want %q", r.status, r.stderr, want)
	}
}
