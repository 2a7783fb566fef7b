package value

// AppendEscaped appends data to b. Printable ASCII is appended as it is, all other
// bytes as \xNN.
func AppendEscaped(b, data []byte) []byte {
	const hex = "0123456789abcdef"
	for _, c := range data {
		if c >= ' ' && c <= '~' {
			b = append(b, c)
		} else {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return b
}
