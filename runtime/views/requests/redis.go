package requests

import (
	"bytes"
	"strconv"
	"strings"
)

func redisProtocol() *Protocol {
	return &Protocol{
		Name: "redis", About: "Redis", Ports: []uint16{6379}, Op: "command", Target: "key", Event: "redis:piece",
		split:  splitRedis,
		reader: func(*Display) reader { return &redisReader{} },
	}
}

// splitRedis splits what a client sends into commands.
func splitRedis(data []byte, size uint64, o *Display) []*Request {
	var list []*Request
	w := window{data, max(size, uint64(len(data)))}
	whole := uint64(len(data)) >= size
	for len(w.data) > 0 && len(list) < maxPending {
		before := w.n
		n, ok := redisLine(&w, '*')
		if !ok || n < 1 {
			break
		}
		var words []string
		left := uint64(0)
		for range n {
			k, ok := redisLine(&w, '$')
			if !ok || k < 0 {
				break
			}
			words = append(words, string(w.data[:min(int64(len(w.data)), k)]))
			left = uint64(k) + 2 - w.skip(uint64(k)+2)
		}
		if len(words) == 0 || !isCommand(words[0]) {
			break
		}
		r := redisCommand(words, o)
		if last := int64(len(words)) == n; left > 0 && last && (!whole || before > maxStart*maxStart) {
			r.left = left
		} else if !last || left > 0 {
			r.cut = true
			w.skip(w.n)
		}
		r.size = before - w.n
		list = append(list, r)
	}
	return list
}

// redisLine reads a line with a type and a number.
func redisLine(w *window, kind byte) (int64, bool) {
	if len(w.data) == 0 || w.data[0] != kind {
		return 0, false
	}
	line, _, ok := bytes.Cut(w.data, []byte("\r\n"))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(line[1:]), 10, 64)
	if err != nil || n > 1<<40 || n < -1 {
		return 0, false
	}
	w.skip(uint64(len(line) + 2))
	return n, true
}

// isCommand reports whether s may be the name of a command.
func isCommand(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-|", c) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// redisCommand returns a command. Only the key is shown, and no value, unless the user wants
// them.
func redisCommand(words []string, o *Display) *Request {
	r := &Request{Op: strings.ToUpper(words[0]), Rows: -1}
	if len(words) > 1 {
		r.Target = words[1]
	}
	switch {
	case o.Unmask:
		r.Target = strings.Join(words[1:], " ")
	case r.Op == "AUTH" || r.Op == "HELLO" || r.Op == "EVAL" || r.Op == "ECHO" || r.Op == "PING":
		if r.Target != "" {
			r.Target = masked
		}
	}
	r.route = r.Op
	if subscribes(r.Op) {
		r.replies = max(len(words)-1, 1)
	}
	return r
}

// subscribes reports whether a command is answered once for each of its arguments, by pushes in
// RESP3.
func subscribes(op string) bool {
	op, ok := strings.CutSuffix(op, "SUBSCRIBE")
	return ok && strings.Contains(",,UN,P,PUN,S,SUN,", ","+op+",")
}

// redisReader reads the answers of Redis.
type redisReader struct {
	line text
	left uint64   // bytes of a string and the line end after it
	open []uint64 // numbers of elements that are still to come, for nested arrays
	off  bool     // the bytes are not answers, or some are unknown
	redisPushes
}

// redisPushes tells answers from what a server sends by itself: messages to subscribers, keys
// that have changed, and the commands that MONITOR shows. In RESP3 they have a type of their
// own, which the answers to SUBSCRIBE have too. In RESP2 they are arrays.
type redisPushes struct {
	subscribed, monitors bool
	req                  *Request // a request with several answers
	looking              bool     // the kind of the current array is in its first element
	word                 []byte   // the first bytes of that
	held                 uint64   // bytes of the array so far
	pushed               bool     // the current value is not an answer
}

// again returns a reader that starts at another answer on the same connection.
func (r *redisReader) again() reader {
	return &redisReader{redisPushes: redisPushes{subscribed: r.subscribed, monitors: r.monitors}}
}

// count counts bytes of the current value.
//
//go:noinline
func (r *redisReader) count(n uint64, to answers) {
	switch {
	case r.looking:
		r.held += n
	case !r.pushed:
		to.count(n)
	}
}

// begin begins an answer with a status, of which n bytes have been read.
func (r *redisReader) begin(status string, failed bool, n uint64, to answers) {
	q := to.begin()
	to.count(n)
	if r.req = nil; q == nil {
		return
	}
	if q.Status, q.Failed = status, failed; failed {
		return
	}
	switch {
	case subscribes(q.Op):
		r.req, r.subscribed = q, true
	case q.Op == "MONITOR":
		r.monitors = true
	}
}

// decide decides whether an array is an answer, when its first element has been read.
func (r *redisReader) decide(to answers) {
	r.looking = false
	word := strings.ToUpper(string(r.word))
	switch next := to.next(); {
	case subscribes(word) && r.req != nil:
		r.pushed = false
		to.count(r.held)
	case subscribes(word) && next != nil && subscribes(next.Op), !subscribes(word) && !r.pushed && !strings.HasSuffix(word, "MESSAGE"):
		r.pushed = false
		r.begin("OK", false, r.held, to)
	default:
		r.pushed = true
	}
}

// maxNested is the maximum depth of nested arrays.
const maxNested = 64

func (r *redisReader) lost() bool { return r.off }

func (r *redisReader) read(data []byte, n uint64, to answers) {
	w := &window{data, n}
	for w.n > 0 {
		switch {
		case r.off:
			to.count(w.skip(w.n))
		case r.left > 0:
			if r.looking && len(r.word) < maxStart {
				r.word = append(r.word, w.data[:min(uint64(len(w.data)), r.left-min(r.left, 2), maxStart)]...)
			}
			k := w.skip(r.left)
			r.count(k, to)
			if r.left -= k; r.left == 0 {
				r.element(to)
			}
		default:
			found, n := r.line.until(w, "\r\n")
			if len(r.open) > 0 {
				r.count(n, to)
			}
			if !found {
				if w.n > 0 {
					r.off = true
				}
				continue
			}
			line := r.line.buf
			r.line = text{}
			r.value(line, to)
		}
	}
}

// value handles the first line of a value.
func (r *redisReader) value(line []byte, to answers) {
	kind := line[0]
	rest := string(bytes.TrimSuffix(line[1:], []byte("\r\n")))
	if len(r.open) == 0 {
		size := uint64(len(line))
		switch {
		case !strings.ContainsRune("+-:$*_#,(!=%~>|", rune(kind)):
			r.off = true
			return
		case r.monitors && kind == '+' && rest != "" && rest[0] >= '0' && rest[0] <= '9':
			return
		case kind == '>' || kind == '*' && r.subscribed:
			r.looking, r.pushed, r.word, r.held = true, kind == '>', nil, size
		case kind == '|': // values that come with the answer that follows
			r.pushed = true
		case kind == '-' || kind == '!':
			status, _, _ := strings.Cut(rest, " ")
			r.begin(status, true, size, to)
		default:
			r.begin("OK", false, size, to)
		}
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch kind {
	case ':':
		if r.req != nil && rest == "0" {
			r.subscribed = false // the number of subscriptions
		}
	case '$', '!', '=':
		if err != nil || n < -1 || n > 1<<40 {
			r.off = true
			return
		}
		if n >= 0 {
			r.left = uint64(n) + 2
			return
		}
	case '*', '~', '%', '>', '|':
		if err != nil || n < -1 || n > 1<<40 || len(r.open) >= maxNested {
			r.off = true
			return
		}
		if kind == '%' || kind == '|' {
			n *= 2
		}
		if n > 0 {
			r.open = append(r.open, uint64(n))
			return
		}
	}
	r.element(to)
}

// element handles the end of a value, which may be the last element of an array.
func (r *redisReader) element(to answers) {
	if r.looking {
		r.decide(to)
	}
	for len(r.open) > 0 {
		last := len(r.open) - 1
		if r.open[last]--; r.open[last] > 0 {
			return
		}
		r.open = r.open[:last]
	}
	switch {
	case r.pushed:
		r.pushed = false
	case r.req != nil && r.req.replies > 1:
		r.req.replies--
	default:
		r.req = nil
		to.end()
	}
}
