package live

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/kernel"
)

// flowLine has the members of a line of gotrace flows -o json that the tests read.
type flowLine struct {
	Flow struct {
		Verdict   string `json:"verdict"`
		Reason    string `json:"drop_reason_desc"`
		Direction string `json:"traffic_direction"`
		L4        map[string]struct {
			From  int             `json:"source_port"`
			To    int             `json:"destination_port"`
			Flags map[string]bool `json:"flags"`
		} `json:"l4"`
		IP struct {
			From string `json:"source"`
		}
		L7 struct {
			Type string `json:"type"`
			DNS  struct {
				Query string `json:"query"`
				RCode int    `json:"rcode"`
			} `json:"dns"`
			HTTP struct {
				Code   int    `json:"code"`
				Method string `json:"method"`
				URL    string `json:"url"`
			} `json:"http"`
		} `json:"l7"`
		DstNames   []string `json:"destination_names"`
		Extensions struct {
			Value struct {
				PID     int    `json:"pid"`
				Comm    string `json:"comm"`
				Place   string `json:"drop_place"`
				NetNS   uint64 `json:"netns"`
				Packets int    `json:"packets"`
				Bytes   int    `json:"bytes"`
			} `json:"value"`
		} `json:"extensions"`
	} `json:"flow"`
}

// text returns a flow in the form that the tests expect.
func (l *flowLine) text() string {
	f := &l.Flow
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", f.Verdict, f.Direction)
	if f.Reason != "" {
		fmt.Fprintf(&b, " %s", f.Reason)
	}
	for name, p := range f.L4 {
		fmt.Fprintf(&b, " %s %d>%d", name, p.From, p.To)
		for _, flag := range []string{"FIN", "SYN", "RST", "ACK"} {
			if p.Flags[flag] {
				b.WriteString(" " + flag)
			}
		}
	}
	return b.String()
}

// flowsSession is a running gotrace flows.
type flowsSession struct {
	*session
	t  *testing.T // the test that uses it
	ns uint64     // its network namespace
}

func startFlows(t *testing.T, args ...string) flowsSession {
	t.Helper()
	s := start(t, append([]string{"flows", "-o", "json"}, args...)...)
	s.attached()
	return flowsSession{s, t, 0}
}

// lines returns the flows so far.
func (s flowsSession) lines() (list []flowLine) {
	s.t.Helper()
	for text := range strings.Lines(s.stdout.String()) {
		if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "\n") {
			continue
		}
		var l flowLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			s.t.Fatalf("%v: %s", err, text)
		}
		list = append(list, l)
	}
	return list
}

// find waits for a flow.
func (s flowsSession) find(what string, is func(l *flowLine) bool) (found flowLine) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			for _, l := range s.lines() {
				if l.Flow.Extensions.Value.NetNS == s.ns {
					s.t.Logf("%+v", l.Flow)
				}
			}
		}
	}()
	eventually(s.t, what, func() bool {
		for _, l := range s.lines() {
			if is(&l) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// seen waits for a flow with a text.
func (s flowsSession) seen(text string) flowLine {
	s.t.Helper()
	return s.find(text, func(l *flowLine) bool { return l.text() == text })
}

// dropped waits for a packet that was dropped, for a reason if the kernel has it, and
// returns the flow.
func (s flowsSession) dropped(reason, rest string) flowLine {
	s.t.Helper()
	return s.find(reason+" "+rest, func(l *flowLine) bool {
		if !strings.HasPrefix(l.text(), "DROPPED ") || !strings.HasSuffix(l.text(), " "+rest) || l.Flow.Extensions.Value.Place == "" {
			return false
		}
		if _, _, has := kernel.Live().EnumConst("SKB_DROP_REASON_" + reason); has || reason == "TCP_LISTEN_OVERFLOW" {
			return l.Flow.Reason == reason
		}
		return l.Flow.Reason == "" || l.Flow.Reason == "NOT_SPECIFIED"
	})
}

// command runs a command of the system, which the machine may lack.
func command(t *testing.T, words ...string) {
	t.Helper()
	path, err := exec.LookPath(words[0])
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(path, words[1:]...).CombinedOutput()
	if err != nil {
		for _, lacks := range []string{"Protocol not supported", "not supported", "does not exist", "No chain/target/match"} {
			if strings.Contains(string(out), lacks) {
				t.Skipf("%s: %s", words[0], out)
			}
		}
		t.Fatalf("%v: %v\n%s", words, err, out)
	}
}

// ports are the ports of the tests, which use a separate network.
const (
	portAnswered = 20001 + iota
	portReset
	portClosed
	portIptables
	portNft
	portReversePath
	portFull
	portNotFound
	portCgroup
)

// TestFlows makes ten events in a separate network and finds the flow of each, with the
// verdict and the reason.
func TestFlows(t *testing.T) {
	needRoot(t)
	if !release().less(parseRelease("6.2")) {
		native(t) // its programs take long to be checked in a guest
	}
	ownLoopback(t)
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(own.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	s := startFlows(t)
	for _, e := range []struct {
		name string
		run  func(t *testing.T, s flowsSession)
	}{
		{"answered", flowAnswered}, {"reset", flowReset}, {"closed port", flowClosed}, {"iptables", flowIptables}, {"nft reject", flowNft},
		{"reverse path", flowReversePath}, {"full queue", flowFull}, {"no domain", flowNoDomain}, {"not found", flowNotFound}, {"cgroup", flowCgroup},
	} {
		t.Run(e.name, func(t *testing.T) {
			runtime.LockOSThread() // permanently
			if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
				t.Fatal(err)
			}
			e.run(t, flowsSession{s.session, t, st.Ino})
		})
	}
	s.signal(unix.SIGINT)
	s.wait().quietButMissed(t)
}

// TestFlowOwners selects flows by process. The listening socket is older than the session,
// and another process connects to it.
func TestFlowOwners(t *testing.T) {
	native(t)
	needRoot(t)
	ownLoopback(t)
	l := listen(t, portAnswered)
	s := startFlows(t, "--pid", fmt.Sprint(os.Getpid()), "--not", "--tcp-flags", "FIN")
	command(t, "/bin/bash", "-c", fmt.Sprintf(": > /dev/tcp/127.0.0.1/%d", portAnswered))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	from := c.RemoteAddr().(*net.TCPAddr).Port
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	ours(t, s.seen(fmt.Sprintf("FORWARDED INGRESS TCP %d>%d SYN", from, portAnswered)), 1, 60)
	s.find("a reset", func(l *flowLine) bool { return l.Flow.Direction == "EGRESS" && l.Flow.L4["TCP"].Flags["RST"] })
	for _, l := range s.lines() {
		if l.Flow.Extensions.Value.PID != os.Getpid() || l.Flow.L4["TCP"].Flags["FIN"] {
			t.Errorf("%s %+v", l.text(), l.Flow.Extensions.Value)
		}
	}
	s.signal(unix.SIGINT)
	s.wait().quietButMissed(t)
}

// listen returns a listener for TCP.
func listen(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial connects and returns the connection and its local port.
func dial(t *testing.T, port int) (net.Conn, int) {
	t.Helper()
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.LocalAddr().(*net.TCPAddr).Port
}

// sendTo sends a datagram and returns the port that it comes from.
func sendTo(t *testing.T, port int) (from int, err error) {
	t.Helper()
	c, derr := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port))
	if derr != nil {
		t.Fatal(derr)
	}
	defer c.Close()
	_, err = c.Write([]byte("abc"))
	return c.LocalAddr().(*net.UDPAddr).Port, err
}

// ours checks that a flow belongs to the test's process.
func ours(t *testing.T, l flowLine, packets, bytes int) {
	t.Helper()
	v := l.Flow.Extensions.Value
	comm, _ := os.ReadFile("/proc/self/comm")
	if v.PID != os.Getpid() || !strings.HasPrefix(string(comm), v.Comm) || v.Packets != packets || v.Bytes != bytes {
		t.Errorf("%s: %+v, want process %d with %d packets and %d bytes", l.text(), v, os.Getpid(), packets, bytes)
	}
}

func flowAnswered(t *testing.T, s flowsSession) {
	for range 10 { // the kernel gives the memory of these sockets to those of the test
		doWork(t, *work, "tcp", "1")
	}
	l := listen(t, portAnswered)
	_, from := dial(t, portAnswered)
	const syn = 60 // bytes, with the header of IP and the options
	ours(t, s.seen(fmt.Sprintf("FORWARDED EGRESS TCP %d>%d SYN", from, portAnswered)), 1, syn)
	ours(t, s.seen(fmt.Sprintf("FORWARDED INGRESS TCP %d>%d SYN", from, portAnswered)), 1, syn)
	ours(t, s.seen(fmt.Sprintf("FORWARDED INGRESS TCP %d>%d SYN ACK", portAnswered, from)), 1, syn)
	l.Close()
}

func flowReset(t *testing.T, s flowsSession) {
	l := listen(t, portReset)
	_, from := dial(t, portReset)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	s.seen(fmt.Sprintf("FORWARDED EGRESS TCP %d>%d RST ACK", portReset, from))
	ours(t, s.seen(fmt.Sprintf("FORWARDED INGRESS TCP %d>%d RST ACK", portReset, from)), 2, 60+52)
}

func flowClosed(t *testing.T, s flowsSession) {
	if c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", portClosed)); err == nil {
		c.Close()
		t.Fatal("the port is open")
	}
	l := s.find("a dropped SYN", func(l *flowLine) bool { return l.Flow.Verdict == "DROPPED" && l.Flow.L4["TCP"].To == portClosed })
	s.dropped("NO_SOCKET", fmt.Sprintf("TCP %d>%d SYN", l.Flow.L4["TCP"].From, portClosed))
}

func flowIptables(t *testing.T, s flowsSession) {
	command(t, "iptables", "-A", "INPUT", "-p", "udp", "--dport", fmt.Sprint(portIptables), "-j", "DROP")
	from, _ := sendTo(t, portIptables)
	flow := fmt.Sprintf("UDP %d>%d", from, portIptables)
	ours(t, s.seen("FORWARDED EGRESS "+flow), 1, 31)
	if l := s.dropped("NETFILTER_DROP", flow); l.Flow.Direction != "INGRESS" || l.Flow.Extensions.Value.Bytes != 31 {
		t.Errorf("%+v", l)
	}
}

func flowNft(t *testing.T, s flowsSession) {
	command(t, "nft", "add", "table", "ip", "gotrace")
	command(t, "nft", "add", "chain", "ip", "gotrace", "out", "{ type filter hook output priority 0; }")
	command(t, "nft", "add", "rule", "ip", "gotrace", "out", "udp", "dport", fmt.Sprint(portNft), "reject")
	from, _ := sendTo(t, portNft)
	flow := fmt.Sprintf("UDP %d>%d", from, portNft)
	l := s.dropped("NETFILTER_DROP", flow)
	if l.Flow.Direction != "EGRESS" {
		t.Errorf("%+v", l)
	}
	ours(t, l, 1, 31)
}

// flowReversePath sends a packet with the address of a network to which there is no route.
func flowReversePath(t *testing.T, s flowsSession) {
	for _, f := range []string{"all", "lo"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+f+"/rp_filter", []byte("1"), 0); err != nil {
			t.Skip(err)
		}
	}
	command(t, "ip", "address", "add", "10.77.0.1/32", "dev", "lo")
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	const size = 28
	p := []byte{14: 0x45, 17: size, 22: 64, 23: unix.IPPROTO_UDP, 26: 10, 99, 0, 1, 30: 10, 77, 0, 1, 14 + size - 1: 0}
	p[12] = 8
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[24:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(p[34:], portReversePath)
	binary.BigEndian.PutUint16(p[36:], portReversePath)
	binary.BigEndian.PutUint16(p[38:], 8)
	if err := unix.Sendto(fd, p, 0, &unix.SockaddrLinklayer{Ifindex: lo.Index}); err != nil {
		t.Fatal(err)
	}
	if l := s.dropped("IP_RPFILTER", fmt.Sprintf("UDP %d>%[1]d", portReversePath)); l.Flow.IP.From != "10.99.0.1" || l.Flow.Direction != "INGRESS" {
		t.Errorf("%+v", l)
	}
}

// flowFull connects more often than the queue of a listening socket allows.
func flowFull(t *testing.T, s flowsSession) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrInet4{Port: portFull, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(fd, to); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	dial(t, portFull) // takes the place of the one that waits
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	if err := unix.Connect(c, to); err != unix.EINPROGRESS {
		t.Fatalf("%v", err)
	}
	sa, err := unix.Getsockname(c)
	if err != nil {
		t.Fatal(err)
	}
	from := sa.(*unix.SockaddrInet4).Port
	ours(t, s.seen(fmt.Sprintf("FORWARDED EGRESS TCP %d>%d SYN", from, portFull)), 1, 60)
	ours(t, s.dropped("TCP_LISTEN_OVERFLOW", fmt.Sprintf("TCP %d>%d SYN", from, portFull)), 1, 60)
	for _, l := range s.lines() {
		if l.text() == fmt.Sprintf("FORWARDED INGRESS TCP %d>%d SYN", from, portFull) {
			t.Error("the SYN was forwarded too")
		}
	}
}

// flowNoDomain asks a server that knows only one name.
func flowNoDomain(t *testing.T, s flowsSession) {
	in, err := net.ListenPacket("udp4", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c, err := net.Dial("udp4", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(name string, rcode byte) {
		query := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for label := range strings.SplitSeq(name, ".") {
			query = append(append(query, byte(len(label))), label...)
		}
		query = append(query, 0, 0, 1, 0, 1)
		if _, err := c.Write(query); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 512)
		n, client, err := in.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		answer := buf[:n]
		answer[2], answer[3] = 0x81, 0x80|rcode
		if rcode == 0 {
			answer[7] = 1
			answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 2)
		}
		if _, err := in.WriteTo(answer, client); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	ask("Nothing.example", 3)
	l := s.find("an answer", func(l *flowLine) bool {
		return l.Flow.L7.DNS.Query == "nothing.example." && l.Flow.L7.Type == "RESPONSE" && l.Flow.Direction == "INGRESS"
	})
	if l.Flow.L7.DNS.RCode != 3 || l.Flow.Verdict != "FORWARDED" {
		t.Errorf("%+v", l)
	}
	ours(t, l, 1, 61)
	// The name of an address is known once DNS has returned the address.
	ask("two.example", 0)
	sent, err := net.Dial("udp4", "127.0.0.2:9")
	if err != nil {
		t.Fatal(err)
	}
	defer sent.Close()
	sent.Write([]byte("x"))
	s.find("a name", func(l *flowLine) bool {
		return l.Flow.L4["UDP"].To == 9 && len(l.Flow.DstNames) == 1 && l.Flow.DstNames[0] == "two.example"
	})
}

func flowNotFound(t *testing.T, s flowsSession) {
	l := listen(t, portNotFound)
	go http.Serve(l, http.NotFoundHandler())
	c, _ := dial(t, portNotFound)
	fmt.Fprintf(c, "GET /missing?secret=1 HTTP/1.1\r\nHost: here.example\r\nConnection: close\r\n\r\n")
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	got := s.find("a response", func(l *flowLine) bool {
		return l.Flow.L7.HTTP.Code == 404 && l.Flow.L4["TCP"].From == portNotFound && l.Flow.Direction == "INGRESS"
	})
	if h := got.Flow.L7.HTTP; h.Method != "GET" || h.URL != "http://here.example/missing?***" || got.Flow.Verdict != "FORWARDED" || got.Flow.L7.Type != "RESPONSE" {
		t.Errorf("%+v", got)
	}
}

// flowCgroup lets another program refuse a packet after the one of gotrace flows.
func flowCgroup(t *testing.T, s flowsSession) {
	deny := start(t, "--unsafe", "-e", fmt.Sprintf("cgroup_skb:egress /pkt.udp.dport == %d/ { drop(); }", portCgroup))
	deny.attached()
	from, err := sendTo(t, portCgroup)
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("sent: %v", err)
	}
	l := s.dropped("BPF_CGROUP_EGRESS", fmt.Sprintf("UDP %d>%d", from, portCgroup))
	ours(t, l, 1, 31)
	if l.Flow.Direction != "EGRESS" {
		t.Errorf("%+v", l)
	}
	for _, l := range s.lines() {
		if l.text() == fmt.Sprintf("FORWARDED EGRESS UDP %d>%d", from, portCgroup) {
			t.Error("the datagram was forwarded too")
		}
	}
	deny.signal(unix.SIGINT)
	deny.wait()
}
