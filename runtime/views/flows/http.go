package flows

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// HTTP is the beginning of a request or a response.
type HTTP struct {
	Status   int    // 0: it is a request
	Method   string // of the request; in a response, of the one that it answers, if known
	Host     string
	Path     string
	Query    string // what follows the question mark
	Protocol string // HTTP/1.1
	Latency  time.Duration
}

// methods are the methods whose requests are recognised.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// parseHTTP parses the first bytes of a packet's data. It returns nil if they do not begin
// a request or response.
func parseHTTP(b []byte) *HTTP {
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	first, after, ok := strings.Cut(strings.TrimSuffix(string(line), "\r"), " ")
	if !ok {
		return nil
	}
	if strings.HasPrefix(first, "HTTP/1.") {
		code, _, _ := strings.Cut(after, " ")
		n, err := strconv.Atoi(code)
		if err != nil || n < 100 || n > 999 {
			return nil
		}
		return &HTTP{Status: n, Protocol: first}
	}
	for _, m := range methods {
		if first != m {
			continue
		}
		target, version, ok := strings.Cut(after, " ")
		if !ok || !strings.HasPrefix(version, "HTTP/1.") {
			version = "HTTP/1.1" // the line is longer than the known bytes
		}
		h := &HTTP{Method: m, Protocol: version}
		h.Path, h.Query, _ = strings.Cut(target, "?")
		h.Host = header(rest, "host")
		return h
	}
	return nil
}

// header returns the value of a header.
func header(b []byte, name string) string {
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			break
		}
		if strings.EqualFold(string(key), name) {
			return strings.TrimSpace(string(value))
		}
	}
	return ""
}

// url returns the URL of the request.
func (h *HTTP) url() string {
	path := h.Path
	if h.Query != "" {
		path += "?" + h.Query
	}
	if h.Host == "" || strings.Contains(path, "://") {
		return path
	}
	return "http://" + h.Host + path
}

// mask hides the parts of a URL that may be secret: the query, the user and the password.
func (h *HTTP) mask() {
	if h.Query != "" {
		h.Query = masked
	}
	if scheme, rest, ok := strings.Cut(h.Path, "://"); ok {
		host, path, more := strings.Cut(rest, "/")
		if at := strings.LastIndex(host, "@"); at >= 0 {
			h.Path = scheme + "://" + masked + host[at:]
			if more {
				h.Path += "/" + path
			}
		}
	}
}

const masked = "***"

func (h *HTTP) summary() string {
	if h.Status == 0 {
		return fmt.Sprintf("%s %s %s", h.Protocol, h.Method, h.url())
	}
	s := fmt.Sprintf("%s %d", h.Protocol, h.Status)
	if h.Latency > 0 {
		s += fmt.Sprintf(" %dms", h.Latency.Milliseconds())
	}
	if h.Method != "" {
		s += fmt.Sprintf(" (%s %s)", h.Method, h.url())
	}
	return s
}

// client identifies the client's end of a connection, as seen at one of its ends.
type client struct {
	client, server netip.AddrPort
	atServer       bool
}

// exchange is the requests of a connection that have no response yet, oldest first.
type exchange struct {
	open   []request
	broken bool // requests have been left out, so responses can no longer be matched
}

type request struct {
	*HTTP
	at time.Time
}

const (
	maxExchanges = 4096 // connections with requests
	maxRequests  = 64   // open requests of a connection
)

// exchanges are the open requests of all connections.
type exchanges map[client]*exchange

// of returns the connection of a packet. request reports whether the packet comes from
// the client.
//
//go:noinline
func (exchanges) of(f *Flow, request bool) client {
	src, dst := netip.AddrPortFrom(f.Src.Addr, f.Src.Port), netip.AddrPortFrom(f.Dst.Addr, f.Dst.Port)
	if request {
		return client{src, dst, f.Direction == Ingress}
	}
	return client{dst, src, f.Direction == Egress}
}

// pair adds to a response the request that it answers. The responses on a connection are
// in the order of its requests.
func (x exchanges) pair(f *Flow) {
	if f.HTTP.Status == 0 {
		x.request(f)
		return
	}
	e := x[x.of(f, false)]
	if e == nil || e.broken || len(e.open) == 0 || f.HTTP.Status < 200 {
		return
	}
	r := e.open[0]
	e.open = e.open[1:]
	f.HTTP.Method, f.HTTP.Host, f.HTTP.Path, f.HTTP.Query = r.Method, r.Host, r.Path, r.Query
	f.HTTP.Latency = f.Time.Sub(r.at)
}

// request keeps a request until its response comes.
func (x exchanges) request(f *Flow) {
	key := x.of(f, true)
	e := x[key]
	if e == nil {
		if len(x) >= maxExchanges {
			return
		}
		e = &exchange{}
		x[key] = e
	}
	if len(e.open) == maxRequests {
		e.open, e.broken = nil, true
	}
	if !e.broken {
		e.open = append(e.open, request{f.HTTP, f.Time})
	}
}

// end removes a connection when a packet ends it.
func (x exchanges) end(f *Flow) {
	if f.Flags&(FIN|RST) != 0 && f.HTTP == nil {
		delete(x, x.of(f, true))
		if f.Flags&RST != 0 {
			delete(x, x.of(f, false))
		}
	}
}
