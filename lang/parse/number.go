package parse

// Number reads an integer in any of the forms a script can write it in; a
// positional parameter is read so.
func Number(text string) (uint64, bool) {
	if text == "" || !isDigit(text[0]) {
		return 0, false
	}
	n, err := parseInt(text)
	return n, err == nil
}
