package parse

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// litError is an error in a literal, with its position in the text.
type litError struct {
	start, end int
	msg        string
}

// durations maps the suffixes for durations to nanoseconds.
var durations = map[string]uint64{
	"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9,
}

// maxOf returns the largest value of a literal with a C suffix (in lower case).
func maxOf(suffix string) (uint64, bool) {
	switch suffix {
	case "u":
		return math.MaxUint32, true
	case "l", "ll":
		return math.MaxInt64, true
	case "", "ul", "ull":
		return math.MaxUint64, true
	}
	return 0, false
}

// parseInt returns the value of an integer literal: decimal, octal after a leading 0,
// hexadecimal after 0x, or a digit from 1 to 9 times a power of ten (2e6). Digits may
// be separated by "_". A C suffix, which only limits the value, or a unit of time may
// follow.
func parseInt(text string) (uint64, *litError) {
	bad := func(start, end int, msg string) (uint64, *litError) { return 0, &litError{start, end, msg} }
	base, start := uint64(10), 0
	isDigitHere := isDigit
	if len(text) > 1 && text[0] == '0' {
		switch {
		case text[1] == 'x' || text[1] == 'X':
			base, start = 16, 2
			isDigitHere = isHex
		case isDigit(text[1]) || text[1] == '_':
			base, start = 8, 1
		}
	}
	end := start
	for end < len(text) && (isDigitHere(text[end]) || text[end] == '_') {
		end++
	}
	digits, suffix := strings.ReplaceAll(text[start:end], "_", ""), text[end:]
	if digits == "" {
		return bad(0, len(text), "no digits after "+quote(text[:start]))
	}
	if text[end-1] == '_' {
		return bad(end-1, end, "trailing underscore in integer literal")
	}
	exponent := -1
	if base == 10 && suffix != "" && (suffix[0] == 'e' || suffix[0] == 'E') {
		n := 1
		for n < len(suffix) && isDigit(suffix[n]) {
			n++
		}
		if n == 1 {
			return bad(0, len(text), "invalid trailing bytes: "+shortened(text))
		}
		if len(text[start:end]) != 1 || digits == "0" {
			return bad(0, end+n, "coefficient part of scientific literal must be 1-9: "+shortened(text))
		}
		exponent, _ = strconv.Atoi(suffix[1:n]) // out of range results in the maximum int, which is reported below
		end, suffix = end+n, suffix[n:]
	}
	limit, isC := maxOf(strings.ToLower(suffix))
	unit, isTime := durations[suffix]
	switch {
	case isC:
		unit = 1
	case !isTime:
		return bad(end, len(text), "invalid integer suffix "+quote(suffix))
	default:
		limit = math.MaxUint64
	}

	value, ok := uint64(0), true
	times := func(n uint64) {
		if value > limit/n {
			ok = false
		}
		value *= n
	}
	for i := 0; i < len(digits) && ok; i++ {
		d := uint64(hexValue(digits[i]))
		if d >= base {
			return bad(0, len(text), "invalid trailing bytes: "+shortened(text))
		}
		times(base)
		if value > limit-d {
			ok = false
		}
		value += d
	}
	for ; exponent > 0 && ok; exponent-- {
		times(10)
	}
	times(unit)
	if !ok {
		return bad(0, len(text), "overflow error, maximum value is "+strconv.FormatUint(limit, 10)+": "+shortened(text))
	}
	return value, nil
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

func hexValue(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// unquote resolves the escapes of a quoted string literal. It reports every invalid
// escape.
func unquote(text string) (string, []litError) {
	if !strings.Contains(text, `\`) {
		return text[1 : len(text)-1], nil
	}
	var b bytes.Buffer
	var errs []litError
	end := len(text) - 1
	for i := 1; i < end; {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			i++
			continue
		}
		start := i
		c := text[i+1]
		i += 2
		switch {
		case c == 'n':
			b.WriteByte('\n')
		case c == 't':
			b.WriteByte('\t')
		case c == 'r':
			b.WriteByte('\r')
		case c == '"' || c == '\\':
			b.WriteByte(c)
		case c == 'x':
			n, v := i, byte(0)
			for n < end && n < i+2 && isHex(text[n]) {
				v = v<<4 | hexValue(text[n])
				n++
			}
			if n == i {
				errs = append(errs, litError{i, min(i+1, len(text)), "invalid hex escape sequence"})
			}
			b.WriteByte(v)
			i = n
		case '0' <= c && c <= '7':
			n, v := i, int(c-'0')
			for n < end && n < i+2 && '0' <= text[n] && text[n] <= '7' {
				v = v<<3 | int(text[n]-'0')
				n++
			}
			if v > 255 {
				errs = append(errs, litError{start, n, "octal escape sequence out of range " + quote(text[start:n])})
			}
			b.WriteByte(byte(v))
			i = n
		default:
			_, size := utf8.DecodeRuneInString(text[start+1 : end])
			i = start + 1 + max(size, 1)
			errs = append(errs, litError{start + 1, i, "invalid escape character " + quote(text[start:i])})
		}
	}
	return b.String(), errs
}

// quote returns text in single quotes for a message.
func quote(text string) string { return "'" + strings.ToValidUTF8(shortened(text), "?") + "'" }

// shortened returns text, truncated to a length that fits in a message.
//
//go:noinline
func shortened(text string) string {
	const most = 24
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// quoteChar returns the character at the start of text in quotes, or a description of
// it, for a message.
func quoteChar(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && size <= 1 || !strconv.IsPrint(r) {
		const hex = "0123456789abcdef"
		return `'\x` + string(hex[text[0]>>4]) + string(hex[text[0]&15]) + "'"
	}
	return "'" + string(r) + "'"
}
