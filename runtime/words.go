package runtime

import (
	"bytes"
	"errors"
	"strings"
)

// splitWords splits a command line into words as a shell does, at unquoted blanks.
// In single quotes every byte stands for itself. A backslash quotes any byte
// outside of quotes, and the bytes ", \, $ and ` in double quotes. Nothing is
// expanded.
func splitWords(line string) ([]string, error) {
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
			return nil, errors.New("it ends with a backslash, which quotes nothing")
		case c == '\\' && quote == '"' && !strings.ContainsRune("\"\\$`\n", rune(line[i+1])):
			word.WriteByte(c)
		case c == '\\':
			i++
			if line[i] != '\n' { // not a line continuation
				word.WriteByte(line[i])
				inWord = true
			}
		case quote == 0 && (c == '\'' || c == '"'):
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
	if quote != 0 {
		return nil, errors.New("the quote " + string(quote) + " is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
