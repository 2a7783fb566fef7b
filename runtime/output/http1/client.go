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
	"github.com/gotrace/gotrace/runtime/outline"
)

// Client sends requests to one server, on a connection that it keeps. Only one goroutine
// may use it, except for Limit.
type Client struct {
	Host string // its name or address
	Port uint16
	// Authority is the value of the header Host.
	Authority string

	r *bufio.Reader

	mu    sync.Mutex
	conn  *os.File
	limit time.Time // when requests end at the latest; zero: at any time
}

// Limit sets the time by which all requests end, including a request that waits for its
// answer.
func (c *Client) Limit(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = at
	if c.conn != nil {
		c.conn.SetDeadline(at)
	}
}

// begin records that a request uses conn, which may be the connection of the last
// request.
func (c *Client) begin(conn *os.File, deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.limit.IsZero() && c.limit.Before(deadline) {
		deadline = c.limit
	}
	c.conn = conn
	conn.SetDeadline(deadline) // it works for every socket
}

// Answer is what a server answers.
type Answer struct {
	Status     int
	RetryAfter time.Duration // of the header Retry-After; 0: none
	Body       []byte
}

// maxBody is the maximum size in bytes of an answer's body, and of its header.
const maxBody = 64 << 10

// errNoAnswer is the error of a connection that the server has closed.
var errNoAnswer = errors.New("the server closed the connection without an answer")

// Post sends a body and returns the answer. It takes at most the given time, plus at most
// the same time to look up the name of the host.
func (c *Client) Post(path, contentType string, header []string, body []byte, timeout time.Duration) (*Answer, error) {
	var b []byte
	b = fmt.Appendf(b, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gotrace\r\nContent-Type: %s\r\nContent-Length: %d\r\n",
		path, c.Authority, contentType, len(body))
	for _, h := range header {
		b = append(append(b, h...), "\r\n"...)
	}
	b = append(append(b, "\r\n"...), body...)
	deadline := time.Now().Add(timeout)
	again := c.conn != nil
	a, err := c.exchange(b, deadline)
	if again && errors.Is(err, errNoAnswer) {
		a, err = c.exchange(b, deadline) // it had closed the connection before the request
	}
	return a, err
}

// Close closes the connection, if there is one.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// exchange sends a request and reads the answer.
func (c *Client) exchange(request []byte, deadline time.Time) (a *Answer, err error) {
	conn := c.conn
	if conn == nil {
		if conn, err = hosts.Dial(c.Host, c.Port, time.Until(deadline)); err != nil {
			return nil, err
		}
		c.r = bufio.NewReader(nil)
	}
	c.begin(conn, deadline)
	more := false
	defer func() {
		if !more {
			c.Close()
		}
	}()
	limit := &io.LimitedReader{R: conn, N: maxBody}
	c.r.Reset(limit)
	if _, err := conn.Write(request); err != nil {
		if isTimeout(err) {
			return nil, errLate
		}
		return nil, errNoAnswer
	}
	if _, err := c.r.Peek(1); err != nil {
		if isTimeout(err) {
			return nil, errLate
		}
		return nil, errNoAnswer
	}
	for {
		a, more, err = readAnswer(c.r, limit)
		if err != nil || a.Status/100 != 1 {
			return a, err
		}
	}
}

var errLate = errors.New("the server does not answer in time")

// isTimeout reports whether a deadline of a connection has passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// readAnswer reads an answer. more reports whether the connection can be reused.
func readAnswer(r *bufio.Reader, limit *io.LimitedReader) (a *Answer, more bool, err error) {
	nonsense := func(what string) error { return outline.Errorf("the answer is not one of HTTP: %s", what) }
	line, err := readLine(r, limit)
	if err != nil {
		return nil, false, answerError(err)
	}
	version, rest, _ := strings.Cut(line, " ")
	text, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(text)
	if !strings.HasPrefix(version, "HTTP/1.") || err != nil || len(text) != 3 || status < 100 {
		return nil, false, nonsense("it begins with " + strconv.Quote(line[:min(len(line), 40)]))
	}
	h, err := readHeader(r, limit)
	if err != nil {
		return nil, false, answerError(err)
	}
	a = &Answer{Status: status}
	if v := h["retry-after"]; len(v) > 0 {
		a.RetryAfter = retryAfter(v[0])
	}
	more = version == "HTTP/1.1" && !strings.Contains(strings.ToLower(strings.Join(h["connection"], ",")), "close")
	length, coding := h["content-length"], h["transfer-encoding"]
	switch {
	case status/100 == 1 || status == 204 || status == 304:
	case len(coding) > 0:
		if len(coding) > 1 || !strings.EqualFold(coding[0], "chunked") {
			return nil, false, nonsense("its transfer encoding is unknown")
		}
		a.Body, err = readChunks(r, limit)
	case len(length) > 0:
		n, perr := strconv.ParseUint(length[0], 10, 31)
		if perr != nil || len(length) > 1 {
			return nil, false, nonsense("its length is invalid")
		}
		if n > maxBody {
			return a, false, nil // the status is enough
		}
		limit.N += int64(n)
		a.Body = make([]byte, n)
		_, err = io.ReadFull(r, a.Body)
	default:
		more = false
		a.Body, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, false, answerError(err)
	}
	return a, more, nil
}

// answerError describes an error of reading an answer.
func answerError(err error) error {
	var bad requestError
	switch {
	case isTimeout(err), errors.As(err, &bad) && bad.status == 408:
		return errLate
	case errors.As(err, &bad) && bad.status == 431:
		return errors.New("the answer is too long")
	case errors.As(err, &bad):
		return errors.New("the answer is not one of HTTP: it has invalid lines")
	}
	return errors.New("the answer ends too early")
}

// readChunks reads a body in chunks.
func readChunks(r *bufio.Reader, limit *io.LimitedReader) (body []byte, err error) {
	for {
		line, err := readLine(r, limit)
		if err != nil {
			return nil, err
		}
		text, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(text), 16, 31)
		if err != nil || n > maxBody {
			return nil, requestError{400, "chunk"}
		}
		if n == 0 {
			_, err := readHeader(r, limit)
			return body, err
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return nil, err
		}
		body = append(body, chunk...)
		if line, err := readLine(r, limit); err != nil || line != "" {
			return nil, requestError{400, "chunk"}
		}
	}
}

// maxRetryAfter is the longest time that a server can make a client wait.
const maxRetryAfter = 5 * time.Minute

// retryAfter returns the time of a header Retry-After: a number of seconds or a date.
func retryAfter(text string) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", text); err == nil {
		return max(0, min(time.Until(t), maxRetryAfter))
	}
	return 0
}
