// Package protowire encodes messages of protocol buffers. It knows no descriptions of
// messages: the caller passes the number of each field and chooses the method by its
// type.
package protowire

import (
	"encoding/binary"
	"math"
)

// Message is an encoded message, to which methods append fields. The methods omit no
// field, except where they say so.
type Message []byte

// Wire types.
const (
	varint    = 0
	fixed64   = 1
	delimited = 2
	fixed32   = 5
)

func (m *Message) key(field, wire uint64) { *m = binary.AppendUvarint(*m, field<<3|wire) }

// Varint appends a field of type uint64, uint32, bool or enum, or an int64 or int32 that
// was converted to uint64.
//
//go:noinline
func (m *Message) Varint(field, v uint64) {
	m.key(field, varint)
	*m = binary.AppendUvarint(*m, v)
}

// Number appends a field like Varint. It omits zero, the default.
//
//go:noinline
func (m *Message) Number(field, v uint64) {
	if v != 0 {
		m.Varint(field, v)
	}
}

// Flag appends a field of type bool. It omits false, the default.
func (m *Message) Flag(field uint64, set bool) {
	if set {
		m.Varint(field, 1)
	}
}

// Zigzag appends a field of type sint64 or sint32.
func (m *Message) Zigzag(field uint64, v int64) {
	m.Varint(field, uint64(v)<<1^uint64(v>>63))
}

// Fixed64 appends a field of type fixed64, or an sfixed64 that was converted to uint64.
//
//go:noinline
func (m *Message) Fixed64(field, v uint64) {
	m.key(field, fixed64)
	*m = binary.LittleEndian.AppendUint64(*m, v)
}

// Double appends a field of type double.
func (m *Message) Double(field uint64, v float64) { m.Fixed64(field, math.Float64bits(v)) }

// Bytes appends a field of type bytes, or an encoded message.
//
//go:noinline
func (m *Message) Bytes(field uint64, b []byte) {
	m.key(field, delimited)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

// String appends a field of type string. The caller ensures that s is valid UTF-8.
//
//go:noinline
func (m *Message) String(field uint64, s string) {
	m.key(field, delimited)
	*m = binary.AppendUvarint(*m, uint64(len(s)))
	*m = append(*m, s...)
}

// Varints appends a packed list of the types that Varint takes.
func (m *Message) Varints(field uint64, list []uint64) {
	var packed Message
	for _, v := range list {
		packed = binary.AppendUvarint(packed, v)
	}
	m.Bytes(field, packed)
}

// Fixed64s appends a packed list of the types that Fixed64 takes.
func (m *Message) Fixed64s(field uint64, list []uint64) {
	m.key(field, delimited)
	*m = binary.AppendUvarint(*m, 8*uint64(len(list)))
	for _, v := range list {
		*m = binary.LittleEndian.AppendUint64(*m, v)
	}
}

// Doubles appends a packed list of type double.
func (m *Message) Doubles(field uint64, list []float64) {
	m.key(field, delimited)
	*m = binary.AppendUvarint(*m, 8*uint64(len(list)))
	for _, v := range list {
		*m = binary.LittleEndian.AppendUint64(*m, math.Float64bits(v))
	}
}

// Fields calls f for each field of an encoded message: with the number of a varint, or with
// the data of a text or message. It leaves out fields of other types, and stops where the
// message is invalid.
func Fields(m []byte, f func(field, n uint64, data []byte)) {
	for len(m) > 0 {
		key, k := binary.Uvarint(m)
		if k <= 0 {
			return
		}
		m = m[k:]
		n := uint64(0)
		switch key & 7 {
		case varint, delimited:
			if n, k = binary.Uvarint(m); k <= 0 {
				return
			}
			m = m[k:]
		case fixed64:
			n = 8
		case fixed32:
			n = 4
		default:
			return
		}
		if key&7 == varint {
			f(key>>3, n, nil)
			continue
		}
		if n > uint64(len(m)) {
			return
		}
		if key&7 == delimited {
			f(key>>3, 0, m[:n])
		}
		m = m[n:]
	}
}
