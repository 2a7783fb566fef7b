package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// talks makes random requests of each protocol, with their answers. The name is a part of the
// target of the request.
var talks = map[string]func(r *rand.Rand, name string) *dialogue{
	"http": httpTalk, "redis": redisTalk, "pgsql": pgsqlTalk, "mysql": mysqlTalk,
}

// size returns a random size. Most sizes are small.
func size(r *rand.Rand) int { return []int{0, 1, r.Intn(30), r.Intn(300), r.Intn(9000)}[r.Intn(5)] }

func httpTalk(r *rand.Rand, name string) *dialogue {
	x := &dialogue{op: []string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}[r.Intn(7)], target: "/" + name}
	var ask, answer bytes.Buffer
	fmt.Fprintf(&ask, "%s %s HTTP/1.1\r\n", x.op, x.target)
	for range r.Intn(4) {
		fmt.Fprintf(&ask, "X-Random: %s\r\n", strings.Repeat("v", r.Intn(40)))
	}
	body := func(w *bytes.Buffer, n int, chunked bool) {
		data := filler(r, n)
		if !chunked {
			fmt.Fprintf(w, "Content-Length: %d\r\n\r\n%s", n, data)
			return
		}
		w.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(data) > 0 {
			k := 1 + r.Intn(len(data))
			fmt.Fprintf(w, "%x\r\n%s\r\n", k, data[:k])
			data = data[k:]
		}
		w.WriteString("0\r\n\r\n")
	}
	if n := size(r); x.op == "POST" || x.op == "PUT" || x.op == "PATCH" {
		body(&ask, n, r.Intn(2) == 0)
	} else {
		ask.WriteString("\r\n")
	}
	status := []int{200, 201, 204, 301, 304, 400, 404, 500, 503, 999}[r.Intn(10)]
	x.status = fmt.Sprint(status)
	fmt.Fprintf(&answer, "HTTP/1.%d %d Some reason\r\n", r.Intn(2), status)
	switch n := size(r); {
	case status == 204 || status == 304:
		answer.WriteString("\r\n")
	case x.op == "HEAD":
		fmt.Fprintf(&answer, "Content-Length: %d\r\n\r\n", n)
	case r.Intn(12) == 0:
		fmt.Fprintf(&answer, "Connection: close\r\n\r\n%s", filler(r, n))
		x.ends = true
	default:
		body(&answer, n, r.Intn(2) == 0)
	}
	x.ask, x.answer = ask.Bytes(), answer.Bytes()
	return x
}

func redisTalk(r *rand.Rand, name string) *dialogue {
	x := &dialogue{op: []string{"GET", "SET", "HGETALL", "DEL"}[r.Intn(4)], target: name, status: "OK"}
	words := []string{x.op, name}
	for range r.Intn(3) * r.Intn(2) {
		words = append(words, string(filler(r, size(r))))
	}
	var ask bytes.Buffer
	fmt.Fprintf(&ask, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&ask, "$%d\r\n%s\r\n", len(w), w)
	}
	x.ask, x.answer = ask.Bytes(), redisValue(r, 3)
	if r.Intn(5) == 0 {
		x.status, x.answer = "WRONGTYPE", []byte("-WRONGTYPE Operation\r\n")
	}
	return x
}

// redisValue returns a random value with at most depth nested arrays.
func redisValue(r *rand.Rand, depth int) []byte {
	kinds := 9
	if depth > 0 {
		kinds = 12
	}
	many := func(kind string, n, each int) []byte {
		b := fmt.Appendf(nil, "%s%d\r\n", kind, n)
		for range n * each {
			b = append(b, redisValue(r, depth-1)...)
		}
		return b
	}
	switch r.Intn(kinds) {
	case 0:
		return []byte("+OK\r\n")
	case 1:
		return fmt.Appendf(nil, ":%d\r\n", r.Int63())
	case 2:
		return []byte("$-1\r\n")
	case 3:
		return []byte("_\r\n")
	case 4:
		return []byte("#t\r\n")
	case 5:
		return []byte(",1.5\r\n")
	case 6:
		return []byte("(12345678901234567890\r\n")
	case 7, 8:
		data := filler(r, size(r))
		return fmt.Appendf(nil, "$%d\r\n%s\r\n", len(data), data)
	case 9:
		return many("*", r.Intn(5), 1)
	case 10:
		return many("%", r.Intn(4), 2)
	}
	return many("~", r.Intn(4), 1)
}

// pgMessage returns a message of PostgreSQL.
func pgMessage(kind byte, body string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(b, body...)
}

func pgsqlTalk(r *rand.Rand, name string) *dialogue {
	x := &dialogue{op: "QUERY", target: "select " + name, status: "OK"}
	if r.Intn(2) == 0 {
		x.ask = pgMessage('Q', x.target+"\x00")
	} else {
		x.ask = pgMessage('P', "\x00"+x.target+"\x00\x00\x00")
		x.ask = append(x.ask, pgMessage('B', "\x00\x00\x00\x00\x00\x00\x00\x00")...)
		x.ask = append(x.ask, pgMessage('D', "P\x00")...)
		x.ask = append(x.ask, pgMessage('E', "\x00\x00\x00\x00\x00")...)
		x.ask = append(x.ask, pgMessage('S', "")...)
		x.answer = append(pgMessage('1', ""), pgMessage('2', "")...)
	}
	if r.Intn(4) == 0 {
		x.status = "42P01"
		x.answer = append(x.answer, pgMessage('E', "SERROR\x00C42P01\x00Mno\x00\x00")...)
	} else {
		x.answer = append(x.answer, pgMessage('T', "\x00\x01a\x00")...)
		rows := r.Intn(4)
		for range rows {
			x.answer = append(x.answer, pgMessage('D', string(filler(r, size(r))))...)
		}
		x.answer = append(x.answer, pgMessage('C', fmt.Sprintf("SELECT %d\x00", rows))...)
	}
	x.answer = append(x.answer, pgMessage('Z', "I")...)
	return x
}

// myPacket returns a packet of MySQL.
func myPacket(n *int, body string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)|*n<<24))
	*n = (*n + 1) & 255
	return append(b, body...)
}

func mysqlTalk(r *rand.Rand, name string) *dialogue {
	x := &dialogue{op: "QUERY", target: "select " + name, status: "OK"}
	n := 0
	x.ask = myPacket(&n, "\x03"+x.target)
	switch r.Intn(4) {
	case 0:
		x.status = "1146"
		x.answer = myPacket(&n, "\xff\x7a\x04#42S02no such table")
	case 1:
		x.answer = myPacket(&n, "\x00\x02\x00\x02\x00\x00\x00")
	default:
		eof := r.Intn(2) == 0
		cols := 1 + r.Intn(3)
		x.answer = myPacket(&n, string(rune(cols)))
		for range cols {
			x.answer = append(x.answer, myPacket(&n, "\x03def\x00\x00\x00\x01a\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00")...)
		}
		if eof {
			x.answer = append(x.answer, myPacket(&n, "\xfe\x00\x00\x02\x00")...)
		}
		for range r.Intn(4) {
			data := filler(r, r.Intn(250))
			x.answer = append(x.answer, myPacket(&n, string(append([]byte{byte(len(data))}, data...)))...)
		}
		if eof {
			x.answer = append(x.answer, myPacket(&n, "\xfe\x00\x00\x02\x00")...)
		} else {
			x.answer = append(x.answer, myPacket(&n, "\xfe\x00\x00\x02\x00\x00\x00")...)
		}
	}
	return x
}

// compareTalks compares what was shown with what is wanted.
func compareTalks(t *testing.T, proto string, res result, list []*conversation) {
	t.Helper()
	of := map[string]*conversation{} // by what is wanted
	for _, c := range list {
		for k := range c.want {
			of[k] = c
		}
	}
	errors, total, unsaid := 0, len(of), 0
	answered := func(line string) (n int) {
		_, rest, _ := strings.Cut(line, " answered ")
		fmt.Sscan(rest, &n)
		return n
	}
	fail := func(format string, args ...any) {
		if errors++; errors <= 5 {
			t.Errorf(format, args...)
		}
	}
	for _, line := range strings.Split(res.stdout, "\n") {
		var q map[string]any
		if !strings.Contains(line, `"`+proto+`"`) || json.Unmarshal([]byte(line), &q) != nil {
			continue
		}
		op, target := q["command"], q[exchangeTarget(proto)]
		if proto == "http" {
			op, target = q["method"], q["path"]
		}
		key := fmt.Sprint(q["server"], " ", target)
		status := ""
		if q["status"] != nil {
			status = fmt.Sprint(q["status"])
		}
		got := fmt.Sprintf("%v %s asked %v answered %v whole %v", op, status, q["req_bytes"], q["resp_bytes"], q["complete"])
		if c := of["cut "+fmt.Sprint(target)]; c != nil {
			cut := fmt.Sprintf("%v %s asked %v answered %v", op, status, q["req_bytes"], q["resp_bytes"])
			w, whole := strings.CutSuffix(c.want["cut "+fmt.Sprint(target)], toEnd)
			n, _ := q["resp_bytes"].(float64)
			open := n > 1024 || whole && c.unended // then the end may not be known
			if cut != w && (status != "" || !strings.HasPrefix(w, fmt.Sprintf("%v ", op))) || q["complete"] != whole && !open {
				fail("%s\n got %s\nwant %s whole %v\n%s", key, got, w, whole, c.story())
			}
			continue
		}
		c := of[key]
		if c == nil {
			fail("%q is shown, but was not sent or is shown twice: %s", key, got)
			continue
		}
		w := c.want[key]
		if status == "" && c.open[key] {
			// The start of the answer is known, but its status is not among the bytes that are kept.
			op, rest, _ := strings.Cut(w, " ")
			_, rest, _ = strings.Cut(rest, " ")
			w = op + "  " + rest
		}
		if n, k := answered(got), answered(w); n <= k && c.open[key] && q["complete"] == false {
			// The end was not known, and the answer is not said to be complete.
			w = strings.Replace(w, fmt.Sprintf("answered %d whole true", k), fmt.Sprintf("answered %d whole false", n), 1)
			unsaid++
		}
		if got != w {
			fail("%s\n got %s\nwant %s\n%s", key, got, w, c.story())
		}
		delete(of, key)
	}
	missing, without := 0, map[*conversation][]string{}
	for k, c := range of {
		switch w := c.want[k]; {
		case strings.HasPrefix(k, "cut "), c.unended && strings.Contains(w, "answered 0"):
		case c.apart:
			fail("%s is missing: %s\n%s", k, w, c.story())
		default:
			missing++
			without[c] = append(without[c], k)
		}
	}
	said := 0
	for _, line := range strings.Split(res.stderr, "\n") {
		n := 0
		fmt.Sscanf(line, "Not shown: %d", &n)
		said += n
	}
	if missing > said {
		for c, keys := range without {
			t.Logf("%v: %s", keys, c.story())
		}
		fail("%d requests are missing, but only %d are reported", missing, said)
	}
	t.Logf("%d requests, %d missing, %d reported as missing, %d not known to be complete", total, missing, said, unsaid)
	if errors > 0 {
		t.Errorf("%d errors; %s", errors, res.stderr)
	}
}
