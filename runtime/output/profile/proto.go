package profile

import "encoding/binary"

// message is an encoded message of protocol buffers. Fields are appended to it.
type message []byte

const (
	wireVarint = 0
	wireBytes  = 2
)

func (m *message) key(field, wire uint64) { *m = binary.AppendUvarint(*m, field<<3|wire) }

// number appends an integer. It omits zero, the default.
//
//go:noinline
func (m *message) number(field, v uint64) {
	if v != 0 {
		m.key(field, wireVarint)
		*m = binary.AppendUvarint(*m, v)
	}
}

func (m *message) flag(field uint64, set bool) {
	if set {
		m.number(field, 1)
	}
}

// numbers appends a list of integers.
func (m *message) numbers(field uint64, list []uint64) {
	var packed message
	for _, v := range list {
		packed = binary.AppendUvarint(packed, v)
	}
	m.bytes(field, packed)
}

// bytes appends a text or an encoded message.
//
//go:noinline
func (m *message) bytes(field uint64, b []byte) {
	m.key(field, wireBytes)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}
