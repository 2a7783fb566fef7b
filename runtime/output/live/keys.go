package live

import (
	"bytes"
	"unicode/utf8"
)

// The keys that are not characters. Characters are their own numbers.
const (
	keyUp rune = -1 - iota
	keyDown
	keyLeft
	keyRight
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyTab
	keyBackTab
	keyEnter
	keyBackspace
	keyEscape
	keyHelp
	keyNone // a sequence without a meaning here
)

// The control characters that stand for signals.
const (
	ctrlC         = 'C' - '@'
	ctrlD         = 'D' - '@'
	ctrlL         = 'L' - '@'
	ctrlU         = 'U' - '@'
	ctrlZ         = 'Z' - '@'
	ctrlBackslash = '\\' - '@'
)

// sequenceKey returns the key for what follows ESC [ or ESC O.
func sequenceKey(s string) rune {
	switch s {
	case "A":
		return keyUp
	case "B":
		return keyDown
	case "C":
		return keyRight
	case "D":
		return keyLeft
	case "H", "1~", "7~":
		return keyHome
	case "F", "4~", "8~":
		return keyEnd
	case "5~":
		return keyPageUp
	case "6~":
		return keyPageDown
	case "Z":
		return keyBackTab
	case "P", "11~", "[A":
		return keyHelp
	}
	return keyNone
}

// decodeKey returns the first key in the input of a terminal, and the number of its
// bytes. It returns 0 bytes if the end of the key is missing. last is set if no more
// input follows.
func decodeKey(b []byte, last bool) (key rune, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch c := b[0]; {
	case c == 0x1b:
		return decodeEscape(b, last)
	case c == '\r' || c == '\n':
		return keyEnter, 1
	case c == '\t':
		return keyTab, 1
	case c == 0x7f || c == '\b':
		return keyBackspace, 1
	case c < utf8.RuneSelf:
		return rune(c), 1
	}
	if !utf8.FullRune(b) && !last {
		return 0, 0
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError {
		return keyNone, n
	}
	return r, n
}

// decodeEscape decodes a key that begins with ESC.
func decodeEscape(b []byte, last bool) (key rune, n int) {
	switch {
	case len(b) == 1 && last:
		return keyEscape, 1
	case len(b) == 1:
		return 0, 0
	case b[1] != '[' && b[1] != 'O':
		return keyEscape, 1 // the escape key, followed by another key
	}
	end := bytes.IndexFunc(b[2:], func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '~' })
	switch {
	case end < 0 && (last || len(b) > maxSequence):
		return keyNone, len(b)
	case end < 0:
		return 0, 0
	}
	end += 3
	return sequenceKey(string(b[2:end])), end
}

// maxSequence is the maximum length of an incomplete sequence.
const maxSequence = 32
