package live

import (
	"bytes"
	"fmt"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialogue is a request and its answer, with the output that gotrace requests has to show
// for them.
type dialogue struct {
	ask, answer        []byte
	op, target, status string
	ends               bool // the end of the connection is that of the answer
}

// conversation is a connection with both ends in this process. A single goroutine moves
// all bytes, so the order of events is known.
type conversation struct {
	t              *testing.T
	r              *rand.Rand
	client, server int // descriptors
	want           map[string]string
	open           map[string]bool // of those, the answers whose end or status may not be known
	apart          bool            // no request is sent before the one before has its answer
	tight          bool            // see tighten: some calls send only a part of the data
	unended        bool            // the end of the connection is not seen
	plan           []string        // what was done, for messages
}

// story returns what was done.
func (c *conversation) story() string { return strings.Join(c.plan, "; ") }

// tighten makes the sockets' buffers small and their calls non-blocking.
func (c *conversation) tighten() {
	for _, fd := range []int{c.client, c.server} {
		for _, err := range []error{
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1), unix.SetNonblock(fd, true),
		} {
			if err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// note adds a line to what was done.
func (c *conversation) note(format string, args ...any) {
	c.plan = append(c.plan, fmt.Sprintf(format, args...))
}

// pieces cuts data at random places: nowhere, at one, at several, or between all bytes.
func pieces(r *rand.Rand, data []byte) [][]byte {
	var list [][]byte
	if len(data) == 0 {
		return nil
	}
	most := []int{len(data), 1 + r.Intn(len(data)), 1 + r.Intn(40), 1}[r.Intn(4)]
	if most == 1 && len(data) > 300 {
		most = 100
	}
	if r.Intn(3) == 0 && len(data) > 1 {
		at := 1 + r.Intn(len(data)-1)
		return [][]byte{data[:at], data[at:]}
	}
	for len(data) > 0 {
		n := min(most, len(data), 8000)
		list, data = append(list, data[:n]), data[n:]
	}
	return list
}

// vectors cuts data for writev and the like; some of the pieces are empty.
func vectors(r *rand.Rand, data []byte) [][]byte {
	var list [][]byte
	for most := 1 + r.Intn(12); len(data) > 0; {
		n := min(r.Intn(len(data)+1), len(data))
		if len(list) >= most-1 {
			n = len(data)
		}
		list, data = append(list, data[:n]), data[n:]
	}
	return list
}

// send writes data by one of the system calls, and returns how many bytes that took.
func (c *conversation) send(fd int, data []byte) int {
	c.t.Helper()
	n, err, how := 0, error(nil), c.r.Intn(4)
	switch how {
	case 0:
		n, err = unix.Write(fd, data)
	case 1:
		n, err = unix.SendmsgN(fd, data, nil, nil, 0)
	case 2:
		n, err = unix.Writev(fd, vectors(c.r, data))
	case 3:
		n, err = unix.SendmsgBuffers(fd, vectors(c.r, data), nil, nil, 0)
	}
	n = max(n, 0)
	c.note("%d: %s %d of %d", fd, []string{"write", "sendto", "writev", "sendmsg"}[how], n, len(data))
	if c.tight && (err == nil || err == unix.EAGAIN) {
		return n
	}
	if err != nil || n != len(data) {
		c.t.Fatalf("%d of %d bytes sent: %v", n, len(data), err)
	}
	return n
}

// wait waits until a descriptor can be read or written.
func (c *conversation) wait(fd int, events int16) {
	c.t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, -1)
		if n > 0 {
			return
		}
		if err != nil && err != unix.EINTR {
			c.t.Fatal(err)
		}
	}
}

// receive reads n bytes by some of the system calls.
func (c *conversation) receive(fd, n int) {
	c.t.Helper()
	most := []int{n, 1 + c.r.Intn(n), 1 + c.r.Intn(30), 1}[c.r.Intn(4)]
	if most == 1 && n > 300 {
		most = 100
	}
	for n > 0 {
		buf := make([]byte, min(most, n))
		k, err, how := 0, error(nil), c.r.Intn(5)
		switch how {
		case 0:
			k, err = unix.Read(fd, buf)
		case 1:
			k, _, err = unix.Recvfrom(fd, buf, 0)
		case 2:
			k, err = unix.Readv(fd, vectors(c.r, buf))
		case 3:
			k, _, _, _, err = unix.RecvmsgBuffers(fd, vectors(c.r, buf), nil, 0)
		case 4:
			_, _, err = unix.Recvfrom(fd, buf, unix.MSG_PEEK)
		}
		c.note("%d: %s %d", fd, []string{"read", "recvfrom", "readv", "recvmsg", "peek"}[how], k)
		if err == unix.EAGAIN && c.tight {
			c.wait(fd, unix.POLLIN)
			continue
		}
		if err != nil || k == 0 && how != 4 {
			c.t.Fatalf("nothing to read: %v", err)
		}
		n -= k
	}
}

// pass moves data from one side to the other. The pieces are read at random times.
func (c *conversation) pass(from, to int, parts [][]byte) {
	waiting := 0
	for _, p := range parts {
		for len(p) > 0 {
			n := c.send(from, p)
			p, waiting = p[n:], waiting+n
			if waiting > 0 && (n == 0 || c.r.Intn(2) == 0 || waiting > 20000) {
				c.receive(to, waiting)
				waiting = 0
			}
			if n == 0 {
				c.wait(from, unix.POLLOUT)
			}
		}
	}
	if waiting > 0 {
		c.receive(to, waiting)
	}
}

// expect records the output for a request on both sides. One call may pass size bytes: this
// answer, and others before and after it. If that is more than the number of bytes that are
// kept, the end of the answer may not be known. It may also not be known if the answer ends
// with the connection.
func (c *conversation) expect(x *dialogue, answered, size int, status string, whole bool) {
	for _, server := range []bool{false, true} {
		key := fmt.Sprint(server, " ", x.target)
		c.want[key] = fmt.Sprintf("%s %s asked %d answered %d whole %v", x.op, status, len(x.ask), answered, whole)
		c.open[key] = size > 1024 || x.ends && c.unended
	}
}

// exchange passes a request and then its answer.
func (c *conversation) exchange(x *dialogue) {
	c.note("%s asks %d", x.target, len(x.ask))
	c.pass(c.client, c.server, pieces(c.r, x.ask))
	c.note("%s answers %d", x.target, len(x.answer))
	c.pass(c.server, c.client, pieces(c.r, x.answer))
	c.expect(x, len(x.answer), len(x.answer), x.status, true)
}

// begin passes the data before the first request: the greetings of the protocol, and on
// some connections bytes of no protocol.
func (c *conversation) begin(proto string, i int) {
	n := 0
	greet := map[string][][]byte{
		"mysql": {
			myPacket(&n, "\n5.5.5-10.11\x00\x01\x00\x00\x00abcdefgh\x00\xff\xf7\x08\x02\x00"),
			myPacket(&n, "\x85\xa6\xff\x01\x00\x00\x00\x01\x08user\x00"),
			myPacket(&n, "\x00\x00\x00\x02\x00\x00\x00"),
		},
		"pgsql": {
			nil, append([]byte{0, 0, 0, 17, 0, 3, 0, 0}, "user\x00me\x00\x00"...),
			append(pgMessage('R', "\x00\x00\x00\x00"), pgMessage('Z', "I")...),
		},
	}[proto]
	if i%7 == 3 {
		greet = append(greet, filler(c.r, 1+c.r.Intn(3000)), filler(c.r, 1+c.r.Intn(3000)))
	}
	for k, data := range greet {
		from, to := c.server, c.client
		if k%2 == 1 {
			from, to = to, from
		}
		c.note("greeting of %d", len(data))
		c.pass(from, to, pieces(c.r, data))
	}
}

// pipeline passes several requests and then their answers.
func (c *conversation) pipeline(list []*dialogue) {
	var asked, answered []byte
	for _, x := range list {
		asked, answered = append(asked, x.ask...), append(answered, x.answer...)
		c.note("%s of %d and %d", x.target, len(x.ask), len(x.answer))
	}
	for _, x := range list {
		c.expect(x, len(x.answer), len(answered), x.status, true)
	}
	c.note("pipeline of %d", len(list))
	c.pass(c.client, c.server, pieces(c.r, asked))
	c.pass(c.server, c.client, pieces(c.r, answered))
}

// overlap passes several requests before, between and after the answers to earlier ones.
func (c *conversation) overlap(list []*dialogue) {
	c.note("overlap of %d", len(list))
	var rest []byte // of the request that comes next
	for asked, answered := 0, 0; answered < len(list); {
		if asked < len(list) && (asked == answered || c.r.Intn(2) == 0) {
			if rest == nil {
				rest = list[asked].ask
			}
			c.note("%s asks %d", list[asked].target, len(rest))
			c.pass(c.client, c.server, pieces(c.r, rest))
			if asked, rest = asked+1, nil; asked < len(list) && c.r.Intn(2) == 0 {
				// Some bytes of the next one come before the answer.
				rest = list[asked].ask
				n := 1 + c.r.Intn(len(rest))
				c.note("%s asks %d of %d", list[asked].target, n, len(rest))
				c.pass(c.client, c.server, pieces(c.r, rest[:n]))
				rest = rest[n:]
			}
			continue
		}
		x := list[answered]
		c.note("%s answers %d", x.target, len(x.answer))
		c.pass(c.server, c.client, pieces(c.r, x.answer))
		c.expect(x, len(x.answer), len(x.answer), x.status, true)
		answered++
	}
}

// end ends the conversation in a random way after the beginning of a request or an answer.
func (c *conversation) end(x *dialogue) {
	switch c.r.Intn(4) {
	case 0: // no answer
		c.note("no answer")
		c.pass(c.client, c.server, pieces(c.r, x.ask))
		c.expect(x, 0, 0, "", false)
	case 1: // a part of the answer
		n := c.r.Intn(len(x.answer))
		c.pass(c.client, c.server, pieces(c.r, x.ask))
		if c.tight && c.r.Intn(2) == 0 {
			// The server does not send again what a call leaves over.
			if n = c.send(c.server, x.answer); n == len(x.answer) {
				c.receive(c.client, n)
				c.expect(x, n, n, x.status, true)
				return
			}
			if n > 0 {
				c.receive(c.client, n)
			}
		} else if n > 0 {
			c.pass(c.server, c.client, pieces(c.r, x.answer[:n]))
		}
		c.note("answer cut at %d", n)
		c.want[fmt.Sprint("cut ", x.target)] = fmt.Sprintf("%s %s asked %d answered %d", x.op, x.status, len(x.ask), n)
		if x.ends && bytes.Contains(x.answer[:n], []byte("\r\n\r\n")) {
			c.want[fmt.Sprint("cut ", x.target)] += toEnd
		}
	case 2: // nothing
	case 3:
		if x.ends {
			c.exchange(x)
		}
	}
}

// connect returns both ends of a connection.
func connect(t *testing.T, ln net.Listener) (client, server int) {
	t.Helper()
	dial := func() (net.Conn, error) { return net.Dial(ln.Addr().Network(), ln.Addr().String()) }
	a, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	own := func(c net.Conn) int {
		f, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Dup(int(f.Fd())) // Fd makes it blocking
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		c.Close()
		return fd
	}
	return own(a), own(b)
}

// TestConversations makes random requests and answers, cut at random places, in pipelines and
// on connections that end in the middle, and compares what gotrace requests shows with what
// was sent: each request once on each side.
func TestConversations(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	for _, proto := range []string{"http", "redis", "pgsql", "mysql"} {
		for _, network := range []string{"tcp4", "unix"} {
			for seed := range *seeds {
				t.Run(fmt.Sprint(proto, "/", network, "/", seed), func(t *testing.T) { converse(t, proto, network, int64(seed)) })
			}
		}
	}
}

// ownRequests starts gotrace requests for a protocol of this process, and waits until it is
// attached.
func ownRequests(t *testing.T, proto string, args ...string) *session {
	t.Helper()
	s := start(t, append([]string{"requests", proto, "-f", "json", "-p", strconv.Itoa(os.Getpid())}, args...)...)
	s.attached()
	return s
}

// listenOn returns a listener at an address of 127.0.0.1 that is free, or at a local socket.
func listenOn(t *testing.T, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func converse(t *testing.T, proto, network string, seed int64) {
	ln := listenOn(t, network)
	defer ln.Close()
	var args []string
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		args = append(args, "--port", strconv.Itoa(a.Port))
	}
	s := ownRequests(t, proto, args...)
	r := rand.New(rand.NewSource(seed))
	list, n := []*conversation{}, 0
	connections := 80
	if *thorough || *seeds > 1 {
		connections = 150
	}
	for i := range connections {
		c := &conversation{t: t, r: r, want: map[string]string{}, open: map[string]bool{}, apart: proto == "mysql" || i%3 == 0, tight: i%4 == 1, unended: network == "unix" || i%5 == 2}
		list = append(list, c)
		c.client, c.server = connect(t, ln)
		if c.tight {
			c.tighten()
		}
		c.begin(proto, i)
		next := func() *dialogue { n++; return talks[proto](r, fmt.Sprintf("k%d", n)) }
		for range 1 + r.Intn(5) {
			switch x := next(); {
			case x.ends:
			case c.apart || r.Intn(3) > 0:
				c.exchange(x)
			case r.Intn(2) == 0:
				c.pipeline(short(next, 1+r.Intn(5)))
			default:
				c.overlap(short(next, 2+r.Intn(5)))
			}
		}
		c.end(next())
		if fds := []int{c.client, c.server}; i%5 == 2 {
			defer unix.Close(fds[0])
			defer unix.Close(fds[1])
		} else {
			unix.Close(fds[i%2])
			unix.Close(fds[1-i%2])
		}
	}
	time.Sleep(time.Second)
	s.signal(syscall.SIGINT)
	res := s.wait()
	if res.missed() > 0 || strings.Contains(res.stdout, "lost_events") {
		t.Skipf("the kernel left out events: %s", res.stderr)
	}
	compareTalks(t, proto, res, list)
}

// toEnd marks an answer that is complete when the connection ends.
const toEnd = " to the end"

// short returns requests that together have fewer bytes than are kept of them.
func short(next func() *dialogue, n int) []*dialogue {
	var list []*dialogue
	for size := 0; len(list) < n; {
		x := next()
		if size += len(x.ask); size > 1000 {
			break
		}
		if !x.ends {
			list = append(list, x)
		}
	}
	return list
}

// filler returns n bytes that no protocol has at the start of a request or an answer.
func filler(r *rand.Rand, n int) []byte {
	return bytes.Repeat([]byte{"xyz\x00\xff"[r.Intn(5)]}, n)
}
