package requests

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// printer prints requests, each at once or all together at the end.
type printer interface {
	request(r *Request)
	end()
}

func newPrinter(p *Protocol, o *Display, out *output.Writer, sink output.Sink) printer {
	switch {
	case o.Top > 0 || o.Hist:
		return &routes{opt: o, sink: sink, out: out, by: map[string]*route{}}
	case o.JSON:
		return &jsonLines{proto: p, out: out}
	}
	t := &textLines{proto: p, out: out}
	if !o.Quiet {
		t.heading()
	}
	return t
}

// textLines prints a line of text for each request.
type textLines struct {
	proto *Protocol
	out   *output.Writer
}

func (t *textLines) heading() {
	t.line("TIME", "PID", "COMM", "SIDE", "PEER", "LATENCY", "STATUS", "REQ", "RESP", strings.ToUpper(t.proto.Op+" "+t.proto.Target), "")
}

func (t *textLines) line(at, pid, comm, side, peer, latency, status, req, resp, what, more string) {
	s := fmt.Sprintf("%-15s %7s %-15s %-6s %-21s %9s %6s %7s %8s %s", at, pid, comm, side, peer, latency, status, req, resp, what)
	if more != "" {
		s += " " + more
	}
	t.out.Write([]byte(s + "\n"))
}

func (t *textLines) request(r *Request) {
	status := r.Status
	if status == "" {
		status = "-"
	}
	peer := "local"
	if r.Peer.IsValid() {
		peer = r.Peer.String()
	}
	var more []string
	if r.TLS {
		more = append(more, "tls")
	}
	for _, o := range []Field{{"host", r.Host}, {"container", r.Container}, {"unit", r.Unit}} {
		if o.Value != "" && o.Value != "-" {
			more = append(more, o.Name+"="+printable(o.Value))
		}
	}
	if r.Rows >= 0 {
		more = append(more, "rows="+strconv.Itoa(r.Rows))
	}
	for _, f := range r.Asked {
		more = append(more, f.Name+"="+strconv.Quote(f.Value))
	}
	if r.Status != "" && !r.Whole {
		more = append(more, "cut")
	}
	what := r.Op
	if r.Target != "" {
		what += " " + r.Target
	}
	t.line(r.Start.Format("15:04:05.000000"), strconv.Itoa(r.PID), printable(r.Comm), side(r), peer, duration(r.Latency), printable(status),
		strconv.FormatUint(r.ReqBytes, 10), strconv.FormatUint(r.RespBytes, 10), printable(what), strings.Join(more, " "))
}

func (t *textLines) end() {}

// printable returns s with escapes for bytes that would disturb a terminal.
func printable(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func side(r *Request) string {
	if r.Server {
		return "server"
	}
	return "client"
}

// duration returns a time in a unit that gives one to three digits before the decimal
// point.
func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.1fµs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.2fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// jsonLines prints an object for each request.
type jsonLines struct {
	proto *Protocol
	out   *output.Writer
}

func (j *jsonLines) end() {}

func (j *jsonLines) request(r *Request) {
	o := object{}
	o.add("type", j.proto.Name)
	o.add("time", r.Start.UTC().Format("2006-01-02T15:04:05.000000000Z"))
	o.add("pid", r.PID)
	o.add("comm", r.Comm)
	o.optional("container", r.Container)
	o.optional("unit", r.Unit)
	o.add("server", r.Server)
	o.add("tls", r.TLS)
	o.address("local", r.Local)
	o.address("peer", r.Peer)
	o.add(j.proto.Op, r.Op)
	o.add(j.proto.Target, r.Target)
	o.optional("host", r.Host)
	switch n, err := strconv.Atoi(r.Status); {
	case r.Status == "":
		o.add("status", nil)
	case err == nil:
		o.add("status", n)
	default:
		o.add("status", r.Status)
	}
	o.add("error", r.Failed)
	if r.Rows >= 0 {
		o.add("rows", r.Rows)
	}
	o.add("req_bytes", r.ReqBytes)
	o.add("resp_bytes", r.RespBytes)
	o.add("ns", r.Latency.Nanoseconds())
	o.add("total_ns", r.Total.Nanoseconds())
	o.add("complete", r.Whole)
	if len(r.Asked) > 0 {
		asked := object{}
		for _, f := range r.Asked {
			asked.add(f.Name, f.Value)
		}
		o.add("asked", json.RawMessage(asked.bytes()))
	}
	j.out.Write(append(o.bytes(), '\n'))
}

// object is a JSON object whose members keep their order.
type object struct{ b []byte }

func (o *object) add(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		data = []byte("null") // only values without a JSON form fail, and there are none
	}
	if len(o.b) > 0 {
		o.b = append(o.b, ", "...)
	}
	o.b = append(strconv.AppendQuote(o.b, name), ": "...)
	o.b = append(o.b, data...)
}

//go:noinline
func (o *object) optional(name, v string) {
	if v != "" && v != "-" {
		o.add(name, v)
	}
}

func (o *object) address(name string, a netip.AddrPort) {
	if a.IsValid() {
		o.add(name, a.String())
	}
}

//go:noinline
func (o *object) bytes() []byte { return append(append([]byte{'{'}, o.b...), '}') }

// histogram returns the counts of a histogram of latencies in microseconds, by powers of 2.
func histogram(counts []uint64) value.Hist {
	var h value.Hist
	for i, n := range counts {
		lo := int64(0)
		if i > 0 {
			lo = 1 << (i - 1)
		}
		hi := int64(1)<<i - 1
		h.Buckets = append(h.Buckets, value.Bucket{Min: lo, Max: hi, Label: fmt.Sprintf("[%d, %d]", lo, hi), Count: n})
	}
	return h
}
