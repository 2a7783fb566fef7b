package requests

import (
	"net/netip"
	"time"
)

const (
	// answerTime is the time after which a datagram request is shown without an answer.
	// Clients repeat a request sooner.
	answerTime = 10 * time.Second
	// lateTime is the time for which later answers are still recognised.
	lateTime = 60 * time.Second
)

// datagrams are the requests in datagrams that wait for their answers.
type datagrams map[datagram]*waiting

// datagram identifies a request: the socket, the number in the message, and the other
// side.
type datagram struct {
	conn uint64
	id   [2]byte
	peer netip.AddrPort
}

// waiting is a request that waits, or has been shown without an answer.
type waiting struct {
	*piece
	shown bool
}

//go:noinline
func (p *piece) datagram() datagram {
	d := datagram{conn: p.conn, peer: p.peer}
	copy(d.id[:], p.request)
	return d
}

// ask handles a request in a datagram. If a request with the same number waits, the
// client has given it up.
func (t *tracker) ask(p *piece) {
	key := p.datagram()
	old := t.asked[key]
	if old != nil {
		t.giveUp(old, p.at)
	} else if len(t.asked) >= maxConns {
		t.counts.Forgotten++ // the request is shown if the answer arrives
		return
	}
	t.asked[key] = &waiting{piece: p}
}

// answered reports whether an answer has to be shown with its request. It is false if the
// request has been shown already.
func (t *tracker) answered(p *piece) bool {
	w := t.asked[p.datagram()]
	delete(t.asked, p.datagram())
	if w != nil && w.shown {
		t.counts.Late++
		return false
	}
	return true
}

// unanswered shows the requests that have waited too long.
func (t *tracker) unanswered(now time.Time) {
	for key, w := range t.asked {
		switch age := now.Sub(w.at); {
		case age >= lateTime:
			t.giveUp(w, now)
			delete(t.asked, key)
		case age >= answerTime:
			t.giveUp(w, now)
		}
	}
}

// giveUp shows a request without an answer, once.
func (t *tracker) giveUp(w *waiting, now time.Time) {
	if w.shown {
		return
	}
	w.shown = true
	list := t.proto.split(w.request, w.reqBytes, t.opt)
	if len(list) == 0 {
		t.counts.Garbage++
	}
	for _, r := range list {
		w.describe(r)
		r.Start = w.at.Add(-w.latency)
		r.ReqBytes, r.Latency, r.Failed = w.reqBytes, now.Sub(w.at), true
		r.Total = r.Latency
		t.deliver(r)
	}
}
