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
		reader: func(*Display) reader { return newPgsqlReader() },
	}
}

// splitPgsql splits what a client sends into queries: one for each message Query, and one for
// the messages until each Sync.
func splitPgsql(data []byte, size uint64, o *Display) []*Request {
	var list []*Request
	w := window{data, max(size, uint64(len(data)))}
	var query string
	op, before := "", w.n
	last := byte(0)
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
		silent := false
		switch kind {
		case 'd', 'c', 'f', 'p':
			if op == "" {
				list = append(list, &Request{silent: true, joined: kind != 'p', size: before - w.n, left: part})
				before = w.n
			}
		case 'Q':
			op, query = "QUERY", cString(body)
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
			if op == "" && kind == 'D' {
				op = "DESCRIBE"
			} else if op == "" {
				op = "CLOSE"
			}
		case 'S':
			silent = op == "" && (last == 'c' || last == 'f') // COPY is answered, and not the message
			if op == "" {
				op = "SYNC"
			}
		case 'F':
			op = "FUNCTION"
		}
		if last = kind; kind == 'Q' || kind == 'S' || kind == 'F' {
			add()
			r := list[len(list)-1]
			r.cut, r.silent = kind == 'Q' && part > 0, silent
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
	framed
	req *Request
}

func newPgsqlReader() *pgsqlReader {
	p := &pgsqlReader{}
	p.framed = framed{header: 5, most: maxField, begun: p.message, ended: p.messageEnded, cut: p.forgetRows}
	return p
}

// forgetRows forgets the number of rows, because not all of the answer is known.
func (p *pgsqlReader) forgetRows() {
	if p.req != nil {
		p.req.Rows = -1
	}
}

// message handles the type and length of a message.
func (p *pgsqlReader) message(head []byte, to answers) {
	kind, n := head[0], uint64(binary.BigEndian.Uint32(head[1:]))
	if p.off = n < 4 || n > 1<<30 || kind < '1' || kind > 'z'; p.off {
		return
	}
	if !p.open && !strings.ContainsRune("NSA", rune(kind)) {
		p.req, p.open = to.begin(), true
	}
	if p.req != nil && p.req.Status == "" && strings.ContainsRune("TDCnIGHW", rune(kind)) {
		p.req.Status = "OK"
	}
	p.left = n - 4
}

// messageEnded handles a message whose first bytes are known.
func (p *pgsqlReader) messageEnded(message []byte, to answers) {
	kind, body := message[0], message[5:]
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
