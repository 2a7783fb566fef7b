// Package cursor reads numbers and strings from the bytes of files that other programs
// wrote, which may be damaged.
package cursor

import (
	"bytes"
	"encoding/binary"
)

// Cursor is a position in bytes. A read beyond their end returns 0 and sets Bad.
type Cursor struct {
	Data  []byte
	Order binary.ByteOrder // nil: little-endian
	At    uint64           // the position in Data
	Bad   bool             // a read went beyond the end
}

// More reports whether bytes are left and Bad is not set.
func (c *Cursor) More() bool { return !c.Bad && c.At < uint64(len(c.Data)) }

// Take returns the next n bytes, or nil if there are fewer.
//
//go:noinline
func (c *Cursor) Take(n uint64) []byte {
	if c.Bad || n > uint64(len(c.Data)) || c.At > uint64(len(c.Data))-n {
		c.Bad = true
		return nil
	}
	b := c.Data[c.At : c.At+n]
	c.At += n
	return b
}

// Byte reads a byte.
func (c *Cursor) Byte() byte {
	if c.Bad || c.At >= uint64(len(c.Data)) {
		c.Bad = true
		return 0
	}
	b := c.Data[c.At]
	c.At++
	return b
}

// U8 reads a number of 8 bits. U16, U24, U32 and U64 read one with that many bits.
//
//go:noinline
func (c *Cursor) U8() uint64 { return uint64(c.Byte()) }

//go:noinline
func (c *Cursor) U16() uint64 { return c.Uint(2) }
func (c *Cursor) U24() uint64 { return c.Uint(3) }

//go:noinline
func (c *Cursor) U32() uint64 { return c.Uint(4) }

//go:noinline
func (c *Cursor) U64() uint64 { return c.Uint(8) }

// Uint reads a number of n bytes, at most 8.
func (c *Cursor) Uint(n uint64) (v uint64) {
	b := c.Take(min(n, 8))
	if c.Order == binary.ByteOrder(binary.BigEndian) {
		for _, x := range b {
			v = v<<8 | uint64(x)
		}
		return v
	}
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v
}

// Sint reads a number of n bytes, 1 to 8, that has a sign.
func (c *Cursor) Sint(n uint64) int64 {
	n = min(max(n, 1), 8)
	shift := 64 - 8*n
	return int64(c.Uint(n)<<shift) >> shift
}

// Offset reads an offset of 4 bytes, or of 8 in 64-bit DWARF.
func (c *Cursor) Offset(is64 bool) uint64 {
	if is64 {
		return c.U64()
	}
	return c.U32()
}

// Uleb reads a number in LEB128. Bits above the lowest 64 are lost.
//
//go:noinline
func (c *Cursor) Uleb() (n uint64) {
	for shift := 0; !c.Bad; shift += 7 {
		b := c.Byte()
		if shift < 64 {
			n |= uint64(b&0x7f) << shift
		}
		if b < 0x80 {
			break
		}
	}
	return n
}

// Sleb reads a number with a sign in LEB128.
func (c *Cursor) Sleb() (n int64) {
	for shift := 0; !c.Bad; {
		b := c.Byte()
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

// Block reads a number in LEB128 and that many bytes.
func (c *Cursor) Block() []byte { return c.Take(c.Uleb()) }

// Text reads a string that ends with a NUL.
func (c *Cursor) Text() string {
	if !c.More() {
		c.Bad = true
		return ""
	}
	rest := c.Data[c.At:]
	n := bytes.IndexByte(rest, 0)
	if n < 0 {
		c.Bad = true
		return ""
	}
	c.At += uint64(n) + 1
	return string(rest[:n])
}

// SkipText skips a string that ends with a NUL, and returns its position.
func (c *Cursor) SkipText() (at uint64) {
	at = c.At
	if !c.More() {
		c.Bad = true
		return at
	}
	n := bytes.IndexByte(c.Data[at:], 0)
	if n < 0 {
		c.Bad = true
		return at
	}
	c.At += uint64(n) + 1
	return at
}
