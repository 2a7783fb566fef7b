package requests

import (
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// Sink receives the script's output and shows the requests. It passes all other results to
// the sink for text or JSON.
type Sink struct {
	output.Sink
	mu      sync.Mutex
	err     io.Writer
	opt     *Display
	tracker *tracker
	printer printer
	boot    time.Time // the time at which the clock of the events was 0
	wrong   int       // records with a wrong form
	stop    chan struct{}
}

// NewSink returns a sink that writes requests to out and messages to err.
func NewSink(p *Protocol, o *Display, out *output.Writer, err io.Writer, style output.Style) *Sink {
	s := &Sink{err: err, opt: o, boot: bootTime(), stop: make(chan struct{})}
	if o.JSON {
		s.Sink = output.NewJSON(out, style)
	} else {
		s.Sink = output.NewText(out, err, style)
	}
	s.printer = newPrinter(p, o, out, s.Sink)
	s.tracker = newTracker(p, o, s.printer.request)
	go s.watch()
	return s
}

// bootTime returns when the machine started.
func bootTime() time.Time {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Time{} // every kernel has this clock
	}
	return time.Now().Add(-time.Duration(ts.Nano()))
}

// watch shows answers whose end cannot be determined.
func (s *Sink) watch() {
	tick := time.NewTicker(idleTime / 10)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.mu.Lock()
			s.tracker.quiet(now)
			s.Sink.Flush()
			s.mu.Unlock()
		}
	}
}

// Value implements output.Sink.
func (s *Sink) Value(v value.Value) {
	p, err := s.decode(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.wrong++; s.wrong == 1 {
			fmt.Fprintln(s.err, "ERROR:", err)
		}
		return
	}
	s.tracker.piece(p)
}

// Flush implements output.Sink.
func (s *Sink) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Sink.Flush()
}

// End implements output.Sink. It prints the remaining requests, and the numbers of those that
// were missed.
func (s *Sink) End() {
	close(s.stop)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracker.close()
	s.printer.end()
	c := s.tracker.counts
	for _, m := range []struct {
		n    uint64
		what string
	}{
		{c.Unasked, "answers to requests that were not seen, most of them older than the trace"},
		{c.Garbage, "pieces of data that begin like requests but are not"},
		{c.Unclear, "requests that did not wait for earlier answers, so that the answers could not be assigned"},
		{c.HTTP2, "connections with HTTP/2, which is not decoded (both sides of a connection count)"},
		{c.Late, "answers that came when the request had been shown without one"},
		{c.Forgotten, "connections or requests given up because there were too many at once"},
	} {
		if m.n > 0 && !s.opt.Quiet {
			fmt.Fprintf(s.err, "Not shown: %d %s\n", m.n, m.what)
		}
	}
	s.Sink.End()
}

// decode returns the piece that the script has printed.
func (s *Sink) decode(v value.Value) (*piece, error) {
	t, ok := v.(value.Tuple)
	if !ok || len(t) != 7 && len(t) != 21 {
		return nil, outline.Errorf("the script printed something that is not a piece: %s", value.Text(v, ""))
	}
	r := reading{values: t}
	p := &piece{
		kind: int(r.number()), conn: r.number(), at: s.boot.Add(time.Duration(r.number())), server: r.bool(),
		pos: uint32(r.number()), bytes: r.number(), data: r.bytes(),
	}
	if len(t) == 21 {
		p.latency, p.tls = time.Duration(r.number()), r.bool()
		p.pid, p.comm = int(r.number()), r.text()
		current := int(r.number())
		if p.container, p.unit = r.text(), r.text(); current != p.pid {
			p.container, p.unit = "-", "-" // they are those of another process
		}
		inet := r.number() > 1
		p.local, p.peer = r.address(), r.address()
		if !inet {
			p.local, p.peer = netip.AddrPort{}, netip.AddrPort{}
		}
		p.reqBytes, p.request = r.number(), r.bytes()
	}
	return p, r.err
}

// reading takes the values of a tuple in order. The first one of a wrong type is an error.
type reading struct {
	values value.Tuple
	err    error
}

//go:noinline
func (r *reading) next() value.Value {
	v := r.values[0]
	r.values = r.values[1:]
	return v
}

func (r *reading) fail(v value.Value) {
	if r.err == nil {
		r.err = outline.Errorf("the script printed a value of type %T where another is expected", v)
	}
}

func (r *reading) number() uint64 {
	switch v := r.next().(type) {
	case value.Int:
		return uint64(v)
	case value.Uint:
		return uint64(v)
	case value.Ptr:
		return uint64(v)
	default:
		r.fail(v)
	}
	return 0
}

func (r *reading) bool() bool {
	switch v := r.next().(type) {
	case value.Bool:
		return bool(v)
	case value.Int:
		return v != 0
	default:
		r.fail(v)
	}
	return false
}

func (r *reading) bytes() []byte {
	b, ok := r.next().(value.Bytes)
	if !ok {
		r.fail(b)
	}
	return b
}

func (r *reading) text() string {
	s, ok := r.next().(value.Str)
	if !ok {
		r.fail(s)
	}
	return s.S
}

// address reads an address and a port.
func (r *reading) address() netip.AddrPort {
	s := r.text()
	port := uint16(r.number())
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}
