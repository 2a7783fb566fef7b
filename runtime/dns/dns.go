// Package dns reads messages of DNS, RFC 1035.
package dns

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// Port is the port of name servers.
const Port = 53

// HeaderSize is the size of the header of a message in bytes.
const HeaderSize = 12

// Types of records and the Internet class.
const (
	A     = 1
	CNAME = 5
	AAAA  = 28

	Internet = 1
)

// Results of queries.
const (
	NoError   = 0
	NameError = 3 // the name does not exist
)

// types are the names of the types of records.
var types = lazy.Table[map[uint16]string]{New: func() map[uint16]string {
	return map[uint16]string{
		A: "A", 2: "NS", CNAME: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", AAAA: "AAAA", 33: "SRV", 35: "NAPTR", 43: "DS",
		46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 255: "ANY", 257: "CAA",
	}
}}

// TypeName returns the name of a type of records.
func TypeName(t uint16) string {
	if s, ok := types.Get()[t]; ok {
		return s
	}
	return fmt.Sprintf("TYPE%d", t)
}

// Header is the header of a message.
type Header struct {
	Response  bool
	Truncated bool // the message is too long for UDP
	Code      int  // result of a query, if it is a response
	Answers   int  // number of records in the answer
	standard  bool // a query of one name, or the response to one
}

// ParseHeader reads the header of a message. ok is false if b is too short.
func ParseHeader(b []byte) (h Header, ok bool) {
	if len(b) < HeaderSize {
		return Header{}, false
	}
	flags := binary.BigEndian.Uint16(b[2:])
	return Header{
		Response: flags&0x8000 != 0, Truncated: flags&0x200 != 0, Code: int(flags & 15),
		Answers:  int(binary.BigEndian.Uint16(b[6:])),
		standard: flags>>11&15 == 0 && binary.BigEndian.Uint16(b[4:]) == 1,
	}, true
}

// Message is a query of one name, or the response to one.
type Message struct {
	Header
	Name string // the name in question, as that of Name
	Type uint16 // the type in question

	data []byte
	at   int // where the answer starts
}

// Parse reads a message. The message may be cut off after its question.
func Parse(b []byte) (m Message, ok bool) {
	h, ok := ParseHeader(b)
	if !ok || !h.standard {
		return Message{}, false
	}
	name, at, ok := Name(b, HeaderSize)
	if !ok || at+4 > len(b) {
		return Message{}, false
	}
	return Message{Header: h, Name: name, Type: binary.BigEndian.Uint16(b[at:]), data: b, at: at + 4}, true
}

// Record is a record of an answer.
type Record struct {
	Type, Class uint16
	TTL         uint32

	message  []byte
	at, size int // of the data in the message
}

// Records returns the records of the answer, up to the first that is not complete. There
// are m.Answers if all are.
func (m *Message) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		b, at := m.data, m.at
		for range m.Answers {
			_, next, ok := Name(b, at)
			if !ok || next+10 > len(b) {
				return
			}
			r := Record{
				Type: binary.BigEndian.Uint16(b[next:]), Class: binary.BigEndian.Uint16(b[next+2:]), TTL: binary.BigEndian.Uint32(b[next+4:]),
				message: b, at: next + 10, size: int(binary.BigEndian.Uint16(b[next+8:])),
			}
			if at = r.at + r.size; at > len(b) || !yield(r) {
				return
			}
		}
	}
}

// Addr returns the address in a record of type A or AAAA.
func (r Record) Addr() (a netip.Addr, ok bool) {
	if !(r.Type == A && r.size == 4 || r.Type == AAAA && r.size == 16) {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(r.message[r.at : r.at+r.size])
}

// Target returns the name in a record of type CNAME.
func (r Record) Target() (name string, ok bool) {
	if r.Type != CNAME {
		return "", false
	}
	name, _, ok = Name(r.message, r.at)
	return name, ok
}

const (
	maxLabels = 64  // labels and pointers in a name
	maxName   = 255 // bytes of a name in a message
)

// Name returns the name at an offset of a message, in lower case and with a dot at its
// end, and the offset after it. Bytes that are not printable, dots and backslashes are
// escaped with their decimal numbers.
func Name(b []byte, at int) (name string, end int, ok bool) {
	var s strings.Builder
	size := 1
	for range maxLabels {
		if at >= len(b) {
			return "", 0, false
		}
		n := int(b[at])
		switch {
		case n == 0:
			if end == 0 {
				end = at + 1
			}
			if s.Len() == 0 {
				return ".", end, true
			}
			return s.String(), end, true
		case n >= 0xc0: // the rest is elsewhere
			if at+2 > len(b) {
				return "", 0, false
			}
			if end == 0 {
				end = at + 2
			}
			at = int(binary.BigEndian.Uint16(b[at:]) & 0x3fff)
			continue
		}
		if size += 1 + n; n > 63 || size > maxName || at+1+n > len(b) {
			return "", 0, false
		}
		for _, c := range b[at+1 : at+1+n] {
			switch {
			case c >= 'A' && c <= 'Z':
				s.WriteByte(c + 'a' - 'A')
			case c <= ' ' || c > '~' || c == '.' || c == '\\':
				fmt.Fprintf(&s, "\\%03d", c)
			default:
				s.WriteByte(c)
			}
		}
		s.WriteByte('.')
		at += 1 + n
	}
	return "", 0, false
}
