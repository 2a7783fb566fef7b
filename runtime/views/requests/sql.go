package requests

import (
	"bytes"
	"strings"
)

// maskSQL returns the text of a query in one line, with ? for its literals. A text in double
// quotes is a literal in MySQL and a name elsewhere.
func maskSQL(s string, doubleQuotes bool) string {
	var b bytes.Buffer
	word := false // the last character belongs to a name or number
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\'' || c == '"' && doubleQuotes:
			i = afterQuote(s, i)
			b.WriteByte('?')
			word = false
		case c == '"' || c == '`':
			end := afterQuote(s, i)
			b.WriteString(s[i:end])
			i, word = end, false
		case c == '$' && !word:
			end := afterDollar(s, i)
			if end > i {
				b.WriteByte('?')
				i = end
				break
			}
			b.WriteByte(c)
			i, word = i+1, true
		case c >= '0' && c <= '9' && !word:
			for i < len(s) && isNumberByte(s, i) {
				i++
			}
			b.WriteByte('?')
		case strings.HasPrefix(s[i:], "--") || strings.HasPrefix(s[i:], "/*"):
			i = afterComment(s, i)
			b.WriteByte(' ')
			word = false
		default:
			word = c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
			b.WriteByte(c)
			i++
		}
	}
	return oneLine(b.String())
}

// oneLine returns s with single blanks between its words.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// afterQuote returns the position after the text in quotes that starts at i. A quote in it is
// doubled or follows a backslash.
func afterQuote(s string, i int) int {
	q := s[i]
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '\\' && q != '`':
			i++
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return i + 1
		}
	}
	return len(s)
}

// afterDollar returns the position after the text between $tag$ and $tag$ that starts at i, or
// i if there is none.
func afterDollar(s string, i int) int {
	n := strings.IndexByte(s[i+1:], '$')
	if n < 0 || strings.ContainsAny(s[i+1:i+1+n], " '\"(),;=\n") || n > 0 && s[i+1] >= '0' && s[i+1] <= '9' {
		return i
	}
	tag := s[i : i+n+2]
	if end := strings.Index(s[i+len(tag):], tag); end >= 0 {
		return i + 2*len(tag) + end
	}
	return len(s)
}

// afterComment returns the position after the comment that starts at i.
func afterComment(s string, i int) int {
	end := "*/"
	if s[i] == '-' {
		end = "\n"
	}
	if n := strings.Index(s[i+2:], end); n >= 0 {
		return i + 2 + n + len(end)
	}
	return len(s)
}

// isNumberByte reports whether the byte at i is part of a number.
func isNumberByte(s string, i int) bool {
	c := s[i]
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '.' || c == '_' ||
		(c == '+' || c == '-') && s[i-1]|0x20 == 'e'
}

// sqlRequest returns a request with a query.
func sqlRequest(op, query string, o *Display, doubleQuotes bool) *Request {
	r := &Request{Op: op, Rows: -1}
	shape := maskSQL(query, doubleQuotes)
	if r.Target = shape; o.Unmask {
		r.Target = oneLine(query)
	}
	if r.route = op; shape != "" {
		r.route += " " + shape
	}
	return r
}
