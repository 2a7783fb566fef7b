package builtins

import (
	"syscall"
	"unicode"
)

// errorText is the text of an error number as the C library has it: Go's are
// the same but for the case of the first letter and the gaps.
func errorText(n syscall.Errno) string {
	switch n {
	case 41, 58: // never assigned
		return "Unknown error"
	case maxErrno:
		return "Memory page has hardware error"
	}
	s := []rune(n.Error())
	s[0] = unicode.ToUpper(s[0])
	return string(s)
}
