// Package http1 is a small part of HTTP/1.1: a server that answers GET requests, and a
// client that sends POST requests to an unencrypted address. Package net/http would make
// the program a third larger and slow down each start. The server and the client accept
// only what RFC 9112 allows. They limit the memory and the time that the other side can
// make them use.
package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gotrace/gotrace/runtime/hosts"
)

// Request is a request to a Server.
type Request struct {
	Path   string
	Accept string // the header Accept, "" if there is none
}

// Response is the answer to a request.
type Response struct {
	Status      int
	ContentType string
	Header      []string // other lines of the header, without line ends
	Body        []byte
}

// Text returns a response of a line of text.
//
//go:noinline
func Text(status int, text string) Response {
	return Response{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(text + "\n")}
}

// Limits of a server.
const (
	maxConns     = 32               // connections at a time
	maxHead      = 16 << 10         // size of a request without its body, in bytes
	readTimeout  = 5 * time.Second  // for a request, from its first byte
	idleTimeout  = 90 * time.Second // between requests
	writeTimeout = 10 * time.Second // for a response
)

// Server answers requests on a listener.
type Server struct {
	// Handle returns the answer to a GET request. It is called from several goroutines.
	Handle func(*Request) Response

	mu     sync.Mutex
	l      *hosts.Listener
	served chan struct{} // closed when Serve has accepted its last connection
	conns  map[*serverConn]bool
	closed bool
	wg     sync.WaitGroup
	idle   time.Duration // idleTimeout, or less in tests
	read   time.Duration
}

// serverConn is a connection to a client.
type serverConn struct {
	*os.File
	since time.Time // when it became idle; zero: it has a request
	used  bool      // it has had a request
}

// Serve accepts connections until Close is called.
func (s *Server) Serve(l *hosts.Listener) {
	s.mu.Lock()
	s.l, s.served, s.conns = l, make(chan struct{}), map[*serverConn]bool{}
	if s.idle == 0 {
		s.idle, s.read = idleTimeout, readTimeout
	}
	if s.closed {
		l.Close()
	}
	s.mu.Unlock()
	defer close(s.served)
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, os.ErrClosed) {
				return // after Stop or Close
			}
			time.Sleep(50 * time.Millisecond) // such as too many open files
			continue
		}
		s.start(conn)
	}
}

// start serves a new connection.
func (s *Server) start(conn *os.File) {
	c := &serverConn{File: conn, since: time.Now()}
	if s.add(c) {
		go s.serve(c)
	}
}

// add adds a connection. If there are too many, it closes the one that has been idle for
// the longest time, or the new one if all are in use.
func (s *Server) add(c *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	if len(s.conns) >= maxConns {
		var oldest *serverConn
		for o := range s.conns {
			if !o.since.IsZero() && (oldest == nil || o.since.Before(oldest.since)) {
				oldest = o
			}
		}
		if oldest == nil {
			c.Close()
			return false
		}
		oldest.Close()
		delete(s.conns, oldest)
	}
	s.conns[c] = true
	s.wg.Add(1)
	return true
}

// Close closes the listener and idle connections. It waits for requests that have
// arrived, and for the first requests of new connections, for at most patience. Then it
// closes their connections.
func (s *Server) Close(patience time.Duration) {
	s.mu.Lock()
	l, served := s.l, s.served
	s.mu.Unlock()
	if l != nil {
		l.Stop()
		if served != nil {
			<-served
		}
		for _, conn := range l.Drain() {
			s.start(conn)
		}
		l.Close()
	}
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		switch {
		case c.since.IsZero():
		case c.used: // a request may have just arrived
			c.SetReadDeadline(time.Now().Add(min(patience/20, 10*time.Millisecond)))
		default:
			c.SetReadDeadline(time.Now().Add(patience / 2))
		}
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
	}
}

// busy records that a request has begun to arrive on c, or that c is idle.
func (s *Server) busy(c *serverConn, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.since, c.used = time.Time{}, true
	if !busy {
		c.since = time.Now()
		if s.closed {
			c.Close()
		}
	}
}

// await limits the time for which c may be idle, unless Close has limited it.
func (s *Server) await(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		c.SetReadDeadline(time.Now().Add(s.idle))
	}
}

// serve answers the requests of a connection.
func (s *Server) serve(c *serverConn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.wg.Done()
	}()
	limit := &io.LimitedReader{R: c}
	r := bufio.NewReaderSize(limit, 4<<10)
	for {
		limit.N = maxHead
		s.await(c)
		if _, err := r.Peek(1); err != nil {
			return
		}
		s.busy(c, true)
		c.SetReadDeadline(time.Now().Add(s.read))
		req, more, err := readRequest(r, limit)
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err != nil {
			var bad requestError
			if errors.As(err, &bad) {
				write(c, Text(bad.status, bad.text), false, false)
				discard(c)
			}
			return
		}
		more = more && !s.closing()
		if write(c, s.answer(req), req.head, more) != nil || !more {
			return
		}
		s.busy(c, false)
	}
}

func (s *Server) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// discard reads what the client still sends, for a short time. If a connection with
// unread data were closed, the kernel would also discard the answer.
func discard(c *serverConn) {
	hosts.CloseWrite(c.File)
	c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	io.Copy(io.Discard, io.LimitReader(c, 1<<20))
}

// answer returns the answer to a request that is well formed.
func (s *Server) answer(req *request) Response {
	if req.method != "GET" && !req.head {
		res := Text(405, "only GET and HEAD are supported")
		res.Header = []string{"Allow: GET, HEAD"}
		return res
	}
	return s.Handle(&req.Request)
}

// request is a request as read.
type request struct {
	Request
	method string
	head   bool // HEAD: the answer has no body
}

// requestError is the reason why a request is refused.
type requestError struct {
	status int
	text   string
}

func (e requestError) Error() string { return e.text }

// readRequest reads a request. more reports whether the client may send another one on
// the connection. The error is a requestError if the server has to answer.
func readRequest(r *bufio.Reader, limit *io.LimitedReader) (req *request, more bool, err error) {
	line, err := readLine(r, limit)
	if line == "" && err == nil {
		line, err = readLine(r, limit) // RFC 9112, 2.2: an empty line may precede a request
	}
	if err != nil {
		return nil, false, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !isToken(parts[0]) {
		return nil, false, requestError{400, "this is not an HTTP request"}
	}
	version := parts[2]
	if version != "HTTP/1.1" && version != "HTTP/1.0" {
		if strings.HasPrefix(version, "HTTP/") {
			return nil, false, requestError{505, "only HTTP/1.0 and HTTP/1.1 are supported"}
		}
		return nil, false, requestError{400, "this is not an HTTP request"}
	}
	req = &request{method: parts[0], head: parts[0] == "HEAD"}
	if req.Path, err = path(parts[1]); err != nil {
		return nil, false, err
	}
	h, err := readHeader(r, limit)
	if err != nil {
		return nil, false, err
	}
	if n := len(h["host"]); n > 1 || n == 0 && version == "HTTP/1.1" {
		return nil, false, requestError{400, "a request needs one header Host"}
	}
	req.Accept = strings.Join(h["accept"], ",")
	connection := strings.ToLower(strings.Join(h["connection"], ","))
	more = version == "HTTP/1.1" && !strings.Contains(connection, "close")
	// Bodies are not read: requests that this server supports have none.
	if n := h["content-length"]; len(h["transfer-encoding"]) > 0 || len(n) > 1 || len(n) == 1 && n[0] != "0" {
		if len(h["expect"]) > 0 || req.method == "GET" || req.head {
			return nil, false, requestError{413, "a request must have no body"}
		}
		more = false
	}
	return req, more, nil
}

// path returns the path of a request's target, without the query.
func path(target string) (string, error) {
	if rest, ok := strings.CutPrefix(target, "http://"); ok {
		_, p, _ := strings.Cut(rest, "/")
		target = "/" + p
	}
	if !strings.HasPrefix(target, "/") && target != "*" {
		return "", requestError{400, "the request has no path"}
	}
	p, _, _ := strings.Cut(target, "?")
	return p, nil
}

// readLine reads a line and returns it without its end.
func readLine(r *bufio.Reader, limit *io.LimitedReader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			if limit.N <= 0 {
				return "", requestError{431, fmt.Sprintf("the request is longer than %d bytes", maxHead)}
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return "", requestError{408, "the request took too long to arrive"}
			}
			return "", err
		}
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", requestError{400, "the request has control characters"}
		}
	}
	return string(line), nil
}

// readHeader reads the lines of a header up to the empty line. It returns the values by
// name in lower case.
func readHeader(r *bufio.Reader, limit *io.LimitedReader) (map[string][]string, error) {
	h := map[string][]string{}
	for {
		line, err := readLine(r, limit)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return h, nil
		}
		name, v, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return nil, requestError{400, "a line of the header is invalid"}
		}
		name = strings.ToLower(name)
		h[name] = append(h[name], strings.Trim(v, " \t"))
	}
}

// isToken reports whether s may be the name of a method or a header.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// reasons are the texts of the statuses that servers of this package use.
func reason(status int) string {
	switch status {
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 413:
		return "Content Too Large"
	case 431:
		return "Request Header Fields Too Large"
	case 503:
		return "Service Unavailable"
	case 505:
		return "HTTP Version Not Supported"
	}
	return "Status"
}

// write writes a response, without its body if it answers a HEAD request.
func write(w io.Writer, res Response, head, more bool) error {
	var b []byte
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(res.Status), 10)
	b = append(append(b, ' '), reason(res.Status)...)
	line := func(name, v string) { b = append(append(append(append(b, "\r\n"...), name...), ": "...), v...) }
	line("Date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05")+" GMT")
	line("Content-Type", res.ContentType)
	line("Content-Length", strconv.Itoa(len(res.Body)))
	for _, h := range res.Header {
		b = append(append(b, "\r\n"...), h...)
	}
	if !more {
		line("Connection", "close")
	}
	b = append(b, "\r\n\r\n"...)
	if !head {
		b = append(b, res.Body...)
	}
	_, err := w.Write(b)
	return err
}
