package parse

import "strconv"

// Number parses an integer in any form that a script can use, or in binary. Positional
// parameters have these forms.
func Number(text string) (uint64, bool) {
	if text == "" || !isDigit(text[0]) {
		return 0, false
	}
	if len(text) > 2 && (text[:2] == "0b" || text[:2] == "0B") {
		n, err := strconv.ParseUint(text[2:], 2, 64)
		return n, err == nil
	}
	n, err := parseInt(text)
	return n, err == nil
}
