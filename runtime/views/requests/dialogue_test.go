package requests

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// command returns a command of Redis.
func command(words ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return s
}

// array returns an array of Redis with a type.
func array(kind string, words ...string) string { return kind + command(words...)[1:] }

// TestDialogues passes what the sides of a connection send to a tracker. Each entry is a piece:
// "?" and a request whose answer follows, "!" and the start of that answer, "+" and more of an
// answer, or what comes without a request, or ">" and what a client sends while an answer is
// being sent. No request may get the answer to another one, and nothing may be counted that is
// not missing.
func TestDialogues(t *testing.T) {
	const ok, myOK = "+OK\r\n", "\x07\x00\x00\x01\x00\x02\x00\x02\x00\x00\x00"
	messages := array("*", "message", "a", "text")
	closing := myPacket(0, "\x19\x01\x00\x00\x00")
	prepared := myPacket(1, "\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00")
	row := pgMessage('d', "1\ttext of more than sixteen bytes\n")
	for _, tt := range []struct {
		name   string
		p      *Protocol
		pieces []string
		want   string
	}{
		{"a push between answers", redisProtocol(), []string{"?" + command("GET", "a"), "!" + ok, "+" + array(">", "invalidate", "k"), "?" + command("GET", "b"), "!" + ok},
			"GET a OK 20 5, GET b OK 20 5"},
		{"a push before an answer", redisProtocol(), []string{"?" + command("GET", "a"), "!" + array(">", "invalidate", "k") + ok, "?" + command("GET", "b"), "!-ERR x\r\n"},
			"GET a OK 20 5, GET b ERR 20 8"},
		{"attributes", redisProtocol(), []string{"?" + command("GET", "a"), "!|1\r\n$1\r\nk\r\n%1\r\n+a\r\n+b\r\n:1\r\n"}, "GET a OK 20 4"},
		{"several subscriptions, RESP3", redisProtocol(),
			[]string{"?" + command("SUBSCRIBE", "a", "b") + command("LPUSH", "k", "v"), "!" + array(">", "subscribe", "a", "1") + array(">", "subscribe", "b", "2") + "-WRONGTYPE x\r\n"},
			"SUBSCRIBE a b OK 33 66, LPUSH k v WRONGTYPE 29 14"},
		{"several subscriptions, RESP2", redisProtocol(),
			[]string{"?" + command("SUBSCRIBE", "a", "b") + command("PING"), "!" + array("*", "subscribe", "a", "1"), "+" + array("*", "subscribe", "b", "2"), "+" + messages + array("*", "pong", "")},
			"SUBSCRIBE a b OK 33 66, PING  OK 14 20"},
		{"messages", redisProtocol(), []string{"?" + command("PSUBSCRIBE", "a"), "!*3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:1\r\n", "+" + messages, "+" + messages + messages[:9], "+" + messages[9:],
			"?" + command("UNSUBSCRIBE"), "!*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n", "?" + command("LRANGE", "l", "0", "2"), "!" + messages},
			"PSUBSCRIBE a OK 28 32, UNSUBSCRIBE  OK 22 33, LRANGE l 0 2 OK 37 34"},
		{"a large message", redisProtocol(), []string{"?" + command("SUBSCRIBE", "a"), "!" + array("*", "subscribe", "a", "1"), "+" + array("*", "message", "a", strings.Repeat("x", 3000)) + messages,
			"?" + command("PING"), "!" + messages, "+" + array("*", "pong", "")},
			"SUBSCRIBE a OK 26 33, PING  OK 14 20"},
		{"the monitor", redisProtocol(), []string{"?" + command("MONITOR"), "!" + ok, "++1796073911.180107 [0 127.0.0.1:1] \"GET\" \"a\"\r\n", "?" + command("PING"), "!+PONG\r\n"}, "MONITOR  OK 17 5, PING  OK 14 7"},
		{"commands without an answer", mysqlProtocol(), []string{"?" + myPacket(0, "\x16select ?"), "!" + prepared, "?" + myPacket(0, "\x17\x01\x00\x00\x00"), "!" + myOK, ">" + closing,
			"?" + myPacket(0, "\x16insert"), "!" + prepared, "?" + myPacket(0, "\x17\x02\x00\x00\x00"), "!" + myOK, ">" + closing + closing, "?" + myPacket(0, "\x0e"), "!" + myOK},
			"PREPARE select ? OK 13 16, EXECUTE statement 1 OK 9 11 2 rows, PREPARE insert OK 11 16, EXECUTE statement 2 OK 9 11 2 rows, PING  OK 5 11 2 rows"},
		{"a long parameter", mysqlProtocol(), []string{"?" + myPacket(0, "\x0e"), "!" + myOK, ">" + myPacket(0, "\x18\x01\x00\x00\x00\x00\x00"+strings.Repeat("x", 3000)), "?" + myPacket(0, "\x17\x01\x00\x00\x00"), "!" + myOK},
			"PING  OK 5 11 2 rows, EXECUTE statement 1 OK 9 11 2 rows"},
		{"a local file", mysqlProtocol(), []string{"?" + myPacket(0, "\x03load data"), "!" + myPacket(1, "\xfbfile"), ">" + myPacket(2, strings.Repeat("1,x\n", 900)), ">" + myPacket(3, ""), "?" + myPacket(0, "\x0e"), "!" + myOK},
			"QUERY load data OK 3622 9, PING  OK 5 11 2 rows"},
		{"a query of several packets", mysqlProtocol(), []string{"?\xff\xff\xff\x00\x03insert" + strings.Repeat("x", 17<<20), "!" + myOK, "?" + myPacket(0, "\x0e"), "!" + myOK},
			fmt.Sprintf("QUERY insert%s OK %d 11 2 rows, PING  OK 5 11 2 rows", strings.Repeat("x", 1013), 17<<20+11)},
		{"rows for COPY", pgsqlProtocol(), []string{"?" + pgMessage('Q', "copy t from stdin\x00"), "!" + pgMessage('G', "\x00\x00\x00"), ">" + strings.Repeat(row, 100), ">" + row[:20], ">" + row[20:], ">" + pgMessage('c', ""),
			"+" + pgMessage('C', "COPY 101\x00") + pgMessage('Z', "I"), "?" + pgMessage('Q', "x\x00"), "!" + pgMessage('C', "X\x00") + pgMessage('Z', "I")},
			"QUERY copy t from stdin OK 3967 28 101 rows, QUERY x OK 7 13"},
		{"COPY by the extended protocol", pgsqlProtocol(), []string{"?" + pgMessage('P', "\x00copy\x00\x00\x00") + pgMessage('E', "\x00") + pgMessage('S', ""), "!" + pgMessage('G', "\x00\x00\x00"), ">" + pgMessage('c', "") + pgMessage('S', ""),
			"+" + pgMessage('C', "COPY 0\x00") + pgMessage('Z', "I"), "?" + pgMessage('Q', "x\x00"), "!" + pgMessage('C', "X\x00") + pgMessage('Z', "I")},
			"QUERY copy OK 29 26 0 rows, QUERY x OK 7 13"},
		{"rows that are not all known", pgsqlProtocol(), []string{"?" + pgMessage('Q', "x\x00"), "!" + pgMessage('C', "INSERT 0 1\x00") + strings.Repeat(pgMessage('C', "INSERT 0 1\x00"), 80) + pgMessage('Z', "I")}, "QUERY x OK 7 1302"},
		{"a websocket", httpProtocol(), []string{"?GET /ws HTTP/1.1\r\n\r\n", "!HTTP/1.1 101 Up\r\n\r\n", ">\x81\x85abcdhello", ">" + strings.Repeat("\x82\x7e", 50), "+\x81\x02ok", ">\x88\x80abcd"}, "GET /ws 101 20 23"},
		{"a wrong status", httpProtocol(), []string{"?GET /a HTTP/1.1\r\n\r\n", "!HTTP/1.1 2000 OK\r\n\r\n"}, "GET /a  19 0"},
	} {
		var got []string
		tr := newTracker(tt.p, &Display{Unmask: true}, func(r *Request) {
			s := fmt.Sprintf("%s %s %s %d %d", r.Op, r.Target, r.Status, r.ReqBytes, r.RespBytes)
			if r.Rows > 0 || strings.HasPrefix(r.Target, "copy") {
				s += fmt.Sprintf(" %d rows", r.Rows)
			}
			got = append(got, s)
		})
		known := func(s string) []byte { return []byte(s[:min(len(s), 1024)]) }
		at, ask := time.Unix(1000, 0), ""
		for i, s := range append(tt.pieces, ".") {
			p := &piece{conn: 1, at: at.Add(time.Duration(i) * time.Millisecond), kind: answerGoesOn, data: known(s[1:]), bytes: uint64(len(s) - 1)}
			switch s[0] {
			case '?':
				ask = s[1:]
				continue
			case '!':
				p.kind, p.request, p.reqBytes = answerStarts, known(ask), uint64(len(ask))
			case '>':
				p.kind = asksOn
			case '.':
				p.kind = ends
			}
			tr.piece(p)
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, s, tt.want)
		}
		if tr.counts.Requests = 0; tr.counts != (Counts{}) {
			t.Errorf("%s: %+v", tt.name, tr.counts)
		}
	}
}
