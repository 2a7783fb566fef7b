package units

import "encoding/binary"

// reader reads numbers from bytes that may be damaged. After the end, all numbers are 0
// and bad is set.
type reader struct {
	data  []byte
	order binary.ByteOrder
	at    uint64
	bad   bool
}

// take returns the next n bytes, or nil if there are fewer.
func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.data)) || r.at > uint64(len(r.data))-n {
		r.bad = true
		return nil
	}
	b := r.data[r.at : r.at+n]
	r.at += n
	return b
}

func (r *reader) u8() uint64 {
	if b := r.take(1); b != nil {
		return uint64(b[0])
	}
	return 0
}

func (r *reader) u16() uint64 {
	if b := r.take(2); b != nil {
		return uint64(r.order.Uint16(b))
	}
	return 0
}

func (r *reader) u24() uint64 {
	b := r.take(3)
	if b == nil {
		return 0
	}
	if r.order == binary.ByteOrder(binary.BigEndian) {
		return uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2])
	}
	return uint64(b[2])<<16 | uint64(b[1])<<8 | uint64(b[0])
}

func (r *reader) u32() uint64 {
	if b := r.take(4); b != nil {
		return uint64(r.order.Uint32(b))
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return r.order.Uint64(b)
	}
	return 0
}

// offset reads an offset of 4 or, in 64-bit DWARF, 8 bytes.
func (r *reader) offset(is64 bool) uint64 {
	if is64 {
		return r.u64()
	}
	return r.u32()
}

func (r *reader) uleb() (n uint64) {
	for shift := 0; !r.bad; shift += 7 {
		b := r.u8()
		if shift < 64 {
			n |= (b & 0x7f) << shift
		}
		if b < 0x80 {
			break
		}
	}
	return n
}

func (r *reader) sleb() (n int64) {
	for shift := 0; !r.bad; {
		b := r.u8()
		if shift < 64 {
			n |= int64(b&0x7f) << shift
		}
		shift += 7
		if b < 0x80 {
			if b&0x40 != 0 && shift < 64 {
				n |= -1 << shift
			}
			break
		}
	}
	return n
}

// text skips a NUL-terminated string and returns its offset.
func (r *reader) text() (at uint64) {
	at = r.at
	for !r.bad && r.u8() != 0 {
	}
	return at
}

// stringAt returns the string that starts at an offset of data.
func stringAt(data []byte, off uint64) string {
	if off >= uint64(len(data)) {
		return ""
	}
	data = data[off:]
	for i, c := range data {
		if c == 0 {
			return string(data[:i])
		}
	}
	return ""
}
