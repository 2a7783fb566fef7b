package prometheus

import (
	"net/netip"
	"time"

	"github.com/gotrace/gotrace/runtime/hosts"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output/http1"
	"github.com/gotrace/gotrace/runtime/output/metrics"
)

// Server lets Prometheus read the metrics of a Collector at /metrics.
type Server struct {
	c    *metrics.Collector
	http http1.Server
	addr netip.AddrPort
}

// Listen starts a server at an address: host:port, or :port for all addresses of this
// machine.
func Listen(addr string, c *metrics.Collector) (*Server, error) {
	host, port, ok := hosts.SplitPort(addr)
	if !ok {
		return nil, outline.Errorf("the address %q is not HOST:PORT, such as 127.0.0.1:9464, or :PORT for all addresses of this machine", addr)
	}
	l, err := hosts.Listen(host, port)
	if err != nil {
		return nil, outline.Errorf("cannot listen on %s: %w", addr, err)
	}
	s := &Server{c: c, addr: l.Addr()}
	s.http.Handle = s.handle
	go s.http.Serve(l)
	return s, nil
}

// Addr returns the address on which the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// closePatience is the time in which Close lets requests finish that have arrived.
const closePatience = 200 * time.Millisecond

// Close ends the server. Requests that have already arrived are answered if they take at
// most closePatience.
func (s *Server) Close() { s.http.Close(closePatience) }

func (s *Server) handle(req *http1.Request) http1.Response {
	switch req.Path {
	case "/metrics":
		if !s.c.Ready() {
			res := http1.Text(503, "no script is running yet")
			res.Header = []string{"Retry-After: 1"}
			return res
		}
		f := Negotiate(req.Accept)
		return http1.Response{Status: 200, ContentType: f.ContentType, Header: []string{"Vary: Accept"}, Body: f.Append(nil, s.c.Collect())}
	case "/healthz":
		return http1.Text(200, "ok")
	case "/":
		return http1.Text(200, "gotrace: the metrics are at /metrics")
	}
	return http1.Text(404, "not found: the metrics are at /metrics")
}
