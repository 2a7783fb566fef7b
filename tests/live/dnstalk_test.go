package live

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// dnsQuery is a query that a client has sent, and the server's address for the answer.
type dnsQuery struct {
	id         uint16
	name       string // with a number before each part
	text, kind string // as they are shown
	code       uint16
	client     int // descriptor
	back       unix.Sockaddr
	sent       []byte
	answered   bool
}

// dnsParty sends random queries and answers with both ends in this process.
type dnsParty struct {
	*testing.T
	r       *rand.Rand
	server  int
	at      unix.Sockaddr
	clients []int
	want    map[string]int // lines, by how often
	extra   int            // answers that belong to no query, on both sides
	buf     [2000]byte
}

func (d *dnsParty) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// expect records a line for each side.
func (d *dnsParty) expect(q *dnsQuery, status string, rows, answer int) {
	for _, server := range []bool{false, true} {
		d.want[fmt.Sprintf("%v %s %s %s rows %d asked %d answered %d", server, q.kind, q.text, status, rows, len(q.sent), answer)]++
	}
}

// question returns a random query. Names are unlike each other.
func (d *dnsParty) question(n int) *dnsQuery {
	kinds := []struct {
		code uint16
		name string
	}{{1, "A"}, {28, "AAAA"}, {15, "MX"}, {16, "TXT"}, {5, "CNAME"}, {12, "PTR"}}
	k := kinds[d.r.Intn(len(kinds))]
	q := &dnsQuery{id: uint16(d.r.Intn(1 << 16)), code: k.code, kind: k.name, client: d.clients[d.r.Intn(len(d.clients))]}
	labels := []string{fmt.Sprint("n", n)}
	for range d.r.Intn(4) {
		labels = append(labels, strings.Repeat(string(rune('a'+d.r.Intn(26))), 1+d.r.Intn(40)))
	}
	for _, l := range labels {
		q.name += string(rune(len(l))) + l
	}
	q.text = strings.Join(labels, ".")
	q.sent = d.message(q, 0x0100, 0)
	if d.r.Intn(2) == 0 { // EDNS
		q.sent[11] = 1
		q.sent = append(q.sent, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0)
	}
	return q
}

// message returns a header and the question of q.
func (d *dnsParty) message(q *dnsQuery, flags uint16, answers int) []byte {
	b := binary.BigEndian.AppendUint16(nil, q.id)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, 0, 1, 0, byte(answers), 0, 0, 0, 0)
	b = append(append(b, q.name...), 0)
	return append(b, 0, byte(q.code), 0, 1)
}

// send sends a datagram by one of the system calls. The address is nil if the socket is connected.
func (d *dnsParty) send(fd int, data []byte, to unix.Sockaddr) {
	d.Helper()
	switch how := d.r.Intn(3); {
	case how == 0 && to == nil:
		_, err := unix.Write(fd, data)
		d.must(err)
	case how == 1 && to != nil:
		d.must(unix.Sendto(fd, data, 0, to))
	default:
		_, err := unix.SendmsgBuffers(fd, vectors(d.r, data), nil, to, 0)
		d.must(err)
	}
}

// receive gets a datagram by one of the system calls.
func (d *dnsParty) receive(fd int, connected bool) (n int, from unix.Sockaddr) {
	d.Helper()
	var err error
	if d.r.Intn(4) == 0 {
		_, _, err = unix.Recvfrom(fd, d.buf[:], unix.MSG_PEEK)
		d.must(err)
	}
	switch how := d.r.Intn(3); {
	case how == 0 && connected:
		n, err = unix.Read(fd, d.buf[:])
	case how == 1:
		n, from, err = unix.Recvfrom(fd, d.buf[:], 0)
	default:
		n, _, _, from, err = unix.RecvmsgBuffers(fd, [][]byte{d.buf[:20], d.buf[20:]}, nil, 0)
	}
	d.must(err)
	return n, from
}

// ask passes a query.
func (d *dnsParty) ask(q *dnsQuery) {
	d.Helper()
	to := d.at
	if q.client == d.clients[0] {
		to = nil // it is connected
	}
	d.send(q.client, q.sent, to)
	_, q.back = d.receive(d.server, false)
}

// answer passes an answer to a query.
func (d *dnsParty) answer(q *dnsQuery) {
	d.Helper()
	codes := []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
	code, rows := d.r.Intn(len(codes)), d.r.Intn(5)
	b := d.message(q, 0x8180|uint16(code), rows)
	for range rows {
		b = append(b, 0xc0, 12, 0, byte(q.code), 0, 1, 0, 0, 1, 0, 0, 4, 10, 0, 0, 1)
	}
	d.send(d.server, b, q.back)
	d.receive(q.client, q.client == d.clients[0])
	if q.answered {
		d.extra += 2
		return
	}
	q.answered = true
	d.expect(q, codes[code], rows, len(b))
}

// garbage passes a datagram that is not a DNS message.
func (d *dnsParty) garbage(q *dnsQuery) {
	data := filler(d.r, d.r.Intn(100))
	if d.r.Intn(2) == 0 {
		data = q.sent[:d.r.Intn(17)] // cut
	}
	if d.r.Intn(2) == 0 {
		d.send(d.server, data, q.back)
		d.receive(q.client, q.client == d.clients[0])
		return
	}
	to := d.at
	if q.client == d.clients[0] {
		to = nil
	}
	d.send(q.client, data, to)
	d.receive(d.server, false)
}

// TestQueries makes random queries and answers, out of order, repeated, without an answer and among
// other datagrams, and compares what is shown with what was sent.
func TestQueries(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t) // TestEvents loads such programs on other kernels
	needRoot(t)
	for seed := range *seeds {
		for family := range 2 {
			t.Run(fmt.Sprintf("%s/%d", []string{"udp4", "udp6"}[family], seed), func(t *testing.T) { queries(t, family, int64(seed)) })
		}
	}
}

func queries(t *testing.T, family int, seed int64) {
	d := &dnsParty{T: t, r: rand.New(rand.NewSource(seed)), want: map[string]int{}}
	socket := func() int {
		fd, err := unix.Socket([]int{unix.AF_INET, unix.AF_INET6}[family], unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		d.must(err)
		t.Cleanup(func() { unix.Close(fd) })
		d.must(unix.Bind(fd, []unix.Sockaddr{&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}}[family]))
		return fd
	}
	d.server = socket()
	var err error
	d.at, err = unix.Getsockname(d.server)
	d.must(err)
	for range 4 {
		d.clients = append(d.clients, socket())
	}
	d.must(unix.Connect(d.clients[0], d.at))
	port := 0
	switch a := d.at.(type) {
	case *unix.SockaddrInet4:
		port = a.Port
	case *unix.SockaddrInet6:
		port = a.Port
	}
	s := ownRequests(t, "dns", "--port", strconv.Itoa(port))
	began := time.Now()
	var open []*dnsQuery
	for n := range 600 {
		if len(open) < 2 || d.r.Intn(2) == 0 {
			q := d.question(n)
			used := false
			for _, o := range open {
				used = used || o.id == q.id && o.client == q.client
			}
			if used {
				continue
			}
			d.ask(q)
			open = append(open, q)
			continue
		}
		i := d.r.Intn(len(open))
		q := open[i]
		switch d.r.Intn(8) {
		case 0: // again, as the answer is late
			if !q.answered {
				d.expect(q, "", -1, 0)
			}
			q.answered = false
			d.ask(q)
		case 1:
			d.garbage(q)
		case 2: // never
			open = append(open[:i], open[i+1:]...)
		default:
			d.answer(q)
			if d.r.Intn(4) > 0 {
				open = append(open[:i], open[i+1:]...)
			}
		}
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if r.missed() > 0 || strings.Contains(r.stdout, "lost_events") {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	got := shownQueries(r)
	if time.Since(began) > 9*time.Second {
		// On such a slow machine other queries are shown as well because they waited too long.
		unanswered := func(line string, _ int) bool { return strings.Contains(line, "rows -1") }
		maps.DeleteFunc(d.want, unanswered)
		maps.DeleteFunc(got, unanswered)
	}
	if diff := cmp.Diff(d.want, got); diff != "" {
		t.Errorf("wanted -, got +:\n%s\n%s", diff, r.stderr)
	}
	if said := secondAnswers(r); said != d.extra {
		t.Errorf("%d second answers are counted, want %d: %s", said, d.extra, r.stderr)
	}
	t.Logf("%d lines, %d second answers", len(got), d.extra)
}

// shownQueries returns the queries that gotrace requests has shown, with their numbers.
func shownQueries(r result) map[string]int {
	got := map[string]int{}
	for line := range strings.Lines(r.stdout) {
		var q map[string]any
		if json.Unmarshal([]byte(line), &q) != nil || q["name"] == nil {
			continue
		}
		status, rows := "", -1
		if q["status"] != nil {
			status = fmt.Sprint(q["status"])
		}
		if n, ok := q["rows"].(float64); ok {
			rows = int(n)
		}
		got[fmt.Sprintf("%v %v %v %s rows %d asked %v answered %v", q["server"], q["qtype"], q["name"], status, rows, q["req_bytes"], q["resp_bytes"])]++
	}
	return got
}

// secondAnswers returns the number of answers that were reported as not shown.
func secondAnswers(r result) (sum int) {
	for line := range strings.Lines(r.stderr) {
		n := 0
		if strings.Contains(line, "answers to requests") {
			fmt.Sscanf(line, "Not shown: %d", &n)
		}
		sum += n
	}
	return sum
}
