package requests

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

func pgsqlProtocol() *Protocol {
	return &Protocol{
		Name: "pgsql", About: "PostgreSQL", Ports: []uint16{5432}, Op: "command", Target: "query", Event: "pgsql:piece",
		split:  splitPgsql,
		reader: func(*Display) reader { return &pgsqlReader{} },
	}
}

// splitPgsql splits what a client sends into queries: one for each message Query, and one for
// the messages until each Sync.
func splitPgsql(data []byte, size uint64, o *Display) []*Request {
	var list []*Request
	w := window{data, max(size, uint64(len(data)))}
	var query string
	op, before := "", w.n
	add := func() {
		r := sqlRequest(op, query, o, false)
		r.size = before - w.n
		list = append(list, r)
		op, query, before = "", "", w.n
	}
	for len(w.data) >= 5 && len(list) < maxPending {
		kind, n := w.data[0], uint64(binary.BigEndian.Uint32(w.data[1:]))
		if n < 4 || n > 1<<30 || !strings.ContainsRune("QPBDESCHFfdcp", rune(kind)) {
			break
		}
		body := w.data[5:min(uint64(len(w.data)), n+1)]
		part := n + 1 - w.skip(n+1)
		switch kind {
		case 'Q':
			op, query = "QUERY", cString(body)
			add()
			list[len(list)-1].cut = part > 0
		case 'P':
			name, rest, _ := bytes.Cut(body, []byte{0})
			op, query = "PARSE", cString(rest)
			if len(name) == 0 {
				op = "QUERY"
			}
		case 'B', 'E':
			if op == "" || op == "DESCRIBE" {
				op = "EXECUTE"
				if kind == 'B' {
					_, rest, _ := bytes.Cut(body, []byte{0})
					query = cString(rest)
				}
			}
		case 'D', 'C':
			if op == "" {
				op = map[byte]string{'D': "DESCRIBE", 'C': "CLOSE"}[kind]
			}
		case 'S':
			if op == "" {
				op = "SYNC"
			}
			add()
		case 'F':
			op = "FUNCTION"
			add()
		}
	}
	if op != "" && len(w.data) < 5 {
		// The rest follows later, or is among the unknown bytes.
		w.skip(w.n)
		add()
		list[len(list)-1].cut = true
	}
	return list
}

// cString returns the text up to the first NUL.
//
//go:noinline
func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// maxField is the number of bytes of a message that are examined.
const maxField = 1024

// pgsqlReader reads the answers of PostgreSQL, each of which ends with ReadyForQuery.
type pgsqlReader struct {
	head []byte // type and length, then the first bytes of the message
	left uint64 // bytes of the message that are still to come
	open bool
	req  *Request
	off  bool
}

func (p *pgsqlReader) lost() bool { return p.off }

func (p *pgsqlReader) read(data []byte, n uint64, to answers) {
	w := &window{data, n}
	for w.n > 0 {
		switch {
		case p.off:
			to.count(w.skip(w.n))
		case len(p.head) < 5:
			if w.cut() {
				p.off = true
				continue
			}
			p.head = append(p.head, w.data[0])
			w.skip(1)
			if p.open {
				to.count(1)
			}
			if len(p.head) == 5 {
				p.message(to)
			}
		default:
			if room := maxField - len(p.head); room > 0 {
				known := min(uint64(len(w.data)), p.left, uint64(room))
				p.head = append(p.head, w.data[:known]...)
			}
			k := w.skip(p.left)
			if p.open {
				to.count(k)
			}
			if p.left -= k; p.left == 0 {
				p.ended(to)
			}
		}
	}
}

// message handles the type and length of a message.
func (p *pgsqlReader) message(to answers) {
	kind, n := p.head[0], uint64(binary.BigEndian.Uint32(p.head[1:]))
	if n < 4 || n > 1<<30 || kind < '1' || kind > 'z' {
		p.off = true
		return
	}
	if !p.open && !strings.ContainsRune("NSA", rune(kind)) {
		p.req, p.open = to.begin(), true
		to.count(5)
	}
	if p.req != nil && p.req.Status == "" && strings.ContainsRune("TDCnIGHW", rune(kind)) {
		p.req.Status = "OK"
	}
	if p.left = n - 4; p.left == 0 {
		p.ended(to)
	}
}

// ended handles a message whose first bytes are known.
func (p *pgsqlReader) ended(to answers) {
	kind, body := p.head[0], p.head[5:]
	p.head = p.head[:0]
	switch {
	case kind == 'Z':
		if p.req != nil && p.req.Status == "" {
			p.req.Status = "OK"
		}
		to.end()
		p.open, p.req = false, nil
	case p.req == nil:
	case kind == 'C':
		if i := strings.LastIndexByte(cString(body), ' '); i >= 0 {
			if n, err := strconv.Atoi(cString(body)[i+1:]); err == nil {
				p.req.Rows = max(p.req.Rows, 0) + n
			}
		}
	case kind == 'E':
		p.req.Status, p.req.Failed = "ERROR", true
		for _, f := range bytes.Split(body, []byte{0}) {
			if len(f) > 1 && f[0] == 'C' {
				p.req.Status = string(f[1:])
			}
		}
	}
}
