package requests

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// recorder is a tracker's connection that records the answers of a reader.
type recorder struct {
	open bool
	list []*Request
}

func (r *recorder) begin() *Request {
	r.open = true
	q := &Request{Rows: -1}
	r.list = append(r.list, q)
	return q
}

func (*recorder) next() *Request { return nil }

func (r *recorder) count(n uint64) {
	if r.open {
		r.list[len(r.list)-1].RespBytes += n
	}
}

func (r *recorder) end() {
	if r.open {
		r.list[len(r.list)-1].Whole = true
	}
	r.open = false
}

// describe returns a line for each request or answer.
func describe(list []*Request) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s %s %s status=%s failed=%v rows=%d size=%d resp=%d whole=%v\n", r.Op, r.Target, r.Host, r.Status, r.Failed, r.Rows, r.size, r.RespBytes, r.Whole)
	}
	return b.String()
}

// answersOf reads a stream in pieces of n bytes.
func answersOf(p *Protocol, stream []byte, n int) []*Request {
	r, to := p.reader(&Display{}), &recorder{}
	for len(stream) > 0 {
		k := min(n, len(stream))
		r.read(stream[:k], uint64(k), to)
		stream = stream[k:]
	}
	return to.list
}

// fuzzProtocol passes any bytes to a protocol's parsers. The answers must not depend on
// how the stream is cut into pieces.
func fuzzProtocol(f *testing.F, p *Protocol, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s), uint64(len(s)), 3)
		f.Add([]byte(s), uint64(len(s)*3), 1)
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint64, n int) {
		for _, o := range []*Display{{}, {Unmask: true, Body: 10, Headers: []string{"cookie", "x"}}} {
			p.split(data, size, o)
			p.split(data, uint64(len(data)), o)
		}
		n = max(n, 1)
		whole, parts := answersOf(p, data, len(data)+1), answersOf(p, data, n)
		if a, b := describe(whole), describe(parts); a != b && !p.Datagrams {
			t.Errorf("in one piece:\n%s\nin pieces of %d:\n%s", a, n, b)
		}
		to := &recorder{}
		r := p.reader(&Display{})
		size %= 1 << 40
		r.read(data, max(size, uint64(len(data))), to)
		r.read(data, uint64(len(data)), to)
		for _, q := range to.list {
			if q.RespBytes > size+2*uint64(len(data)) {
				t.Errorf("an answer of %d bytes in %d", q.RespBytes, size)
			}
		}
	})
}

func FuzzHTTP(f *testing.F) {
	fuzzProtocol(f, httpProtocol(),
		"GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nCookie: a\r\n\r\n",
		"POST http://u:p@h/1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 N\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 X\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 101 Switching\r\n\r\n\x00\x01")
}

func TestSplitHTTP(t *testing.T) {
	tests := []struct {
		name, data string
		more       uint64 // bytes that are not known
		o          Display
		want       string // op target host of each, and the values that the user asks for
	}{
		{"one", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 0, Display{}, "GET /a h"},
		{"masked", "GET /a?b=c#d HTTP/1.1\r\nHost: h\r\n\r\n", 0, Display{}, "GET /a?*** h"},
		{"unmasked", "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", 0, Display{Unmask: true}, "GET /a?b=c h"},
		{"user", "GET http://u:p@h:1/a HTTP/1.1\r\n\r\n", 0, Display{}, "GET http://***@h:1/a "},
		{"cookie", "GET / HTTP/1.1\r\nCookie: s\r\nX: 1\r\n\r\n", 0, Display{Headers: []string{"Cookie", "x"}}, "GET /  cookie=*** x=1"},
		{"unmasked cookie", "GET / HTTP/1.1\r\nCookie: s\r\n\r\n", 0, Display{Headers: []string{"Cookie"}, Unmask: true}, "GET /  cookie=s"},
		{"body", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n\r\n", 0, Display{Body: 3}, "POST /  body=hel|GET /2 "},
		{"no body unless asked for", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 0, Display{}, "POST / "},
		{"chunked", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", 0, Display{}, "PUT / |GET /2 "},
		{"body that is not there", "POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\nhello", 4995, Display{}, "POST / "},
		{"three", strings.Repeat("GET /a HTTP/1.1\r\n\r\n", 3), 0, Display{}, "GET /a |GET /a |GET /a "},
		{"cut header", "GET /a HTTP/1.1\r\nHost: example.o", 5000, Display{}, "GET /a example.o"},
		{"cut path", "GET /aaaa", 5000, Display{}, "GET /aaaa "},
		{"none", "hello\r\n\r\n", 0, Display{}, ""},
		{"binary", "\x16\x03\x01", 0, Display{}, ""},
		{"another version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, Display{}, ""},
		{"lower case", "get / HTTP/1.1\r\n\r\n", 0, Display{}, ""},
	}
	for _, tt := range tests {
		var got []string
		var sum uint64
		for _, r := range splitHTTP([]byte(tt.data), uint64(len(tt.data))+tt.more, &tt.o) {
			s := r.Op + " " + r.Target + " " + r.Host
			for _, f := range r.Asked {
				s += " " + f.Name + "=" + f.Value
			}
			got = append(got, s)
			sum += r.size
		}
		if s := strings.Join(got, "|"); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
		if sum > uint64(len(tt.data))+tt.more {
			t.Errorf("%s: %d bytes of %d", tt.name, sum, uint64(len(tt.data))+tt.more)
		}
	}
}

// TestHeaderSpellings tests the relevant headers in any case and with any blanks.
func TestHeaderSpellings(t *testing.T) {
	for _, spell := range []func(string) string{strings.ToLower, strings.ToUpper, strings.Clone} {
		for _, blank := range []string{"", " ", "\t", " \t ", "    "} {
			line := func(name, value string) string { return spell(name) + ":" + blank + value + blank + "\r\n" }
			ask := "POST /1 HTTP/1.1\r\n" + line("Host", "h") + line("User-Agent", "u") + line("Content-Length", "3") + "\r\nabc" +
				"POST /2 HTTP/1.1\r\n" + line("Connection", "close") + line("Transfer-Encoding", spell("chunked")) + "\r\n3\r\nabc\r\n0\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"
			o := &Display{Headers: []string{"user-agent", "Connection", "CONTENT-LENGTH", "transfer-encoding"}}
			got := ""
			for _, r := range splitHTTP([]byte(ask), uint64(len(ask)), o) {
				got += r.Target + " " + r.Host
				for _, f := range r.Asked {
					got += " " + f.Name + "=" + f.Value
				}
				got += "|"
			}
			if want := "/1 h user-agent=u content-length=3|/2  connection=close transfer-encoding=" + spell("chunked") + "|/3 |"; got != want {
				t.Errorf("%q: %q, want %q", ask, got, want)
			}
			for body, headers := range map[string]string{"abc": line("Content-Length", "3"), "3\r\nabc\r\n0\r\n\r\n": line("Transfer-Encoding", spell("gzip, chunked"))} {
				head := "HTTP/1.1 200 OK\r\n" + headers + "\r\n"
				list := answersOf(httpProtocol(), []byte(head+body+head+body), 1000)
				for _, r := range list {
					if len(list) != 2 || !r.Whole || r.RespBytes != uint64(len(head+body)) {
						t.Errorf("%q: %+v", head, r)
					}
				}
			}
		}
	}
}

func TestReadHTTP(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 40"},
		{"none", "HTTP/1.1 204 X\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", "204 18, 304 37"},
		{"chunked", "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\nHTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", "500 71, 200 37"},
		{"until the end", "HTTP/1.0 200 X\r\n\r\nabc", "200 21-"},
		{"announced", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 201 X\r\nContent-Length: 1\r\n\r\nx", "201 38"},
		{"switching", "HTTP/1.1 101 S\r\n\r\n\x01\x02", "101 20-"},
		{"cut", "HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc", "200 41-"},
		{"garbage", "\x00\x01\x02\x03", ""},
		{"a bad chunk", "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello", "200 55-"},
	}
	for _, tt := range tests {
		for _, n := range []int{1, 2, 7, 1000} {
			var got []string
			for _, r := range answersOf(httpProtocol(), []byte(tt.data), n) {
				s := fmt.Sprintf("%s %d", r.Status, r.RespBytes)
				if !r.Whole {
					s += "-"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("%s in pieces of %d: %s, want %s", tt.name, n, s, tt.want)
			}
		}
	}
}

// TestTracker checks which state of connections is kept, and for how long.
func TestTracker(t *testing.T) {
	var got []*Request
	tr := newTracker(httpProtocol(), &Display{}, func(r *Request) { got = append(got, r) })
	at := time.Unix(1000, 0)
	turn := func(conn uint64, kind int, request, answer string) {
		at = at.Add(time.Millisecond)
		tr.piece(&piece{kind: kind, conn: conn, at: at, latency: time.Millisecond, request: []byte(request), reqBytes: uint64(len(request)),
			data: []byte(answer), bytes: uint64(len(answer))})
	}
	const ask = "GET / HTTP/1.1\r\n\r\n"
	turn(1, answerStarts, ask, "HTTP/1.1 200 X\r\n\r\nabc")
	if len(got) != 0 {
		t.Error("an answer without a known end is shown as complete")
	}
	tr.quiet(at.Add(idleTime))
	if len(got) != 1 || got[0].RespBytes != 21 || got[0].Whole {
		t.Errorf("after a while: %+v", got)
	}
	turn(2, answerStarts, "junk", "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n")
	turn(3, answerAlone, "", "")
	if len(got) != 1 || tr.counts.Garbage != 1 || tr.counts.Unasked != 1 {
		t.Errorf("%d requests, %+v", len(got), tr.counts)
	}
	turn(4, endsWaiting, ask, "")
	if len(got) != 2 || got[1].Status != "" || !got[1].Failed {
		t.Errorf("a connection that ended: %+v", got)
	}
	for i := range uint64(maxConns + 100) {
		turn(100+i, answerStarts, ask, "HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n")
	}
	if len(tr.conns) != maxConns || tr.order.Len() != maxConns {
		t.Errorf("%d connections are kept", len(tr.conns))
	}
	turn(5, answerStarts, strings.Repeat(ask, 50000), "")
	if n := len(tr.conns[5].pending); n != maxPending {
		t.Errorf("%d requests are kept", n)
	}
	tr.close()
	if len(tr.conns) != 0 {
		t.Error("connections are left")
	}
}

func TestFilter(t *testing.T) {
	r := &Request{Op: "GET", Target: "/api/7?***", Host: "h.example", Status: "404", Failed: true, Latency: time.Second, Server: true}
	for _, tt := range []struct {
		f    Filter
		want bool
	}{
		{Filter{}, true}, {Filter{Slow: time.Second}, true}, {Filter{Slow: time.Second + 1}, false},
		{Filter{Op: []string{"get", "put"}}, true}, {Filter{Op: []string{"put"}}, false},
		{Filter{Target: []string{"/api/*"}}, true}, {Filter{Target: []string{"*7*"}}, true}, {Filter{Target: []string{"/api"}}, false}, {Filter{Target: []string{"/x*", "*i/*?***"}}, true},
		{Filter{Status: []string{"404"}}, true}, {Filter{Status: []string{"4xx"}}, true}, {Filter{Status: []string{"5xx"}}, false}, {Filter{Status: []string{">=400"}}, true},
		{Filter{Status: []string{"<400"}}, false}, {Filter{Status: []string{"!=404"}}, false}, {Filter{Status: []string{"OK"}}, false},
		{Filter{Host: []string{"H.example"}}, true}, {Filter{Server: true}, true}, {Filter{Client: true}, false}, {Filter{Failed: true}, true},
	} {
		if got := tt.f.match(r); got != tt.want {
			t.Errorf("%+v: %v", tt.f, got)
		}
	}
}

func TestRoutes(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/a/b": "/a/b", "/users/17/posts/3?x=1": "/users/*/posts/*", "/o/123e4567-e89b-12d3-a456-426614174000": "/o/*",
		"/deadbeefdeadbeef01": "/*", "/facade": "/facade", "/v1/x": "/v1/x",
	} {
		if got := routeOf(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	r := &routes{by: map[string]*route{}}
	for i := range 1000 {
		r.request(&Request{route: "r", Latency: time.Duration(i+1) * time.Millisecond})
	}
	for p, want := range map[float64]float64{50: 500, 90: 900, 99: 990, 100: 1000} {
		if got := r.by["r"].percentile(p).Seconds() * 1000; got < want*0.99 || got > want*1.011 {
			t.Errorf("percentile %v: %v ms, want %v", p, got, want)
		}
	}
	if !bytes.Equal([]byte(duration(1500*time.Microsecond)), []byte("1.50ms")) {
		t.Error(duration(1500 * time.Microsecond))
	}
}

// TestAsksInPieces checks that requests do not depend on how the client's data is divided
// into a part before an answer and a part after its start.
func TestAsksInPieces(t *testing.T) {
	streams := map[*Protocol]string{
		httpProtocol(): "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /" +
			"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nDELETE /d HTTP/1.1\r\n\r\n",
		redisProtocol(): "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n*3\r\n$3\r\nSET\r\n$2\r\nk2\r\n$4\r\n*1\r\n\r\n*1\r\n$4\r\nPING\r\n",
		pgsqlProtocol(): "Q\x00\x00\x00\x0dselect 1\x00P\x00\x00\x00\x10\x00select 2\x00\x00\x00S\x00\x00\x00\x04Q\x00\x00\x00\x0dselect 3\x00",
		mysqlProtocol(): "\x09\x00\x00\x00\x03select 1\x09\x00\x00\x00\x03select 2\x01\x00\x00\x00\x0e",
	}
	for p, stream := range streams {
		asked := func(parts ...string) string {
			tr, c := newTracker(p, &Display{}, nil), &conn{}
			c.asker.who = &piece{}
			for _, data := range parts {
				tr.asks(c, []byte(data), uint64(len(data)), time.Time{})
			}
			var b strings.Builder
			for _, r := range c.pending {
				fmt.Fprintf(&b, "%s %s %d\n", r.Op, r.Target, r.ReqBytes)
			}
			return b.String()
		}
		whole := asked(stream)
		if n := strings.Count(whole, "\n"); n < 3 {
			t.Errorf("%s: %d requests:\n%s", p.Name, n, whole)
		}
		for i := 1; i < len(stream); i++ {
			for j := i; j < len(stream); j++ {
				parts := []string{stream[:i], stream[i:j], stream[j:]}
				if i == j {
					parts = []string{stream[:i], stream[i:]}
				}
				if got := asked(parts...); got != whole {
					t.Fatalf("%s cut at %d and %d:\n%s\nwant:\n%s", p.Name, i, j, got, whole)
				}
			}
		}
	}
}

// TestResume checks after which pieces of a connection requests are shown again when answers
// could not be identified.
func TestResume(t *testing.T) {
	const (
		ask    = "Q\x00\x00\x00\x0dselect 1\x00"
		answer = "C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"
		rest   = "P\x00E\x00\x00\x00\t\x00\x00\x00\x00\x00S\x00\x00\x00\x04" // of a request, and like the start of one
	)
	type step struct {
		after time.Duration
		kind  int
		data  string // of requests
	}
	for _, tt := range []struct {
		name  string
		steps []step
		shown int
	}{
		{"soon", []step{{quietTime - 1, answerStarts, ask}}, 0},
		{"later", []step{{quietTime, answerStarts, ask}}, 1},
		{"two at once", []step{{quietTime, answerStarts, ask + ask}}, 1},
		{"twice", []step{{quietTime, answerStarts, ask}, {1, answerStarts, ask}}, 2},
		{"soon, and later", []step{{1, answerStarts, ask}, {quietTime, answerStarts, ask}}, 1},
		{"soon after a part", []step{{quietTime, asksOn, "P\x00\x00"}, {1, answerStarts, ask}}, 0},
		{"a rest", []step{{quietTime, asksOn, "D\x00\x00\x00\x06"}, {1, answerStarts, rest}}, 0},
		{"a rest, later", []step{{quietTime, answerStarts, rest}, {1, answerStarts, ask}}, 0},
		{"a part", []step{{quietTime, answerStarts, ask[:9]}}, 0},
		{"a rest, and later", []step{{quietTime, answerStarts, rest}, {quietTime, answerStarts, ask}}, 1},
	} {
		var got []*Request
		tr := newTracker(pgsqlProtocol(), &Display{}, func(r *Request) { got = append(got, r) })
		at := time.Unix(1000, 0)
		// The end of the first of two answers is not known.
		tr.piece(&piece{kind: answerStarts, conn: 1, at: at, request: []byte(ask + ask), reqBytes: 2 * uint64(len(ask)), data: []byte("D\x00"), bytes: 2000})
		for _, s := range tt.steps {
			at = at.Add(s.after)
			p := &piece{kind: s.kind, conn: 1, at: at, data: []byte(answer), bytes: uint64(len(answer)), request: []byte(s.data), reqBytes: uint64(len(s.data))}
			if s.kind == asksOn {
				p.data, p.bytes, p.request, p.reqBytes = p.request, p.reqBytes, nil, 0
			}
			tr.piece(p)
		}
		if len(got) != tt.shown {
			t.Errorf("%s: %d requests are shown, want %d:\n%s", tt.name, len(got), tt.shown, describe(got))
		}
	}
}

// TestUnknownBytes cuts the known bytes of the answers to three requests at each place. The last
// answer comes in a piece of its own. No answer may be missing without being counted.
func TestUnknownBytes(t *testing.T) {
	const ask = "GET / HTTP/1.1\r\n\r\n"
	const answer = "HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nabc"
	for known := range 2 * len(answer) {
		var got []*Request
		tr := newTracker(httpProtocol(), &Display{}, func(r *Request) { got = append(got, r) })
		at := time.Unix(1000, 0)
		for _, p := range []piece{
			{kind: answerStarts, request: []byte(ask + ask + ask), reqBytes: 3 * uint64(len(ask)), data: []byte(answer + answer)[:known], bytes: 2 * uint64(len(answer))},
			{kind: answerGoesOn, data: []byte(answer), bytes: uint64(len(answer))},
			{kind: ends},
		} {
			p.conn, p.at = 1, at
			tr.piece(&p)
		}
		for _, r := range got {
			if r.Status != "200" {
				t.Errorf("with %d bytes known, a request has the status %q", known, r.Status)
			}
		}
		if len(got)+int(tr.counts.Unclear) != 3 {
			t.Errorf("with %d bytes known, %d requests are shown, and %d counted", known, len(got), tr.counts.Unclear)
		}
	}
}
