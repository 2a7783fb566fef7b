package requests

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

func mysqlProtocol() *Protocol {
	return &Protocol{
		Name: "mysql", About: "MySQL and MariaDB", Ports: []uint16{3306}, Op: "command", Target: "query", Event: "mysql:piece",
		split:  splitMySQL,
		reader: func(*Display) reader { return newMySQLReader() },
	}
}

// mysqlCommands are the commands that get an answer.
var mysqlCommands = [...]string{
	2: "INIT_DB", 3: "QUERY", 4: "FIELD_LIST", 9: "STATISTICS", 14: "PING", 22: "PREPARE", 23: "EXECUTE", 26: "RESET", 28: "FETCH", 31: "RESET_CONNECTION",
}

// mysqlSilent reports whether a command has no answer.
func mysqlSilent(cmd byte) bool { return cmd == 1 || cmd == 24 || cmd == 25 }

// splitMySQL splits what a client sends into commands.
func splitMySQL(data []byte, size uint64, o *Display) []*Request {
	var list []*Request
	w := window{data, max(size, uint64(len(data)))}
	for len(w.data) >= 4 && len(list) < maxPending {
		head := binary.LittleEndian.Uint32(w.data)
		n, cmd := uint64(head&0xffffff), byte(0)
		if len(w.data) > 4 {
			cmd = w.data[4]
		}
		op := ""
		if int(cmd) < len(mysqlCommands) {
			op = mysqlCommands[cmd]
		}
		first := head>>24 == 0 // the others are more of a request, such as the rows of LOAD DATA LOCAL
		if first && (n == 0 || op == "" && !mysqlSilent(cmd)) {
			break
		}
		body := w.data[min(uint64(len(w.data)), 5, n+4):min(uint64(len(w.data)), n+4)]
		before := w.n
		left := n + 4 - w.skip(n+4)
		if op == "" || !first {
			list = append(list, &Request{silent: true, joined: !first, size: before - w.n, left: left})
			continue
		}
		query := ""
		switch op {
		case "QUERY", "PREPARE", "INIT_DB":
			query = string(body)
		case "EXECUTE", "RESET", "FETCH":
			if len(body) >= 4 {
				query = fmt.Sprintf("statement %d", binary.LittleEndian.Uint32(body))
			}
		}
		r := sqlRequest(op, query, o, true)
		if op == "EXECUTE" {
			r.Target = query
		}
		if n == 1<<24-1 {
			w.skip(w.n) // the query goes on in the next packet
		}
		r.size, r.left = before-w.n, left
		if uint64(len(body))+5 >= r.size {
			r.cut, r.left = left > 0, 0 // the rest of the query has to be shown
		}
		list = append(list, r)
	}
	return list
}

// mysqlReader reads the answers of MySQL, which are packets.
type mysqlReader struct {
	framed
	state mysqlState
	cols  uint64 // descriptions of columns that are still to come
	req   *Request
	rows  int
}

type mysqlState uint8

const (
	mysqlFirst mysqlState = iota // the next packet is the first one of a result
	mysqlColumns
	mysqlColumnsEnd
	mysqlRows
)

// mysqlBytes is the number of bytes of a packet that are examined, with its header.
const mysqlBytes = 4 + 32

func newMySQLReader() *mysqlReader {
	m := &mysqlReader{}
	m.framed = framed{header: 4, most: mysqlBytes, begun: m.packet, ended: m.packetEnded, cut: m.forgetRows}
	return m
}

// forgetRows forgets the number of rows, because not all of the answer is known.
func (m *mysqlReader) forgetRows() { m.req.Rows = -1 }

// packet handles the header of a packet: its length and its number.
func (m *mysqlReader) packet(message []byte, to answers) {
	head := binary.LittleEndian.Uint32(message)
	m.left = uint64(head & 0xffffff)
	if m.off = m.left == 0 || !m.open && head>>24 != 1; m.off || m.open {
		return
	}
	if m.req = to.begin(); m.req == nil {
		m.req = &Request{} // the packet is not known
	}
	m.open, m.rows = true, 0
}

// packetEnded handles a packet whose first bytes are known.
func (m *mysqlReader) packetEnded(message []byte, to answers) {
	size := uint64(binary.LittleEndian.Uint32(message) & 0xffffff)
	body := message[4:]
	if m.off = len(body) == 0; m.off {
		return
	}
	if m.req.Status == "" {
		m.req.Status = "OK"
	}
	switch kind := body[0]; {
	case kind == 0xff:
		m.req.Status, m.req.Failed = "ERROR", true
		if len(body) >= 3 {
			m.req.Status = strconv.Itoa(int(binary.LittleEndian.Uint16(body[1:])))
		}
		m.result(false, to)
	case m.state == mysqlFirst && (m.req.Op == "PREPARE" || m.req.Op == "STATISTICS" || m.req.Op == "FIELD_LIST" || m.req.Op == "FETCH" || kind == 0xfb):
		m.off = true
	case m.state == mysqlFirst && kind == 0:
		rows, rest := lenEnc(body[1:])
		_, rest = lenEnc(rest)
		m.req.Rows = int(min(rows, 1<<40))
		m.result(moreResults(rest), to)
	case m.state == mysqlFirst:
		m.cols, _ = lenEnc(body)
		m.state = mysqlColumns
	case m.state == mysqlColumns:
		if m.cols--; m.cols == 0 {
			m.state = mysqlColumnsEnd
		}
	case kind == 0xfe && size == 5 && m.state == mysqlColumnsEnd:
		m.state = mysqlRows
	case kind == 0xfe && size < 0xffffff && (size == 5 || size >= 7 && size < 9+256 && m.state == mysqlColumnsEnd || size < 9):
		m.req.Rows = m.rows
		rest := body[1:]
		if size == 5 {
			rest = rest[min(len(rest), 2):]
		} else {
			_, rest = lenEnc(rest)
			_, rest = lenEnc(rest)
		}
		m.result(moreResults(rest), to)
	default:
		m.rows++
	}
}

// result handles the end of a result. Other results of the same answer may follow.
//
//go:noinline
func (m *mysqlReader) result(more bool, to answers) {
	m.state = mysqlFirst
	if !more {
		m.open = false
		to.end()
	}
}

// moreResults reports whether the status of the server, in the first two bytes, says that
// another result follows.
func moreResults(b []byte) bool { return len(b) >= 2 && b[0]&8 != 0 }

// lenEnc returns a number of one to nine bytes, and the bytes after it.
//
//go:noinline
func lenEnc(b []byte) (uint64, []byte) {
	if len(b) == 0 {
		return 0, nil
	}
	n := 0
	switch b[0] {
	case 0xfc:
		n = 2
	case 0xfd:
		n = 3
	case 0xfe:
		n = 8
	default:
		return uint64(b[0]), b[1:]
	}
	if len(b) < 1+n {
		return 0, nil
	}
	var word [8]byte
	copy(word[:], b[1:1+n])
	return binary.LittleEndian.Uint64(word[:]), b[1+n:]
}
