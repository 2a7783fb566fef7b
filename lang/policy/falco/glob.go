package falco

import (
	"bytes"
	"regexp"
	"strings"
)

// GlobRegexp returns a regular expression for a pattern of fnmatch(3) with FNM_EXTMATCH.
// * and ? also match slashes.
func GlobRegexp(pattern string, fold bool) (*regexp.Regexp, error) {
	var b bytes.Buffer
	b.WriteString("(?s")
	if fold {
		b.WriteByte('i')
	}
	b.WriteString(")^")
	var open []string // the texts that close the open groups
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		group := strings.IndexByte("?*+@", c) >= 0 && i+1 < len(pattern) && pattern[i+1] == '('
		switch {
		case group:
			b.WriteString("(?:")
			suffix := ""
			if c != '@' {
				suffix = string(c)
			}
			open = append(open, ")"+suffix)
			i++
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteByte('.')
		case c == '|' && len(open) > 0:
			b.WriteByte('|')
		case c == ')' && len(open) > 0:
			b.WriteString(open[len(open)-1])
			open = open[:len(open)-1]
		case c == '[':
			end := i + 1
			if end < len(pattern) && (pattern[end] == '!' || pattern[end] == '^') {
				end++
			}
			if end < len(pattern) && pattern[end] == ']' {
				end++
			}
			for end < len(pattern) && pattern[end] != ']' {
				end++
			}
			if end >= len(pattern) { // the character stands for itself
				b.WriteString(`\[`)
				continue
			}
			set := pattern[i+1 : end]
			b.WriteByte('[')
			if set[0] == '!' || set[0] == '^' {
				b.WriteByte('^')
				set = set[1:]
			}
			b.WriteString(strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`).Replace(set))
			b.WriteByte(']')
			i = end
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			b.WriteString(quoteByte(pattern, &i))
		}
	}
	b.WriteByte('$')
	return regexp.Compile(b.String())
}

// quoteByte returns the character at i of a pattern as a regular expression, and sets i to
// its last byte.
func quoteByte(pattern string, i *int) string {
	end := *i + 1
	for end < len(pattern) && pattern[end]&0xc0 == 0x80 {
		end++
	}
	s := regexp.QuoteMeta(pattern[*i:end])
	*i = end - 1
	return s
}
