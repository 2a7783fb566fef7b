package live

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// seenRequest is a line of gotrace requests -f json.
type seenRequest struct {
	Type, Method, Path, Host, Comm, Peer, Local string
	PID                                         int
	Status                                      *int
	Server, TLS, Error, Complete                bool
	ReqBytes                                    int `json:"req_bytes"`
	RespBytes                                   int `json:"resp_bytes"`
	NS                                          int64
	TotalNS                                     int64 `json:"total_ns"`
}

// wantRequest is a request as the workload knows it.
type wantRequest struct {
	method, path        string
	status              int // 0: no answer
	reqBytes, respBytes int
	cut                 bool
	took                time.Duration // latency that the client measured; 0: not measured
	least               time.Duration // how long the server waited
}

// httpWork is a server with its own port, and the requests of its clients.
type httpWork struct {
	t    *testing.T
	ln   net.Listener
	port int
	want []wantRequest
	hold chan struct{} // closed when held answers may go
	tls  *tls.Config   // nil: without TLS
}

// startHTTP starts a server that answers by the path: /status/N, /size/N, /chunked/N, /wait/MS,
// /unanswered, /cut, /hold.
func startHTTP(t *testing.T, config *tls.Config) *httpWork {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	w := &httpWork{t: t, ln: ln, port: ln.Addr().(*net.TCPAddr).Port, hold: make(chan struct{}), tls: config}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return w
}

// serve answers the requests on a connection.
func (w *httpWork) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Fprintf(c, "\x00\x01what?\n")
			}
			return
		}
		if req.Header.Get("Expect") != "" {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		io.Copy(io.Discard, req.Body)
		_, what, _ := strings.Cut(req.URL.Path, "/")
		what, arg, _ := strings.Cut(what, "/")
		n, _ := strconv.Atoi(arg)
		switch what {
		case "status":
			if n == 204 || n == 304 {
				fmt.Fprintf(c, "HTTP/1.1 %d X\r\n\r\n", n)
			} else {
				fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", n)
			}
		case "size":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
			if req.Method != http.MethodHead {
				c.Write(bytes.Repeat([]byte("x"), n))
			}
		case "chunked":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range n {
				io.WriteString(c, "5;x=y\r\nhello\r\n")
			}
			io.WriteString(c, "0\r\nTrailer: x\r\n\r\n")
		case "interim":
			interim := fmt.Sprintf("HTTP/1.1 %d Wait\r\n\r\n", n)
			if n > 100 {
				interim = fmt.Sprintf("HTTP/1.1 %d Wait\r\nLink: </x>; rel=preload\r\n\r\n", n)
			}
			if n == 102 {
				io.WriteString(c, interim)
				interim = ""
			}
			io.WriteString(c, interim+"HTTP/1.1 200 OK\r\nContent-Length: "+[]string{"2\r\n\r\nok", "0\r\n\r\n"}[n%2])
		case "wait":
			time.Sleep(time.Duration(n) * time.Millisecond)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		case "hold":
			<-w.hold
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		case "cut":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")
			return
		default:
			return
		}
	}
}

// counting is a reader that counts what has been read.
type counting struct {
	*bufio.Reader
	from io.Reader
	n    int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}

// read returns the number of bytes that have been taken from the buffer.
func (c *counting) read() int { return c.n - c.Buffered() }

func (w *httpWork) dial() (net.Conn, *counting) {
	w.t.Helper()
	c, err := net.Dial("tcp4", w.ln.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	if w.tls != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	in := &counting{from: c}
	in.Reader = bufio.NewReader(struct{ io.Reader }{in})
	return c, in
}

// answer reads the answer to a request, which has to be seen.
func (w *httpWork) answer(in *counting, method, path string, reqBytes int, start time.Time) {
	w.t.Helper()
	before := in.read()
	resp, err := http.ReadResponse(in.Reader, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	took := time.Duration(0)
	if !start.IsZero() {
		took = time.Since(start)
	}
	r := wantRequest{method: method, path: path, status: resp.StatusCode, reqBytes: reqBytes, respBytes: in.read() - before, took: took, cut: err != nil}
	if ms, ok := strings.CutPrefix(path, "/wait/"); ok {
		n, _ := strconv.Atoi(ms)
		r.least = time.Duration(n) * time.Millisecond
	}
	w.want = append(w.want, r)
}

// text returns a request.
func text(method, path, header, body string) string {
	if body != "" {
		header += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: example.org\r\n%s\r\n%s", method, path, header, body)
}

// keepAlive sends requests one after the other on one connection.
func (w *httpWork) keepAlive(n int) {
	w.t.Helper()
	c, in := w.dial()
	defer c.Close()
	for i := range n {
		for _, r := range [][2]string{
			{"GET", "/status/200"}, {"POST", "/status/201"}, {"GET", "/status/404"}, {"DELETE", "/status/204"}, {"GET", "/status/304"},
			{"GET", "/size/0"}, {"GET", "/size/1"}, {"GET", "/size/70000"}, {"HEAD", "/size/70"}, {"PUT", "/chunked/3"}, {"GET", "/chunked/0"},
			{"GET", "/wait/2"}, {"OPTIONS", "/status/503"}, {"PATCH", "/status/200"},
		} {
			body := ""
			if r[0] == "POST" || r[0] == "PUT" {
				body = strings.Repeat("b", 1+i*1000)
			}
			req := text(r[0], r[1], "", body)
			start := time.Now()
			io.WriteString(c, req)
			w.answer(in, r[0], r[1], len(req), start)
		}
	}
}

// pieces sends requests in several writes.
func (w *httpWork) pieces() {
	w.t.Helper()
	c, in := w.dial()
	defer c.Close()
	for _, cuts := range [][]int{{1}, {3}, {4}, {20}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {5, 40}} {
		req := text("POST", "/status/200", "", "body")
		start, from := time.Now(), 0
		for _, to := range append(cuts, len(req)) {
			io.WriteString(c, req[from:to])
			from = to
		}
		w.answer(in, "POST", "/status/200", len(req), start)
	}
	// A body that comes once the server has said that it may.
	req := text("PUT", "/status/200", "Expect: 100-continue\r\nContent-Length: 4\r\n", "")
	start := time.Now()
	io.WriteString(c, req)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		w.t.Fatalf("%q, %v instead of 100", line, err)
	}
	in.ReadString('\n')
	io.WriteString(c, "body")
	w.answer(in, "PUT", "/status/200", len(req)+4, start)
	// Answers that come in one piece with an interim answer, and answers after interim ones.
	for _, path := range []string{"/interim/100", "/interim/103", "/interim/102", "/status/200"} {
		req, start := text("GET", path, "", ""), time.Now()
		io.WriteString(c, req)
		for path != "/status/200" {
			line, err := in.ReadString('\n')
			if err != nil {
				w.t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
		}
		w.answer(in, "GET", path, len(req), start)
	}
}

// pipeline sends requests before the answers to earlier ones have arrived.
func (w *httpWork) pipeline() {
	w.t.Helper()
	for _, together := range []bool{true, false} {
		c, in := w.dial()
		paths := []string{"/status/200", "/status/404", "/size/300", "/chunked/2", "/wait/5", "/status/204", "/status/500"}
		var all strings.Builder
		for _, p := range paths {
			req := text("GET", p, "", "")
			all.WriteString(req)
			if !together {
				io.WriteString(c, req)
			}
		}
		if together {
			io.WriteString(c, all.String())
		}
		for _, p := range paths {
			w.answer(in, "GET", p, len(text("GET", p, "", "")), time.Time{})
		}
		c.Close()
	}
}

// broken makes requests that get no answer or half an answer, and traffic that is not
// HTTP.
func (w *httpWork) broken() {
	w.t.Helper()
	for _, path := range []string{"/unanswered", "/cut"} {
		c, in := w.dial()
		req := text("GET", path, "", "")
		io.WriteString(c, req)
		got, _ := io.ReadAll(in.Reader)
		r := wantRequest{method: "GET", path: path, reqBytes: len(req), respBytes: len(got), cut: true}
		if path == "/cut" {
			r.status = 200
		}
		w.want = append(w.want, r)
		c.Close()
	}
	for _, junk := range []string{"\x16\x03\x01\x00\x05hello", "GET", "GET \x00\xff\x00\xff\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("\x00", 3000)} {
		c, in := w.dial()
		io.WriteString(c, junk)
		c.(interface{ CloseWrite() error }).CloseWrite()
		io.Copy(io.Discard, in.Reader)
		c.Close()
	}
}

// watch runs gotrace requests and returns the output for the server's connections.
func (w *httpWork) watch(work func()) ([]seenRequest, result) {
	w.t.Helper()
	s := start(w.t, "requests", "http", "-f", "json", "--unmask", "--port", strconv.Itoa(w.port))
	s.attached()
	work()
	s.signal(syscall.SIGINT)
	r := s.wait()
	return requestsIn(w.t, r.stdout), r
}

// requestsIn returns the requests in the output of gotrace requests http.
func requestsIn(t *testing.T, out string) []seenRequest {
	t.Helper()
	var list []seenRequest
	for _, line := range strings.Split(out, "\n") {
		var q seenRequest
		if !strings.Contains(line, `"http"`) {
			continue
		}
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, q)
	}
	return list
}

// TestHTTPRequests compares the output of gotrace requests with the client's requests,
// for both sides of its connections.
func TestHTTPRequests(t *testing.T) { testHTTPRequests(t, nil) }

// TestHTTPSRequests does the same with TLS by Go, in this process.
func TestHTTPSRequests(t *testing.T) { testHTTPRequests(t, serverConfig(t)) }

func testHTTPRequests(t *testing.T, config *tls.Config) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads the programs on other kernels
	needRoot(t)
	w := startHTTP(t, config)
	seen, r := w.watch(func() {
		w.keepAlive(20)
		w.pieces()
		w.pipeline()
		w.broken()
	})
	if r.missed() > 0 || strings.Contains(r.stdout, "lost_events") {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	for _, server := range []bool{true, false} {
		var got []seenRequest
		for _, q := range seen {
			if q.Server == server {
				got = append(got, q)
			}
		}
		w.compare(got, server)
	}
}

// compare compares the requests that one side has seen, which come in the order in which their
// answers ended.
func (w *httpWork) compare(got []seenRequest, server bool) {
	t := w.t
	if len(got) != len(w.want) {
		t.Errorf("server %v: %d requests, want %d", server, len(got), len(w.want))
	}
	for i := range min(len(got), len(w.want)) {
		q, want := got[i], w.want[i]
		status := 0
		if q.Status != nil {
			status = *q.Status
		}
		if q.Method != want.method || q.Path != want.path || status != want.status || q.ReqBytes != want.reqBytes || q.RespBytes != want.respBytes ||
			q.Complete == want.cut || q.Host != "example.org" || q.TLS != (w.tls != nil) {
			t.Errorf("server %v, request %d: %+v (status %d), want %+v", server, i, q, status, want)
		}
		if d := time.Duration(q.NS); want.took != 0 && d > want.took || d < want.least || q.TotalNS < q.NS {
			t.Errorf("server %v, request %d took %v, and %v until its end; the client measured %v, the server waited %v",
				server, i, d, time.Duration(q.TotalNS), want.took, want.least)
		}
	}
}

// TestManyHTTPConnections has more connections with requests than the tables hold. Each
// request must be either shown correctly or counted as missed.
func TestManyHTTPConnections(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t)
	needRoot(t)
	const conns = 9000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < 2*conns+500 {
		t.Skipf("it needs %d open files, and there may be %d", 2*conns+500, limit.Max)
	}
	old := limit
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	w := startHTTP(t, nil)
	seen, r := w.watch(func() {
		var all []net.Conn
		for i := range conns {
			c, _ := w.dial()
			io.WriteString(c, text("GET", fmt.Sprintf("/hold/%d", i), "", ""))
			all = append(all, c)
		}
		close(w.hold)
		var wait sync.WaitGroup
		for i := range 4 {
			wait.Go(func() {
				for j := i; j < len(all); j += 4 {
					if _, err := http.ReadResponse(bufio.NewReader(all[j]), nil); err != nil {
						t.Error(err)
					}
					all[j].Close()
				}
			})
		}
		wait.Wait()
	})
	if r.missed() > 0 {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	unasked, lost := 0, 0
	for _, line := range strings.Split(r.stdout, "\n") {
		var l struct {
			Type string
			Data struct{ Events int }
		}
		if strings.Contains(line, "lost_events") && json.Unmarshal([]byte(line), &l) == nil {
			lost += l.Data.Events
		}
	}
	for _, line := range strings.Split(r.stderr, "\n") {
		fmt.Sscanf(line, "Not shown: %d answers to requests", &unasked)
	}
	paths := map[string]bool{}
	for _, q := range seen {
		key := fmt.Sprintf("%s %v", q.Path, q.Server)
		if paths[key] || q.Status == nil || *q.Status != 200 || !strings.HasPrefix(q.Path, "/hold/") {
			t.Errorf("wrong: %+v", q)
		}
		paths[key] = true
	}
	if n := len(seen) + unasked; n > 2*conns || n+lost < 2*conns || unasked == 0 && lost == 0 {
		t.Errorf("%d seen, %d reported as missed, and %d events lost, of %d\n%s", len(seen), unasked, lost, 2*conns, r.stderr)
	}
}
