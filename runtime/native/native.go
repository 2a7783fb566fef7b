// Package native reads and writes integers of 1, 2, 4 or 8 bytes in the byte order
// of the machine, as kernel programs do.
package native

import "encoding/binary"

// Uint returns the unsigned integer in b. It returns 0 if b does not have the size
// of an integer.
func Uint(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}

// Int returns the signed integer in b. It returns 0 if b does not have the size of
// an integer.
func Int(b []byte) int64 {
	shift := 64 - 8*len(b)
	if shift < 0 || shift >= 64 {
		return 0
	}
	return int64(Uint(b)<<shift) >> shift
}

// PutUint writes the low bytes of v to b. It writes nothing if b does not have the
// size of an integer.
func PutUint(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(v))
	case 8:
		binary.NativeEndian.PutUint64(b, v)
	}
}
