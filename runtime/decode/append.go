package decode

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/value"
)

// Append appends a value of type t to dst as the conversion formats it.
func (p *Piece) Append(d *Decoder, dst []byte, t *types.Type, data []byte) []byte {
	start := len(dst)
	switch p.Verb {
	case 's':
		dst = d.appendText(dst, t, data)
		if p.Prec >= 0 {
			dst = dst[:start+cut(dst[start:], p.Prec)]
		}
	case 'c':
		dst = append(dst, byte(Integer(t, data)))
	case VerbBytes:
		dst = value.AppendEscaped(dst, Buffer(data))
	case VerbHex:
		for _, c := range Buffer(data) {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
	case VerbHexPlain:
		for i, c := range Buffer(data) {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
	case VerbGFP:
		dst = appendGFP(dst, Integer(t, data))
	default:
		return p.AppendInt(dst, t, data)
	}
	return p.Fill(dst, start, start)
}

const hexDigits = "0123456789abcdef"

// cut returns the length of the longest prefix of b that has at most n bytes and
// does not end within a character.
func cut(b []byte, n int) int {
	if n >= len(b) {
		return len(b)
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return n
}

// Integer returns the value of a scalar of type t, extended to 64 bits.
func Integer(t *types.Type, data []byte) uint64 {
	if len(data) < t.Size {
		return 0
	}
	if t.Signed {
		return uint64(native.Int(data[:t.Size]))
	}
	return native.Uint(data[:t.Size])
}

// AppendInt appends a number as the conversion formats it: the sign or 0x, zeros up
// to the precision (or up to the width, with the flag 0), and the digits.
func (p *Piece) AppendInt(dst []byte, t *types.Type, data []byte) []byte {
	x := Integer(t, data)
	// A length modifier sets the width of the number. Without one, bit patterns
	// (%o, %x) have 32 bits as in C, since scripts rely on the number of digits.
	// Quantities (%d, %u) are never truncated, as that would print a wrong number.
	width := p.Bits
	switch {
	case width != 0:
	case p.Verb == 'o' || p.Verb == 'x' || p.Verb == 'X':
		width = 32
	case t.Word && x>>31 == 1: // most likely a negative int, extended with zeros
		width = 32
	case p.Verb == 'u' && t.Signed && int64(x)>>31 == -1: // a negative int, whatever its type
		width = 32
	default:
		width = max(32, uint(t.Size)*8)
	}
	var prefix [2]byte
	pre := prefix[:0]
	base := 10
	switch p.Verb {
	case 'd', 'i':
		v := int64(x<<(64-width)) >> (64 - width)
		x = uint64(v)
		switch {
		case v < 0:
			pre, x = append(pre, '-'), -x
		case p.Plus:
			pre = append(pre, '+')
		case p.Space:
			pre = append(pre, ' ')
		}
	case 'u':
		x &= math.MaxUint64 >> (64 - width)
	case 'o', 'x', 'X', 'p':
		x &= math.MaxUint64 >> (64 - width)
		base = 16
		if p.Verb == 'o' {
			base = 8
		}
		if x != 0 && base == 16 && (p.Alt || p.Verb == 'p') {
			pre = append(pre, '0', 'x')
			if p.Verb == 'X' {
				pre[1] = 'X'
			}
		}
	}
	var digits [24]byte
	d := digits[:0]
	if x != 0 || p.Prec != 0 {
		d = strconv.AppendUint(d, x, base)
	}
	if p.Verb == 'X' {
		d = bytes.ToUpper(d)
	}
	start := len(dst)
	dst = append(dst, pre...)
	at := len(dst)
	zeros := p.Prec - len(d)
	if p.Verb == 'o' && p.Alt && zeros < 1 && (len(d) == 0 || d[0] != '0') {
		zeros = 1
	}
	if p.Prec < 0 && p.Zero && !p.Minus {
		zeros = max(zeros, p.Width-len(pre)-len(d))
	}
	for range zeros {
		dst = append(dst, '0')
	}
	dst = append(dst, d...)
	return p.Fill(dst, start, at)
}

// Fill pads the text in dst from start on to the conversion's width. If it pads
// with zeros, it inserts them at index at.
func (p *Piece) Fill(dst []byte, start, at int) []byte {
	n := p.Width - utf8.RuneCount(dst[start:])
	if n <= 0 {
		return dst
	}
	c := byte(' ')
	if p.Zero && !p.Minus && p.Verb != 'c' && p.Prec < 0 {
		c, start = '0', at
	}
	for range n {
		dst = append(dst, c)
	}
	if !p.Minus {
		copy(dst[start+n:], dst[start:len(dst)-n])
		for i := range n {
			dst[start+i] = c
		}
	}
	return dst
}

// appendText appends a value as %s shows it. It formats strings and integers, by
// far the most frequent, without making a value of them first.
func (d *Decoder) appendText(dst []byte, t *types.Type, data []byte) []byte {
	switch {
	case t.Kind == types.String:
		s := Text(data)
		dst = append(dst, s...)
		if d.truncated(t, len(s)) {
			dst = append(dst, d.Trailer...)
		}
		return dst
	case t.Kind == types.Int && t.Signed:
		return strconv.AppendInt(dst, int64(Integer(t, data)), 10)
	case t.Kind == types.Int:
		return strconv.AppendUint(dst, Integer(t, data), 10)
	}
	return append(dst, d.Text(d.Value(t, data))...)
}
