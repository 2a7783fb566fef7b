package live

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// oddTalk is a connection whose ends do what few programs do.
type oddTalk struct {
	t              *testing.T
	client, server int    // descriptors
	path           string // the target of the request
	tcp            bool
}

// say sends texts one after the other, each of which the other side reads at once.
func (o *oddTalk) say(from int, texts ...string) {
	o.t.Helper()
	for _, text := range texts {
		o.send(from, text, 0)
		o.take(o.other(from), len(text), 0)
	}
}

func (o *oddTalk) other(fd int) int { return o.client + o.server - fd }

func (o *oddTalk) send(fd int, text string, flags int) {
	o.t.Helper()
	if n, err := unix.SendmsgN(fd, []byte(text), nil, nil, flags); n != len(text) || err != nil {
		o.t.Fatalf("%s: %d of %d bytes sent: %v", o.path, n, len(text), err)
	}
}

// take receives n bytes into memory that looks like another answer.
func (o *oddTalk) take(fd, n, flags int) {
	o.t.Helper()
	for n > 0 {
		b := []byte(strings.Repeat("HTTP/1.1 500 Old\r\nContent-Length: 0\r\n\r\n", n/40+1))[:n]
		k, _, err := unix.Recvfrom(fd, b, flags)
		if err != nil || k <= 0 {
			o.t.Fatalf("%s: %d bytes received: %v", o.path, k, err)
		}
		n -= k
	}
}

// get returns a request without a body.
func (o *oddTalk) get() string { return "GET " + o.path + " HTTP/1.1\r\n\r\n" }

const (
	ok5  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	body = "12345"
)

// odd are the connections. Each returns the status of the answer, the sizes of the request and
// of the answer, and whether the answer is complete.
var odd = []struct {
	name string
	talk func(o *oddTalk) (status, asked, answered int, complete bool)
}{
	{"truncated", func(o *oddTalk) (int, int, int, bool) { // bytes that the kernel throws away
		o.say(o.client, o.get())
		o.say(o.server, ok5)
		o.send(o.server, body, 0)
		o.take(o.client, len(body), unix.MSG_TRUNC)
		return 200, len(o.get()), len(ok5 + body), true
	}},
	{"urgent", func(o *oddTalk) (int, int, int, bool) {
		o.say(o.client, o.get())
		o.say(o.server, ok5, body[:2])
		urgent := 0
		if o.tcp {
			urgent = unix.MSG_OOB
		}
		o.send(o.server, body[2:3], urgent)
		o.take(o.client, 1, urgent)
		o.say(o.server, body[3:])
		return 200, len(o.get()), len(ok5 + body), true
	}},
	{"more", func(o *oddTalk) (int, int, int, bool) {
		ask := o.get()
		o.send(o.client, ask[:9], unix.MSG_MORE)
		o.send(o.client, ask[9:], 0)
		o.take(o.server, len(ask), 0)
		o.send(o.server, ok5, unix.MSG_MORE)
		o.send(o.server, body, 0)
		o.take(o.client, len(ok5+body), 0)
		return 200, len(ask), len(ok5 + body), true
	}},
	{"copies", func(o *oddTalk) (int, int, int, bool) { // of the descriptors
		var copies [2]int
		for i, fd := range []int{o.client, o.server} {
			n, err := unix.Dup(fd)
			if err != nil {
				o.t.Fatal(err)
			}
			defer unix.Close(n)
			copies[i] = n
		}
		o.send(o.client, o.get()[:10], 0)
		o.send(copies[0], o.get()[10:], 0)
		o.take(copies[1], 5, 0)
		o.take(o.server, len(o.get())-5, 0)
		o.send(copies[1], ok5, 0)
		o.send(o.server, body, 0)
		o.take(copies[0], len(ok5+body), 0)
		return 200, len(o.get()), len(ok5 + body), true
	}},
	{"half-closed", func(o *oddTalk) (int, int, int, bool) {
		o.say(o.client, o.get())
		unix.Shutdown(o.client, unix.SHUT_WR)
		o.take1(o.server)
		answer := "HTTP/1.0 200 OK\r\n\r\nsome text"
		o.say(o.server, answer)
		unix.Shutdown(o.server, unix.SHUT_WR)
		o.take1(o.client)
		return 200, len(o.get()), len(answer), true
	}},
	{"reset", func(o *oddTalk) (int, int, int, bool) { // in the middle of the answer
		o.say(o.client, o.get())
		o.say(o.server, ok5+body[:2])
		unix.SetsockoptLinger(o.server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		return 200, len(o.get()), len(ok5) + 2, false
	}},
	{"early-hints", func(o *oddTalk) (int, int, int, bool) {
		o.say(o.client, o.get())
		o.say(o.server, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", ok5+body)
		return 200, len(o.get()), len(ok5 + body), true
	}},
	{"refused-body", func(o *oddTalk) (int, int, int, bool) {
		ask := "PUT " + o.path + " HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
		answer := "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"
		o.say(o.client, ask)
		o.say(o.server, answer)
		return 417, len(ask), len(answer), true
	}},
	{"early-answer", func(o *oddTalk) (int, int, int, bool) { // before the body has been sent
		ask := "PUT " + o.path + " HTTP/1.1\r\nContent-Length: 5\r\n\r\n"
		o.say(o.client, ask, body[:2])
		o.say(o.server, ok5+body)
		o.say(o.client, body[2:])
		return 200, -1, len(ok5 + body), true
	}},
	{"trailers", func(o *oddTalk) (int, int, int, bool) {
		ask := "POST " + o.path + " HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
		end := "2;a=\"x\"\r\nab\r\n0\r\nA: b\r\nC: d\r\n\r\n"
		answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n" + end
		o.say(o.client, ask, end[:4], end[4:])
		o.say(o.server, answer[:len(answer)-3], answer[len(answer)-3:])
		return 200, len(ask + end), len(answer), true
	}},
	{"no-body", func(o *oddTalk) (int, int, int, bool) {
		o.say(o.client, o.get())
		answer := "HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\n"
		o.say(o.server, answer)
		return 304, len(o.get()), len(answer), true
	}},
	{"upgrade", func(o *oddTalk) (int, int, int, bool) { // all that follows belongs to the answer
		ask := "GET " + o.path + " HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
		answer := "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"
		o.say(o.client, ask)
		o.say(o.server, answer)
		o.say(o.client, "\x81\x02ab")
		o.say(o.server, "\x81\x02cd")
		return 101, -1, len(answer) + 4, true
	}},
	{"connect", func(o *oddTalk) (int, int, int, bool) {
		o.path = o.path[1:] + ":443"
		ask := "CONNECT " + o.path + " HTTP/1.1\r\nHost: x\r\n\r\n"
		answer := "HTTP/1.1 200 Connection established\r\n\r\n"
		o.say(o.client, ask)
		o.say(o.server, answer)
		o.say(o.client, "\x00\x01ab")
		o.say(o.server, "\x00\x01cd")
		return 200, -1, len(answer) + 4, true
	}},
	{"line-ends", func(o *oddTalk) (int, int, int, bool) { // without CR
		ask := strings.ReplaceAll(o.get(), "\r", "")
		o.say(o.client, ask)
		o.say(o.server, ok5+body)
		return 200, len(ask), len(ok5 + body), true
	}},
	{"spaces", func(o *oddTalk) (int, int, int, bool) {
		o.say(o.client, o.get())
		answer := "HTTP/1.1 200\r\ncontent-length:\t5 \r\nX-Content-Length: 900\r\n\r\n" + body
		o.say(o.server, answer)
		return 200, len(o.get()), len(answer), true
	}},
	{"long-header", func(o *oddTalk) (int, int, int, bool) {
		ask := strings.Replace(o.get(), "\r\n\r\n", "\r\nCookie: "+strings.Repeat("x", 5000)+"\r\n\r\n", 1)
		o.say(o.client, ask)
		o.say(o.server, ok5+body)
		return 200, len(ask), len(ok5 + body), true
	}},
	{"many-pieces", func(o *oddTalk) (int, int, int, bool) { // more than are counted one by one
		answer := ok5[:len(ok5)-5] + "95\r\n\r\n" + strings.Repeat("x", 95)
		answer = strings.Replace(answer, ": 95", ": 95", 1)
		o.say(o.client, o.get())
		var parts [][]byte
		for i := range answer {
			parts = append(parts, []byte(answer[i:i+1]))
		}
		if n, err := unix.Writev(o.server, parts); err != nil || n != len(answer) {
			o.t.Fatalf("%d, %v", n, err)
		}
		o.take(o.client, len(answer), 0)
		return 200, len(o.get()), len(answer), true
	}},
}

// endedByOther lets another process end a connection on which a request has no answer. It returns
// the output that this is to have.
func endedByOther(t *testing.T, ln net.Listener) string {
	t.Helper()
	const ask = "GET /other HTTP/1.1\r\n\r\n"
	port := ln.Addr().(*net.TCPAddr).Port
	other := exec.Command("bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d; printf 'GET /other HTTP/1.1\\r\\n\\r\\n' >&3; read -u 3", port))
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len(ask))); err != nil {
		t.Fatal(err)
	}
	c.Close()
	other.Wait() // its status is that of read
	return fmt.Sprint("true /other 0 ", len(ask), " 0 false")
}

// take1 expects the end of the data.
func (o *oddTalk) take1(fd int) {
	o.t.Helper()
	if n, _, err := unix.Recvfrom(fd, make([]byte, 1), 0); n != 0 || err != nil {
		o.t.Fatalf("%s: %d, %v at the end", o.path, n, err)
	}
}

// fastOpen connects with the first bytes, by one of two ways.
func fastOpen(t *testing.T, ln net.Listener, first string, connect bool) (client, server int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrInet4{Port: ln.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	n := 0
	if connect {
		if err = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err == nil {
			err = unix.Connect(fd, to)
		}
		if err == nil {
			n, err = unix.Write(fd, []byte(first))
		}
	} else {
		n, err = unix.SendmsgN(fd, []byte(first), nil, to, unix.MSG_FASTOPEN)
	}
	if err != nil || n != len(first) {
		t.Fatalf("%d bytes sent: %v", n, err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	server, err = unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd, server
}

// TestOddConnections compares the output for connections whose ends do what few programs do with
// what they did.
func TestOddConnections(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	s := ownRequests(t, "http")
	var want []string
	expect := func(path string, status, asked, answered int, complete bool) {
		for _, server := range []bool{true, false} {
			want = append(want, fmt.Sprint(server, " ", path, " ", status, " ", asked, " ", answered, " ", complete))
		}
	}
	free := map[string]bool{} // paths of requests of any size
	open := map[string]bool{} // paths of answers that end with a connection whose end is not seen
	for _, network := range []string{"tcp4", "unix"} {
		ln := listenOn(t, network)
		defer ln.Close()
		for _, x := range odd {
			o := &oddTalk{t: t, path: "/" + network + "-" + x.name, tcp: network == "tcp4"}
			o.client, o.server = connect(t, ln)
			status, asked, answered, complete := x.talk(o)
			open[o.path] = !o.tcp && (status == 101 || strings.HasSuffix(o.path, ":443") || x.name == "half-closed")
			free[o.path] = asked < 0
			expect(o.path, status, asked, answered, complete)
			unix.Close(o.server)
			unix.Close(o.client)
		}
		if network == "unix" {
			continue // its sockets do not discard data, and have no early data
		}
		o := &oddTalk{t: t, path: "/discarded"}
		o.client, o.server = connect(t, ln)
		o.say(o.client, o.get())
		o.send(o.server, ok5+body, 0)
		o.take(o.client, len(ok5+body), unix.MSG_TRUNC)
		unix.Close(o.server)
		unix.Close(o.client)
		want = append(want, fmt.Sprint("true /discarded 200 ", len(o.get()), " ", len(ok5+body), " true"), fmt.Sprint("false /discarded 0 ", len(o.get()), " 0 false"))
		want = append(want, endedByOther(t, ln))
		for i := range 2 {
			o := &oddTalk{t: t, path: fmt.Sprint("/fast-open-", i)}
			o.client, o.server = fastOpen(t, ln, o.get(), i == 1)
			o.take(o.server, len(o.get()), 0)
			for again := range 3 { // the first one has been sent
				if again > 0 {
					o.path = fmt.Sprint("/fast-open-", i, "-", again)
					o.say(o.client, o.get())
				}
				o.say(o.server, ok5+body)
				expect(o.path, 200, len(o.get()), len(ok5+body), true)
			}
			unix.Close(o.server)
			unix.Close(o.client)
		}
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if r.missed() > 0 || strings.Contains(r.stdout, "lost_events") {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	var got []string
	for line := range strings.Lines(r.stdout) {
		var q seenRequest
		if json.Unmarshal([]byte(line), &q) != nil || q.Type != "http" {
			continue
		}
		if q.PID != os.Getpid() {
			t.Errorf("the request belongs to process %d, %s: %s", q.PID, q.Comm, line)
		}
		status := 0
		if q.Status != nil {
			status = *q.Status
		}
		if free[q.Path] {
			q.ReqBytes = -1
		}
		q.Complete = q.Complete || open[q.Path]
		got = append(got, fmt.Sprint(q.Server, " ", q.Path, " ", status, " ", q.ReqBytes, " ", q.RespBytes, " ", q.Complete))
	}
	slices.Sort(want)
	slices.Sort(got)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	for i, g := range got {
		if !slices.Contains(want, g) || i > 0 && got[i-1] == g {
			t.Errorf("wrong: %s", g)
		}
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
}
