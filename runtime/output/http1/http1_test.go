package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gotrace/gotrace/runtime/hosts"
	"github.com/gotrace/gotrace/tests/testkit"
)

// serve starts a server that answers with the request's path and header Accept.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	l, err := hosts.Listen("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.Handle == nil {
		s.Handle = func(r *Request) Response { return Text(200, r.Path+" "+r.Accept) }
	}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(time.Second); <-done })
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRequests checks the answers to requests, good and bad, all of which may be followed
// by another one.
func TestRequests(t *testing.T) {
	const host, next = "Host: x\r\n", "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name, request string
		want          string // statuses of the answers
	}{
		{"one", "GET / HTTP/1.1\r\n" + host + "\r\n", "200 200"},
		{"head", "HEAD / HTTP/1.1\r\n" + host + "\r\n", "200 200"},
		{"bare line ends", "GET / HTTP/1.1\nHost: x\n\n", "200 200"},
		{"empty line before", "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", "200 200"},
		{"close", "GET / HTTP/1.1\r\n" + host + "Connection: Close\r\n\r\n", "200"},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", "200"},
		{"1.0 with host", "GET / HTTP/1.0\r\n" + host + "\r\n", "200"},
		{"absolute", "GET http://x/metrics HTTP/1.1\r\n" + host + "\r\n", "200 200"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", "400"},
		{"post", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", "405 200"},
		{"post with a body", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", "405"},
		{"get with a body", "GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", "413"},
		{"two lengths", "GET / HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", "413"},
		{"chunked", "GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "413"},
		{"http 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
		{"tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "400"},
		{"nonsense", "hello\r\n\r\n", "400"},
		{"no version", "GET /\r\n\r\n", "400"},
		{"spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"no path", "GET x HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"folded header", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", "400"},
		{"space before colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
		{"NUL", "GET /\x00 HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"bare CR", "GET / HTTP/1.1\r\nA: b\rc\r\n" + host + "\r\n", "400"},
		{"long line", "GET /" + strings.Repeat("x", maxHead) + " HTTP/1.1\r\n" + host + "\r\n", "431"},
		{"many headers", "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHead/6+1) + host + "\r\n", "431"},
		{"endless", strings.Repeat("x", 1<<20), "431"},
		{"nearly too long", "GET /" + strings.Repeat("x", maxHead-2000) + " HTTP/1.1\r\n" + host + "\r\n", "200 200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, serve(t, &Server{}))
			go func() { io.WriteString(conn, c.request+next) }()
			r := bufio.NewReader(conn)
			var got []string
			for {
				method := "GET"
				if len(got) == 0 && strings.HasPrefix(c.request, "HEAD") {
					method = "HEAD"
				}
				res, err := http.ReadResponse(r, &http.Request{Method: method})
				if err != nil {
					break
				}
				got = append(got, fmt.Sprint(res.StatusCode))
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Close || len(got) == 2 {
					break
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v, want %s", got, c.want)
			}
		})
	}
}

// TestClient checks that Go's client receives two answers on one connection.
func TestClient(t *testing.T) {
	addr := serve(t, &Server{})
	for range 2 {
		req, _ := http.NewRequest("GET", "http://"+addr+"/m?a=b", nil)
		req.Header.Set("Accept", "text/plain")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != "/m text/plain\n" || res.ContentLength != int64(len(body)) {
			t.Errorf("%q, length %d", body, res.ContentLength)
		}
	}
}

// TestSlow checks that the server does not wait for a client that sends its request
// slowly, and disconnects one that sends nothing.
func TestSlow(t *testing.T) {
	slow := dial(t, serve(t, &Server{idle: time.Minute, read: 20 * time.Millisecond}))
	silent := dial(t, serve(t, &Server{idle: 20 * time.Millisecond, read: time.Minute}))
	io.WriteString(slow, "GET / HT")
	if answer, err := io.ReadAll(slow); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("%q, %v", answer, err)
	}
	if answer, err := io.ReadAll(silent); err != nil || len(answer) > 0 {
		t.Errorf("%q, %v", answer, err)
	}
}

// inUse returns the number of connections with a request.
func inUse(s *Server) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.since.IsZero() {
			n++
		}
	}
	return n
}

// TestManyConns checks that idle connections give way to new ones, and busy ones do not.
func TestManyConns(t *testing.T) {
	release, busy := make(chan bool), make(chan bool)
	s := &Server{Handle: func(r *Request) Response {
		if r.Path == "/wait" {
			busy <- true
			<-release
		}
		return Text(200, "ok")
	}}
	addr := serve(t, s)
	get := func(c net.Conn) error {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err
	}
	for range maxConns { // idle
		if err := get(dial(t, addr)); err != nil {
			t.Fatal(err)
		}
	}
	// The client may have an answer before the connection counts as idle.
	for inUse(s) > 0 {
		time.Sleep(time.Millisecond)
	}
	var waiting []net.Conn
	for range maxConns {
		c := dial(t, addr)
		io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		<-busy
		waiting = append(waiting, c)
	}
	if get(dial(t, addr)) == nil {
		t.Error("there are more connections than allowed")
	}
	close(release)
	for _, c := range waiting {
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Error(err)
		}
	}
}

// TestClose checks that Close waits for a request that has arrived, but not forever.
func TestClose(t *testing.T) {
	for _, wait := range []bool{true, false} {
		release, busy := make(chan bool, 1), make(chan bool)
		s := &Server{Handle: func(r *Request) Response { busy <- true; <-release; return Text(200, "last") }}
		addr := serve(t, s)
		idle, c := dial(t, addr), dial(t, addr)
		io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-busy
		release <- true
		if _, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-busy
		closed := make(chan bool)
		go func() {
			if wait {
				s.Close(time.Minute)
			} else {
				s.Close(time.Millisecond)
			}
			close(closed)
		}()
		if _, err := io.ReadAll(idle); err != nil {
			t.Errorf("the idle connection: %v", err)
		}
		if wait {
			release <- true
			<-closed
		} else {
			<-closed
		}
		answer, err := io.ReadAll(c)
		if got := strings.HasSuffix(string(answer), "\r\n\r\nlast\n"); got != wait {
			t.Errorf("wait %v: %q, %v", wait, answer, err)
		}
		if !wait {
			release <- true
		}
	}
}

// TestDrain checks that a connection which was not accepted before the end is served.
func TestDrain(t *testing.T) {
	l, err := hosts.Listen("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{l: l, conns: map[*serverConn]bool{}, idle: time.Minute, read: time.Minute,
		Handle: func(*Request) Response { return Text(200, "last") }}
	c := dial(t, l.Addr().String())
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	s.Close(time.Minute)
	if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "last\n") {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestStop makes connections while a server ends, again and again: each is refused, or its
// request is answered.
func TestStop(t *testing.T) {
	for range 20 {
		s := &Server{}
		addr := serve(t, s)
		var wg sync.WaitGroup
		stop, answered := make(chan bool), make(chan bool, 1)
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					conn, err := net.DialTimeout("tcp", addr, 10*time.Millisecond)
					if err != nil {
						continue
					}
					io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
					if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
						t.Errorf("%q, %v", answer, err)
					}
					conn.Close()
					select {
					case answered <- true:
					default:
					}
				}
			})
		}
		<-answered
		s.Close(time.Minute)
		close(stop)
		wg.Wait()
	}
}

// TestCloseNew checks that a request on a new connection is answered while the server ends.
func TestCloseNew(t *testing.T) {
	s := &Server{}
	addr := serve(t, s)
	c := dial(t, addr)
	testkit.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) == 1 })
	closed := make(chan bool)
	go func() { s.Close(time.Minute); close(closed) }()
	testkit.Eventually(t, s.closing)
	io.WriteString(c, "GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "/last \n") {
		t.Errorf("%q, %v", answer, err)
	}
	<-closed
}

// TestLimit checks that Limit ends a request that waits for its answer.
func TestLimit(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &Client{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	defer c.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			io.ReadFull(conn, make([]byte, 10))
			io.WriteString(conn, "HTTP/1.1 200") // and no more
			c.Limit(time.Now())
		}
	}()
	for range 2 { // the limit remains
		if _, err := c.Post("/", "text/plain", nil, nil, time.Hour); err != errLate {
			t.Errorf("%v, want %v", err, errLate)
		}
	}
}
