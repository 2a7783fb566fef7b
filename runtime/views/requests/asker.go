package requests

import (
	"bytes"
	"time"
)

// asker follows what a client sends on a connection. The pieces are those that the kernel kept
// until an answer started, and those that came after that.
type asker struct {
	who  *piece   // describes the connection
	last *Request // the request that came last
	open bool     // more of last follows
	lost bool     // there were other requests, of which nothing is known
	// head has the first bytes of last, or of a request that is not recognised yet, if they have
	// to be split together with what follows.
	head  []byte
	start time.Time // of head
}

// maxHead is the maximum number of bytes of a request that are kept until it can be
// split.
const maxHead = 64 << 10

// maxStart is the maximum number of bytes at the end of a piece that may be the beginning of a
// request that cannot be recognised by them.
const maxStart = 16

// asks reads n bytes that a client sent, of which the first ones are data. It reports whether
// they are requests, or a part of one.
func (t *tracker) asks(c *conn, data []byte, n uint64, start time.Time) bool {
	a := &c.asker
	w := window{data, max(n, uint64(len(data)))}
	if a.open && a.last != nil && a.head == nil {
		a.body(&w)
		if w.n == 0 {
			return true
		}
	}
	old := a.last
	if a.head == nil {
		old = nil
	} else {
		start = a.start
		w = window{append(a.head, w.data...), uint64(len(a.head)) + w.n}
	}
	known, size := w.data, w.n
	*a = asker{who: a.who, start: start, lost: a.lost}
	list := t.proto.split(known, size, t.opt)
	used := uint64(0)
	for i, r := range list {
		a.who.describe(r)
		r.Start, r.ReqBytes = start, r.size
		used += r.size
		if r.silent {
			r.join(c.current)
		} else if i == 0 && old != nil {
			old.update(r)
			r = old
		} else if len(c.pending) < maxPending {
			c.pending = append(c.pending, r)
		} else {
			t.counts.Forgotten++
		}
		a.last, a.open = r, r.cut || r.left > 0 || r.chunks != nil
	}
	t.tail(a, known, size, used)
	return len(list) > 0 || a.head != nil
}

// join adds the bytes of a request without an answer to the one before, if it is more of that.
func (r *Request) join(before *Request) {
	if r.joined && before != nil {
		r.owner = before
		before.ReqBytes += r.size
	}
}

// add adds n bytes to a request.
//
//go:noinline
func (r *Request) add(n uint64) {
	if r.ReqBytes += n; r.owner != nil {
		r.owner.ReqBytes += n
	}
}

// tail handles the rest of size bytes after the requests in the first used bytes have
// been split off. data has the first of the bytes.
func (t *tracker) tail(a *asker, known []byte, size, used uint64) {
	from := used
	if a.open && a.last.cut {
		from -= a.last.size
	}
	whole := uint64(len(known)) == size
	switch {
	case a.open && a.last.cut && whole && size-from <= maxHead:
		a.head = bytes.Clone(known[from:])
	case used < size && whole && size-used <= maxStart:
		a.head, a.last, a.open = bytes.Clone(known[used:]), nil, true
	case used < size && !whole && used >= uint64(len(known)):
		if a.lost = len(known) > 0 && !(a.last != nil && a.last.joined); a.last != nil && !a.lost {
			a.last.add(size - used)
		}
	case used < size && a.last != nil:
		a.last.add(size - used)
	}
}

// body reads the rest of the last request from w.
func (a *asker) body(w *window) {
	r := a.last
	before := w.n
	switch {
	case r.cut: // its end is not known
		w.skip(w.n)
	case r.chunks != nil:
		done, ok := r.chunks.read(w)
		if a.open = !done; !ok && !done {
			w.skip(w.n)
			r.chunks, r.cut = nil, true
		}
	default:
		r.left -= w.skip(r.left)
		a.open = r.left > 0
	}
	r.add(before - w.n)
}

// update changes a request when more of it has arrived.
func (r *Request) update(q *Request) {
	r.Op, r.Target, r.Host, r.Asked, r.route, r.empty = q.Op, q.Target, q.Host, q.Asked, q.route, q.empty
	r.ReqBytes, r.size, r.cut, r.left, r.chunks, r.replies = q.ReqBytes, q.size, q.cut, q.left, q.chunks, q.replies
}
