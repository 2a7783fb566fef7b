package requests

import (
	"container/list"
	"net/netip"
	"time"
)

// Limits of what is kept in memory.
const (
	maxConns   = 16384 // connections
	maxPending = 4096  // requests of a connection whose answers have not started
)

const (
	// quietTime is how long a connection has to be quiet in both directions until the next
	// request is one that waited for the answers before. A server may take long for an answer, and
	// a busy machine may stop a process in the middle of a request.
	quietTime = 10 * time.Second
	// idleTime is how long a connection has to be quiet until an answer without a known end is
	// shown. It may go on.
	idleTime = 3 * time.Second
)

// piece is a report of the script: a piece of data of an answer, or the end of a connection.
type piece struct {
	kind        int
	conn        uint64 // the socket
	at          time.Time
	server, tls bool
	pos         uint32 // the number of the first byte, if the connection has numbers
	bytes       uint64
	data        []byte

	// The following are set in the first piece of an answer, and if a connection ends without
	// one.
	latency         time.Duration
	pid             int
	comm            string
	container, unit string
	local, peer     netip.AddrPort
	reqBytes        uint64
	request         []byte
}

// The kinds of pieces, as the providers number them.
const (
	answerStarts = 1
	answerGoesOn = 2
	answerAlone  = 3 // its request was not seen
	endsWaiting  = 4 // the connection ends without an answer
	ends         = 5
	startsHTTP2  = 6  // a connection with HTTP/2
	asksOn       = 8  // more of a request whose answer has started, or of those after it
	asksAlone    = 7  // a datagram with a request
	answerEnds   = 11 // answerStarts, and the connection ended
)

// conn is a connection, as one of its sides sees it.
type conn struct {
	key     uint64
	local   bool // of a local socket
	reader  reader
	pending []*Request // waiting for their answers
	current *Request   // whose answer is being read
	last    time.Time  // of the last piece of an answer or a request
	now     time.Time  // of the piece being read
	ignore  bool       // the bytes being read belong to no request
	gap     bool       // bytes of the last piece are not known, or of a piece since the reader is lost
	unsure  bool       // it is not known which answers belong to which requests
	next    uint32     // the position after the last piece
	asker   asker
	old     *list.Element
}

// address returns the part of the socket's address that is in the key of a local socket's
// connection.
//
//go:noinline
func (c *conn) address() uint64 { return c.key & (1<<40 - 1) }

// tracker follows connections. It passes each request to done when its answer is complete.
type tracker struct {
	proto  *Protocol
	opt    *Display
	counts Counts
	conns  map[uint64]*conn
	local  map[uint64]*conn // those of local sockets, by the address of the socket
	order  list.List        // connections, the one that was used last at the front
	done   func(*Request)
	c      *conn // whose piece is being read
	asked  datagrams
}

func newTracker(p *Protocol, o *Display, done func(*Request)) *tracker {
	return &tracker{proto: p, opt: o, conns: map[uint64]*conn{}, local: map[uint64]*conn{}, done: done, asked: datagrams{}}
}

// piece handles a piece.
func (t *tracker) piece(p *piece) {
	switch p.kind {
	case asksAlone:
		t.ask(p)
	case answerStarts, answerEnds:
		if t.proto.Datagrams && !t.answered(p) {
			return
		}
		t.turn(p)
		t.read(t.conns[p.conn], p)
		if t.proto.Datagrams || p.kind == answerEnds {
			t.finish(t.conns[p.conn], p.at)
		}
	case answerGoesOn:
		if c := t.conns[p.conn]; c != nil {
			t.read(c, p)
		}
	case asksOn:
		if c := t.conns[p.conn]; c != nil {
			t.c, c.now, c.last = c, p.at, p.at
			if t.asks(c, p.data, p.bytes, p.at); c.unsure {
				t.giveUpAll(c)
			}
		}
	case answerAlone:
		t.counts.Unasked++
	case endsWaiting:
		t.turn(p)
		t.finish(t.conns[p.conn], p.at)
	case startsHTTP2:
		t.counts.HTTP2++
	case ends:
		if c := t.conns[p.conn]; c != nil {
			t.finish(c, p.at)
		}
	}
}

// turn handles the requests that were received before the answer that starts with p.
func (t *tracker) turn(p *piece) {
	c := t.conns[p.conn]
	if c != nil && !p.tls && c.asker.who != nil && (c.asker.who.peer != p.peer || c.asker.who.local != p.local) {
		// The kernel forgot the connection before it ended, and another one has its socket.
		t.finish(c, c.last)
		c = nil
	}
	if c == nil {
		if len(t.conns) >= maxConns {
			last := t.order.Back().Value.(*conn)
			if last.current != nil || len(last.pending) > 0 {
				t.counts.Forgotten++
			}
			t.finish(last, last.last)
		}
		c = &conn{key: p.conn, local: !p.tls && !p.peer.IsValid()}
		if old := t.local[c.address()]; c.local && old != nil {
			t.finish(old, old.last) // the end of the old socket is not seen, but this socket has its address
		}
		c.old = t.order.PushFront(c)
		t.conns[p.conn] = c
		if c.local {
			t.local[c.address()] = c
		}
	}
	t.c, c.now = c, p.at
	start := p.at.Add(-p.latency)
	lost := c.reader == nil || c.reader.lost()
	if lost && len(c.pending) > 0 || c.asker.lost {
		t.giveUpAll(c)
	}
	resumes := c.unsure && start.Sub(c.last) >= quietTime
	if c.unsure = c.unsure && !resumes; lost && !c.unsure {
		// The next answer starts here, so the one before has ended.
		t.end()
		if r, ok := c.reader.(*redisReader); ok {
			c.reader = r.again()
		} else {
			c.reader = t.proto.reader(t.opt)
		}
	}
	if last := c.asker.last; last != nil && last.Whole {
		c.asker = asker{} // data that continues after the end of the answer is another request
	}
	c.asker.who = p
	if c.ignore = !t.asks(c, p.request, p.reqBytes, start); c.ignore {
		t.counts.Garbage++
	}
	if !c.ignore && c.current == nil && len(c.pending) == 0 && !c.unsure && c.asker.head != nil {
		// There is an answer, although the bytes so far are not a request.
		t.counts.Garbage++
		c.ignore, c.asker = true, asker{}
	}
	if a := &c.asker; resumes && (a.last == nil || a.last.cut) {
		c.unsure = true // it may be the rest of an earlier request
	}
	if c.unsure {
		t.giveUpAll(c)
	}
}

// giveUpAll gives up the requests that wait for answers, because their answers cannot be
// identified. Requests that follow are also given up until the connection has been quiet.
//
//go:noinline
func (t *tracker) giveUpAll(c *conn) {
	t.counts.Unclear += uint64(len(c.pending))
	if a := &c.asker; a.head != nil && a.last == nil {
		t.counts.Unclear++ // what may be the start of another one
	}
	if c.current != nil {
		t.counts.Unclear++
	}
	c.pending, c.current, c.unsure = nil, nil, true
	c.asker = asker{who: c.asker.who}
}

// describe sets the members of a request that a piece contains.
//
//go:noinline
func (p *piece) describe(r *Request) {
	r.Server, r.TLS = p.server, p.tls
	r.PID, r.Comm, r.Container, r.Unit, r.Local, r.Peer = p.pid, p.comm, p.container, p.unit, p.local, p.peer
}

// read reads a piece of an answer.
func (t *tracker) read(c *conn, p *piece) {
	t.c, c.now = c, p.at
	t.order.MoveToFront(c.old)
	if c.ignore || c.unsure || c.reader == nil {
		c.last = p.at
		return
	}
	if gap := p.pos - c.next; p.pos != 0 && c.next != 0 && gap != 0 && gap < 1<<31 && c.current != nil {
		// The missing bytes were passed by a system call that is not watched, or their
		// record was lost. Between two answers, they may be an interim answer.
		c.reader.read(nil, uint64(gap), t)
	}
	if p.pos != 0 {
		c.next = p.pos + uint32(p.bytes)
	}
	c.reader.read(p.data, p.bytes, t)
	c.last, c.gap = p.at, p.bytes > uint64(len(p.data)) || c.gap && c.reader.lost()
}

// next implements answers.
func (t *tracker) next() *Request {
	if len(t.c.pending) == 0 {
		return nil
	}
	return t.c.pending[0]
}

// begin implements answers.
func (t *tracker) begin() *Request {
	c := t.c
	t.end()
	if len(c.pending) == 0 {
		t.counts.Unasked++
		return nil
	}
	c.current, c.pending = c.pending[0], c.pending[1:]
	c.current.Latency = max(c.now.Sub(c.current.Start), 0)
	c.current.Total = c.current.Latency
	return c.current
}

// count implements answers.
func (t *tracker) count(n uint64) {
	if r := t.c.current; r != nil {
		r.RespBytes += n
		r.Total = t.c.now.Sub(r.Start)
	}
}

// end implements answers.
//
//go:noinline
func (t *tracker) end() {
	if r := t.c.current; r != nil {
		r.Whole = true
		t.deliver(r)
		t.c.current = nil
	}
}

func (t *tracker) deliver(r *Request) {
	t.counts.Requests++
	if t.opt.Filter.match(r) {
		t.done(r)
	}
}

// finish handles the end of a connection: it completes requests that have no answer
// without one.
func (t *tracker) finish(c *conn, at time.Time) {
	t.c, c.now = c, at
	if len(c.pending) > 0 && c.reader.lost() && (c.current != nil || c.gap) {
		t.giveUpAll(c)
	}
	if r := c.current; r != nil {
		// If it is not known where the answer ends, this is taken as its end: most answers are
		// complete before the connection ends.
		r.Whole = c.reader.lost()
		t.deliver(r)
		c.current = nil
	}
	for _, r := range c.pending {
		r.Latency = at.Sub(r.Start)
		r.Total, r.Failed = r.Latency, true
		t.deliver(r)
	}
	t.order.Remove(c.old)
	delete(t.conns, c.key)
	if c.local {
		delete(t.local, c.address())
	}
}

// quiet shows the answers without a known end on connections that have been quiet for idleTime.
// They are not known to be complete. If other requests wait, their answers may be among the bytes
// of that one.
func (t *tracker) quiet(now time.Time) {
	t.unanswered(now)
	for _, c := range t.conns {
		if c.current == nil || !c.reader.lost() || now.Sub(c.last) < idleTime {
			continue
		}
		if t.c = c; len(c.pending) > 0 {
			t.giveUpAll(c)
			continue
		}
		t.deliver(c.current)
		c.current = nil
	}
}

// close ends all connections. Requests that are still waiting are not counted: their answers
// may come later.
func (t *tracker) close() {
	for _, c := range t.conns {
		if len(c.pending) > 0 && c.reader.lost() {
			t.giveUpAll(c)
		}
		if r := c.current; r != nil {
			t.deliver(r)
		}
	}
	t.conns, t.local, t.asked = map[uint64]*conn{}, map[uint64]*conn{}, datagrams{}
	t.order.Init()
}
