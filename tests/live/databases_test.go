package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exchanges are requests of clients of the protocols, and the answers.
var exchanges = []struct {
	proto    string
	ask      []string // in several writes
	answer   []string
	op, what string // the names of these members in JSON
	want     string // their values, the status and the number of rows
}{
	{"redis", []string{"*2\r\n$3\r\nget\r\n$1\r\nk\r\n"}, []string{"$3\r\nabc\r\n"}, "command", "key", `GET k "OK" null`},
	{"redis", []string{"*3\r\n$3\r\nset\r", "\n$1\r\nk\r\n$6\r\nsecret\r\n"}, []string{"-ERR", " no\r\n"}, "command", "key", `SET k "ERR" null`},
	{"pgsql", []string{"Q\x00\x00\x00\x14select 'secret'\x00"}, []string{"T\x00\x00\x00\x04D\x00\x00\x00\x04", "C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"}, "command", "query", `QUERY select ? "OK" 1`},
	{"pgsql", []string{"P\x00\x00\x00\x0e\x00select\x00\x00\x00B\x00\x00\x00\x06\x00\x00", "E\x00\x00\x00\x05\x00S\x00\x00\x00\x04"}, []string{"E\x00\x00\x00\x0cC42P01\x00\x00Z\x00\x00\x00\x05I"}, "command", "query", `QUERY select "42P01" null`},
	{"mysql", []string{"\x10\x00\x00\x00", "\x03select \"secret\""}, []string{"\x07\x00\x00\x01\x00\x02\x00\x02\x00\x00\x00"}, "command", "query", `QUERY select ? "OK" 2`},
	{"mysql", []string{"\x02\x00\x00\x00\x03x"}, []string{"\x09\x00\x00\x01\xff\x7a\x04#42S02"}, "command", "query", `QUERY x 1146 null`},
}

// logins are what the sides of a connection say before the first request, the client first.
var logins = map[string][]string{
	"pgsql": {"\x00\x00\x00\x10\x00\x03\x00\x00user\x00u\x00\x00", "R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x08a\x00b\x00K\x00\x00\x00\x0c12345678Z\x00\x00\x00\x05I"},
	"mysql": {"", "\x14\x00\x00\x00\x0a10.11\x0012345678901\x00", "\x26\x00\x00\x01\x8d\xa2\x3a\x00\x00\x00\x00\x01\x21" + strings.Repeat("\x00", 23) + "root\x00\x00", "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"},
}

// TestDatabaseRequests sends requests and answers of each protocol over TCP and over a local
// socket. Both sides have to see each of them once.
func TestDatabaseRequests(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	for _, proto := range []string{"redis", "pgsql", "mysql"} {
		for _, network := range []string{"tcp4", "unix"} {
			t.Run(proto+"/"+network, func(t *testing.T) { exchangeAll(t, proto, network) })
		}
	}
}

func exchangeAll(t *testing.T, proto, network string) {
	var r result
	for range attempts {
		if r = exchangeOnce(t, proto, network); r.complete() {
			return
		}
		t.Logf("again: %s", r.stderr)
	}
	r.leftOut(t)
}

// exchangeOnce makes the exchanges of a protocol and compares the output if it is complete.
func exchangeOnce(t *testing.T, proto, network string) result {
	ln := listenOn(t, network)
	defer ln.Close()
	args := []string{"requests", proto, "-f", "json", "-p", strconv.Itoa(os.Getpid())}
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		args = append(args, "--port", strconv.Itoa(a.Port))
	}
	s := start(t, args...)
	s.attached()
	client, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 50
	var want []string
	pass := func(from, to net.Conn, parts []string) int {
		n := 0
		for _, p := range parts {
			if _, err := io.WriteString(from, p); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(to, make([]byte, len(p))); err != nil {
				t.Fatal(err)
			}
			n += len(p)
		}
		return n
	}
	for i, text := range logins[proto] {
		if i%2 == 0 {
			pass(client, server, []string{text})
		} else {
			pass(server, client, []string{text})
		}
	}
	for range rounds {
		for _, x := range exchanges {
			if x.proto == proto {
				asked := pass(client, server, x.ask)
				answered := pass(server, client, x.answer)
				want = append(want, fmt.Sprintf("%s %d %d", x.want, asked, answered))
			}
		}
	}
	client.Close()
	server.Close()
	// At the end, events that are not printed within a second would be dropped. The test
	// does not wait for events that the kernel left out.
	for deadline := time.Now().Add(20 * time.Second); strings.Count(s.stdout.String(), `"`+proto+`"`) < 2*len(want) && time.Now().Before(deadline); {
		time.Sleep(2 * time.Millisecond)
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if !r.complete() {
		return r
	}
	if strings.Contains(r.stderr, "Not shown") {
		t.Error(r.stderr) // nothing is missing
	}
	got := map[bool][]string{}
	for _, line := range strings.Split(r.stdout, "\n") {
		var q map[string]any
		if !strings.Contains(line, `"`+proto+`"`) || json.Unmarshal([]byte(line), &q) != nil {
			continue
		}
		status, _ := json.Marshal(q["status"])
		rows, _ := json.Marshal(q["rows"])
		got[q["server"].(bool)] = append(got[q["server"].(bool)], fmt.Sprintf("%v %v %s %s %v %v", q["command"], q[exchangeTarget(proto)], status, rows, q["req_bytes"], q["resp_bytes"]))
	}
	for _, server := range []bool{true, false} {
		if a, b := strings.Join(got[server], "\n"), strings.Join(want, "\n"); a != b {
			t.Errorf("server %v: %d requests, want %d:\n%s\nwant:\n%s\n%s", server, len(got[server]), len(want), first(a, 600), first(b, 600), r.stderr)
		}
	}
	return r
}

// exchangeTarget returns the name in JSON for the target of a protocol's requests.
func exchangeTarget(proto string) string {
	for _, x := range exchanges {
		if x.proto == proto {
			return x.what
		}
	}
	return ""
}

func first(s string, n int) string { return s[:min(n, len(s))] }

// TestDNSRequests sends queries from two sockets, one of them connected. Several queries
// wait for their answers at the same time, with the same numbers on both sockets.
func TestDNSRequests(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	var r result
	for range attempts {
		if r = queryOnce(t); r.complete() {
			return
		}
		t.Logf("again: %s", r.stderr)
	}
	r.leftOut(t)
}

// queryOnce sends the queries and compares the output if it is complete.
func queryOnce(t *testing.T) result {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := ownRequests(t, "dns", "--port", strconv.Itoa(server.LocalAddr().(*net.UDPAddr).Port))
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	bound, err := net.Dial("udp4", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	const n = 100
	want := map[string]int{}
	buf := make([]byte, 512)
	for i := range n {
		type query struct {
			from net.Addr
			data []byte
		}
		var waiting []query
		for j, kind := range []byte{1, 28, 1, 28} {
			q := append([]byte{byte(i), kind, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'h', byte('a' + i%26), 0, 0, kind, 0, 1}, []byte("padding")[:j]...)
			if j < 2 {
				bound.Write(q)
			} else {
				free.WriteTo(q, server.LocalAddr())
			}
			k, from, err := server.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, query{from, append([]byte(nil), buf[:k]...)})
		}
		for _, j := range []int{3, 0, 2, 1} {
			a := waiting[j].data
			a[2], a[3], a[7] = 0x81, 0x80|byte(j), byte(j+1)
			server.WriteTo(a, waiting[j].from)
			if j < 2 {
				bound.Read(buf)
			} else {
				free.ReadFrom(buf)
			}
			status := []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN"}[j]
			for _, side := range []bool{true, false} {
				want[fmt.Sprintf("%v %s h%c %s %d %d %d", side, []string{"A", "AAAA"}[j%2], 'a'+i%26, status, j+1, len(a), len(a))]++
			}
		}
	}
	queryStream(t, server.LocalAddr().String(), want)
	s.signal(syscall.SIGINT)
	r := s.wait()
	if !r.complete() {
		return r
	}
	for _, line := range strings.Split(r.stdout, "\n") {
		var q map[string]any
		if strings.Contains(line, `"dns"`) && json.Unmarshal([]byte(line), &q) == nil {
			want[fmt.Sprintf("%v %v %v %v %v %v %v", q["server"], q["qtype"], q["name"], q["status"], q["rows"], q["req_bytes"], q["resp_bytes"])]--
		}
	}
	for line, k := range want {
		if k != 0 {
			t.Errorf("%s: %d too few", line, k)
		}
	}
	return r
}

// queryStream sends queries over TCP, where the length of a message comes before it, and adds the
// lines for them to want.
func queryStream(t *testing.T, server string, want map[string]int) {
	a, b := streamPair(t, server)
	// pass sends the pieces of a message, and receives the first n bytes before the rest.
	pass := func(from, to net.Conn, n int, pieces ...[]byte) {
		t.Helper()
		all := bytes.Join(pieces, nil)
		for _, p := range pieces {
			if _, err := from.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		for _, part := range [][]byte{all[:n], all[n:]} {
			if _, err := io.ReadFull(to, part); err != nil {
				t.Fatal(err)
			}
		}
	}
	query := "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03tcp\x00\x00\x01\x00\x01"
	for i := range 4 {
		// The number of a message can look like its length.
		id := []byte{0, byte(20 + i)}
		ask := append(id, query...)
		answer := append(append(id, "\x81\x83\x00\x01\x00\x01"...), query[6:]...)
		answer = append(answer, make([]byte, 4000*(i/2))...)
		length := func(m []byte) []byte { return binary.BigEndian.AppendUint16(nil, uint16(len(m))) }
		if i%2 == 0 {
			pass(a, b, 0, append(length(ask), ask...))
			pass(b, a, 2, length(answer), answer)
		} else {
			pass(a, b, 2, length(ask), ask)
			pass(b, a, 0, append(length(answer), answer...))
		}
		for _, side := range []bool{true, false} {
			want[fmt.Sprintf("%v A tcp NXDOMAIN 1 %d %d", side, len(ask), len(answer))]++
		}
		// These are not messages of their own, but could be later pieces of some.
		pass(a, b, 0, []byte("\x12\x34\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x03tcp\x00\x00\x01\x00\x01"))
		pass(b, a, 0, []byte("\x12\x34\x80\x00\x00\x01\x00\x01\x00\x00\x00\x00\x03tcp\x00\x00\x01\x00\x01"))
	}
}

// streamPair returns both ends of a connection to a port. They are closed when the test ends.
func streamPair(t *testing.T, address string) (client, server net.Conn) {
	ln, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp4", address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}
