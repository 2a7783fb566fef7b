package runtime

import (
	"errors"
	"strings"
)

// splitWords splits a command line into words as a shell does: at blanks that
// are not quoted. In single quotes every byte stands for itself; in double quotes
// a backslash quotes ", \, $ and `, and elsewhere any byte. Nothing is expanded.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote byte // the quotes that are open, or 0
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
			if line[i] != '\n' { // a line that goes on
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
