package requests

import (
	"bytes"
	"math"
	"net/textproto"
	"strconv"
	"strings"
)

func httpProtocol() *Protocol {
	return &Protocol{
		Name: "http", About: "HTTP/1", Op: "method", Target: "path", Event: "http:piece",
		split:  splitHTTP,
		reader: func(o *Display) reader { return &httpReader{opt: o} },
	}
}

// splitHTTP splits what a client sends into requests.
func splitHTTP(data []byte, size uint64, o *Display) []*Request {
	var list []*Request
	w := window{data, max(size, uint64(len(data)))}
	for len(w.data) > 0 {
		before := w.n
		head := w.data
		whole := false
		if i := bytes.Index(head, []byte("\r\n\r\n")); i >= 0 {
			head, whole = head[:i+4], true
		}
		r := httpRequest(head, o)
		if r == nil {
			break
		}
		list = append(list, r)
		w.skip(uint64(len(head)))
		if !whole {
			// If the rest of the header is not known, no other request is expected after it.
			r.cut = w.n == 0
			r.size = before
			break
		}
		switch length, chunked := bodyLength(head); {
		case chunked:
			r.chunks = &chunks{}
			if done, ok := r.chunks.read(&w); done {
				r.chunks = nil
			} else if !ok {
				w.skip(w.n)
				r.chunks = nil
			}
		case length > 0:
			o.body(r, w.data[:min(uint64(len(w.data)), uint64(length))])
			r.left = uint64(length) - w.skip(uint64(length))
		}
		r.size = before - w.n
	}
	return list
}

// body adds the first bytes of a body to a request, if the user asks for them.
func (o *Display) body(r *Request, data []byte) {
	if o.Body > 0 && len(data) > 0 {
		r.Asked = append(r.Asked, Field{"body", string(data[:min(o.Body, len(data))])})
	}
}

// httpRequest parses the header of a request, or its beginning. It returns nil if the
// bytes are not a request.
func httpRequest(head []byte, o *Display) *Request {
	line, rest, _ := strings.Cut(string(head), "\r\n")
	method, after, ok := strings.Cut(line, " ")
	if !ok || !isMethod(method) {
		return nil
	}
	target, version, ok := strings.Cut(after, " ")
	if ok && !strings.HasPrefix("HTTP/1.", version[:min(len(version), 7)]) || len(rest) > 0 && !ok || target == "" {
		return nil
	}
	r := &Request{Op: method, Target: target, Rows: -1}
	eachHeader(rest, func(name, value string) {
		if strings.EqualFold(name, "host") {
			r.Host = value
		}
		o.header(r, name, value)
	})
	if !o.Unmask {
		r.Target = maskTarget(target)
	}
	r.route = r.Op + " " + routeOf(r.Target)
	r.empty = method == "HEAD"
	return r
}

// isMethod reports whether s may be a method: 3 to 16 capital letters, or a dash between them.
func isMethod(s string) bool {
	for _, c := range s {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return len(s) >= 3 && len(s) <= 16
}

// eachHeader calls f with each field in the lines of a header. The last field may be cut
// off.
func eachHeader(lines string, f func(name, value string)) {
	for lines != "" {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		if name, value, ok := strings.Cut(line, ":"); ok {
			f(name, strings.TrimSpace(value))
		}
	}
}

// header adds a header to a request, if the user asks for it.
func (o *Display) header(r *Request, name, value string) {
	for _, h := range o.Headers {
		if strings.EqualFold(h, name) {
			if !o.Unmask && secretHeader(name) {
				value = masked
			}
			r.Asked = append(r.Asked, Field{strings.ToLower(name), value})
		}
	}
}

// secretHeader reports whether the values of a header are credentials.
func secretHeader(name string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "X-Auth-Token":
		return true
	}
	return false
}

// bodyLength returns the length of the body that a header gives, or -1 if it gives none.
func bodyLength(head []byte) (length int64, chunked bool) {
	length = -1
	_, rest, _ := strings.Cut(string(head), "\r\n")
	eachHeader(rest, func(name, value string) {
		switch strings.ToLower(name) {
		case "content-length":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
				length = n
			}
		case "transfer-encoding":
			chunked = chunked || strings.Contains(strings.ToLower(value), "chunked")
		}
	})
	return length, chunked
}

// httpReader reads the answers of HTTP/1.
type httpReader struct {
	opt    *Display
	state  httpState
	head   text
	left   uint64 // bytes of the body that are still to come
	chunks chunks
}

type httpState uint8

const (
	inHeader  httpState = iota
	inBody              // of a known length
	inChunks            //
	untilEnd            // until the connection ends, or the end cannot be determined
	noAnswers           // the bytes are not HTTP
)

func (h *httpReader) lost() bool { return h.state == untilEnd || h.state == noAnswers }

func (h *httpReader) read(data []byte, n uint64, to answers) {
	w := &window{data, n}
	for w.n > 0 {
		switch h.state {
		case inHeader:
			h.header(w, to)
		case inBody:
			k := w.skip(h.left)
			to.count(k)
			if h.left -= k; h.left == 0 {
				h.ended(to)
			}
		case inChunks:
			before := w.n
			done, ok := h.chunks.read(w)
			to.count(before - w.n)
			switch {
			case done:
				h.ended(to)
			case !ok:
				h.state = untilEnd
			}
		default:
			to.count(w.skip(w.n))
		}
	}
}

//go:noinline
func (h *httpReader) ended(to answers) {
	to.end()
	h.state, h.head = inHeader, text{}
}

// header reads the header of an answer.
func (h *httpReader) header(w *window, to answers) {
	found, _ := h.head.until(w, "\r\n\r\n")
	if !found && w.n == 0 {
		return // more of the header follows
	}
	head := h.head.buf
	line, rest, _ := strings.Cut(string(head), "\r\n")
	status, ok := statusOf(line)
	switch {
	case !ok:
		h.state = noAnswers
		return
	case status >= 100 && status < 200 && status != 101:
		h.head = text{}
		if !found {
			h.state = noAnswers
		}
		return
	}
	r := to.begin()
	to.count(uint64(len(head)))
	empty := status == 204 || status == 304
	if r != nil {
		r.Status, r.Failed = strconv.Itoa(status), status >= 400
		empty = empty || r.empty
		eachHeader(rest, func(name, value string) { h.opt.header(r, name, value) })
	}
	length, chunked := bodyLength(head)
	switch {
	case !found || status == 101:
		h.state = untilEnd
	case empty || !chunked && length == 0:
		h.ended(to)
	case chunked:
		h.state, h.chunks = inChunks, chunks{}
	case length > 0:
		h.state, h.left = inBody, uint64(length)
	default:
		h.state = untilEnd
	}
}

// statusOf returns the status in the first line of an answer.
func statusOf(line string) (int, bool) {
	version, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(version, "HTTP/1.") || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0, false
	}
	n, err := strconv.Atoi(rest[:3])
	return n, err == nil && n >= 100 && n <= 999
}

// chunks reads a body in chunks.
type chunks struct {
	line text
	left uint64 // of the chunk and the line end after it
	last bool   // the last chunk has been read: trailers follow
}

// read reads from w. done is set at the end of the body. ok is false if the bytes are not
// chunks, or if the size of the next chunk is in unknown bytes.
func (c *chunks) read(w *window) (done, ok bool) {
	for w.n > 0 {
		if c.left > 0 {
			c.left -= w.skip(c.left)
			continue
		}
		if w.cut() {
			return false, false
		}
		found, _ := c.line.until(w, "\r\n")
		if !found {
			if w.n > 0 {
				return false, false
			}
			return false, true
		}
		line := strings.TrimSpace(string(c.line.buf))
		c.line = text{}
		if c.last {
			if line == "" {
				return true, true
			}
			continue
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 63)
		if err != nil || n > math.MaxInt64-2 {
			return false, false
		}
		if n == 0 {
			c.last = true
		} else {
			c.left = n + 2
		}
	}
	return false, true
}
