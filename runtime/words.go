package runtime

import (
	"bytes"
	"strings"
)

// splitWords splits a command line into words as a shell does, at unquoted blanks.
// In single quotes every byte stands for itself. A backslash quotes any byte
// outside of quotes, and the bytes ", \, $ and ` in double quotes. Nothing is
// expanded. A quote that is not closed, where a shell would read on, stands for
// itself, as does a backslash at the end.
func splitWords(line string) []string {
	var words []string
	var word bytes.Buffer
	var quote byte // the open quote, or 0
	inWord := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == '\'' && c != quote:
			word.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && i+1 == len(line):
			word.WriteByte(c)
			inWord = true
		case c == '\\' && quote == '"' && !strings.ContainsRune("\"\\$`\n", rune(line[i+1])):
			word.WriteByte(c)
		case c == '\\':
			i++
			if line[i] != '\n' { // not a line continuation
				word.WriteByte(line[i])
				inWord = true
			}
		case quote == 0 && (c == '\'' || c == '"') && closes(line[i+1:], c):
			quote, inWord = c, true
		case quote == 0 && strings.IndexByte(" \t\n\v\f\r", c) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// closes reports whether the text after an opening quote contains the closing one.
func closes(rest string, quote byte) bool {
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == quote:
			return true
		case rest[i] == '\\' && quote == '"':
			i++
		}
	}
	return false
}
