package falco

import (
	"bytes"
	"strings"
)

// quoted parses a text in quotes.
func (p *parser) quoted() (string, bool) {
	if p.pos >= len(p.text) || p.text[p.pos] != '"' && p.text[p.pos] != '\'' {
		return "", false
	}
	for end := p.pos + 1; end < len(p.text); end++ {
		switch p.text[end] {
		case '\\':
			end++
		case p.text[p.pos]:
			text := unescape(p.text[p.pos+1 : end])
			p.pos = end + 1
			return text, true
		}
	}
	p.fail(p.pos, "", "the text has no closing quote")
	return "", false
}

// unescape replaces the sequences that begin with a backslash. A sequence without a
// meaning is kept.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b bytes.Buffer
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if n := strings.IndexByte(`bfnrt"'\`, text[i]); n >= 0 {
			b.WriteByte("\b\f\n\r\t\"'\\"[n])
		} else {
			b.WriteString(text[i-1 : i+1])
		}
	}
	return b.String()
}

// unquote returns an item of a list without the quotes that are part of it.
func unquote(text string) string {
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return unescape(text[1 : n-1])
	}
	return text
}
