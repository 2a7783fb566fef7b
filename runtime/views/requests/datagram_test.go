package requests

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestUnanswered gives a tracker queries and answers at certain times, in seconds, and
// compares its output.
func TestUnanswered(t *testing.T) {
	query := func(id byte) []byte {
		return []byte(string([]byte{0, id}) + "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")
	}
	answer := func(id byte) []byte {
		q := query(id)
		q[2], q[3] = 0x81, 0x80
		return q
	}
	for _, c := range []struct{ events, want string }{
		{"ask1@0 look@9 answer1@9.5 look@30", "NOERROR 9.5s"},
		{"ask1@0 look@10 look@11 look@80", "- 10s"},
		{"ask1@0 ask1@5 answer1@6 look@30", "- 5s|NOERROR 1s"},
		{"ask1@0 ask2@0 answer2@1 look@12", "NOERROR 1s|- 12s"},
		{"ask1@0 look@12 answer1@13 look@30", "- 12s|late"},
		{"ask1@0 look@12 ask1@13 answer1@14 look@30", "- 12s|NOERROR 1s"},
		{"ask1@0", ""},
		{"junk@0 look@20", "garbage"},
	} {
		var got []string
		tr := newTracker(dnsProtocol(), &Display{}, func(r *Request) {
			status := r.Status
			if status == "" {
				status = "-"
			}
			if (status == "-") != r.Failed || r.Target != "a" {
				t.Errorf("%s: %+v", c.events, r)
			}
			got = append(got, fmt.Sprint(status, " ", r.Latency))
		})
		began := time.Unix(1000, 0)
		asked := map[byte]time.Time{}
		for _, e := range strings.Fields(c.events) {
			what, when, _ := strings.Cut(e, "@")
			d, _ := time.ParseDuration(when + "s")
			now := began.Add(d)
			id := what[len(what)-1] - '0'
			switch {
			case what == "look":
				tr.quiet(now)
			case what == "junk":
				tr.piece(&piece{kind: asksAlone, at: now, request: []byte("junk"), reqBytes: 4})
			case strings.HasPrefix(what, "ask"):
				asked[id] = now
				tr.piece(&piece{kind: asksAlone, conn: 1, at: now, request: query(id), reqBytes: 20, data: query(id), bytes: 20})
			default:
				tr.piece(&piece{kind: answerStarts, conn: 1, at: now, latency: now.Sub(asked[id]), request: query(id), reqBytes: 20, data: answer(id), bytes: 20})
			}
		}
		tr.close()
		if tr.counts.Late > 0 {
			got = append(got, "late")
		}
		if tr.counts.Garbage > 0 {
			got = append(got, "garbage")
		}
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%s: %q, want %q", c.events, s, c.want)
		}
	}
}
